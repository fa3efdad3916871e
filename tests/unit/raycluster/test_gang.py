"""spec.gang: what it may say, and what comes of it on a pod."""

from __future__ import annotations

from typing import Any

import pytest

from controller.objects.gang import PodGang, build_gang_object
from controller.objects.pod import build_pod
from controller.objects.views import PodView
from controller.raycluster.gang import Filling, parse_gang, plural_of
from controller.raycluster.gang_resources import unlisted, wrong_resource
from controller.raycluster.model import parse_spec
from controller.raycluster.validation import problems
from tests.support.builders import cluster, raw_spec

KUEUE = {
    "labels": {"kueue.x-k8s.io/pod-group-name": "$(GANG_NAME)"},
    "annotations": {"kueue.x-k8s.io/pod-group-total-count": "$(GANG_SIZE)"},
}
YUNIKORN = {"annotations": {"yunikorn.apache.org/task-groups": '[{"name": "$(GANG_NAME)", "minMember": $(GANG_SIZE)}]'}}
VOLCANO = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "PodGroup", "spec": {"minMember": "$(GANG_SIZE)"}}
NAMED = {**VOLCANO, "metadata": {"name": "x-$(GANG_NAME)", "labels": {"a": "$(CLUSTER_NAME)"}, "annotations": None}}
IN_TREE = {"podSpec": {"schedulingGroup": {"podGroupName": "$(GANG_NAME)"}, "schedulerName": "s", "priority": None}}
GOOD: list[Any] = [
    {"objects": [VOLCANO, NAMED]},
    {"objects": [{**VOLCANO, "apiVersion": "scheduling.k8s.io/v1alpha2", "metadata": None}], **IN_TREE},
    {"objects": None, "podSpec": None},
    {"objects": [], "podSpec": {}},
    None,
    {},
    KUEUE,
    YUNIKORN,
    {"labels": {"a/b": "x-$(CLUSTER_NAME)"}, "annotations": None},
    {"labels": {}},
]
OWN, RBAC = "cluster.ray.io/gang", ("rbac.authorization.k8s.io/v1",)


def of_object(path: str, words: str, *version: str, **fields: Any) -> tuple[dict[str, Any], str, str]:
    """An object that is fine but for some fields."""
    changed = {**VOLCANO, **fields, **({"apiVersion": version[0]} if version else {})}
    return {"objects": [changed]}, f"spec.gang.objects[0].{path}", words


BAD = [
    (
        {"labels": {"a": "$(NAME)"}},
        "spec.gang.labels.a",
        "$(NAME) is not a placeholder; use $(GANG_NAME), $(GANG_SIZE)",
    ),
    ({"annotations": {"a": "$(gang_name)"}}, "spec.gang.annotations.a", "$(gang_name) is not a placeholder"),
    ({"labels": {"a b": "x"}}, "spec.gang.labels.a b", "cannot be the name of a label"),
    ({"labels": {"a": "has a blank"}}, "spec.gang.labels.a", "cannot be a label's value"),
    ({"labels": {"a": "of-$(GANG_NAME)"}}, "spec.gang.labels.a", "names have up to 63 characters"),
    ({"labels": {"ray-node-type": "head"}}, "spec.gang.labels.ray-node-type", "is the operator's own"),
    ({"annotations": {"cluster.ray.io/gang": "x"}}, "spec.gang.annotations.cluster.ray.io/gang", "the operator's own"),
    ({"labels": {"a": 3}}, "spec.gang.labels.a", "put it in quotes"),
    ({"podSpec": {"a": {"b": ["$(X)"]}}}, "spec.gang.podSpec.a.b[0]", "$(X) is not a placeholder"),
    ({"podSpec": {"containers": []}}, "spec.gang.podSpec.containers", "write it into the podConfig"),
    ({"podSpec": {"volumes": [{"name": "x"}]}}, "spec.gang.podSpec.volumes", "cannot differ between pods of a type"),
    of_object("apiVersion", "'v1' is not a group and a version", apiVersion="v1"),
    of_object("apiVersion", "null is not a group and a version", apiVersion=None),
    of_object("kind", "'podgroup' is not the name of a kind", kind="podgroup"),
    of_object("kind", "'clusterroles.rbac.authorization.k8s.io' is Kubernetes' own", *RBAC, kind="ClusterRole"),
    of_object("kind", "'deployments.apps' is Kubernetes' own", apiVersion="apps/v1", kind="Deployment"),
    of_object("kind", "'rayclusters.cluster.ray.io' is Ray's own", apiVersion="cluster.ray.io/v1", kind="RayCluster"),
    of_object("metadata.ownerReferences", "is set by the operator", metadata={"ownerReferences": []}),
    of_object("metadata.namespace", "is set by the operator", metadata={"namespace": "other"}),
    of_object("metadata.name", "would be the name for several gangs; write $(GANG_NAME)", metadata={"name": "x"}),
    of_object("metadata.name", "cannot be the name of an object", metadata={"name": "X$(GANG_NAME)"}),
    of_object("metadata.name", "cannot be the name of an object", metadata={"name": "$(GANG_NAME)" + "x" * 191}),
    of_object("metadata.labels.cluster.ray.io/gang", "the operator's own", metadata={"labels": {OWN: "x"}}),
    of_object(
        "metadata.annotations.ray-node-type", "the operator's own", metadata={"annotations": {"ray-node-type": ""}}
    ),
    of_object("spec.a[0]", "$(SIZE) is not a placeholder", spec={"a": ["$(SIZE)"]}),
    ({"objects": [VOLCANO, VOLCANO]}, "spec.gang.objects[1].metadata.name", "give each its own"),
    ({"objects": [{**VOLCANO, "kind": f"A{n}"} for n in range(5)]}, "spec.gang.objects", "at most 4 go with a gang"),
]


