"""Pidfiles: a daemon is found again and never mistaken for another process."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from localkube.machine.console import Failed
from localkube.machine.processes import Launch, Record, parse_start_time, read_record, spawn, stop, this_boot


def _stat(name: str, state: str, start: int) -> str:
    return f"42 ({name}) {state} " + " ".join(["0"] * 18) + f" {start} 0 0"


def test_command_names_may_hold_anything() -> None:
    assert parse_start_time(_stat("a) S (b", "S", 777)) == 777


def test_a_zombie_does_not_run() -> None:
    assert parse_start_time(_stat("etcd", "Z", 777)) is None


def test_this_process_is_alive() -> None:
    process = this_boot(os.getpid())
    assert process is not None
    assert process.alive()
    assert process.uptime() >= 0


def test_a_recycled_pid_is_another_process() -> None:
    process = this_boot(os.getpid())
    assert process is not None
    assert not replace(process, start=process.start + 1).alive()
    assert not replace(process, boot="before").alive()


def test_what_is_no_pidfile_names_no_process(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none") is None
    for text in ("", "[]", "{}", '{"process": {"pid": 1}}'):
        (tmp_path / "pidfile").write_text(text)
        assert read_record(tmp_path / "pidfile") is None


def _launch(tmp_path: Path, *argv: str) -> Launch:
    record = {"digest": "d", "version": "v1", "log": str(tmp_path / "log")}
    return Launch(argv, tmp_path / "pidfile", record)


def test_a_daemon_is_known_by_its_pidfile_once_started(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    spawn(_launch(tmp_path, "/bin/sh", "-c", f"echo hello; echo done > {tmp_path}/pipe; exec sleep 600"))
    record = read_record(tmp_path / "pidfile")
    assert record is not None
    assert record == Record(record.process, "d", "v1", str(tmp_path / "log"))
    assert (tmp_path / "pipe").read_text() == "done\n"  # waits for it
    assert (tmp_path / "log").read_text() == "hello\n"
    assert os.getsid(record.process.pid) != os.getsid(0)
    stop(record.process)
    assert not record.process.alive()


def test_a_daemon_holds_nothing_that_its_caller_holds(tmp_path: Path) -> None:
    """A lock, for example, that a shell took for as long as its command runs."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "lock").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        command = f"readlink /proc/$$/fd/* > {tmp_path}/pipe; exec sleep 600"
        spawn(_launch(tmp_path, "/bin/sh", "-c", command))
        open_files = (tmp_path / "pipe").read_text()
    record = read_record(tmp_path / "pidfile")
    assert record is not None
    stop(record.process)
    assert f"{tmp_path}/log" in open_files
    assert f"{tmp_path}/lock" not in open_files


def test_a_missing_program_fails_by_name(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"cannot start nothing: .*No such file"):
        spawn(_launch(tmp_path, "/does/not/exist/nothing"))
