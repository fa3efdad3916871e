"""What an author of RayClusters in one namespace cannot do, tried by one who has the rights of docs/security.md.

Against a real API server, and an operator that has its own rights and no others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from autoscaler.model import Demand, Shape
from tests.fakes.gcs import FakeGcs
from tests.support.apiserver import MERGE
from tests.support.kube import eventually
from tests.support.manifests import pod_type
from tests.support.namespace import Namespace
from tests.support.tenants import ACCOUNT, Tenants

# What they share is made once.
pytestmark = pytest.mark.xdist_group("tenancy")

OTHER = "other"
STATUS = {"status": {"phase": "Running", "readyWorkers": 99}}


@pytest.fixture(scope="module")
def tenants(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    made = Tenants(environment, tmp_path_factory.mktemp("tenants"))
    made.start()
    made.make(made.cluster(OTHER), made.server, made.theirs)
    made.up(made.theirs, OTHER)
    yield made
    made.stop()


def worker_config(cluster: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = pod_type(cluster, "worker-node")["podConfig"]
    return config


def head_config(cluster: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = pod_type(cluster, "head-node")["podConfig"]
    return config


def uids(space: Namespace) -> set[str]:
    """The Ray pods of a namespace."""
    return {p["metadata"]["uid"] for p in space.pods()}


def gcs_of(space: Namespace, pod: dict[str, Any]) -> FakeGcs:
    """What runs in a head's pod."""
    return next(gcs for gcs in space.heads() if pod["metadata"]["name"] in gcs.nodes)


def told(space: Namespace) -> list[dict[str, Any]]:
    """The operator's Events in a namespace."""
    return [e for e in space.all("events") if e.get("source", {}).get("component") == "ray-operator"]


