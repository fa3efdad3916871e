"""The images that a cluster on one machine runs, built without a registry or a container engine, and cached.

Layers, from the bottom up:

- base: a trimmed Debian with Python, shared by both images
- ray: ``pip install ray`` in it; with the base it is ``rayproject/ray``
- dependencies: what setup.cfg says the operator requires
- app: the wheel of this project, so that a change of code rebuilds this alone

A layer is a directory under ``images/layers`` of the cache that holds ``layer.tar``, its ``digest`` and, where
another layer is built on it, its ``tree``. Layers and archives are made under a hidden name and renamed once
whole, so what has its final name is done.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localkube.machine.console import say, step

from . import recipes, rootfs
from .oci import ImageSpec, Layer, pack_layer, write_docker_archive
from .recipes import Project

# Name and archive path -> whether the image was pulled into the archive.
Puller = Callable[[str, Path], bool]

# How many versions of a layer or archive stay, the latest ones; each code change makes one of the app.
_KEEP = {"app": 3, "operator": 3}
_KEEP_OTHERS = 2


def ensure_operator(cache: Path, project: Path, *, force: bool = False) -> Path:
    """The archive of the operator's image for the code in `project` as it is now; its name is `Project.image`.

    `cache` is the project's cache directory. `force` builds all layers anew. Raises `ImageError`.
    """
    facts = recipes.read_project(project)
    store = _Store(cache / "images")
    archive = store.root / f"operator-{facts.version}-{facts.app_key()}.tar"
    if archive.exists() and not force:
        return archive
    with store.locked():
        if force or not archive.exists():
            base = store.base(force)
            dependencies = store.dependencies(facts, base, force)
            app = store.app(facts, dependencies, base, force)
            layers = (_layer(base), _layer(dependencies), _layer(app))
            store.write(archive, ImageSpec((facts.image(),), recipes.operator_config(facts.version), layers))
            store.prune("operator", store.root)
    return archive


def ensure_ray(cache: Path, puller: Puller | None, *, force: bool = False) -> Path:
    """The archive of `recipes.RAY_IMAGE`: the public image where `puller` can pull it, else one built here.

    `cache` is the project's cache directory. `force` pulls or builds anew. Raises `ImageError`.
    """
    store = _Store(cache / "images")
    pulled = store.root / f"ray-{recipes.RAY_VERSION}-pulled.tar"
    built = store.root / f"ray-{recipes.RAY_VERSION}-{recipes.ray_key()}.tar"

    def present() -> Path | None:
        return None if force else next((archive for archive in (pulled, built) if archive.exists()), None)

    if found := present():
        return found
    with store.locked():
        # Another process may have made it while this one waited for the lock.
        if found := present():
            return found
        if puller is not None:
            if puller(recipes.RAY_IMAGE, pulled):
                return pulled
            say(f"{recipes.RAY_IMAGE} cannot be pulled here; building it")
        pulled.unlink(missing_ok=True)
        base = store.base(force)
        ray = store.ray(base, force)
        store.write(built, ImageSpec((recipes.RAY_IMAGE,), recipes.RAY_CONFIG, (_layer(base), _layer(ray))))
        # Nothing is built on this layer, and the archive holds its content.
        _discard(ray)
        store.prune("ray", store.root)
    return built


class _Store:
    """The cached layers. Every method but `locked` needs the lock held."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._layers = root / "layers"
        self._log = root / "build.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the build lock, with what an interrupted build left behind gone and a new log begun."""
        rootfs.require_root()
        self._layers.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another build of images to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in (*self.root.glob(".*.partial"), *self._layers.glob(".*.partial")):
                _remove(leftover)
            self._log.write_bytes(b"")
            yield

    def base(self, force: bool) -> Path:
        """Debian and Python."""

        def build(tree: Path) -> None:
            packages, options, script = recipes.BASE_PACKAGES, recipes.BASE_OPTIONS, recipes.BASE_SCRIPT
            rootfs.bootstrap(tree, packages, options, script, self._log)

        return self._ensure("base", recipes.base_key(), build, force=force)

    def ray(self, base: Path, force: bool) -> Path:
        """Ray on `base`."""

        def build(tree: Path) -> None:
            wheels = self._downloaded([recipes.RAY_REQUIREMENT])
            self._add([base], tree, wheels, recipes.RAY_SCRIPT, "installing Ray")

        return self._ensure("ray", recipes.ray_key(), build, force=force)

    def dependencies(self, facts: Project, base: Path, force: bool) -> Path:
        """What the operator requires, on `base`."""

        def build(tree: Path) -> None:
            wheels = self._downloaded(facts.requirements)
            script = recipes.dependencies_script(facts.requirements)
            self._add([base], tree, wheels, script, "installing the operator's requirements")

        return self._ensure("dependencies", facts.dependencies_key(), build, force=force)

    def app(self, facts: Project, dependencies: Path, base: Path, force: bool) -> Path:
        """The operator itself, on `dependencies` on `base`."""

        def build(tree: Path) -> None:
            with tempfile.TemporaryDirectory() as scratch:
                # A copy, because building a wheel writes into the project.
                copy, wheels = Path(scratch, "project"), Path(scratch, "wheels")
                for file in recipes.source_files(facts.path):
                    target = copy / file.relative_to(facts.path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, target)
                rootfs.build_wheel(copy, wheels, self._log)
                self._add([dependencies, base], tree, wheels, recipes.APP_SCRIPT, "installing the operator")

        return self._ensure("app", facts.app_key(), build, force=force)

    def write(self, archive: Path, image: ImageSpec) -> None:
        """Write the archive of one image."""
        with step(f"writing the image {image.names[0]}"):
            write_docker_archive(archive, [image])

    def prune(self, kind: str, directory: Path) -> None:
        """Remove the oldest of a kind of layer (by last use) or archive (by when it was made)."""
        versions = sorted(directory.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in versions[_KEEP.get(kind, _KEEP_OTHERS) :]:
            _discard(old)

    def _ensure(self, kind: str, key: str, build: Callable[[Path], None], *, force: bool) -> Path:
        """The directory of one layer, its tree made by `build` unless it is there already."""
        done = self._layers / f"{kind}-{key}"
        if force and done.exists():
            _discard(done)
        if done.exists():
            os.utime(done)
            return done
        partial = self._layers / f".{done.name}.partial"
        partial.mkdir()
        build(partial / "tree")
        with step(f"packing the layer {kind}"):
            layer = pack_layer(partial / "tree", partial / "layer.tar")
        (partial / "digest").write_text(layer.digest)
        partial.rename(done)
        self.prune(kind, self._layers)
        return done

    def _downloaded(self, requirements: Sequence[str]) -> Path:
        wheels = self.root / "wheels" / recipes.cache_key(requirements)
        wheels.mkdir(parents=True, exist_ok=True)
        rootfs.download_wheels(requirements, wheels, self._log)
        return wheels

    def _add(self, lower: Sequence[Path], tree: Path, wheels: Path, script: str, what: str) -> None:
        trees = [layer / "tree" for layer in lower]
        rootfs.add_layer(trees, tree, wheels, script, what=what, log=self._log)


def _layer(directory: Path) -> Layer:
    return Layer(directory / "layer.tar", (directory / "digest").read_text())


def _discard(path: Path) -> None:
    """Remove a layer or archive; first its name, since what has a final name counts as whole."""
    hidden = path.with_name(f".{path.name}.partial")
    path.rename(hidden)
    _remove(hidden)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
