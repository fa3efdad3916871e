"""Daemons that outlive this program: started detached, found again by pidfile, never mistaken for another.

A pidfile names a process by pid, start time and boot, because a pid alone may belong to another process by the time
it is read. The child writes it before it becomes the daemon: whatever instant this program is interrupted at,
there is no daemon without a pidfile.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .console import Failed

CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID = 0x00020000, 0x40000000, 0x20000000
_libc = ctypes.CDLL(None, use_errno=True)
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """One process of this boot. `start`: clock ticks from boot to its start (proc(5), stat, field 22)."""

    pid: int
    start: int
    boot: str

    def alive(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        return self.boot == boot_id() and _start_time(self.pid) == self.start

    def uptime(self) -> float:
        """Seconds since it started."""
        return float(Path("/proc/uptime").read_text().split()[0]) - self.start / _CLOCK_TICKS

    def kill(self, number: int) -> None:
        """Send a signal, unless the process is gone."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class Record:
    """A pidfile: the process, and what it was started as. `digest` tells whether that is still what is wanted."""

    process: Process
    digest: str
    version: str
    log: str

    def write(self, path: Path) -> None:
        """Replace the pidfile whole."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(asdict(self)))
        partial.replace(path)


def read_record(path: Path) -> Record | None:
    """The pidfile at `path`; None if there is none, or if it isn't one."""
    try:
        values = json.loads(path.read_text())
        return Record(**{**values, "process": Process(**values["process"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def boot_id() -> str:
    """Differs from boot to boot: pids and start times begin anew."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def this_boot(pid: int) -> Process | None:
    """The process that has this pid now."""
    start = _start_time(pid)
    return None if start is None else Process(pid, start, boot_id())


def parse_start_time(stat: str) -> int | None:
    """Start time from the text of /proc/PID/stat; None for a zombie.

    The command name, in parentheses, may itself hold blanks and parentheses: count from the last one.
    """
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _start_time(pid: int) -> int | None:
    try:
        return parse_start_time(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


@dataclass(frozen=True)
class Launch:
    """How to start a daemon. `inside`: pid of a process whose network, mount and pid namespaces it enters.

    `unshare`: flags of namespaces that it gets anew. `record`: its `Record` but for the process.
    """

    argv: Sequence[str]
    pidfile: Path
    record: Mapping[str, str]
    inside: int | None = None
    unshare: int = 0


def spawn(launch: Launch) -> None:
    """Start a daemon detached from this terminal, its output appended to its log; returns when it runs.

    Raises Failed when it could not be started.
    """
    reader, writer = os.pipe()
    # A Ctrl-C between fork and setsid would reach the child too.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        child = os.fork()
        if child == 0:
            os.close(reader)
            _child(launch, writer)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        error = pipe.read()
    os.waitpid(child, 0)
    if error:
        raise Failed(f"cannot start {Path(launch.argv[0]).name}: {error}")


def _child(launch: Launch, writer: int) -> None:
    """Never returns. An error is written to `writer`, which an exec closes."""
    try:
        os.setsid()
        output = os.open(launch.record["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        mounts = None
        if launch.inside is not None:
            mounts = _namespace(launch.inside, "mnt")
            _check(_libc.setns(_namespace(launch.inside, "net"), CLONE_NEWNET), "setns")
            _check(_libc.setns(_namespace(launch.inside, "pid"), CLONE_NEWPID), "setns")
        _check(_libc.unshare(launch.unshare & ~CLONE_NEWNS), "unshare")
        # Joining or unsharing a pid namespace takes effect for children only, so the daemon is a second fork;
        # its mounts change there too, since the first one still reads the host's /proc for the pidfile.
        gate_reader, gate_writer = os.pipe()
        daemon = os.fork()
        if daemon:
            started = this_boot(daemon)
            if started:
                Record(started, **launch.record).write(launch.pidfile)
                os.write(gate_writer, b"go")
            os._exit(0)
        os.close(gate_writer)
        if not os.read(gate_reader, 2):
            os._exit(1)
        if mounts is not None:
            _check(_libc.setns(mounts, CLONE_NEWNS), "setns")
        _check(_libc.unshare(launch.unshare & CLONE_NEWNS), "unshare")
        _become(launch.argv, output)
    except BaseException as error:
        os.write(writer, str(error).encode())
        os._exit(1)


def _become(argv: Sequence[str], output: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Whatever else is open, a lock that the caller holds for example, is not the daemon's.
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            os.set_inheritable(int(descriptor.name), int(descriptor.name) < 3)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    # Python ignores these, and an ignored signal stays ignored through an exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.chdir("/")
    os.execv(argv[0], list(argv))


def _namespace(pid: int, kind: str) -> int:
    return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def stop(process: Process, patience: float = 10.0) -> None:
    """End a process: ask, wait up to `patience` seconds, then insist.

    Raises Failed if not even SIGKILL ends it, as when it hangs in the kernel.
    """
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        process.kill(number)
        if wait_gone(process, seconds):
            return
    raise Failed(f"process {process.pid} does not end, not even by SIGKILL")


def wait_gone(process: Process, seconds: float) -> bool:
    """Wait until the process is gone; whether it is."""
    deadline = time.monotonic() + seconds
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