TRIED = [
    ("POST", "pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}),
    ("POST", "services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}}),
    ("POST", "persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": {}}),
    ("POST", "events", {"metadata": {"name": "e"}, "involvedObject": {"kind": "RayCluster", "name": OTHER}}),
    ("POST", "serviceaccounts/default/token", {"spec": {}}),
    ("GET", "secrets", None),
    ("GET", "configmaps", None),
    ("GET", "persistentvolumeclaims", None),
]


@pytest.mark.parametrize(("method", "path", "body"), TRIED, ids=lambda part: part if isinstance(part, str) else "")
def test_the_role_gives_nothing_but_rayclusters_and_a_look(
    tenants: Tenants, method: str, path: str, body: object
) -> None:
    answer = tenants.refused(method, f"/api/v1/namespaces/{tenants.mine.name}/{path}", body)
    assert answer.code == 403, answer.body


@pytest.mark.parametrize("resource", ["rayclusters", "pods", "services", "events"])
def test_nothing_of_another_namespace_is_seen_or_made(tenants: Tenants, resource: str) -> None:
    there = tenants.theirs.path(resource)
    everywhere = there.replace(f"/namespaces/{tenants.theirs.name}", "")
    assert [tenants.refused("GET", path).code for path in (there, everywhere)] == [403, 403]
    assert tenants.refused("POST", tenants.theirs.path("rayclusters"), tenants.cluster("mine")).code == 403


def test_a_podconfig_puts_its_pods_into_no_other_namespace_and_under_no_other_owner(tenants: Tenants) -> None:
    there = tenants.theirs.get("rayclusters", OTHER)
    owner = {"apiVersion": there["apiVersion"], "kind": "RayCluster", "name": OTHER, "uid": there["metadata"]["uid"]}
    cluster, before = tenants.cluster("elsewhere"), uids(tenants.theirs)
    for config in (head_config(cluster), worker_config(cluster)):
        config["metadata"] |= {
            "name": tenants.theirs.pods("head")[0]["metadata"]["name"],
            "namespace": tenants.theirs.name,
            "uid": there["metadata"]["uid"],
            "ownerReferences": [{**owner, "controller": True}],
            "labels": {"ray-cluster-name": OTHER, "ray-node-type": "head", "team": "mine"},
        }
    made = tenants.make(cluster)
    for pod in tenants.up(tenants.mine, "elsewhere"):
        metadata = pod["metadata"]
        assert [o["uid"] for o in metadata["ownerReferences"]] == [made["metadata"]["uid"]]
        assert metadata["labels"]["team"] == "mine"
        assert metadata["labels"]["ray-cluster-name"] == "elsewhere"
    assert uids(tenants.theirs) == before


def test_marks_of_the_operator_in_a_podconfig_neither_loop_nor_join_another_clusters_service(tenants: Tenants) -> None:
    cluster = tenants.cluster("marked")
    marks = {"drain-by": "1", "head-uid": "x", "head-recovery": "x", "worker": "x", "component": "elsewhere-ray-head"}
    named = {f"cluster.ray.io/{name}": value for name, value in marks.items()}
    worker_config(cluster)["metadata"] |= {"labels": named, "annotations": named}
    tenants.make(cluster)
    pods = tenants.up(tenants.mine, "marked")
    assert "cluster.ray.io/component" not in pods[1]["metadata"]["labels"]
    said = eventually(lambda: [e for e in told(tenants.mine) if e["involvedObject"]["name"] == "marked"])
    assert {"SpecNote", "CreatedPods"} <= {e["reason"] for e in said}
    assert not [e for e in said if e["reason"] == "DeletedPods"]
    assert {p["metadata"]["uid"] for p in pods} <= uids(tenants.mine)


def test_the_operators_account_is_of_no_use_in_another_namespace(tenants: Tenants) -> None:
    """The API server refuses accounts that the pod's own namespace does not have, and mounts no token unasked."""
    cluster = tenants.cluster("impostor")
    head_config(cluster)["spec"] |= {"serviceAccountName": ACCOUNT, "automountServiceAccountToken": True}
    tenants.make(cluster)
    found = eventually(lambda: tenants.mine.condition("impostor", "SpecValid"))
    assert (found["status"], found["reason"]) == ("False", "PodRejected")
    assert f'serviceaccount "{ACCOUNT}" not found' in found["message"]
    for pod in tenants.theirs.pods():
        assert not [v for v in pod["spec"].get("volumes", []) if "projected" in v]


def test_heads_are_shown_the_credentials_of_their_own_namespace_alone(tenants: Tenants) -> None:
    tenants.make(tenants.cluster("credited", 0))
    head = tenants.up(tenants.mine, "credited", 0)[0]
    ours, theirs = gcs_of(tenants.mine, head), tenants.theirs.heads()[0]
    eventually(lambda: ours.metadata and theirs.metadata)
    shown = [gcs.metadata.get("authorization") for gcs in (ours, theirs)]
    assert shown == [f"Bearer token-of-{space.name}" for space in (tenants.mine, tenants.theirs)]


def test_a_head_at_the_address_of_another_clusters_head_learns_and_changes_nothing(tenants: Tenants) -> None:
    """As with a pod on its node's network, or a kubelet's lie."""
    tenants.make(tenants.cluster("listening", 0, maxWorkers=5))
    head = tenants.up(tenants.mine, "listening", 0)[0]
    victim = tenants.theirs.heads()[0]
    worker = tenants.up(tenants.theirs, OTHER)[1]
    victim.demands = (Demand(Shape.of({"secret-of-theirs": 1}), 3),)
    reported = victim.reported.SerializeToString()
    address = tenants.theirs.pods("head")[0]["status"]["podIP"]
    try:
        tenants.mine.end_pod(head["metadata"]["name"], {"podIP": address, "podIPs": [{"ip": address}]})
        eventually(lambda: "answers at the head's address" in tenants.operator.log())
        eventually(lambda: tenants.mine.condition("listening", "AutoscalerActive").get("status") != "True")
        seen = json.dumps([tenants.mine.get("rayclusters", "listening")["status"], tenants.mine.all("events")])
        assert "secret-of-theirs" not in seen
        assert not tenants.mine.all("pods", "ray-cluster-name=listening,ray-node-type=worker")
        eventually(lambda: "secret-of-theirs" in json.dumps(tenants.theirs.get("rayclusters", OTHER)["status"]))
        assert victim.drained == [] and victim.reported.SerializeToString() != reported
        assert worker["metadata"]["uid"] in uids(tenants.theirs)
    finally:
        victim.demands = ()


def test_a_status_is_the_operators_to_write(tenants: Tenants) -> None:
    made = tenants.make({**tenants.cluster("told", 0), **STATUS})
    assert "status" not in made
    tenants.up(tenants.mine, "told", 0)
    path = tenants.mine.path("rayclusters", "told")
    assert tenants.refused("PATCH", f"{path}/status", STATUS, MERGE).code == 403
    tenants.author.ask("PATCH", path, STATUS, MERGE)
    assert tenants.mine.get("rayclusters", "told")["status"]["readyWorkers"] == 0


def test_each_event_is_about_the_operators_own_cluster_in_its_own_namespace(tenants: Tenants) -> None:
    for space in (tenants.mine, tenants.theirs):
        for event in eventually(lambda space=space: told(space)):  # type: ignore[misc]
            about = event["involvedObject"]
            assert (about["kind"], about["namespace"]) == ("RayCluster", space.name)
            assert about["uid"] in tenants.made[space.name]


def test_names_that_others_have_are_not_taken(tenants: Tenants) -> None:
    """Neither a Service nor a claim of a person's: what the author makes and deletes leaves both as they were."""
    name, mine = "taken-ray-head", tenants.mine
    service = {"metadata": {"name": name}, "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    before = tenants.server.ask("POST", mine.path("services"), service)
    tenants.server.ask("POST", mine.path("persistentvolumeclaims"), {"metadata": {"name": name}, "spec": claim})
    tenants.make(tenants.cluster("taken", 0, headRecovery={"storage": {"size": "1Gi"}}))
    eventually(lambda: f"the Service {name} exists and is not this cluster's" in json.dumps(mine.all("events")))
    eventually(lambda: "found" in json.dumps(mine.get("persistentvolumeclaims", name)["metadata"].get("annotations")))
    tenants.author.ask("DELETE", mine.path("rayclusters", "taken"))
    eventually(lambda: not mine.all("pods", "ray-cluster-name=taken"))
    after = mine.get("services", name)
    assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])
    assert "ownerReferences" not in mine.get("persistentvolumeclaims", name)["metadata"]


