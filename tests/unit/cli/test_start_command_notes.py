"""What validate says of start commands that are valid and do something else than they seem to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.planning.node_types import declared_labels
from controller.raycluster.model import parse_spec

from .test_start_commands import run, spec_with

HEAD, WORKER = "spec.headStartRayCommands", "spec.workerStartRayCommands"


def said(spec: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """All notes on a valid spec."""
    code, out, err = run("validate", spec, tmp_path, capsys)
    assert code == 0, out
    return err


@pytest.mark.parametrize(
    ("head", "note"),
    [
        (["ray start --port=6380"], "[0]: has no --head, and without it Ray starts no head; write ray start --head"),
        (["ray stop", "ray start --block"], "[1]: has no --head, and without it Ray starts no head"),
        (["ray start --address=$RAY_HEAD_IP:6379"], "[0]: has no --head, and --address joins a head"),
        (["bash -c 'ray start --port=6380'"], "[0]: has no --head"),
        (["sleep infinity"], ": none is a ray start; the head's port is taken to be 6379"),
        ([""], ": none is a ray start; the head's port is taken to be 6379"),
    ],
)
def test_a_head_that_no_command_starts_is_said_once(
    head: list[str], note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = said(spec_with(head), tmp_path, capsys)
    assert f"{HEAD}{note}" in err
    assert err.count(HEAD) == 1
    assert "only a running shell" not in err


@pytest.mark.parametrize(
    ("worker", "note"),
    [
        (["ray start --head"], "[0]: --head starts a head of its own on a worker"),
        (["ray stop", "ray start --head --address=$RAY_HEAD_IP:6380"], "[1]: --head starts a head of its own"),
        (["ray start --block"], "[0]: has no --address, and Ray joins no head without it"),
        (["sleep infinity"], ": none is a ray start"),
        (["/start-worker.sh"], ": none is a ray start"),
        ([""], ": none is a ray start"),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_a_worker_that_joins_no_head_is_said_once(
    worker: list[str], note: str, own: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the commands are those of all types or of one."""
    spec = spec_with(["ray start --head --port=6380"], None if own else worker)
    spec["podTypes"].append({**spec["podTypes"][1], "name": "other"})
    if own:
        spec["podTypes"][1]["startRayCommands"] = worker
    err = said(spec, tmp_path, capsys)
    field = "spec.podTypes[1].startRayCommands" if own else WORKER
    assert f"{field}{note}" in err
    assert "write ray start --address=$RAY_HEAD_IP:6380" in err
    assert err.count("StartRayCommands") + err.count("startRayCommands") == 1


