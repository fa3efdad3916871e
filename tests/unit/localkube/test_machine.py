"""What is read from the machine: versions, control groups, names; and what is made for it byte by byte."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from threading import Event, Thread

import pytest
from localkube.cli import main
from localkube.controlplane.pki import Certificate, issue
from localkube.machine import binaries, cgroups, golang, layout, locks, packages
from localkube.nodes import dns, pause

_HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_hierarchies_of_a_hybrid_machine() -> None:
    found = cgroups.parse_hierarchies(_HYBRID)
    assert [(h.mount.name, h.version, h.options) for h in found] == [
        ("cpuset", 1, "rw,cpuset"),
        ("memory", 1, "rw,memory"),
        ("unified", 2, "rw"),
    ]


def test_each_cluster_has_a_tree_of_its_own() -> None:
    of_x = layout.Layout("x", Path("/s"), Path("/r"))
    assert cgroups.root_of(of_x, "node-1") == "/local-kubernetes-x/node-1"


@pytest.mark.parametrize(("version", "file", "share"), [(1, "cpu.shares", 16 * 1024), (2, "cpu.weight", 16 * 100)])
def test_the_pods_of_a_cluster_get_more_cpu_time_than_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, file: str, share: int
) -> None:
    """And divide it among themselves: the group of a node keeps what the kernel gives it."""
    top, node = tmp_path / "local-kubernetes-x", tmp_path / "local-kubernetes-x" / "node-1"
    node.mkdir(parents=True)
    for group in (tmp_path, top, node):
        (group / file).write_text("as it was")
        (group / "cgroup.controllers").write_text("cpu")
        (group / "cgroup.subtree_control").write_text("")
    options = "rw,cpu" if version == 1 else "rw"
    found = [cgroups.Hierarchy(tmp_path, 1, "rw,memory")] if version == 1 else []
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [*found, cgroups.Hierarchy(tmp_path, version, options)])
    cgroups.create(layout.Layout("x", tmp_path, tmp_path), "node-1")
    assert [(group / file).read_text() for group in (tmp_path, top, node)] == ["as it was", str(share), "as it was"]


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Kubernetes v1.36.3", (1, 36, 3)),
        ("etcd Version: 3.6.8\nGit SHA: abc", (3, 6, 8)),
        ("Client Version: v1.32.4-dispatcher", (1, 32, 4)),
        ("devel", None),
    ],
)
def test_versions_in_programs_words(output: str, version: binaries.Version | None) -> None:
    assert binaries.parse_version(output) == version


def test_which_versions_fit() -> None:
    wanted = (1, 36, 3)
    assert binaries.same_minor((1, 36, 0), wanted)
    assert not binaries.same_minor((1, 35, 9), wanted)
    assert binaries.within_one_minor((1, 37, 0), wanted)
    assert not binaries.within_one_minor((1, 32, 4), wanted)
    assert binaries.at_least_minor((3, 6, 1), (3, 6, 8))
    assert not binaries.at_least_minor((3, 5, 21), (3, 6, 8))


def test_assets_are_asked_before_path(tmp_path: Path) -> None:
    for place in ("assets", "path"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "etcd").touch(mode=0o755)
    found = binaries.candidates("etcd", str(tmp_path / "assets"), str(tmp_path / "path"))
    assert found == [tmp_path / "assets/etcd", tmp_path / "path/etcd"]
    assert binaries.candidates("etcd", None, str(tmp_path / "none")) == []


def test_every_program_is_pinned() -> None:
    for program in binaries.PROGRAMS.values():
        assert binaries.pinned_version(program.family) > (0, 0, 0)
    assert set(binaries.SETS["all"]) == set(binaries.PROGRAMS)


def test_required_version_is_of_that_module_only() -> None:
    go_mod = "require (\n\tx/etcd/api v1.0.0\n\tx/etcd v3.6.8\n)\n"
    assert binaries.required_version(go_mod, "x/etcd") == (3, 6, 8)


def test_a_fitting_program_is_used_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is built on a machine that has it, and what doesn't fit is passed over."""
    old, new = tmp_path / "old", tmp_path / "new"
    for place, minor in ((old, "1.20.1"), (new, "{}.{}.0".format(*binaries.pinned_version("kubernetes")[:2]))):
        place.mkdir()
        (place / "kube-apiserver").write_text(f"#!/bin/sh\necho Kubernetes v{minor}\n")
        (place / "kube-apiserver").chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(old))
    monkeypatch.setenv("PATH", f"{new}:/bin")
    assert binaries.ensure(["kube-apiserver"])["kube-apiserver"].path == new / "kube-apiserver"


def test_links_of_the_same_programs_are_the_same_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_OPERATOR_CACHE", str(tmp_path))
    programs = {"etcd": binaries.Binary(Path("/bin/true"), "v1")}
    directory = binaries.link_directory(programs)
    assert directory == binaries.link_directory(programs)
    assert (directory / "etcd").readlink() == Path("/bin/true")
    assert directory != binaries.link_directory({"etcd": binaries.Binary(Path("/bin/false"), "v1")})


