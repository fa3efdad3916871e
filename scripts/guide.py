"""Runs the commands of a page of the documentation and compares what they print with what the page shows.

A page holds ``console`` blocks: lines that start with ``$ `` are commands, lines that start with ``# `` say what a
command is for, and what follows a command is its output. In an output, ``...`` alone on a line stands for any lines;
ages, times, addresses and generated names stand for any of their kind. A generated name in a later command is
replaced by the one that was really seen. A command that forwards a port goes on in the background.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

WAIT_SECONDS = 300.0
# After so long it is said what is waited for.
SILENT_SECONDS = 15.0

# What differs from run to run: how the page shows it, and how it may really look. Most special first.
_DATE = r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?"
_ADDRESS = r"\d+\.\d+\.\d+\.\d+"
_AGE = r"(?:\d+[smhd]){1,2}"
# The letters of generated names.
_LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"
_KINDS = {
    "date": (_DATE, _DATE),
    "time": (_TIME, _TIME),
    "address": (_ADDRESS, _ADDRESS),
    # Names of a Deployment's pods end in two generated words, other generated names in one.
    "hashed": (rf"(?<=-){_LETTERS}{{8,10}}-{_LETTERS}{{5}}\b", r"[a-z0-9]{8,10}-[a-z0-9]{5}"),
    "suffix": (rf"(?<=-){_LETTERS}{{5}}\b", r"[a-z0-9]{5}"),
    "age": (rf"(?<![\w.]){_AGE}(?![\w.])", _AGE),
}
_VARIABLE = re.compile("|".join(f"(?P<{name}>{shown})" for name, (shown, _) in _KINDS.items()))
_FORWARD = re.compile(r"port-forward .* (\d+):\d+$")


class GuideError(Exception):
    """A command failed, or printed something else than the page shows."""


@dataclass(frozen=True)
class Command:
    """One command of a page: what it is for, its text, and the output that the page shows."""

    section: str
    purpose: str
    text: str
    output: tuple[str, ...]

    @property
    def forwards(self) -> int | None:
        """The local port, for a command that forwards one and goes on until it is stopped."""
        found = _FORWARD.search(self.text)
        return int(found.group(1)) if found else None


def parse(page: str) -> list[Command]:
    """The commands of a page, in order."""
    commands: list[Command] = []
    section, block = "", False
    lines: list[str] = []
    for line in page.splitlines():
        if line.startswith("```"):
            if block:
                commands += _commands(section, lines)
            block, lines = line == "```console", []
        elif block:
            lines.append(line)
        elif line.startswith("#"):
            section = line.lstrip("# ")
    return commands


def _commands(section: str, lines: list[str]) -> Iterator[Command]:
    starts = [n for n, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        before = [line for line in lines[:start] if line.startswith("# ")]
        purpose = before[-1][2:] if before and lines[start - 1].startswith("# ") else ""
        output = [line for line in lines[start + 1 : end] if line.strip() and not line.startswith("# ")]
        yield Command(section, purpose, lines[start][2:], tuple(output))


def match(expected: tuple[str, ...], printed: str, names: dict[str, str]) -> str:
    """Compare. Returns what is wrong, in a sentence; empty when the output is as shown.

    Lines between two "..." stand together, wherever that is first. ``names`` learns which real name stands for a
    generated name of the page.
    """
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    position, skip = 0, False
    for block in _blocks(expected):
        if not block:
            skip = True
            continue
        places = range(position, len(lines) + 1) if skip else [position]
        begun = [(_agreeing(block, lines[place:]), place) for place in places]
        agreeing, place = max(begun, key=lambda found: len(found[0]))
        if len(agreeing) < len(block):
            got = lines[place + len(agreeing)] if place + len(agreeing) < len(lines) else "nothing more"
            return f"expected a line like {block[len(agreeing)]!r}, got {got!r}"
        for wanted, found in zip(block, agreeing, strict=True):
            _learn(wanted, found, names)
        position, skip = place + len(block), False
    if position < len(lines) and not skip:
        return f"printed more than expected: {lines[position]!r}"
    return ""


def _blocks(expected: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The lines that stand together, and an empty block for each "..."."""
    for skips, block in groupby(expected, key=lambda line: line == "..."):
        yield () if skips else tuple(block)


