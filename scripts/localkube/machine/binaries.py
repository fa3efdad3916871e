"""The programs a cluster consists of: found on this machine when their version fits, else built from Go modules.

What is built is pinned by the module scripts/binaries; the name of each cache directory holds a hash of its files, so
that a changed pin never meets an old binary and several checkouts share a cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_dir
from .console import CannotRunHere, Failed, step
from .golang import go_command, go_environment

_PINS = Path(__file__).resolve().parent.parent.parent / "binaries"
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")

Version = tuple[int, int, int]
Fits = Callable[[Version, Version], bool]


def same_minor(found: Version, wanted: Version) -> bool:
    """The rule for Kubernetes components among each other."""
    return found[:2] == wanted[:2]


def within_one_minor(found: Version, wanted: Version) -> bool:
    """The version skew that kubectl is supported with (https://kubernetes.io/releases/version-skew-policy/)."""
    return found[0] == wanted[0] and abs(found[1] - wanted[1]) <= 1


def same_major(found: Version, wanted: Version) -> bool:
    """The rule for Helm, whose major versions are different programs."""
    return found[0] == wanted[0]


def at_least_minor(found: Version, wanted: Version) -> bool:
    """The rule for etcd: before 3.6 its watch progress breaks the API server's watch cache."""
    return found[0] == wanted[0] and found[1] >= wanted[1]


@dataclass(frozen=True)
class Program:
    """One binary. `fits`: which versions found on the machine will do, or None to always build it."""

    name: str
    family: str
    package: str
    fits: Fits | None = None
    version_flags: tuple[str, ...] = ("--version",)


@dataclass(frozen=True)
class Family:
    """Programs built from one module. `flags`: what the linker puts into version variables, by their names."""

    module: str
    flags: Mapping[str, str]


@dataclass(frozen=True)
class Binary:
    """A program to run: where it is and which version, as in ``v1.36.3``."""

    path: Path
    version: str


_KUBERNETES = "k8s.io/component-base/version"
_HELM = "helm.sh/helm/v3"
FAMILIES: Mapping[str, Family] = {
    "kubernetes": Family(
        "k8s.io/kubernetes",
        {
            f"{_KUBERNETES}.gitVersion": "v{major}.{minor}.{patch}",
            f"{_KUBERNETES}.gitMajor": "{major}",
            f"{_KUBERNETES}.gitMinor": "{minor}",
        },
    ),
    "etcd": Family("go.etcd.io/etcd/server/v3", {}),
    "coredns": Family("github.com/coredns/coredns", {}),
    "kwok": Family("sigs.k8s.io/kwok", {}),
    "helm": Family(
        _HELM,
        {
            f"{_HELM}/internal/version.version": "v{major}.{minor}.{patch}",
            # What `helm template` and `helm lint` take the cluster to be; unset it is 1.20.
            f"{_HELM}/pkg/chartutil.k8sVersionMajor": "{kubernetes[0]}",
            f"{_HELM}/pkg/chartutil.k8sVersionMinor": "{kubernetes[1]}",
            f"{_HELM}/pkg/lint/rules.k8sVersionMajor": "{kubernetes[0]}",
            f"{_HELM}/pkg/lint/rules.k8sVersionMinor": "{kubernetes[1]}",
        },
    ),
}


def _kubernetes(name: str, fits: Fits = same_minor) -> Program:
    return Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", fits)


PROGRAMS: Mapping[str, Program] = {
    program.name: program
    for program in (
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", at_least_minor),
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        Program("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", within_one_minor, ("version", "--client")),
        # Of the few plugins that the Corefile names.
        Program("coredns", "coredns", "./coredns"),
        Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        Program("helm", "helm", "helm.sh/helm/v3/cmd/helm", same_major, ("version",)),
    )
}

CONTROL_PLANE = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler")
NODES = (*CONTROL_PLANE, "kubelet", "kube-proxy", "coredns")
SETS: Mapping[str, tuple[str, ...]] = {
    "control-plane": CONTROL_PLANE,
    "nodes": NODES,
    "tools": ("kubectl", "helm"),
    "all": (*NODES, "helm", "kwok"),
}


def ensure(names: Iterable[str]) -> dict[str, Binary]:
    """The named programs, each built if it is not at hand.

    Raises CannotRunHere if there is no way to build, Failed if a build fails.
    """
    return {name: _ensure(PROGRAMS[name]) for name in names}


def link_directory(binaries: Mapping[str, Binary]) -> Path:
    """A directory with exactly these programs, to be put on a PATH; the same programs give the same directory."""
    targets = "\n".join(f"{name} {binary.path}" for name, binary in sorted(binaries.items()))
    directory = cache_dir() / "links" / hashlib.sha256(targets.encode()).hexdigest()[:12]
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as partial:
            for name, binary in binaries.items():
                (Path(partial) / "bin" / name).parent.mkdir(exist_ok=True)
                (Path(partial) / "bin" / name).symlink_to(binary.path)
            try:
                (Path(partial) / "bin").rename(directory)
            except OSError:
                if not directory.is_dir():
                    raise
    return directory


def pinned_version(family: str) -> Version:
    """The version that the go.mod requires of a family's module."""
    return required_version((_PINS / "go.mod").read_text(), FAMILIES[family].module)


def required_version(go_mod: str, module: str) -> Version:
    """The version of `module` that the text of a go.mod requires."""
    match = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)$", go_mod, re.MULTILINE)
    version = parse_version(match[1]) if match else None
    if version is None:
        raise Failed(f"go.mod requires no version of {module}")
    return version


