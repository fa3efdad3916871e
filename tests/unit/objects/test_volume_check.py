"""What a head's container says of a volume that Ray cannot write to."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller.objects import volume_check
from controller.objects.entrypoint import head_script
from controller.objects.volume_check import CHECK, FIELD, REFUSED, fill, look
from controller.raycluster.model import parse_spec
from tests.support.builders import raw_spec
from tests.support.container import Container

SIZE = f"{FIELD}.size"


def head(folder: Path, **storage: object) -> str:
    """The program of a head with a volume at ``folder``."""
    script = head_script(parse_spec(raw_spec(headRecovery={"storage": storage})))
    return script.replace("/var/lib/ray-operator/head/gcs", str(folder))


def test_a_volume_with_room_is_well_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("kept")
    assert look(tmp_path, SIZE, fill) == ""
    assert look(tmp_path / "gcs", SIZE, fill) == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["CURRENT", "gcs"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, f"{SIZE}: the volume is full: "),
        (errno.EDQUOT, f"{SIZE}: the volume is full: "),
        (errno.EROFS, f"{FIELD}: the volume can only be read"),
        (errno.EACCES, f"{FIELD}: the volume refuses files of the user and groups {os.geteuid()}:"),
        (errno.EIO, f"{FIELD}: the volume cannot be written to (Input/output error); look at the volume"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(number: int, said: str, tmp_path: Path) -> None:
    def refuse(file: Path) -> None:
        file.touch()
        raise OSError(number, os.strerror(number))

    assert look(tmp_path, SIZE, refuse).startswith(said)
    assert not (tmp_path / CHECK).exists()


def test_a_full_volume_keeps_ray_from_starting_and_the_message_goes_to_the_status(
    container: Container, tmp_path: Path
) -> None:
    """A folder that cannot be made stands for any volume that refuses."""
    (tmp_path / "file").touch()
    message = tmp_path / "message"
    script = head(tmp_path / "file" / "gcs").replace("/dev/termination-log", str(message))
    code, said = container.run(script)
    assert code != 0
    assert f"{FIELD}: the volume cannot be written to" in said
    assert message.read_text().startswith(f"ray-operator: {FIELD}: ")
    assert not any("ray start" in asked for asked in container.asked())


def test_a_head_whose_volume_is_well_starts_ray(container: Container, tmp_path: Path) -> None:
    code, said = container.run(head(tmp_path / "gcs"))
    assert code == 0 and FIELD not in said
    assert "ray start" in container.asked()[-1]


@pytest.mark.parametrize(
    ("storage", "field"), [({}, SIZE), ({"size": "2Gi"}, SIZE), ({"claimName": "mine"}, f"{FIELD}.claimName")]
)
def test_the_message_names_the_field_that_decides_the_size(
    storage: dict[str, object], field: str, tmp_path: Path
) -> None:
    assert f" {field})" in head(tmp_path, **storage)


def test_the_program_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    program = Path(volume_check.__file__).read_text()
    (tmp_path / "file").touch()
    command = [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "file/gcs"), os.devnull, SIZE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED
    assert "cannot be written to" in done.stderr
