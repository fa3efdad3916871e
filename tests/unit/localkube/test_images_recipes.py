"""Names, keys, sources and the agreement between the Containerfile and the image built without one."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
from pathlib import Path
from threading import Event, Thread

import pytest
from localkube.images import recipes, rootfs
from localkube.machine import apt, cache, locks

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "setup.cfg").write_text(
        "[metadata]\nversion = 1.2.3\n[options]\ninstall_requires =\n    # why\n    one>=1,<2\n    two\n"
    )
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller/main.py").write_text("print()")
    return tmp_path


def test_version_requirements_and_image_name_come_from_setup_cfg(project: Path) -> None:
    facts = recipes.read_project(project)
    assert facts.requirements == ("one>=1,<2", "two")
    assert facts.image() == "docker.io/library/ray-operator:1.2.3"


def test_requirements_are_quoted_for_the_shell() -> None:
    assert "'one>=1,<2' two" in recipes.dependencies_script(("one>=1,<2", "two"))


def test_a_change_of_code_changes_the_app_alone(project: Path) -> None:
    before = recipes.read_project(project)
    (project / "controller/main.py").write_text("print(1)")
    after = recipes.read_project(project)
    assert after.app_key() != before.app_key()
    assert after.dependencies_key() == before.dependencies_key()


def test_a_change_of_requirements_changes_dependencies_and_app(project: Path) -> None:
    before = recipes.read_project(project)
    setup = project / "setup.cfg"
    setup.write_text(setup.read_text().replace("two", "two>2"))
    after = recipes.read_project(project)
    assert after.dependencies_key() != before.dependencies_key()
    assert after.app_key() != before.app_key()


def test_byte_code_and_files_outside_the_packages_change_nothing(project: Path) -> None:
    before = recipes.read_project(project)
    (project / "controller/__pycache__").mkdir()
    (project / "controller/__pycache__/main.pyc").write_bytes(b"x")
    (project / "notes").write_text("x")
    assert recipes.read_project(project) == before


def test_a_moved_file_changes_the_app(project: Path) -> None:
    before = recipes.read_project(project)
    (project / "controller/main.py").rename(project / "controller/start.py")
    assert recipes.read_project(project).app_key() != before.app_key()


def test_a_changed_base_script_changes_every_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = recipes.read_project(project)

    def keys() -> set[str]:
        return {recipes.base_key(), recipes.ray_key(), facts.dependencies_key(), facts.app_key()}

    before = keys()
    monkeypatch.setattr(recipes, "BASE_SCRIPT", recipes.BASE_SCRIPT + "true\n")
    assert len(before) == 4
    assert before.isdisjoint(keys())


def test_without_setup_cfg_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(rootfs.ImageError, match=r"no setup\.cfg"):
        recipes.read_project(tmp_path)


def test_the_ray_of_the_image_is_the_one_that_the_project_pins() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    (pinned,) = (line for line in setup.get("options.extras_require", "dev").splitlines() if line.startswith("ray["))
    assert pinned.partition("==")[2] == recipes.RAY_REQUIREMENT.partition("==")[2] == recipes.RAY_VERSION


def test_debian_sources_are_debians_own_of_the_suite_once_each() -> None:
    targets = "\n".join([
        "Debian|http://a.example/debian/|bookworm|main",
        "Debian|http://a.example/debian/|bookworm|main",
        "Debian|http://a.example/debian/|bookworm|contrib",
        "Debian|http://a.example/debian-security/|bookworm-security|main",
        "Debian|http://a.example/debian/|bookworm-backports|main",
        "Other|http://b.example/|bookworm|main",
        "",
    ])  # fmt: skip
    assert rootfs.debian_sources(targets) == [
        "deb http://a.example/debian/ bookworm main",
        "deb http://a.example/debian-security/ bookworm-security main",
    ]


def test_sources_of_another_release_count_for_nothing() -> None:
    assert rootfs.debian_sources("Debian|http://a.example/|trixie|main\nUbuntu|http://b.example/|noble|main") == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RAY_OPERATOR_CACHE": "/own", "XDG_CACHE_HOME": "/shared"}, "/own"),
        ({"XDG_CACHE_HOME": "/shared"}, "/shared/ray-kubernetes-operator"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/ray-kubernetes-operator"),
        ({}, "/home/someone/.cache/ray-kubernetes-operator"),
    ],
)
def test_cache_dir(environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_OPERATOR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_dir() == Path(expected)


class Containerfile:
    """The last stage of the project's Containerfile."""

    def __init__(self) -> None:
        text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
        self._lines = text[text.rindex("\nFROM ") :].splitlines()

    def one(self, instruction: str) -> str:
        (found,) = [line for line in self._lines if line.startswith(f"{instruction} ")]
        return found.removeprefix(instruction).strip()

    def pairs(self, instruction: str) -> dict[str, str]:
        return dict(word.split("=", 1) for word in shlex.split(self.one(instruction)))


def test_the_containerfile_starts_the_operator_as_the_built_image_does() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    config, file = recipes.operator_config(setup.get("metadata", "version")), Containerfile()
    assert file.one("USER") == config.user
    assert file.one("WORKDIR") == config.workdir
    assert json.loads(file.one("ENTRYPOINT")) == list(config.entrypoint)
    assert file.pairs("ENV") == config.env
    assert file.pairs("LABEL") == config.labels


def test_the_containerfile_copies_what_the_app_layer_is_made_of() -> None:
    text = (ROOT / "Containerfile").read_text()
    copies = [line.split()[1:-1] for line in text.splitlines() if re.match(r"COPY (?!--from)", line)]
    assert sorted(source for sources in copies for source in sources) == sorted(recipes.SOURCES)


def test_the_build_context_is_what_the_containerfile_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert sorted(line.removeprefix("!") for line in lines if line.startswith("!")) == sorted(recipes.SOURCES)


def test_mmdebstrap_is_installed_once_no_other_command_of_ours_runs_apt_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are built while nodes are made ready on a new machine: apt-get fails where another one runs."""
    ran: list[str] = []
    monkeypatch.setenv("RAY_OPERATOR_CACHE", str(tmp_path))
    monkeypatch.setattr(rootfs, "run", lambda what, *_: ran.append(what))
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "mmdebstrap" else program)
    waits = Event()
    monkeypatch.setattr(locks, "say", lambda said: waits.set())
    waiting = Thread(target=rootfs.need_mmdebstrap, args=(tmp_path / "log",))
    with apt.apt_alone():
        waiting.start()
        assert waits.wait(30)
        assert not ran
    waiting.join()
    assert len(ran) == 2
