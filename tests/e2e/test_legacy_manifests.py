"""Manifests as old as Ray 1.3, applied unchanged: RayClusters, charts' output, clusters without an operator.

Their pods ask for rayproject/ray:latest and :nightly, by which the cluster knows today's Ray here. Only of operators
the image is changed, since no image of Ray holds this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import environment as cluster_environment
import pytest

from tests.support.kube import Kube, eventually
from tests.support.manifests import CRDS, LEGACY, OPERATOR_IMAGE, objects, with_image
from tests.support.prerequisites import cannot_run, local_kubernetes
from tests.support.real import message, namespaces, operator, ready

IMAGES = ("rayproject/ray:latest", "rayproject/ray:nightly")
NAMES = [option for image in IMAGES for option in ("--as", image)]
# Per operator the RayClusters of its time, and whether their heads have memory enough for today's Ray.
GENERATIONS = [
    ("operator-1.3", ("example_cluster-1.3", "example_cluster2-1.3"), False),
    ("operator_namespaced", ("example_cluster-1.5", "chart-1.5"), False),
    ("operator_cluster_scoped", ("example_cluster-1.13", "chart-1.13"), True),
]
# Of the static cluster of Ray 1.5: where today's Ray has its workers' ports.
PORTS = {"12345": "22345", "12346": "22346"}


@pytest.fixture(scope="module")
def kube(environment: Mapping[str, str], local_name: str) -> Iterator[Kube]:
    """The namespace ray, with the CRD in place, and Ray under its legacy names."""
    if not local_name:
        cannot_run("only a local cluster can be given images under the names that legacy manifests use")
    archive = cluster_environment.captured(cluster_environment.BUILD_IMAGE, "ray").strip()
    local_kubernetes("load-image", "--name", local_name, *NAMES, archive)
    default = Kube(environment)
    default.run("apply", "-f", CRDS)
    with namespaces(default, "ray") as (kube,):
        yield kube


@pytest.mark.parametrize(("manifest", "clusters", "enough"), GENERATIONS, ids=[name for name, *_ in GENERATIONS])
def test_the_rayclusters_of_a_generation_run(
    kube: Kube, manifest: str, clusters: tuple[str, ...], enough: bool
) -> None:
    """Three pods each. A head of 512Mi cannot run today's Ray: the status says so and what to do, and that helps."""
    made = [with_image(o, OPERATOR_IMAGE) for o in objects(LEGACY / f"{manifest}.yaml")]
    place = made[0]["metadata"].get("namespace", kube.namespace)
    with operator(Kube(kube.environment, place), made):
        for cluster in clusters:
            path = LEGACY / f"{cluster}.yaml"
            kube.run("apply", "-f", str(path))
            ((name, workers),) = ((o["metadata"]["name"], least(o)) for o in objects(path))
            if not enough:
                eventually(lambda name=name: "its memory limit is 512Mi" in message(kube, name))  # type: ignore[misc]
                more_memory(kube, name)
            ready(kube, name)
            assert len(kube.list("pods", f"ray-cluster-name={name}")) == 1 + workers
            kube.run("delete", "-f", str(path))
            eventually(lambda: kube.list("pods", "ray-cluster-name") == [])


def least(cluster: dict[str, object]) -> int:
    """How many workers the RayCluster always has."""
    spec: dict[str, list[dict[str, int]]] = cluster["spec"]  # type: ignore[assignment]
    return sum(t.get("minWorkers", 0) for t in spec["podTypes"])


def more_memory(kube: Kube, name: str) -> None:
    """What the status advises."""
    resources = "/spec/podTypes/0/podConfig/spec/containers/0/resources"
    patch = [{"op": "replace", "path": f"{resources}/{part}/memory", "value": "1Gi"} for part in ("requests", "limits")]
    kube.run("patch", "raycluster", name, "--type=json", "-p", json.dumps(patch))


@pytest.mark.parametrize("version", ["1.5", "1.13"])
def test_a_static_cluster_runs_grows_and_recovers(kube: Kube, version: str, tmp_path: Path) -> None:
    """A head and three workers; a fourth by apply; a lost head is a new one, to which the same workers come back."""
    text = (LEGACY / f"static_cluster-{version}.yaml").read_text()
    for old, new in PORTS.items():
        text = text.replace(f"port={old}", f"port={new}")
    path = tmp_path / "static.yaml"
    path.write_text(text)
    kube.run("apply", "-f", str(path))
    eventually(lambda: ray_nodes(kube) == 4, within=120)

    path.write_text(text.replace("replicas: 3", "replicas: 4"))
    kube.run("apply", "-f", str(path))
    eventually(lambda: ray_nodes(kube) == 5)

    (head,) = kube.list("pods", "component=ray-head")
    kube.run("delete", "pod", head["metadata"]["name"])
    eventually(lambda: ray_nodes(kube) == 5, within=180)
    restarts = [p["status"]["containerStatuses"][0]["restartCount"] for p in kube.list("pods", "component=ray-worker")]
    assert all(restarts) and len(restarts) == 4
    kube.run("delete", "-f", str(path))
    eventually(lambda: kube.list("pods") == [])


def ray_nodes(kube: Kube) -> int:
    """How many nodes the head counts as alive."""
    program = "import ray; ray.init('auto'); print('nodes', sum(n['Alive'] for n in ray.nodes()))"
    printed = kube.run("exec", "deploy/ray-head", "--", "python", "-c", program)
    return int(printed.split("nodes ")[-1])
