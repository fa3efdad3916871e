"""Images that were loaded into a cluster can be pulled there, under their own names and those given to them."""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from localkube.images.oci import ImageConfig, ImageSpec, pack_layer, write_docker_archive
from localkube.machine.console import Failed
from localkube.machine.layout import Layout
from localkube.nodes import published, registry


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout("x", tmp_path / "state", tmp_path / "run")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image of two equal layers, as builds without changes make them."""
    return written(tmp_path, "example/ray:2", "content")


def written(directory: Path, name: str, content: str) -> Path:
    tree = directory / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "file").write_text(content)
    layer = pack_layer(tree, directory / f"{content}.layer")
    path = directory / f"{content}.tar"
    write_docker_archive(path, [ImageSpec((name,), ImageConfig(), (layer, layer))])
    return path


@pytest.fixture
def url(layout: Layout) -> Iterator[str]:
    with registry.server(0, layout.state / "registry") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v2"
        server.shutdown()
        thread.join()


def get(url: str, method: str = "GET") -> tuple[bytes, str | None]:
    """The body, and the digest that the server says it has."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
        return answer.read(), answer.headers["Docker-Content-Digest"]


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_pull_leads_from_the_name_to_the_very_bytes_of_configuration_and_layers(
    layout: Layout, archive: Path, url: str
) -> None:
    """Every digest on the way is that of what is answered: a node takes nothing else."""
    published.publish(layout, archive)
    assert get(f"{url}/") == (b"", None)
    content, digest = get(f"{url}/example/ray/manifests/2?ns=docker.io")
    assert digest == sha256(content)
    assert get(f"{url}/example/ray/manifests/2?ns=docker.io", "HEAD") == (b"", digest)
    assert get(f"{url}/example/ray/manifests/{digest}")[0] == content
    manifest: dict[str, Any] = json.loads(content)
    blobs = [manifest["config"], *manifest["layers"]]
    assert len(blobs) == 3
    for blob in blobs:
        body, _ = get(f"{url}/example/ray/blobs/{blob['digest']}")
        assert (sha256(body), len(body)) == (blob["digest"], blob["size"])
    config, _ = get(f"{url}/example/ray/blobs/{manifest['config']['digest']}")
    assert json.loads(config)["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_an_image_has_the_names_it_was_given(layout: Layout, archive: Path, url: str) -> None:
    """As Kubernetes completes them; the same tag at another registry is another name."""
    published.publish(layout, archive, ["example/ray", "registry.example.com:5000/ray:nightly"])
    _, digest = get(f"{url}/example/ray/manifests/2?ns=docker.io")
    assert get(f"{url}/example/ray/manifests/latest?ns=docker.io")[1] == digest
    assert get(f"{url}/ray/manifests/nightly?ns=registry.example.com:5000")[1] == digest
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{url}/ray/manifests/nightly?ns=docker.io")


def test_a_name_means_what_was_loaded_last(layout: Layout, archive: Path, tmp_path: Path, url: str) -> None:
    other = written(tmp_path, "example/ray:2", "other")
    digests = []
    for loaded in (archive, other, archive):
        published.publish(layout, loaded)
        digests.append(get(f"{url}/example/ray/manifests/2")[1])
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize(
    "path", ["example/ray/manifests/3", "example/ray/blobs/sha256:" + "0" * 64, "example/ray/blobs/..", "else"]
)
def test_what_is_not_there_is_not_found(layout: Layout, archive: Path, url: str, path: str) -> None:
    """So that containerd goes on to the registry that the name says."""
    published.publish(layout, archive)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{url}/{path}")


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("ray-operator:0.1.0", "docker.io/library/ray-operator:0.1.0"),
        ("rayproject/ray", "docker.io/rayproject/ray:latest"),
        ("localhost/ray:1", "localhost/ray:1"),
        ("registry.example.com:5000/a/b", "registry.example.com:5000/a/b:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
    ],
)
def test_names_are_completed_as_kubernetes_does(given: str, full: str) -> None:
    assert published.full_name(given) == full


def test_several_images_cannot_share_another_name(layout: Layout, tmp_path: Path) -> None:
    layer = pack_layer(tmp_path, tmp_path.with_suffix(".layer"))
    images = [ImageSpec((f"example/{name}:1",), ImageConfig(), (layer,)) for name in "ab"]
    write_docker_archive(tmp_path / "both.tar", images)
    published.publish(layout, tmp_path / "both.tar")
    with pytest.raises(Failed, match="exactly one image"):
        published.publish(layout, tmp_path / "both.tar", ["example/c"])
