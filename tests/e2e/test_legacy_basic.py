"""Two legacy clusters beside each other under the legacy operator's manifest: what its users could rely on.

The manifests are those of Ray 1.13 with the image changed and less CPU asked for. The operator runs with the legacy
role and settings; only its image is another, since no image of Ray holds this operator. The tests run in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from tests.support.kube import Kube, KubectlError, eventually
from tests.support.manifests import (
    CRDS,
    LEGACY,
    MANIFESTS,
    OPERATOR_IMAGE,
    RAY_IMAGE,
    Object,
    legacy_example,
    objects,
    with_image,
    with_workers,
)
from tests.support.real import forwarded, head, namespaces, on_head, operator, program, ready

pytestmark = pytest.mark.ordered
NAMESPACE = "legacy-basic"
FIRST, SECOND = "example-cluster", "example-cluster2"
HEAD_PORT = 6380

ACTOR = """
@ray.remote
class Counter:
    def __init__(self):
        self.count = 0
    def add(self):
        self.count += 1
        return self.count

counter = Counter.remote()
for line in sys.stdin:
    print("answer", ray.get(counter.add.remote()), flush=True)
"""


def first() -> Object:
    """The first cluster, its head on another port: both start commands say so."""
    cluster = legacy_example()
    for field in ("headStartRayCommands", "workerStartRayCommands"):
        cluster["spec"][field] = [c.replace("6379", str(HEAD_PORT)) for c in cluster["spec"][field]]
    return cluster


def second() -> Object:
    """The second cluster: another name, one worker."""
    cluster = with_workers(legacy_example(), "worker-node", 1)
    cluster["metadata"]["name"] = SECOND
    return cluster


@pytest.fixture(scope="module")
def kube(environment: Mapping[str, str]) -> Iterator[Kube]:
    """A namespace with the CRD in place and the operator in it."""
    default = Kube(environment)
    default.run("apply", "-f", CRDS)
    manifest = [with_image(o, OPERATOR_IMAGE) for o in objects(LEGACY / "operator_namespaced.yaml")]
    with namespaces(default, NAMESPACE) as (kube,), operator(kube, manifest):
        yield kube


def counts(kube: Kube) -> tuple[int, int]:
    """Pods and Services."""
    return len(kube.list("pods")), len(kube.list("services"))


def test_two_clusters_are_six_pods_and_two_services(kube: Kube) -> None:
    """Operator, head and two workers, head and one worker; each Ray pod runs the image it was given."""
    kube.apply(first(), second())
    ready(kube, FIRST, SECOND)
    assert counts(kube) == (6, 2)
    images = {p["spec"]["containers"][0]["image"] for p in kube.list("pods", "ray-cluster-name")}
    assert images == {RAY_IMAGE}


def test_log_lines_about_a_cluster_start_with_its_name_and_namespace(kube: Kube) -> None:
    """And tell of its head and its workers."""
    log = kube.run("logs", "deployment/ray-operator", "--tail=100")
    told = "\n".join(re.findall(rf"^.*{FIRST},{NAMESPACE}:.*$", log, flags=re.M))
    assert "head-node" in told and "worker-node" in told
    assert f"{SECOND},{NAMESPACE}:" in log


def test_a_ray_program_does_not_notice_that_the_operator_restarts(kube: Kube) -> None:
    """An actor keeps its state and its connection while the operator's pod is replaced; so do all Ray pods."""
    before = {p["metadata"]["uid"] for p in kube.list("pods", "ray-cluster-name")}
    with forwarded(kube, f"{FIRST}-ray-head", 10001) as port, program(ACTOR, port) as actor:
        assert actor.ask() == "1"
        kube.run("delete", "pod", "-l", "cluster.ray.io/component=operator")
        kube.run("rollout", "status", "deployment/ray-operator", "--timeout=360s")
        eventually(lambda: counts(kube) == (6, 2))
        assert actor.ask() == "2"
    assert {p["metadata"]["uid"] for p in kube.list("pods", "ray-cluster-name")} == before


def test_a_deleted_head_comes_back_with_its_workers(kube: Kube) -> None:
    """Running again with as many pods, another head, a restart counted; Ray answers on the new head."""
    old = head(kube, FIRST)["metadata"]
    kube.run("delete", "pod", old["name"])
    eventually(lambda: head(kube, FIRST)["metadata"]["uid"] != old["uid"])
    recovered(kube, restarts=1)


def test_ray_stopped_on_the_head_is_started_again(kube: Kube) -> None:
    """Ray's end is the container's end: the cluster is restarted, and the second cluster is not."""
    old = head(kube, FIRST)["metadata"]["uid"]
    # The container that the command runs in ends under it.
    with pytest.raises(KubectlError):
        on_head(kube, FIRST, "bash", "-c", "ray stop; sleep 60")
    eventually(lambda: head(kube, FIRST)["metadata"]["uid"] != old)
    recovered(kube, restarts=2)
    assert kube.get("raycluster", SECOND)["status"]["autoscalerRetries"] == 0


def recovered(kube: Kube, restarts: int) -> None:
    """The first cluster is well after so many restarts."""
    ready(kube, FIRST)
    status = kube.get("raycluster", FIRST)["status"]
    assert (status["phase"], status["autoscalerRetries"]) == ("Running", restarts)
    eventually(lambda: counts(kube) == (6, 2))
    assert "node" in on_head(kube, FIRST, "ray", "status")


def test_deleting_a_cluster_leaves_the_other(kube: Kube) -> None:
    """Its pods and its Service go with it."""
    kube.run("delete", "raycluster", SECOND)
    eventually(lambda: counts(kube) == (4, 1))


def test_a_job_in_the_cluster_succeeds(kube: Kube) -> None:
    """The example program, from a pod beside the cluster."""
    kube.run("create", "-f", str(MANIFESTS / "job-example.yaml"))
    kube.run("wait", "--for=condition=complete", "job/ray-test-job", "--timeout=360s")
    assert "success" in kube.run("logs", "job/ray-test-job").lower()
    kube.run("delete", "-f", str(MANIFESTS / "job-example.yaml"))
    eventually(lambda: kube.list("pods", "batch.kubernetes.io/job-name") == [])


def test_more_workers_come_by_apply(kube: Kube) -> None:
    """minWorkers 3: operator, head, three workers; none of those that ran is replaced."""
    before = {p["metadata"]["uid"] for p in kube.list("pods")}
    kube.apply(with_workers(first(), "worker-node", 3))
    ready(kube, FIRST)
    assert counts(kube) == (5, 1)
    assert before <= {p["metadata"]["uid"] for p in kube.list("pods")}


def test_the_last_cluster_leaves_the_operator_alone_and_both_can_come_back(kube: Kube) -> None:
    """Deleted, re-created with four and two pods, deleted again."""
    kube.run("delete", "raycluster", FIRST)
    eventually(lambda: counts(kube) == (1, 0))
    kube.apply(with_workers(first(), "worker-node", 3), second())
    ready(kube, FIRST, SECOND)
    assert counts(kube) == (7, 2)
    kube.run("delete", "raycluster", FIRST, SECOND)
    eventually(lambda: counts(kube) == (1, 0))
