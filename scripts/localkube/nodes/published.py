"""What a cluster's registry knows: images of loaded archives, under their own names and those given to them."""

from __future__ import annotations

import hashlib
import json
import posixpath
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from localkube.machine.components import Component
from localkube.machine.console import Failed
from localkube.machine.layout import Layout

from . import registry

NAME = "registry"
# Of the cluster's own loopback: pods, which have one each, don't reach it.
PORT = 5000
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def component(layout: Layout) -> Component:
    """The daemon that answers pulls."""
    script = Path(registry.__file__)
    argv = (sys.executable, "-I", "-S", str(script), str(PORT), str(_root(layout)))
    return Component(NAME, argv, hashlib.sha256(script.read_bytes()).hexdigest()[:12])


def hosts_toml() -> str:
    """containerd's configuration for every registry: ask ours first, and the real one for what ours does not have.

    Format: https://github.com/containerd/containerd/blob/main/docs/hosts.md
    """
    return f'[host."http://127.0.0.1:{PORT}"]\n  capabilities = ["pull", "resolve"]\n'


def full_name(name: str) -> str:
    """An image's name with registry and tag: Kubernetes takes ``ray`` for ``docker.io/library/ray:latest``."""
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, path = (first, rest) if is_host else ("docker.io", name)
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{host}/{path}" if ":" in path else f"{host}/{path}:latest"


def names_in(archive: Path) -> list[str]:
    """The names of all images in a docker archive; none in an archive of another kind."""
    return [name for names, _, _ in _images(archive) for name in names]


def publish(layout: Layout, archive: Path, names: Sequence[str] = ()) -> None:
    """Let nodes pull the images of a docker archive; the only one in it also under each of `names`.

    Raises Failed if names are given and the archive does not hold exactly one image. An archive of another kind is
    left out: its images are on the nodes once they are imported, but cannot be pulled.
    """
    root = _root(layout)
    for directory in ("tags", "manifests", "blobs"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    images = list(_images(archive))
    if names and len(images) != 1:
        raise Failed(f"{archive} does not hold exactly one image in docker's format, so it cannot have another name")
    for tags, manifest, blobs in images:
        content = json.dumps(manifest, sort_keys=True).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        for blob, place in blobs.items():
            (root / "blobs" / blob).write_text(json.dumps([str(archive.resolve()), *place]))
        (root / "manifests" / digest).write_bytes(content)
        for tag in (*tags, *names):
            (root / "tags" / quote(full_name(tag), safe="")).write_text(digest)


def _root(layout: Layout) -> Path:
    return layout.state / NAME


def _images(archive: Path) -> Iterator[tuple[list[str], dict[str, Any], dict[str, tuple[int, int]]]]:
    """Of each image of a docker archive: its names, its manifest, and for each digest the blob's place and size."""
    with tarfile.open(archive) as tar:
        if "manifest.json" not in tar.getnames():
            return
        for image in json.loads(_read(tar, "manifest.json")):
            config = _read(tar, image["Config"])
            config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
            # Layers are not compressed in this format: what identifies a layer's content identifies the file too.
            layers = json.loads(config)["rootfs"]["diff_ids"]
            files = dict(zip([config_digest, *layers], [image["Config"], *image["Layers"]], strict=True))
            blobs = {digest: _place(tar, name) for digest, name in files.items()}
            manifest = {
                "schemaVersion": 2,
                "mediaType": registry.MANIFEST_TYPE,
                "config": {"mediaType": _CONFIG_TYPE, "digest": config_digest, "size": len(config)},
                "layers": [{"mediaType": _LAYER_TYPE, "digest": d, "size": blobs[d][1]} for d in layers],
            }
            yield image["RepoTags"] or [], manifest, blobs


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    return content.read() if content else b""


def _place(tar: tarfile.TarFile, name: str) -> tuple[int, int]:
    member = tar.getmember(name)
    if member.issym():
        # Docker stores a layer that several images share once.
        member = tar.getmember(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
    return member.offset_data, member.size
