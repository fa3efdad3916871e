"""What the images are made of: names, configurations, packages, scripts and the keys over them. No I/O but reading.

Everything that decides a layer's content is data here and goes into the layer's key, so a changed recipe is
a different layer and an unchanged one is never built twice.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import platform
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .oci import ImageConfig
from .rootfs import PYTHON, SUITE, ImageError

# The extra "dev" of setup.cfg pins the same version: a Ray client must match its cluster exactly.
RAY_VERSION = "2.60.0"
RAY_IMAGE = f"docker.io/rayproject/ray:{RAY_VERSION}"
# As in the public image, less what needs an accelerator.
RAY_REQUIREMENT = f"ray[client,data,default,serve,tune]=={RAY_VERSION}"
OPERATOR_REPOSITORY = "docker.io/library/ray-operator"
# What of the project decides the operator's wheel.
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "controller", "autoscaler")

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The user, home and shell of the public rayproject/ray images, so that pods made for them run alike.
RAY_CONFIG = ImageConfig(
    user="1000:100",
    workdir="/home/ray",
    env={"PATH": f"/home/ray/.local/bin:{_PATH}", "HOME": "/home/ray", "LANG": "C.UTF-8"},
    cmd=("/bin/bash",),
)


def operator_config(version: str) -> ImageConfig:
    """How the operator starts. The Containerfile builds the same image elsewhere: the two must agree."""
    return ImageConfig(
        user="65532:65532",
        workdir="/",
        env={
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            # Without it gRPC prints a line for each connection that a head ends.
            "GRPC_VERBOSITY": "ERROR",
            # A heap for each of thirty threads keeps what only one of them has needed.
            "MALLOC_ARENA_MAX": "2",
        },
        entrypoint=("ray-operator",),
        labels={
            "org.opencontainers.image.title": "ray-operator",
            "org.opencontainers.image.description": "Runs autoscaling Ray clusters on Kubernetes",
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.version": version,
        },
    )


BASE_PACKAGES = ("ca-certificates", "procps", "python3", "python3-pip", "usr-is-merged")
_EXCLUDED = ("bash-completion", "bug", "doc", "info", "lintian", "locale", "man")
BASE_OPTIONS = (
    # Without the hook apt takes the package usrmerge instead of usr-is-merged, and with it 50 MB of Perl.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    *(f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in _EXCLUDED),
)

# Byte code that is never checked against its source: it stays valid whatever the file times become in a
# layer, and a root file system that the user cannot write to would otherwise compile at every start.
_COMPILE = """
python3 - <<'PYTHON'
import concurrent.futures, importlib.util, os, pathlib, py_compile

def compile_source(source):
    if not os.path.exists(importlib.util.cache_from_source(source)):
        py_compile.compile(source, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)

with concurrent.futures.ProcessPoolExecutor() as pool:
    sources = [str(path) for top in ("/usr/lib", "/usr/local/lib") for path in pathlib.Path(top).rglob("*.py")]
    list(pool.map(compile_source, sorted(sources), chunksize=64))
PYTHON
"""
# pip may install beside Debian's packages here: the container's user expects it to.
BASE_SCRIPT = f"""
ln -s python3 /usr/bin/python
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED /etc/apt/apt.conf.d/99mmdebstrap /etc/apt/sources.list
rm -f /etc/resolv.conf /etc/hostname /etc/*- /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache
find /var/log -type f -delete
find /usr -name __pycache__ -prune -exec rm -rf {{}} +
{_COMPILE}"""
_PIP = "python3 -m pip install --no-index --find-links /mnt --no-compile --no-cache-dir --root-user-action=ignore"
_RAY_USER = """
echo 'ray:x:1000:100:ray:/home/ray:/bin/bash' >> /etc/passwd
echo 'ray:*:19000:0:99999:7:::' >> /etc/shadow
install -d -o 1000 -g 100 /home/ray
"""
# What no Ray program reads, an eighth of the layer: tests, sources of the dashboard's page, Java, headers.
_RAY_TRIM = """
cd /usr/local/lib/python3*/dist-packages
find pandas numpy pyarrow -type d -name tests -prune -exec rm -rf {} +
rm -rf ray/jars pyarrow/include
find ray/dashboard -name '*.map' -delete
"""
RAY_SCRIPT = f"{_PIP} {shlex.quote(RAY_REQUIREMENT)}\n{_RAY_USER}{_RAY_TRIM}{_COMPILE}"
APP_SCRIPT = f"{_PIP} --no-deps /mnt/*.whl\npython3 -m pip check\n{_COMPILE}"


# The operator reads Ray's generated protocol messages and nothing else of it, and the synchronous half of the
# kubernetes package: without the rest, the image is half as large on every node.
_TRIM = """
cd /usr/local/lib/python3*/dist-packages
find ray -depth ! -path ray ! -path ray/core ! -path 'ray/core/generated*' -delete
rm -rf kubernetes/aio
"""


def dependencies_script(requirements: Sequence[str]) -> str:
    """The shell script of the dependency layer."""
    return f"{_PIP} {shlex.join(requirements)}\n{_TRIM}{_COMPILE}"


def cache_key(*parts: object) -> str:
    """Equal for equal JSON values; short enough for a file name."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def base_key() -> str:
    """Key of the base layer."""
    machine = platform.machine()
    return cache_key("base", SUITE, PYTHON, machine, BASE_PACKAGES, BASE_OPTIONS, BASE_SCRIPT)


def ray_key() -> str:
    """Key of the Ray layer and of its image."""
    return cache_key("ray", base_key(), RAY_SCRIPT, RAY_IMAGE, asdict(RAY_CONFIG))


@dataclass(frozen=True)
class Project:
    """What of a project decides its image: see `read_project`."""

    path: Path
    version: str
    requirements: tuple[str, ...]
    sources_key: str

    def dependencies_key(self) -> str:
        """Key of the dependency layer."""
        return cache_key("dependencies", base_key(), dependencies_script(self.requirements))

    def app_key(self) -> str:
        """Key of the app layer and of the operator's image."""
        config = asdict(operator_config(self.version))
        return cache_key("app", self.dependencies_key(), APP_SCRIPT, self.sources_key, config)

    def image(self) -> str:
        """The name that pods use."""
        return f"{OPERATOR_REPOSITORY}:{self.version}"


def read_project(path: Path) -> Project:
    """Read version and requirements from setup.cfg in `path`, and a key over all packaged `SOURCES`."""
    setup = configparser.ConfigParser()
    if not setup.read(path / "setup.cfg"):
        raise ImageError(f"{path} has no setup.cfg, so there is no operator to build an image of")
    required = setup.get("options", "install_requires", fallback="").splitlines()
    contents = [(str(file.relative_to(path)), _digest(file)) for file in source_files(path)]
    requirements = tuple(line.strip() for line in required if line.strip())
    return Project(path, setup.get("metadata", "version"), requirements, cache_key(contents))


def source_files(project: Path) -> Iterator[Path]:
    """The files of `project` that its wheel is built from, in the order of their names."""
    for top in SOURCES:
        path = project / top
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in below if file.is_file() and "__pycache__" not in file.parts)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