@pytest.mark.parametrize("gang", GOOD)
def test_good_templates(gang: Any) -> None:
    assert problems("example", raw_spec(gang=gang)) == ()


@pytest.mark.parametrize(("gang", "path", "words"), BAD)
def test_bad_ones_are_named(gang: Any, path: str, words: str) -> None:
    (found,) = problems("example", raw_spec(gang=gang))
    assert found.path == path
    assert words in found.message


SHAPES: list[Any] = [
    "x",
    3,
    [],
    {"labels": "x"},
    {"labels": ["x"]},
    {"annotations": 3},
    {"podSpec": "x"},
    {"podSpec": [1]},
]
SHAPES += [{"objects": "x"}, {"objects": 3}, {"objects": {"a": "b"}}, {"objects": ["x"]}, {"objects": [None]}]
SHAPES += [{"objects": [{**VOLCANO, "metadata": "x"}]}, {"objects": [{**VOLCANO, "metadata": {"labels": "x"}}]}]
SHAPES += [{"objects": [{**VOLCANO, "metadata": {"name": ["x"]}}]}, {"objects": [{**VOLCANO, "kind": ["x"]}]}]


@pytest.mark.parametrize("gang", SHAPES)
def test_another_shape_is_a_problem_too(gang: Any) -> None:
    assert problems("example", raw_spec(gang=gang)) or not gang


def test_placeholders_are_filled_in() -> None:
    template = {"a": "$(CLUSTER_NAME)/$(GANG_NAME): $(GANG_SIZE) of $(GANG_SIZE), $$"}
    assert Filling("g", 4, "c").texts(template) == {"a": "c/g: 4 of 4, $$"}


def test_a_string_that_is_the_size_is_a_number_where_kubernetes_takes_one() -> None:
    size = "$(GANG_SIZE)"
    template = {"n": size, "of": [size, f"{size}x", 7, None, True], "nodeSelector": {"a": size}, "labels": {"b": size}}
    filled = Filling("g", 4, "c").value(template)
    assert filled == {"n": 4, "of": [4, "4x", 7, None, True], "nodeSelector": {"a": "4"}, "labels": {"b": "4"}}


PLURALS = [("PodGroup", "podgroups"), ("Workload", "workloads"), ("Policy", "policies"), ("Gateway", "gateways")]
PLURALS += [("Class", "classes"), ("Batch", "batches"), ("Box", "boxes")]


@pytest.mark.parametrize(("kind", "plural"), PLURALS)
def test_a_kinds_plural_is_the_one_that_generators_choose(kind: str, plural: str) -> None:
    assert plural_of(kind) == plural


LISTABLE = ["podgroups.scheduling.volcano.sh", "podgroups.scheduling.x-k8s.io", "podgroups.scheduling.sigs.k8s.io"]
LISTABLE += ["podgroups.scheduling.k8s.io", "workloads.scheduling.k8s.io", "workloads.kueue.x-k8s.io"]


@pytest.mark.parametrize("resource", LISTABLE)
def test_what_schedulers_know_gangs_by_can_be_listed(resource: str) -> None:
    assert wrong_resource(resource) == ""