def _agreeing(block: tuple[str, ...], lines: Sequence[str]) -> list[re.Match[str]]:
    """The first lines, as far as they are those of the block."""
    found = []
    for wanted, line in zip(block, lines, strict=False):
        match = _pattern(wanted).fullmatch(line)
        if match is None:
            break
        found.append(match)
    return found


def _pattern(wanted: str) -> re.Pattern[str]:
    """A pattern for a line like this one, with a group for each variable part. Column widths may differ."""
    parts, last = [], 0
    for found in _VARIABLE.finditer(wanted):
        parts += [_literal(wanted[last : found.start()]), f"({_KINDS[found.lastgroup or ''][1]})"]
        last = found.end()
    return re.compile("".join([*parts, _literal(wanted[last:])]))


def _literal(text: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", text))


def _learn(wanted: str, found: re.Match[str], names: dict[str, str]) -> None:
    for variable, real in zip(_VARIABLE.finditer(wanted), found.groups(), strict=True):
        if variable.lastgroup in ("hashed", "suffix"):
            names[variable.group()] = real


@dataclass
class Runner:
    """Runs commands one after the other. ``say`` gets every line that a terminal would show."""

    directory: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]
    names: dict[str, str] = field(default_factory=dict)
    background: list[subprocess.Popen[str]] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, command: Command) -> None:
        """Run one command.

        Raises:
            GuideError: it failed, or printed something else than the page shows.
        """
        text = self._with_real_names(command.text)
        if command.purpose:
            self.say(f"# {command.purpose}")
        self.say(f"$ {text}")
        started = time.monotonic()
        if command.forwards is not None:
            self._forward(text, command.forwards)
        else:
            self._compare(command, text)
        self.say(f"  [{time.monotonic() - started:.1f} s]")

    def close(self) -> None:
        """Stop what runs in the background."""
        for process in self.background:
            process.terminate()
        for process in self.background:
            process.communicate(timeout=10)
        self.background.clear()

    def _with_real_names(self, text: str) -> str:
        for shown, real in self.names.items():
            text = text.replace(shown, real)
        return text

    def _compare(self, command: Command, text: str) -> None:
        """Looking is repeated until it shows what the page shows, within a bound; doing is done once."""
        looks = re.match(r"kubectl (-n \S+ )?(get|logs) ", text) is not None
        started, told = self.clock(), False
        while True:
            code, printed = self._execute(text, quiet=looks)
            wrong = f"exit code {code}" if code else match(command.output, printed, self.names)
            waited = self.clock() - started
            if not wrong or not looks or waited >= WAIT_SECONDS:
                break
            if waited >= SILENT_SECONDS and not told:
                self.say(f"  (waiting for it, at most {WAIT_SECONDS:.0f} s: {wrong})")
                told = True
            self.sleep(1)
        if looks or wrong:
            self.say(printed.rstrip("\n"))
        if wrong:
            raise GuideError(f"{command.section}: {text}\n  {wrong}")

    def _execute(self, text: str, *, quiet: bool) -> tuple[int, str]:
        lines: list[str] = []
        with self._start(text) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    lines.append(line)
                    if not quiet:
                        self.say(line.rstrip("\n"))
            except BaseException:
                process.terminate()
                raise
        return process.returncode, "".join(lines)

    def _forward(self, text: str, port: int) -> None:
        if _answers(port):
            raise GuideError(f"port {port} of this machine is in use by another program; stop it and try again")
        process = self._start("exec " + text)
        self.background.append(process)
        deadline = time.monotonic() + WAIT_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise GuideError(f"{text}\n  does not forward: {process.stdout.read() if process.stdout else ''}")
            time.sleep(0.1)
        self.say(f"Forwarding from 127.0.0.1:{port}, in the background")

    def _start(self, text: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["/bin/bash", "-o", "pipefail", "-c", text],
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
