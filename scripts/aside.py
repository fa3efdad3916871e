"""Steps that run beside others: what they say is kept until it is their turn to be watched."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


class PrerequisiteError(Exception):
    """Something that this machine lacks, in one line with what works instead."""


def failed(command: Sequence[str]) -> PrerequisiteError:
    """A step failed, and has said why."""
    return PrerequisiteError(f"{' '.join([Path(command[0]).name, *command[1:2]])} failed, see above")


@contextmanager
def started(*commands: Sequence[str]) -> Iterator[Aside]:
    """Run commands one after the other, in the background. What still runs at the end of the block is told to end, by
    SIGTERM: SIGINT is ignored by what a shell has put in the background.
    """
    aside = Aside(commands)
    aside.start()
    try:
        yield aside
    finally:
        aside.end()


class Aside(threading.Thread):
    """Commands that run one after the other, until one fails."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        super().__init__(daemon=True)
        self._commands = commands
        self._printed: list[str] = []
        self._failed: Sequence[str] = ()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[Any] | None = None
        self._ended = False
        # What has been said and not been shown, or None once it is shown at once.
        self._kept: list[bytes] | None = []

    def results(self) -> list[str]:
        """What each command printed on stdout, once all have ended. What they say goes to the user meanwhile.

        Raises:
            PrerequisiteError: one failed, having said why.
        """
        with self._lock:
            kept, self._kept = self._kept or [], None
            _show(b"".join(kept))
        while self.is_alive():
            # In parts, so that Ctrl-C ends the wait.
            self.join(0.2)
        if self._failed:
            raise failed(self._failed)
        return self._printed

    def run(self) -> None:
        """See Thread."""
        for command in self._commands:
            process = self._begun(command)
            if process is None:
                return
            with process:
                listening = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
                listening.start()
                printed = process.stdout.read().decode() if process.stdout else ""
                listening.join()
            if process.returncode:
                self._failed = command
                return
            self._printed.append(printed)

    def _begun(self, command: Sequence[str]) -> subprocess.Popen[Any] | None:
        with self._lock:
            if self._ended:
                return None
            # In a session of its own: Ctrl-C does not reach it, `end` does, once, and not again while it cleans up.
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
            )
            return self._process

    def _listen(self, said: IO[bytes] | None) -> None:
        while said and (piece := said.read(4096)):
            with self._lock:
                if self._kept is None:
                    _show(piece)
                else:
                    self._kept.append(piece)

    def end(self) -> None:
        """Nothing more is begun, and what runs is ended."""
        with self._lock:
            self._ended = True
            if self._process and self._process.poll() is None:
                self._process.terminate()
        self.join()


def _show(said: bytes) -> None:
    sys.stderr.buffer.write(said)
    sys.stderr.buffer.flush()
