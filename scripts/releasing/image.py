"""The operator's image for each architecture, made on one machine: nothing of the other one is run.

Debian packages are unpacked and not configured, wheels are chosen for the architecture, and byte code is the same on
all of them. What configuring would make and the operator needs is written here: users and the bundle of certificates.
"""

from __future__ import annotations

import compileall
import gzip
import hashlib
import py_compile
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from localkube.images import oci, recipes, rootfs
from localkube.images.rootfs import PYTHON, SUITE, ImageError

from .oci_layout import Built

# Debian's and Python's name of each architecture that images are made for.
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
# gRPC needs the C++ library.
_PACKAGES = ("base-files", "ca-certificates", "libc-bin", "libstdc++6", "python3", "tzdata")
_EXCLUDED = ("bash-completion", "bug", "doc", "info", "lintian", "locale", "man")
_USERS = "root:x:0:0:root:/root:/sbin/nologin\nray-operator:x:65532:65532::/tmp:/sbin/nologin\n"
_GROUPS = "root:x:0:\nray-operator:x:65532:\n"
_ENTRY = """\
#!/usr/bin/python3
import sys

from controller.main import main

sys.exit(main())
"""
# What of these differs from build to build, or is this machine's.
_LEFTOVERS = (
    "etc/hostname",
    "etc/resolv.conf",
    "etc/apt",
    "var/cache",
    "var/log",
    "var/lib/apt",
    "var/lib/dpkg",
    "boot",
)


def image(wheel: Path, version: str, architecture: str, scratch: Path) -> tuple[Built, list[str]]:
    """The image with this wheel in it, and the file names of the Debian packages that it consists of.

    Raises:
        ImageError: it cannot be built here; the message says why.
    """
    if sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        raise ImageError(f"byte code of the image is made by Python {PYTHON}; make the release with it")
    rootfs.require_root()
    tree = scratch / architecture
    log = scratch / f"{architecture}.log"
    packages = _debian(tree, architecture, log)
    _configure(tree)
    _python(tree, wheel, ARCHITECTURES[architecture], log)
    layer = oci.pack_layer(tree, scratch / f"{architecture}.tar")
    return _built(layer, version, architecture), packages


def _debian(tree: Path, architecture: str, log: Path) -> list[str]:
    """Unpack Debian's packages."""
    names = log.with_suffix(".packages")
    rootfs.need_mmdebstrap(log)
    argv = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=extract", f"--architectures={architecture}"]
    argv += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--include={','.join(_PACKAGES)}"]
    argv += [f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in _EXCLUDED]
    argv += [f"--aptopt={option}" for option in rootfs.transport_options()]
    argv += ['--extract-hook=ls "$1/var/cache/apt/archives" > "$PACKAGES"', SUITE, str(tree), *rootfs.mirrors()]
    rootfs.run(f"unpacking Debian for {architecture}", argv, log, {"PACKAGES": str(names)})
    return sorted(line for line in names.read_text().splitlines() if line.endswith(".deb"))


def _configure(tree: Path) -> None:
    """What the packages' own scripts would have made, as far as it is needed, and nothing of this machine."""
    # What is in /dev, the runtime makes.
    for path in (*(tree / leftover for leftover in _LEFTOVERS), *(tree / "dev").iterdir()):
        _remove(path)
    (tree / "etc/passwd").write_text(_USERS)
    (tree / "etc/group").write_text(_GROUPS)
    certificates = sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(file.read_text().rstrip() + "\n" for file in certificates))


def _python(tree: Path, wheel: Path, machine: str, log: Path) -> None:
    """Install the operator and what it requires, and compile all of it."""
    packages = tree / f"usr/local/lib/python{PYTHON}/dist-packages"
    argv = [sys.executable, "-m", "pip", "install", "--target", str(packages), "--no-compile", "--no-cache-dir"]
    rootfs.run(f"installing the operator for {machine}", [*argv, *rootfs.target_options(machine), str(wheel)], log)
    shutil.rmtree(packages / "bin", ignore_errors=True)
    _trim(packages)
    entry = tree / "usr/local/bin/ray-operator"
    entry.parent.mkdir(parents=True, exist_ok=True)
    entry.write_text(_ENTRY)
    entry.chmod(0o755)
    for top in (tree / f"usr/lib/python{PYTHON}", tree / "usr/lib/python3", packages):
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        # Byte code names its source by the path in the image.
        compileall.compile_dir(top, quiet=2, force=True, stripdir=str(tree), prependdir="/", invalidation_mode=mode)


def _trim(packages: Path) -> None:
    """Leave out what the operator never reads, as the other builds of the image do."""
    shutil.rmtree(packages / "kubernetes" / "aio", ignore_errors=True)
    kept = packages / "ray" / "core" / "generated"
    for path in _others(packages / "ray", kept):
        _remove(path)
    # pip writes down where it was called from.
    for origin in packages.glob("*.dist-info/direct_url.json"):
        origin.unlink()
    for record in packages.glob("*.dist-info/RECORD"):
        record.write_text("".join(_recorded(packages, record)))


def _recorded(packages: Path, record: Path) -> list[str]:
    """The lines of a RECORD about files that are there, sorted: pip lists them in the order of a set."""
    lines = record.read_text().splitlines(keepends=True)
    return sorted(line for line in lines if (packages / line.partition(",")[0].strip('"')).exists())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _others(folder: Path, kept: Path) -> Iterator[Path]:
    for path in list(folder.iterdir()):
        if path in kept.parents:
            yield from _others(path, kept)
        elif not path.name.startswith(kept.name):
            yield path


def _built(layer: oci.Layer, version: str, architecture: str) -> Built:
    config = oci.config_json(oci.ImageSpec((), recipes.operator_config(version), (layer,)), of=architecture)
    packed = layer.tar.with_suffix(".tar.gz")
    with (
        layer.tar.open("rb") as source,
        packed.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)
    digest = hashlib.sha256()
    with packed.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    layer.tar.unlink()
    return Built(architecture, config, packed, digest.hexdigest(), packed.stat().st_size)
