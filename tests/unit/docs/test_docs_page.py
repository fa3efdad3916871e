"""Writing a page's outputs anew changes the outputs and nothing else."""

from __future__ import annotations

from tests.support.page import with_outputs

PAGE = """\
# Title

```console
$ first
old

old too

$ second
```

```shell
$ not run
```

Text.
"""


def test_outputs_are_replaced_and_the_rest_is_kept() -> None:
    written = with_outputs(PAGE, ["new  \n\nnewer\n", "other\n"])
    assert written == PAGE.replace("old\n\nold too", "new\nnewer").replace("$ second", "$ second\nother")
    assert with_outputs(written, ["new\nnewer\n", "other\n"]) == written
