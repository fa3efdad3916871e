"""How much text the commands may have that the nodes of a cluster run: reading it takes time that others wait for."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Json
from .problem import Problem

# Of all types together, each with its set-up and what starts Ray there: fifty types with a page for each.
MAX_CHARACTERS = 65_536


def commands_size_problems(spec: Json) -> Iterator[Problem]:
    """That there is more. What many types have in common is read for each of them, and counts as often."""
    shared = _length(spec, "workerStartRayCommands")
    count = _length(spec, "headStartRayCommands")
    for raw in spec.get("podTypes") or ():
        setup = "setupCommands" if raw.get("workerSetupCommands") is None else "workerSetupCommands"
        count += _length(raw, setup) + (_length(raw, "startRayCommands") or shared)
    if count > MAX_CHARACTERS:
        yield Problem(
            "spec",
            f"the commands of its pod types have {count} characters, and at most {MAX_CHARACTERS} are read; put the "
            "long ones into files of the image or of a ConfigMap, and run those",
        )


def _length(raw: Json, name: str) -> int:
    return sum(len(command) for command in raw.get(name) or ())
