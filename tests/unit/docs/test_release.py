"""What a release is made of: stamped files, archives of equal bytes, notes, bill of materials, images."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from releasing import oci_layout
from releasing.archives import checksums, folder, repacked, tgz
from releasing.bom import bill
from releasing.stamp import Release, ReleaseError, notes, stamp

ROOT = Path(__file__).resolve().parents[3]
RELEASE = Release("1.2.3-rc.1", "registry.example.com/ray-operator", "https://git.example.com/it")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What is stamped of a checkout."""
    for name in ("setup.cfg", "Containerfile"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "charts", tmp_path / "charts")
    return tmp_path


def test_every_file_gets_the_version_and_the_places(tree: Path) -> None:
    stamp(tree, RELEASE)
    chart = yaml.safe_load((tree / "charts/ray/Chart.yaml").read_text())
    values = yaml.safe_load((tree / "charts/ray/values.yaml").read_text())
    assert (chart["version"], chart["appVersion"], chart["home"]) == ("1.2.3-rc.1", "1.2.3-rc.1", RELEASE.source)
    assert RELEASE.source in chart["sources"]
    assert [m.get("url") for m in chart["maintainers"]] == [RELEASE.source]
    path = chart["icon"].removeprefix(f"{RELEASE.source}/raw/v1.2.3-rc.1/")
    assert (ROOT / path).read_text().startswith("<svg")
    assert values["operatorImageRepository"] == RELEASE.image
    assert values["monitoring"]["runbookUrl"] == f"{RELEASE.source}/blob/v1.2.3-rc.1/docs/observability.md"
    assert "\nversion = 1.2.3rc1\n" in (tree / "setup.cfg").read_text()
    assert 'image.version="1.2.3rc1"' in (tree / "Containerfile").read_text()
    assert f'"{RELEASE.image}"' in (tree / "charts/ray/README.md").read_text()


@pytest.mark.parametrize("version", ["v1.2.3", "1.2", "1.2.3-beta", ""])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(ReleaseError, match=r"write for example 1\.2\.3"):
        Release(version, "image", "")


def test_a_file_that_cannot_be_stamped_is_named(tree: Path) -> None:
    (tree / "setup.cfg").write_text("[metadata]\n")
    with pytest.raises(ReleaseError, match=r"setup\.cfg has 0 places"):
        stamp(tree, RELEASE)


def test_archives_do_not_depend_on_the_moment_or_the_order(tmp_path: Path) -> None:
    """Nor on the archive that they are made of again."""
    files = {"a/x": (b"1", 0o755), "a/b": (b"2", 0o600)}
    made = tgz(files, 1_000_000_000)
    assert made == tgz(dict(reversed(files.items())), 1_000_000_000)
    other = tmp_path / "other.tar.gz"
    with tarfile.open(other, "w:gz") as archive:
        for name, (content, mode) in files.items():
            (tmp_path / "file").write_bytes(content)
            info = archive.gettarinfo(str(tmp_path / "file"), name)
            info.mode, info.mtime = mode, int(time.time())
            with (tmp_path / "file").open("rb") as source:
                archive.addfile(info, source)
    assert repacked(other, 1_000_000_000) == made
    (tmp_path / "made.tgz").write_bytes(made)
    with tarfile.open(tmp_path / "made.tgz") as archive:
        assert [(m.name, m.mode, m.uid) for m in archive] == [("a/b", 0o644, 0), ("a/x", 0o755, 0)]


def test_a_chart_is_packed_without_what_its_helmignore_names() -> None:
    ignored = (ROOT / "charts/ray/.helmignore").read_text().split()
    names = folder(ROOT / "charts/ray", "ray", [*ignored, "NOTES.*", "tests/"])
    assert {"ray/Chart.yaml", "ray/values.schema.json", "ray/crds/raycluster.yaml"} <= names.keys()
    assert not [name for name in names if "NOTES" in name or "/tests/" in name]


def test_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert checksums(tmp_path) == f"{hashlib.sha256(b'x').hexdigest()}  a\n"


def test_notes_are_of_the_version_or_of_what_is_unreleased() -> None:
    changelog = "# Changelog\n\n## [Unreleased]\n\nnew\n\n## [1.0.0] - 2026-01-01\n\nold\n\n## [0.9.0]\n\n"
    assert (notes(changelog, "1.0.0"), notes(changelog, "2.0.0")) == ("old\n", "new\n")
    with pytest.raises(ReleaseError, match=r"says nothing about 0\.9\.0: add a heading"):
        notes(changelog, "0.9.0")
    assert notes((ROOT / "CHANGELOG.md").read_text(), "9.9.9")


def test_the_bill_of_materials_has_all_that_the_operator_requires() -> None:
    """What its requirements require too, and Debian's packages."""
    text = bill("x", "1", ["kubernetes>=33"], ["libc6_2.36-9+deb12u9_arm64.deb", "tzdata_1%3a2_all.deb"], 1_000_000_000)
    document = json.loads(text)
    assert text == bill("x", "1", ["kubernetes"], ["libc6_2.36-9+deb12u9_arm64.deb", "tzdata_1%3a2_all.deb"], 10**9)
    names = {c["name"] for c in document["components"]}
    assert {"kubernetes", "urllib3", "libc6", "tzdata"} <= names and "pytest" not in names
    assert "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=arm64" in {c["purl"] for c in document["components"]}
    assert document["metadata"]["timestamp"] == "2001-09-09T01:46:40Z"


def test_an_archive_has_an_image_for_each_architecture(tmp_path: Path) -> None:
    """Every digest is that of a file in it, from the index down."""
    images = []
    for architecture in ("amd64", "arm64"):
        layer = tmp_path / architecture
        layer.write_bytes(architecture.encode())
        digest = hashlib.sha256(layer.read_bytes()).hexdigest()
        images.append(oci_layout.Built(architecture, b"{}", layer, digest, layer.stat().st_size))
    for name in ("one.tar", "two.tar"):
        oci_layout.write(tmp_path / name, "registry.example.com/it:1", images, 1_000_000_000)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    found: dict[str, bytes] = {}
    with tarfile.open(tmp_path / "one.tar") as archive:
        for member in archive:
            content = archive.extractfile(member)
            found[member.name] = content.read() if content else b""

    def blob(descriptor: dict[str, Any]) -> bytes:
        content = found[f"blobs/{descriptor['digest'].replace(':', '/')}"]
        assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:")
        assert len(content) == descriptor["size"]
        return content

    (index,) = json.loads(found["index.json"])["manifests"]
    manifests = json.loads(blob(index))["manifests"]
    assert [m["platform"]["architecture"] for m in manifests] == ["amd64", "arm64"]
    for manifest, layer_content in zip(manifests, (b"amd64", b"arm64"), strict=True):
        inner = json.loads(blob(manifest))
        assert [blob(part) for part in (inner["config"], *inner["layers"])] == [b"{}", layer_content]
