"""The files of a release: made twice, and installed on a Kubernetes that has only what a registry gives it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import environment as cluster_environment
import pytest
from unpacked import CannotUnpackError, libraries, unpacked

from tests.support.kube import Kube, eventually
from tests.support.prerequisites import ROOT, cannot_run, local_kubernetes

# At port 5000 the nodes of a local Kubernetes have a registry already, of the images that were loaded.
VERSION, NAME, PORT = "9.8.7", "foreign", 5500
# What the nodes call the registry: plain HTTP is for this name alone.
IMAGE = f"localhost:{PORT}/ray-operator"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The files of one release, made twice."""
    tools = cluster_environment.captured(cluster_environment.LOCAL, "binaries", "--for", "tools").strip()
    variables = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    folders = tmp_path_factory.mktemp("first") / "files", tmp_path_factory.mktemp("second") / "files"
    for folder in folders:
        command = [sys.executable, str(ROOT / "scripts/release"), VERSION, "--image", IMAGE, "--output", str(folder)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folders


def test_they_are_equal_byte_for_byte(made: tuple[Path, Path]) -> None:
    first, second = ({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in f.iterdir()} for f in made)
    assert first == second
    listed = {line.split()[1]: line.split()[0] for line in (made[0] / "SHA256SUMS").read_text().splitlines()}
    assert listed == {name: digest for name, digest in first.items() if name != "SHA256SUMS"}


def test_the_image_is_for_both_architectures(made: tuple[Path, Path]) -> None:
    printed = skopeo("inspect", "--raw", f"oci-archive:{archive(made)}")
    assert {m["platform"]["architecture"] for m in json.loads(printed)["manifests"]} == {"amd64", "arm64"}


def answers(url: str) -> bool:
    """Whether something serves there."""
    try:
        return bool(urllib.request.urlopen(url, timeout=5).status == 200)
    except OSError:
        return False


def archive(made: tuple[Path, Path]) -> Path:
    """The image."""
    return made[0] / f"ray-operator-{VERSION}.oci.tar"


def debian(package: str, program: str) -> tuple[str, dict[str, str]]:
    """A program of Debian, and the environment that it needs."""
    try:
        place = unpacked(package, with_dependencies=True)
    except CannotUnpackError as error:
        cannot_run(str(error))
    return str(place / "usr/bin" / program), {**os.environ, "LD_LIBRARY_PATH": libraries(place)}


def skopeo(*arguments: str) -> str:
    """What skopeo prints."""
    program, variables = debian("skopeo", "skopeo")
    command = [program, "--insecure-policy", *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def foreign() -> Iterator[Mapping[str, str]]:
    """A Kubernetes that has the Ray image, and no image of the operator."""
    local_kubernetes("up", "--name", NAME, "--nodes", "2")
    try:
        image = cluster_environment.captured(cluster_environment.BUILD_IMAGE, "ray").strip()
        local_kubernetes("load-image", "--name", NAME, image)
        yield cluster_environment.local(NAME)
    except cluster_environment.PrerequisiteError as error:
        cannot_run(str(error))
    finally:
        local_kubernetes("down", "--name", NAME)


@pytest.fixture(scope="module")
def registry(foreign: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry beside the nodes. Yields its address as seen from this machine."""
    program, variables = debian("docker-registry", "docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    storage = {"filesystem": {"rootdirectory": str(folder / "images")}}
    (folder / "config.yml").write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": f":{PORT}"}}))
    # The nodes of a local Kubernetes share one network, which its first process holds.
    first = json.loads(Path("/var/lib/local-kubernetes", NAME, "pids/init.json").read_text())["process"]["pid"]
    command = ["nsenter", "--target", str(first), "--net", program, "serve", str(folder / "config.yml")]
    view = ("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    host = urlsplit(Kube(foreign).run(*view)).hostname
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        eventually(lambda: answers(f"http://{host}:{PORT}/v2/"), within=60)
        yield f"{host}:{PORT}"
    finally:
        process.terminate()
        process.wait(30)
        print((folder / "log").read_text()[-3000:])


def test_three_commands_end_in_a_running_cluster(
    made: tuple[Path, Path], foreign: Mapping[str, str], registry: str
) -> None:
    """Push the image, install the chart, wait: the commands of the README, with the names that the release gave."""
    target = f"docker://{registry}/ray-operator:{VERSION}"
    copy = ["copy", "--all", "--dest-tls-verify=false", f"oci-archive:{archive(made)}", target]
    skopeo(*copy)
    kube = Kube(foreign, "ray")
    chart = made[0] / f"ray-{VERSION}.tgz"
    install = ["helm", "-n", "ray", "install", "example-cluster", "--create-namespace", str(chart)]
    done = subprocess.run(install, env=dict(foreign), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is in no registry" not in done.stdout
    kube.run("wait", "--for=condition=Ready", "raycluster/example-cluster", "--timeout=300s")
    (operator,) = Kube(foreign, "default").list("pods", "cluster.ray.io/component=operator")
    assert operator["spec"]["containers"][0]["image"] == f"{IMAGE}:{VERSION}"
    tested = subprocess.run(
        ["helm", "-n", "ray", "test", "example-cluster", "--logs", "--timeout=5m"],
        env=dict(foreign),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Success!" in tested.stdout, tested.stdout + tested.stderr
