"""Two clusters of one name in two namespaces under one operator, and one of them grows by actors and shrinks again.

As the legacy operator's users did it with thirty pods; here with as many real ones as a small machine holds. The full
counts are in tests/integration/test_legacy_counts.py. The tests run in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.support.kube import Kube, eventually
from tests.support.manifests import (
    CRDS,
    LEGACY,
    OPERATOR_IMAGE,
    Object,
    legacy_example,
    objects,
    with_image,
    with_workers,
)
from tests.support.real import forwarded, namespaces, operator, program, ready

pytestmark = pytest.mark.ordered
NAME = "example-cluster"
CLIENT_PORT = 10002
WORKERS, ACTORS = 4, 5

ACTORS_AT_WORK = """
@ray.remote(num_cpus=1)
class Node:
    def name(self, number):
        import platform
        return number, platform.node()

sys.stdin.readline()
actors = [Node.remote() for _ in range(int(sys.argv[2]))]
told = ray.get([actor.name.remote(number) for number, actor in enumerate(actors)])
print("answer", [number for number, _ in told] == list(range(len(actors))), len({node for _, node in told}), flush=True)
sys.stdin.readline()
"""


def cluster(workers: int) -> Object:
    """The legacy example with room for a hundred workers, and its client port exposed as another one."""
    changed = with_workers(legacy_example(), "worker-node", workers)
    changed["spec"] |= {"maxWorkers": 100, "idleTimeoutMinutes": 0.1}
    changed["spec"]["podTypes"][1]["maxWorkers"] = 100
    changed["spec"]["headServicePorts"] = [{"name": "client", "port": CLIENT_PORT, "targetPort": 10001}]
    return changed


@pytest.fixture(scope="module")
def places(environment: Mapping[str, str]) -> Iterator[tuple[Kube, Kube]]:
    """Two namespaces, and the operator for all of them in the default one."""
    default = Kube(environment)
    default.run("apply", "-f", CRDS)
    manifest = [with_image(o, OPERATOR_IMAGE) for o in objects(LEGACY / "operator_cluster_scoped.yaml")]
    with operator(default, manifest), namespaces(default, "legacy-scaling", "legacy-scaling-2") as (first, second):
        yield first, second


def pods(kube: Kube) -> int:
    """How many pods there are."""
    return len(kube.list("pods"))


def test_clusters_of_one_name_in_two_namespaces_have_pods_of_their_own(places: tuple[Kube, Kube]) -> None:
    first, second = places
    first.apply(cluster(WORKERS))
    second.apply(cluster(1))
    ready(first, NAME)
    ready(second, NAME)
    assert (pods(first), pods(second)) == (1 + WORKERS, 2)


def test_without_a_minimum_the_head_stays_alone_and_the_other_cluster_as_it_is(places: tuple[Kube, Kube]) -> None:
    first, second = places
    first.apply(cluster(0))
    eventually(lambda: pods(first) == 1, within=120)
    assert pods(second) == 2
    second.run("delete", "raycluster", NAME)


def test_actors_bring_pods_and_take_them_along(places: tuple[Kube, Kube]) -> None:
    """Each actor needs a node's CPU, and the head's counts: as many pods as actors, and in the end the head alone."""
    first, _ = places
    with forwarded(first, f"{NAME}-ray-head", CLIENT_PORT) as port:
        with program(ACTORS_AT_WORK, port, str(ACTORS)) as actors:
            assert actors.ask() == f"True {ACTORS}"
            assert pods(first) == ACTORS
        eventually(lambda: pods(first) == 1, within=120)
