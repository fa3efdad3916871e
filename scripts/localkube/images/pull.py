"""Pulls a public image into an archive with whatever tool this machine has, if it can reach a registry at all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localkube.machine.console import step

_PROBE_SECONDS = 10
_PULL_SECONDS = 1800


@dataclass(frozen=True)
class Tool:
    """A program that pulls: how to ask whether it can, and what to run then.

    ``{name}`` and ``{archive}`` in the arguments stand for the image and the file to write.
    """

    program: str
    probe: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


# Ordered by what they need: skopeo no engine, podman no daemon.
TOOLS = (
    Tool(
        "skopeo",
        ("inspect", "--raw", "docker://{name}"),
        (("copy", "docker://{name}", "docker-archive:{archive}:{name}"),),
    ),
    Tool(
        "podman",
        ("manifest", "inspect", "docker://{name}"),
        (("pull", "{name}"), ("save", "--format", "docker-archive", "--output", "{archive}", "{name}")),
    ),
    Tool(
        "docker",
        ("manifest", "inspect", "{name}"),
        (("pull", "{name}"), ("save", "--output", "{archive}", "{name}")),
    ),
)


def pull(name: str, archive: Path, tools: Sequence[Tool] = TOOLS) -> bool:
    """Write the image `name` to `archive` as a docker archive; False where no tool here can.

    It asks for the image's small manifest first, with a short limit, so that a machine without a way to the
    registry loses seconds and not minutes.
    """
    return any(_pull_with(tool, name, archive) for tool in tools if shutil.which(tool.program))


def _pull_with(tool: Tool, name: str, archive: Path) -> bool:
    partial = archive.with_name(f".{archive.name}.partial")

    def succeeds(arguments: tuple[str, ...], seconds: int) -> bool:
        filled = [argument.format(name=name, archive=partial) for argument in arguments]
        return _succeeds([tool.program, *filled], seconds)

    if not succeeds(tool.probe, _PROBE_SECONDS):
        return False
    try:
        with step(f"pulling {name} with {tool.program}"):
            if not all(succeeds(command, _PULL_SECONDS) for command in tool.commands):
                return False
        partial.replace(archive)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _succeeds(argv: Sequence[str], seconds: int) -> bool:
    try:
        result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
