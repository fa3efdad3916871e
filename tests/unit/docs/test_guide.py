"""The runner of the documentation's commands: it must notice every difference that matters, and no other."""

from __future__ import annotations

import itertools
from pathlib import Path

import guide
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]

PAGE = """\
# Title

## First

Text.

```console
# What it is for.
$ kubectl get pods
NAME        READY   AGE
ray-5926k   1/1     57s

$ kubectl port-forward service/x 8265:8265
```

```shell
not run
```

## Second

```console
$ kubectl logs ray-5926k
...
Success!
```
"""


def test_commands_come_with_their_section_purpose_and_output() -> None:
    """Blank lines and comments are no output; other blocks are not run."""
    first, forward, logs = guide.parse(PAGE)
    assert (first.section, first.purpose, first.text) == ("First", "What it is for.", "kubectl get pods")
    assert first.output == ("NAME        READY   AGE", "ray-5926k   1/1     57s")
    assert (forward.forwards, forward.purpose) == (8265, "")
    assert (logs.section, logs.output) == ("Second", ("...", "Success!"))


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("example   Running   0   53s", "example   Running   0   4m12s"),
        ("ray-operator-84f5d57b7f-xkvtm 1/1", "ray-operator-7d9c6b5f4-zz2x9   1/1"),
        ("head   ClusterIP   10.8.11.17   <none>", "head ClusterIP 10.96.0.1 <none>"),
        ("LAST DEPLOYED: Fri May 14 11:44:06 2021", "LAST DEPLOYED: Mon Nov  2 01:02:03 2026"),
        ("crd   2021-05-14T18:44:02Z", "crd   2026-11-23T16:04:05Z"),
    ],
)
def test_what_differs_from_run_to_run_is_no_difference(expected: str, printed: str) -> None:
    """Ages, addresses, dates, generated names, column widths."""
    assert guide.match((expected,), printed, {}) == ""


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        (("example Running 0",), "example Error 0"),
        (("example Running 0",), "example Running 1"),
        (("10001/TCP,8265/TCP",), "10001/TCP"),
        (("a", "b"), "a"),
        (("a",), "a\nb"),
        (("...", "Success!"), "Iteration 9\nTraceback"),
        (("...", "Success!"), "Success!\nTraceback"),
        (("pod-5926k 1/1",), "pod-5926k 0/1"),
    ],
)
def test_what_matters_is_noticed(expected: tuple[str, ...], printed: str) -> None:
    """A wrong value, a missing line, a line too many."""
    assert guide.match(expected, printed, {}) != ""


def test_lines_that_stand_together_are_found_where_all_of_them_are() -> None:
    """A log has blocks that begin alike."""
    page = ("...", "Status:", " 1 head", " 2 workers", "...", "Ready", "...")
    log = "Begins\nStatus:\n 1 head\nPending\nStatus:\n 1 head\n 2 workers\nReady\nmore"
    assert guide.match(page, log, {}) == ""
    early = "Begins\nStatus:\n 1 head\nPending\nReady"
    assert guide.match(page, early, {}) == "expected a line like ' 2 workers', got 'Pending'"
    assert (
        guide.match(page, early.partition("\nPending")[0], {})
        == "expected a line like ' 2 workers', got 'nothing more'"
    )


def test_a_generated_name_is_replaced_by_the_one_that_was_seen() -> None:
    """The page's job pod stands for the real one in later commands."""
    names: dict[str, str] = {}
    assert guide.match(("ray-test-job-dl9fv 0/1",), "ray-test-job-abc12 0/1", names) == ""
    assert names == {"dl9fv": "abc12"}


def test_a_failing_command_is_an_error_that_names_it(tmp_path: Path) -> None:
    """And what it printed has been said."""
    said: list[str] = []
    runner = guide.Runner(tmp_path, {"PATH": "/usr/bin:/bin"}, said.append)
    with pytest.raises(guide.GuideError, match="exit code 3"):
        runner.run(guide.Command("S", "", "echo shown; exit 3", ("...",)))
    assert "shown" in said


def test_what_is_waited_for_is_said_once_and_what_comes_is_shown(tmp_path: Path) -> None:
    said: list[str] = []
    looks = tmp_path / "looks"
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\necho >> {looks}; [ $(wc -l < {looks}) -gt 5 ] && echo three || echo two\n")
    kubectl.chmod(0o755)
    seconds = itertools.count(0.0, 6.0)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    runner = guide.Runner(tmp_path, env, said.append, clock=lambda: next(seconds), sleep=lambda _: None)
    runner.run(guide.Command("S", "", "kubectl get pods", ("three",)))
    (waiting,) = (line for line in said if "waiting" in line)
    assert "expected a line like 'three', got 'two'" in waiting
    assert said.index(waiting) < said.index("three")


def test_the_job_carries_the_example_program_unchanged() -> None:
    """The ConfigMap beside the Job and the script that the guide runs are one program."""
    config, job = yaml.safe_load_all((ROOT / "manifests/job-example.yaml").read_text())
    program = (ROOT / "manifests/example_scripts/run_local_example.py").read_text()
    assert config["data"]["job_example.py"] == program
    (volume,) = job["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
