"""What is built, kept, pulled and thrown away, with the slow parts replaced."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from localkube.images import build, recipes, rootfs
from localkube.images.pull import Tool, pull

ELSEWHERE = Tool("no-such-program", (), ())


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces what needs root or a network; lists what was built, in order."""
    log: list[str] = []

    def bootstrap(tree: Path, *_: Any) -> None:
        (tree / "base").mkdir(parents=True)
        log.append("base")

    def add_layer(lower: Sequence[Path], upper: Path, *_: Any, what: str, **__: Any) -> None:
        assert all(tree.is_dir() for tree in lower)
        (upper / f"over-{len(lower)}").mkdir(parents=True)
        log.append(what.removeprefix("installing "))

    monkeypatch.setattr(rootfs, "require_root", lambda: None)
    monkeypatch.setattr(rootfs, "bootstrap", bootstrap)
    monkeypatch.setattr(rootfs, "add_layer", add_layer)
    monkeypatch.setattr(rootfs, "download_wheels", lambda *_: None)
    monkeypatch.setattr(rootfs, "build_wheel", lambda *_: None)
    return log


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    (path / "controller").mkdir(parents=True)
    (path / "setup.cfg").write_text("[metadata]\nversion = 1\n[options]\ninstall_requires = one\n")
    (path / "controller/main.py").write_text("0")
    return path


ALL = ["base", "the operator's requirements", "the operator"]


def test_a_second_call_builds_nothing(built: list[str], tmp_path: Path, project: Path) -> None:
    first = build.ensure_operator(tmp_path, project)
    assert build.ensure_operator(tmp_path, project) == first
    assert built == ALL
    with tarfile.open(first) as archive:
        assert sum(name.endswith("/layer.tar") for name in archive.getnames()) == 3


def test_a_change_of_code_builds_the_app_again(built: list[str], tmp_path: Path, project: Path) -> None:
    first = build.ensure_operator(tmp_path, project)
    (project / "controller/main.py").write_text("1")
    assert build.ensure_operator(tmp_path, project) != first
    assert built == [*ALL, "the operator"]


def test_force_builds_everything_again(built: list[str], tmp_path: Path, project: Path) -> None:
    build.ensure_operator(tmp_path, project)
    build.ensure_operator(tmp_path, project, force=True)
    assert built == ALL * 2


def test_both_images_share_the_base(built: list[str], tmp_path: Path, project: Path) -> None:
    build.ensure_ray(tmp_path, None)
    build.ensure_operator(tmp_path, project)
    assert built == ["base", "Ray", *ALL[1:]]


def test_three_versions_of_the_app_stay(built: list[str], tmp_path: Path, project: Path) -> None:
    latest = Path()
    for version in range(5):
        (project / "controller/main.py").write_text(str(version))
        latest = build.ensure_operator(tmp_path, project)
        for path in (latest, next((tmp_path / "images/layers").glob(f"app-{latest.stem.split('-')[-1]}"))):
            os.utime(path, (version, version))
    assert latest.exists()
    assert len(list((tmp_path / "images").glob("operator-*"))) == 3
    assert len(list((tmp_path / "images/layers").glob("app-*"))) == 3


def test_an_interrupted_build_counts_for_nothing(
    built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = rootfs.add_layer

    def interrupted(_: Sequence[Path], upper: Path, *__: Any, **___: Any) -> None:
        upper.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(rootfs, "add_layer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build.ensure_ray(tmp_path, None)
    monkeypatch.setattr(rootfs, "add_layer", working)
    assert build.ensure_ray(tmp_path, None).exists()
    assert built == ["base", "Ray"]
    assert not list((tmp_path / "images").rglob("*.partial"))


def test_a_pulled_image_is_used_and_not_pulled_twice(built: list[str], tmp_path: Path) -> None:
    pulled: list[str] = []

    def puller(name: str, archive: Path) -> bool:
        pulled.append(name)
        archive.write_bytes(b"image")
        return True

    first = build.ensure_ray(tmp_path, puller)
    assert first.read_bytes() == b"image"
    assert build.ensure_ray(tmp_path, puller) == first
    assert pulled == [recipes.RAY_IMAGE]
    assert built == []


def test_an_image_that_cannot_be_pulled_is_built_and_one_line_says_so(
    built: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.ensure_ray(tmp_path, lambda *_: False)
    assert built == ["base", "Ray"]
    assert "docker.io/rayproject/ray:2.60.0 cannot be pulled here; building it\n" in capsys.readouterr().err


def test_only_root_can_build(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(rootfs.ImageError, match="needs root"):
        build.ensure_operator(tmp_path, project)


def test_a_failed_program_is_reported_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(rootfs.ImageError, match=r"^boiling failed: no water \(all of it: .*/log\)$"):
        rootfs.run("boiling", ["sh", "-c", "echo kettle; echo no water >&2; exit 3"], tmp_path / "log")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(rootfs.ImageError, match="needs the program no-such-program"):
        rootfs.run("boiling", ["no-such-program"], tmp_path / "log")


def tool(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Tool:
    program = directory / "bin/puller"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return Tool("puller", ("probe", "{name}"), (("copy", "{name}", "{archive}"),))


def test_the_first_tool_on_path_pulls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working = tool(tmp_path, monkeypatch, '[ "$1" = probe ] || echo "$2" > "$3"')
    archive = tmp_path / "ray.tar"
    assert pull("example.org/a:1", archive, [ELSEWHERE, working])
    assert archive.read_text() == "example.org/a:1\n"


def test_a_pull_that_fails_half_way_leaves_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tool(tmp_path, monkeypatch, '[ "$1" = probe ] || { echo half > "$3"; exit 1; }')
    assert not pull("example.org/a:1", tmp_path / "ray.tar", [broken])
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_without_any_tool_nothing_is_pulled(tmp_path: Path) -> None:
    assert not pull("example.org/a:1", tmp_path / "ray.tar", [ELSEWHERE])