def parse_version(text: str) -> Version | None:
    """The first version number in a program's output."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def show_version(version: Version) -> str:
    """As in ``v1.36.3``."""
    return "v" + ".".join(map(str, version))


def _ensure(program: Program) -> Binary:
    wanted = pinned_version(program.family)
    found = _found(program, wanted)
    if found:
        return found
    directory = _directory(program.family)
    path = directory / program.name
    if not path.exists():
        _build(program, path, wanted)
    return Binary(path, show_version(wanted))


def _found(program: Program, wanted: Version) -> Binary | None:
    """The program on this machine, in `KUBEBUILDER_ASSETS` or on PATH, if its version fits."""
    if program.fits is None:
        return None
    for path in candidates(program.name, os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("PATH", "")):
        try:
            answer = subprocess.run(
                [path, *program.version_flags], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = parse_version(answer.stdout)
        if version and program.fits(version, wanted):
            return Binary(path.resolve(), show_version(version))
    return None


def candidates(name: str, assets: str | None, path: str) -> Sequence[Path]:
    """Files that may be the program, in the order they are asked for their versions."""
    places = [assets] if assets else []
    return [Path(found) for found in (shutil.which(name, path=place) for place in (*places, path)) if found]


def _directory(family: str) -> Path:
    pins = hashlib.sha256()
    for file in sorted(path for path in _PINS.rglob("*") if path.is_file()):
        pins.update(file.read_bytes())
    pins.update(_linker_flags(family).encode())
    return cache_dir() / "bin" / f"{family}-{show_version(pinned_version(family))}-{pins.hexdigest()[:8]}"


def _linker_flags(family: str) -> str:
    major, minor, patch = pinned_version(family)
    kubernetes = pinned_version("kubernetes")
    values = (
        f"-X {variable}={value.format(major=major, minor=minor, patch=patch, kubernetes=kubernetes)}"
        for variable, value in FAMILIES[family].flags.items()
    )
    return " ".join(("-s -w", *values))


def _build(program: Program, path: Path, version: Version) -> None:
    """Build one program to `path`, where it appears whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise CannotRunHere(f"{program.name} is missing and {path.parent} cannot be written") from error
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        go = go_command()
        with step(f"building {program.name} {show_version(version)}"):
            _go_build(go, program, path)


def _go_build(go: Path, program: Program, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="partial-") as partial:
        built = Path(partial) / program.name
        # What the linker would leave out is not made: debugging information.
        made = ["-gcflags=all=-dwarf=false", "-ldflags", _linker_flags(program.family)]
        flags = ["-trimpath", "-buildvcs=false", *made]
        build = subprocess.run(
            [go, "build", *flags, "-o", built, program.package],
            cwd=_PINS,
            env=go_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if build.returncode != 0:
            reason = "\n".join(build.stderr.strip().splitlines()[-5:])
            raise Failed(f"building {program.name} failed:\n{reason}")
        if program.family == "kwok":
            _keep_stages(go, path.with_name("stages.yaml"))
        built.rename(path)


def _keep_stages(go: Path, path: Path) -> None:
    """Put the stages that make nodes and pods look alive beside kwok: its module has them as files."""
    source = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", FAMILIES["kwok"].module],
        cwd=_PINS,
        env=go_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    stages = Path(source.stdout.strip()) / "kustomize" / "stage"
    files = sorted((*stages.glob("node/fast/node-*.yaml"), *stages.glob("pod/fast/pod-*.yaml")))
    path.write_text("\n---\n".join(file.read_text() for file in files))