@pytest.mark.parametrize(
    ("head", "worker"),
    [
        (None, None),
        (["ray start --head"], ["ray start --address=$RAY_HEAD_IP:6379 --block"]),
        (["if $X; then ray start --head; else ray start --address=$RAY_HEAD_IP:6379; fi"],) * 2,
        (["ray start --head --port=6379"], ["ray start --address $RAY_HEAD_IP:6379"]),
    ],
)
def test_nothing_is_said_of_commands_that_start_what_they_should(
    head: list[str] | None, worker: list[str] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "tartRayCommands" not in said(spec_with(head, worker), tmp_path, capsys)


JOIN = "ray start --address=$RAY_HEAD_IP:6379"
QUOTED = """write --resources='{"name": 1}'"""


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ('--resources={"a":1}', "'--resources={a:1}': Ray takes JSON, and the shell takes away quotes"),
        ('--resources {"a":1}', QUOTED),
        ("--resources={'a':1}", QUOTED),
        ("--resources=\"{'a': 1}\"", QUOTED),
        ("--resources=a", QUOTED),
        ("--resources=[1]", f"'--resources=[1]': Ray takes names and numbers as JSON; {QUOTED}"),
        ("--resources=", QUOTED),
        ("--resources='{\"a\": 0.5}'", "and a: 0.5 is none"),
        ('--resources=\'{"a": "1"}\'', 'and a: "1" is none'),
        ("--resources='{\"a\": -1}'", "and a: -1 is none"),
        ("--resources='{\"a\": null}'", "and a: null is none"),
        ("--resources='{\"CPU\": 8}'", "CPU in it has no effect; write --num-cpus"),
        ("--resources='{\"memory\": 8}'", "memory in it has no effect; write --memory"),
        ("--memory=8Gi", "'--memory=8Gi': Ray takes a whole number of bytes; write --memory=8589934592"),
        ("--memory $M", "'--memory=2G': Ray takes a whole number of bytes; write --memory=2000000000"),
        ("--object-store-memory=1G", "Ray takes a whole number of bytes; write --object-store-memory=1000000000"),
        ("--memory=8GB", "'--memory=8GB': Ray takes a whole number of bytes; write --memory=1 for example"),
        ("--memory=8e9", "write --memory=8000000000"),
        ("--num-cpus=0.5", "'--num-cpus=0.5': Ray takes a whole number, not less than 0; write --num-cpus=1"),
        ("--num-cpus 4.0", "'--num-cpus=4.0': Ray takes a whole number; write --num-cpus=4"),
        ("--num-cpus=4000m", "write --num-cpus=4"),
        ("--num-gpus=0.5", "'--num-gpus=0.5': Ray takes a whole number, not less than 0; write --num-gpus=1"),
        ("--num-cpus=-1", "'--num-cpus=-1': Ray takes a whole number, not less than 0"),
        ("--num-cpus=all", "'--num-cpus=all': Ray takes a whole number; write --num-cpus=1"),
        ("--num-cpus=", "'--num-cpus=': Ray takes a whole number; write --num-cpus=1"),
    ],
)
def test_a_value_that_ray_does_not_take_is_said_with_what_to_write(
    options: str, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the head as on workers."""
    err = said(spec_with(None, ["ray stop", f"{JOIN} {options}"], M="2G"), tmp_path, capsys)
    assert f"{WORKER}[1]: " in err
    assert note in err
    assert err.count(WORKER) == 1
    err = said(spec_with([f"ray start --head {options}"], None, M="2G"), tmp_path, capsys)
    assert f"{HEAD}[0]: " in err
    assert note in err


@pytest.mark.parametrize(
    "options",
    [
        "--num-cpus=8 --num-gpus 0 --memory=2000000000",
        "--num-cpus=' 8' --memory=1_000",
        "--resources='{}'",
        '--resources=\'{"a": 2.0, "b": 0}\'',
        '--resources="{\\"a\\": 1}"',
    ],
)
def test_nothing_is_said_of_values_that_ray_takes(
    options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "tartRayCommands" not in said(spec_with(None, [f"{JOIN} {options}"]), tmp_path, capsys)


@pytest.mark.parametrize(("given", "count"), [("' 8'", 8), ("1_000", 1000), ("+4", 4)])
def test_a_number_is_read_as_ray_reads_it(given: str, count: int) -> None:
    spec = parse_spec(spec_with([f"ray start --head --port={given} --num-cpus={given}"]))
    assert spec.gcs_port == count
    assert spec.head.start.resources == {"CPU": count}


@pytest.mark.parametrize(
    ("command", "option", "taken"),
    [
        (f"if a; then {JOIN} --num-cpus=8; else {JOIN} --num-cpus=4; fi", "--num-cpus", "CPU 1; set rayResources.CPU"),
        (f"if a; then {JOIN} --num-cpus=8; else {JOIN}; fi", "--num-cpus", "CPU 1; set rayResources.CPU"),
        (f"{JOIN} --num-gpus=1 || {JOIN} --num-gpus=0", "--num-gpus", "GPU 0; set rayResources.GPU"),
        (
            f"if a; then {JOIN} --resources='{{\"a\": 1}}'; else {JOIN} --resources='{{\"a\": 2}}'; fi",
            "--resources",
            "does not count; name the resources in rayResources",
        ),
        (f"{JOIN} --labels=a=b || {JOIN} --labels=a=c", "--labels", "does not count; write its value out"),
    ],
)
def test_a_value_that_depends_on_which_command_runs_is_said_and_not_read(
    command: str, option: str, taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_with(None, [command])
    err = said(spec, tmp_path, capsys)
    assert f"{WORKER}: {option} differs between the ray start commands, and only a running shell knows which" in err
    assert taken in err
    read = parse_spec(spec)
    assert read.worker_types[0].start.resources == {}
    assert "a" not in declared_labels(read, read.worker_types[0])


@pytest.mark.parametrize(
    ("head", "note"),
    [
        (
            "ray start --head \\\n  # the port\n  --port=6380 \\\n  --block",
            "a comment ends the command, and '--port=6380",
        ),
        (
            "ray start --head \\\n  --block # stay\n  --port=6380",
            "a comment ends the command, and '--port=6380' is run as",
        ),
        ("ray start --head\n  --port=6380", "'--port=6380' is run as a program; end the line before it with \\"),
        ("ray start --head \\ \n  --port=6380", "'--port=6380' is run as a program"),
        ("ray start --head; --port=6380", "'--port=6380' is run as a program"),
        ("ray start --head\n  -v", "'-v' is run as a program"),
        (
            "bash -lc 'ray start --head \\\n  # the port\n  --port=6380'",
            "a comment ends the command, and '--port=6380'",
        ),
        ("ray start --head --port='6380", "cannot be read: a quote does not close; close it"),
        ('ray start --head --port="6380', "cannot be read: a quote does not close; close it"),
        ("ray start --head --port=$(cat /x", "cannot be read: a bracket does not close; close it"),
        ("if true; then ray start --head", "cannot be read: a bracket, an if, a case or a loop does not close"),
        ("{ ray start --head; ", "cannot be read: a bracket, an if, a case or a loop does not close"),
        ("(ray start --head", "cannot be read: a bracket, an if, a case or a loop does not close"),
        ("while true; do ray start --head; ", "cannot be read: a bracket, an if, a case or a loop does not close"),
        ("ray start --head &&", "cannot be read: it ends with &&, and no command follows"),
        ("ray start --head ||\n", "cannot be read: it ends with ||, and no command follows"),
        ("ray start --head | ", "cannot be read: it ends with |, and no command follows"),
    ],
)
def test_a_command_of_which_the_shell_makes_something_else(
    head: str, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = said(spec_with(["ray stop", head]), tmp_path, capsys)
    assert f"{HEAD}[1]: {note}" in err
    assert "only a running shell" not in err


@pytest.mark.parametrize(
    "head",
    [
        "ray start --head \\\n  --port=6379 \\\n  --block # stay",
        "# the head\nray start --head",
        "case $X in a) ray start --head;; (b) ray start --head;; esac",
        "for ((i = 0; i < 3; i++)); do echo $i; done; ray start --head",
        "a=(1 2); [[ $X =~ (a|b) ]] && echo x; ray start --head",
        "f() { echo x; }; f && { echo y; }; (ray start --head)",
        "echo if; echo {; ray start --head &&\n echo up",
        "ray start --head &",
        "ray start --head;\n\n",
        "cat <<X && ray start --head\nif\nX",
        "cat <<X |\na\nX\ntee /x; ray start --head",
    ],
)
def test_nothing_is_said_of_a_command_that_a_shell_can_read(
    head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = said(spec_with([head]), tmp_path, capsys)
    assert "cannot be read" not in err
    assert "is run as" not in err


@pytest.mark.parametrize(
    "head", ["/start.sh", "supervisord", "systemctl start ray", "old() { ray start --head --port=6380; }"]
)
def test_a_head_without_a_ray_start_is_told_what_to_write(
    head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = said(spec_with([head]), tmp_path, capsys)
    assert f"{HEAD}: none is a ray start; the head's port is taken to be " in err
    assert "; write ray start --head --port=N among them if it is N" in err