NOT_LISTABLE = ["", "pods", "secrets", "pods.", ".x", "*.scheduling.volcano.sh", "podgroups.*", "podgroups/status.a.b"]
NOT_LISTABLE += ["deployments.apps", "jobs.batch", "roles.rbac.authorization.k8s.io", "leases.coordination.k8s.io"]
NOT_LISTABLE += ["priorityclasses.scheduling.k8s.io", "rayclusters.cluster.ray.io", "rayjobs.ray.io", "PodGroups.a.b"]
NOT_LISTABLE += ["networkpolicies.networking.k8s.io", "customresourcedefinitions.apiextensions.k8s.io"]


@pytest.mark.parametrize("resource", NOT_LISTABLE)
def test_what_could_give_an_author_more_rights_cannot(resource: str) -> None:
    assert wrong_resource(resource)


def test_a_kind_that_is_not_listed_is_named_with_the_flag() -> None:
    found = next(unlisted({"objects": [VOLCANO, NAMED]}, ["podgroups.scheduling.x-k8s.io"]))
    assert found.path == "spec.gang.objects[0].kind"
    assert "'PodGroup' of scheduling.volcano.sh/v1beta1" in found.message
    assert "adds podgroups.scheduling.volcano.sh to --gang-objects (chart: gangObjects)" in found.message
    assert not list(unlisted({"objects": [VOLCANO]}, ["podgroups.scheduling.volcano.sh"]))
    assert not list(unlisted({"labels": {}}, [])) and not list(unlisted(None, []))


def test_a_pod_of_a_gang_carries_its_name_and_its_size() -> None:
    raw = raw_spec(gang=KUEUE)
    raw["podTypes"][1]["podConfig"]["metadata"]["labels"] = {"kueue.x-k8s.io/pod-group-name": "mine", "other": "x"}
    spec = parse_spec(raw)
    pod = build_pod(cluster(), spec, spec.worker_types[0], "w", gang=PodGang("example-1a2b3c4d", 4))
    assert pod["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] == "example-1a2b3c4d"
    assert pod["metadata"]["labels"]["other"] == "x"
    assert pod["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "4"
    pod["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    assert PodGang.read(PodView.from_object(pod).gang) == ("example-1a2b3c4d", 4)


def test_a_pod_of_none_is_as_it_would_be_without_the_field() -> None:
    of = cluster()
    with_it, without = parse_spec(raw_spec(gang=KUEUE)), parse_spec(raw_spec())
    made = [build_pod(of, spec, spec.worker_types[0], "w") for spec in (with_it, without)]
    assert made[0] == made[1]


def test_fields_are_merged_into_the_spec_of_its_pods_alone() -> None:
    gang = {
        "podSpec": {**IN_TREE["podSpec"], "securityContext": {"fsGroup": "$(GANG_SIZE)"}, "tolerations": [{"key": "b"}]}
    }
    raw = raw_spec(gang=gang)
    raw["podTypes"][1]["podConfig"]["spec"] |= {
        "schedulerName": "mine",
        "securityContext": {"runAsUser": 1},
        "tolerations": [{"key": "a"}],
    }
    spec = parse_spec(raw)
    pods = [
        build_pod(cluster(), spec, spec.worker_types[0], "w", gang=of)["spec"] for of in (PodGang("example-1", 4), None)
    ]
    assert pods[0]["schedulerName"] == "s" and pods[1]["schedulerName"] == "mine"
    assert pods[0]["schedulingGroup"] == {"podGroupName": "example-1"} and "schedulingGroup" not in pods[1]
    assert pods[0]["securityContext"] == {"runAsUser": 1, "fsGroup": 4} and "priority" not in pods[0]
    assert pods[0]["tolerations"] == [{"key": "b"}]
    assert pods[0]["containers"] == pods[1]["containers"]


def test_an_object_is_the_clusters_and_says_whose_it_is() -> None:
    template = parse_gang({"objects": [{**NAMED, "spec": {"minMember": "$(GANG_SIZE)", "queue": "q", "none": None}}]})
    assert template
    made = build_gang_object(cluster(), template.objects[0], PodGang("example-1", 4))
    assert (made["apiVersion"], made["kind"]) == ("scheduling.volcano.sh/v1beta1", "PodGroup")
    assert made["spec"] == {"minMember": 4, "queue": "q"}
    metadata = made["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("x-example-1", "ray")
    assert metadata["labels"] == {"a": "example", "ray-cluster-name": "example"}
    assert metadata["annotations"] == {"cluster.ray.io/gang": "example-1/4"}
    assert metadata["ownerReferences"][0]["uid"] == cluster().uid


@pytest.mark.parametrize("text", ["", "a", "a/", "/4", "a/x", "a/-1", "a/1234567", "4"])
def test_a_note_that_makes_no_sense_is_none(text: str) -> None:
    assert PodGang.read(text) is None