def test_go_versions() -> None:
    assert golang.parse_go_version("go version go1.26.8 linux/amd64") == (1, 26)
    assert golang.parse_go_version("nonsense") == (0, 0)


def test_a_question_and_its_answer() -> None:
    """The query's bytes are those of RFC 1035; an answer counts when it has a record and no error."""
    assert dns.question("a.bc", 7) == bytes.fromhex("0007 0100 0001 0000 0000 0000 01 61 02 6263 00 0001 0001")
    assert dns.is_answer(bytes.fromhex("0007 8580 0001 0001 0000 0000"), 7)
    assert not dns.is_answer(bytes.fromhex("0007 8583 0001 0001 0000 0000"), 7)
    assert not dns.is_answer(bytes.fromhex("0008 8580 0001 0001 0000 0000"), 7)
    assert not dns.is_answer(b"", 7)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs machine code of amd64")
def test_pause_pauses(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(pause.executable("amd64"))
    program.chmod(0o755)
    process = subprocess.Popen([program])
    try:
        # It is past its first instruction once it sleeps; a wrong one would have ended it with a signal.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
    finally:
        process.kill()
        process.wait()


def test_pause_for_arm_branches_back_to_its_start() -> None:
    code = pause.executable("arm64")[-28:]
    branch = int.from_bytes(code[-4:], "little")
    offset = (branch & 0x3FFFFFF) - (1 << 26)
    assert (branch >> 26, offset * 4) == (0b000101, -24)


def test_a_certificate_is_kept_until_it_has_to_say_something_else(tmp_path: Path) -> None:
    certificate = Certificate("api", "kube-apiserver", "group", ("IP:127.0.0.1",))
    issue(tmp_path, [certificate])
    first = (tmp_path / "api.crt").read_text()
    issue(tmp_path, [certificate])
    assert (tmp_path / "api.crt").read_text() == first
    issue(tmp_path, [Certificate("api", "kube-apiserver", "group", ("IP:127.0.0.2",))])
    verify = ["openssl", "verify", "-CAfile", "ca.crt", "-verify_ip", "127.0.0.2", "api.crt"]
    subprocess.run(verify, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "api.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [["up", "--nodes", "0"], ["up", "--name", "No"], ["fly"], []])
def test_wrong_usage_and_failure_have_different_exit_codes(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_nodes_need_root_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    # The path of a socket is short, and so must this be.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("s")))
    assert main(["up", "--name", "x"]) == 3
    error = capsys.readouterr().err
    assert "need root" in error
    assert "CLUSTER=current" in error
    assert error.count("\n") == 1


def test_services_of_packages_are_held_back_only_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that the administrator made is left alone, and one left by an interruption is not kept."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "_POLICY", policy)
    for _ in range(2):
        with packages.no_services_started():
            assert policy.read_text().endswith("exit 101\n")
            left = policy.read_text()
        assert not policy.exists()
        policy.write_text(left)
    policy.write_text("#!/bin/sh\nexit 0\n")
    with packages.no_services_started():
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_two_commands_that_find_packages_missing_install_them_once_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clusters that come up at once on a new machine: apt-get lets one process install at a time."""
    missing, calls, waits = ["runc"], [], Event()

    def install(*arguments: str) -> int:
        calls.append(arguments)
        if len(calls) == 1:
            second.start()
            assert waits.wait(30)
        missing.clear()
        return 0

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(locks, "say", lambda said: waits.set())
    monkeypatch.setattr(packages, "missing_packages", lambda: list(missing))
    monkeypatch.setattr(packages, "_apt", install)
    monkeypatch.setattr(packages, "_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(packages, "_DISK", 0)
    monkeypatch.setenv("RAY_OPERATOR_CACHE", str(tmp_path))
    first, other = (layout.Layout(name, tmp_path / name, tmp_path / f"run-{name}") for name in ("a", "b"))
    second = Thread(target=packages.ensure_node_prerequisites, args=(other,))
    packages.ensure_node_prerequisites(first)
    second.join()
    assert len(calls) == 1
    assert [p.name for p in tmp_path.iterdir()] == [".apt.lock"]


@pytest.mark.parametrize(
    ("gibibytes", "processors", "settings"),
    [
        (24, 2, {"GOGC": "off", "GOMEMLIMIT": str(4 * 2**30)}),
        (8, 4, {"GOGC": "off", "GOMEMLIMIT": str(2**30)}),
        (16, 16, {"GOGC": "100"}),
        (2, 2, {"GOGC": "100"}),
    ],
)
def test_compilers_fill_half_of_the_memory_where_it_has_room_for_all(
    gibibytes: int, processors: int, settings: dict[str, str]
) -> None:
    assert golang.garbage_collection(gibibytes * 2**30, processors) == settings
