"""Writes images of several architectures as one OCI archive, which skopeo, podman, docker and ctr read.

Format: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Built:
    """An image of one architecture: its configuration, and its one layer, gzipped, with its SHA-256 and size."""

    architecture: str
    config: bytes
    layer: Path
    digest: str
    size: int


def write(path: Path, name: str, images: Sequence[Built], epoch: int) -> None:
    """Write the archive. ``name``: the image's full name with its tag. ``epoch``: the time of all files."""
    small: dict[str, bytes] = {}
    manifests = [_manifest(image, small) for image in images]
    index = _stored({"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}, _INDEX, small)
    index["annotations"] = {
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        "io.containerd.image.name": name,
    }
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    files["index.json"] = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [index]})
    files |= {f"blobs/sha256/{digest}": content for digest, content in small.items()}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in sorted(files.items()):
            archive.addfile(_info(member, len(content), epoch), io.BytesIO(content))
        for image in sorted(images, key=lambda i: i.digest):
            with image.layer.open("rb") as layer:
                archive.addfile(_info(f"blobs/sha256/{image.digest}", image.size, epoch), layer)


def _manifest(image: Built, small: dict[str, bytes]) -> dict[str, Any]:
    layer = {"mediaType": _LAYER, "digest": f"sha256:{image.digest}", "size": image.size}
    config = _stored(image.config, _CONFIG, small)
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [layer]}
    platform = {"architecture": image.architecture, "os": "linux"}
    return {**_stored(manifest, _MANIFEST, small), "platform": platform}


def _stored(content: bytes | Mapping[str, Any], kind: str, small: dict[str, bytes]) -> dict[str, Any]:
    """The descriptor of a blob, which ``small`` learns."""
    data = content if isinstance(content, bytes) else _json(content)
    digest = hashlib.sha256(data).hexdigest()
    small[digest] = data
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _info(name: str, size: int, epoch: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, epoch, 0o644
    return info
