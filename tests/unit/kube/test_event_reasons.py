"""docs/observability.md has every reason that an Event can have, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from controller.objects import pod_status
from controller.planning import blocked_types as blocks
from controller.status import head
from controller.status import parts as status

ROOT = Path(__file__).resolve().parents[3]
# Where a reason is no text of its own: a block's is its Event's, and so is that of the Ready condition.
BY_NAME = {
    blocks.LOST,
    *blocks._REFUSALS.values(),
    pod_status.UNSCHEDULABLE,
    pod_status.SCHEDULING_GATED,
    pod_status.IMAGE_MISSING,
    pod_status.CONFIG_MISSING,
    status.REFUSED,
    *head.HEAD_WAITS,
}


def written() -> set[str]:
    """The reasons in the code: of what is posted, announced, and summarized."""
    sources = (path.read_text() for path in sorted((ROOT / "controller").rglob("*.py")))
    calls = (n for source in sources for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call))
    return {reason for call in calls for reason in reasons(call)}


def reasons(call: ast.Call) -> Iterator[str]:
    """The reason that a call gives as a text."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    places = {"post": call.args[2:3], "Announcement": call.args[:1]}
    if name == "append" and isinstance(call.args[0], ast.Tuple):
        places[name] = call.args[0].elts[:1]
    for argument in places.get(name, ()):
        text = str(argument.value) if isinstance(argument, ast.Constant) else ""
        if re.fullmatch(r"([A-Z][a-z]+)+", text):
            yield text


def test_the_pages_table_has_the_reasons_of_the_code() -> None:
    table = (ROOT / "docs/observability.md").read_text().partition("## Events")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert {"CreatedPods", "Restarting", "SpecInvalid"} <= written()
    assert sorted(told) == sorted(written() | BY_NAME)