def test_claims_and_secrets_of_the_namespace_are_the_authors_to_mount_and_not_to_read(tenants: Tenants) -> None:
    """As with any pod. The head's own way to them is no other."""
    secret = {"name": "theirs", "key": "password"}
    recovery = {"redis": {"address": "redis:6379", "passwordSecret": secret}}
    tenants.make(tenants.cluster("mounts", 0, headRecovery=recovery))
    head = eventually(lambda: tenants.mine.all("pods", "ray-cluster-name=mounts"))[0]
    env = head["spec"]["containers"][0]["env"]
    assert secret in [v["valueFrom"]["secretKeyRef"] for v in env if "secretKeyRef" in v.get("valueFrom", {})]
    tenants.make(tenants.cluster("mounts-a-claim", 0, headRecovery={"storage": {"claimName": "another-ray-head"}}))
    head = eventually(lambda: tenants.mine.all("pods", "ray-cluster-name=mounts-a-claim"))[0]
    assert "another-ray-head" in json.dumps(head["spec"]["volumes"])
    assert tenants.refused("GET", f"/api/v1/namespaces/{tenants.mine.name}/secrets/theirs").code == 403


def test_the_job_that_cleans_up_runs_as_the_head_does(tenants: Tenants) -> None:
    """No account but the head's, no token unless the head has one, in the cluster's own namespace, for a while."""
    tenants.make(tenants.cluster("leaving", 0, headRecovery={"redis": {"address": "redis:6379"}}))
    (job,) = eventually(lambda: tenants.mine.all("jobs", "ray-cluster-name=leaving"))
    pod = job["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod.get("serviceAccountName")) == (False, None)
    assert job["spec"]["suspend"] and job["spec"]["activeDeadlineSeconds"] <= 900
    assert "hostNetwork" not in pod and "hostPID" not in pod


def test_a_quota_bounds_what_one_namespace_may_have(tenants: Tenants) -> None:
    quota = {"hard": {"count/rayclusters.cluster.ray.io": "0"}}
    path = tenants.mine.path("resourcequotas")
    tenants.server.ask("POST", path, {"metadata": {"name": "few"}, "spec": quota})
    try:
        eventually(lambda: tenants.server.ask("GET", f"{path}/few").get("status", {}).get("hard"))
        answer = tenants.refused("POST", tenants.mine.path("rayclusters"), tenants.cluster("many"))
        # It refuses from the start, with another message until the quota controller has counted.
        assert answer.code == 403 and b"quota: few" in answer.body
    finally:
        tenants.server.ask("DELETE", f"{path}/few")


def test_idleness_deletes_the_cluster_that_asks_for_it_and_no_other_of_its_name(tenants: Tenants) -> None:
    before = tenants.theirs.get("rayclusters", OTHER)["metadata"]["uid"]
    tenants.make(tenants.cluster(OTHER, 0, idleTermination={"minutes": 0.1, "action": "Delete"}))
    eventually(lambda: OTHER not in [c["metadata"]["name"] for c in tenants.mine.all("rayclusters")])
    assert tenants.theirs.get("rayclusters", OTHER)["metadata"]["uid"] == before


ROLE: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "rules": [{"apiGroups": ["*"], "verbs": ["*"]}],
}
NOT_MADE: list[tuple[dict[str, Any], str]] = [
    ({**ROLE, "metadata": {"name": "$(GANG_NAME)"}}, "is Kubernetes' own and more than a gang may have"),
    ({"apiVersion": "v1", "kind": "Secret", "data": {}}, "'v1' is not a group and a version"),
    ({"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "PodGroup"}, "adds podgroups.scheduling.volcano.sh to"),
]


@pytest.mark.parametrize(("template", "words"), NOT_MADE, ids=[template["kind"] for template, _ in NOT_MADE])
def test_no_object_is_made_for_a_gang_that_an_administrator_has_not_listed(
    tenants: Tenants, template: dict[str, Any], words: str
) -> None:
    name = f"wants-a-{template['kind'].lower()}"
    tenants.make(tenants.cluster(name, gang={"objects": [template]}))
    found = eventually(lambda: tenants.mine.condition(name, "SpecValid"))
    assert found["status"] == "False" and words in found["message"]
    assert not tenants.mine.all("pods", f"ray-cluster-name={name}")


def test_an_objects_owner_and_namespace_are_not_the_authors_to_say(tenants: Tenants) -> None:
    """The API server itself leaves them out of the RayCluster."""
    metadata = {"namespace": tenants.theirs.name, "ownerReferences": [], "finalizers": ["a.b/c"], "labels": {"a": "b"}}
    template = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "PodGroup", "metadata": metadata}
    made = tenants.make(tenants.cluster("owned", 0, gang={"objects": [template]}))
    assert made["spec"]["gang"]["objects"][0]["metadata"] == {"labels": {"a": "b"}}


@pytest.mark.parametrize("replicas", [-1, 100_001])
def test_scale_has_the_bounds_of_the_spec(tenants: Tenants, replicas: int) -> None:
    name = f"scaled-{abs(replicas)}"
    tenants.make(tenants.cluster(name, 0))
    path = tenants.mine.path("rayclusters", name)
    answer = tenants.refused("PATCH", f"{path}/scale", {"spec": {"replicas": replicas}}, MERGE)
    assert answer.code == 422, answer.body


def test_markup_in_a_spec_is_text_on_the_status_page_and_a_type_more_is_no_series_without_end(tenants: Tenants) -> None:
    cluster = tenants.cluster("loud")
    worker_config(cluster)["spec"]["containers"][0]["name"] = "<script>alert(1)</script>"
    tenants.make(cluster)
    found = eventually(lambda: tenants.mine.condition("loud", "SpecValid"))
    assert "<script>" in found["message"]
    page = eventually(lambda: page if "loud" in (page := tenants.get("/")) else "")
    assert "<script" not in page
    assert "<script" not in tenants.get("/metrics")


def test_the_other_namespaces_cluster_has_not_noticed(tenants: Tenants) -> None:
    """After all that: the same pods, by the same process."""
    assert tenants.operator.running()
    tenants.up(tenants.theirs, OTHER)
    assert not [e for e in told(tenants.theirs) if e["type"] == "Warning"]
