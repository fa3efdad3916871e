"""A Ray container's own command becomes a set-up command, or starts Ray in place of the usual start command.

Here it is a part of the operator's program. Kubernetes reads it no more: what it would have put in the place of
``$(NAME)`` the shell does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .source import short
from .written import Comment

GENERATED = "KUBERAY_GEN_RAY_START_CMD"
_GENERATED = re.compile(rf"\$\{{?{GENERATED}\b\}}?")
# Where a shell runs it, and not only prints it or hands it on.
_RUNS = re.compile(rf"(?:^|[;&|({{\n]|\b(?:exec|eval|then|do|else)\s|\s-l?c\s)\s*[\"']?\$\{{?{GENERATED}\b")
_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")


@dataclass(frozen=True)
class Command:
    """``setup`` runs before Ray starts; ``script``, where there is one, starts Ray instead of the usual command."""

    setup: str = ""
    script: str = ""
    comments: tuple[Comment, ...] = ()


def take_command(
    container: dict[str, Any], where: str, start: str, known: Collection[str], *, address: tuple[str, str], own: bool
) -> Command:
    """Take the command out of the Ray container, and give it the variable with KubeRay's start command if it is used.

    KubeRay runs a container's command before Ray starts. It leaves one that starts Ray itself as it is, and all of them
    where an annotation says so: ``own``.

    ``start``: what starts Ray here. ``address``: the head's in it, and what it is outside of the operator's program.
    ``known``: the variables that KubeRay sets.
    """
    names = {*known, *(variable.get("name") for variable in container.get("env") or [])}
    words = [_as_shell(word, names) for part in ("command", "args") for word in container.pop(part, None) or []]
    text, where = " ".join(words).strip(), f"{where} ({short(words)})"
    generated = f"{start} --block"
    runs = own or _RUNS.search(_program(words)) is not None
    if own or (not runs and _GENERATED.search(text)):
        variable = {"name": GENERATED, "value": generated.replace(*address)}
        container["env"] = [*(container.get("env") or []), variable]
    if own and not words:
        said = f"{where}: is missing, so the image's own would run; the usual start command stands."
        return Command(comments=(Comment(said),))
    script = _GENERATED.sub(lambda _: generated, _program(words)) if runs else _program(words)
    if own:
        return Command(
            "", script, (Comment(f"{where}: replaces KubeRay's start command and has become a start command."),)
        )
    if runs or "ray start" in text:
        return Command("", script, (Comment(f"{where}: starts Ray itself and has become a start command."),))
    said = f"{where}: a set-up command now; one that fails ends the pod, where KubeRay starts Ray all the same."
    # In a shell of its own: what it does to that, exit 0 say, is not done to the operator's.
    setup = " ".join([*words[:-1], shlex.quote(words[-1])]) if words and script == words[-1] != text else text
    return Command(setup, "", (Comment(said),) if text else ())


def _as_shell(word: str, names: Collection[str]) -> str:
    """The word as Kubernetes would hand it to the shell, with the variables left to that."""

    def read(found: re.Match[str]) -> str:
        if not found[1]:
            return "$"
        return f"${{{found[1]}}}" if found[1] in names else found[0]

    return _REFERENCE.sub(read, word)


def _program(words: list[str]) -> str:
    """The program of ``bash -c -- PROGRAM``; any other command as it stands."""
    shell = bool(words) and words[0].rpartition("/")[2] in ("bash", "sh")
    flags = [word for word in words[1:-1] if word.startswith("-")]
    if shell and len(flags) == len(words) - 2 and any(flag != "--" and "c" in flag for flag in flags):
        return words[-1]
    return " ".join(words)
