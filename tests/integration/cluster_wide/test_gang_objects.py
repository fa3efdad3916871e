"""Objects of gangs against a real API server that has PodGroups as scheduler-plugins has them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.account import as_service_account
from tests.support.apiserver import ApiServer
from tests.support.chart import one, render
from tests.support.groups import wait_for_groups
from tests.support.kube import Kube, eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess

NAME = "example-cluster"
LABEL, RESOURCE = "scheduling.x-k8s.io/pod-group", "podgroups.scheduling.x-k8s.io"
VERSION = "scheduling.x-k8s.io/v1alpha1"
LISTED = ("--gang-objects", RESOURCE)
GANG = {
    "labels": {LABEL: "$(GANG_NAME)"},
    "podSpec": {"schedulerName": "scheduler-plugins-scheduler"},
    "objects": [{"apiVersion": VERSION, "kind": "PodGroup", "spec": {"minMember": "$(GANG_SIZE)"}}],
}
NUMBER = {"type": "integer", "format": "int32", "minimum": 1}
SPEC = {
    "type": "object",
    "required": ["minMember"],
    "properties": {"minMember": NUMBER, "scheduleTimeoutSeconds": NUMBER},
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": RESOURCE},
    "spec": {
        "group": "scheduling.x-k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "PodGroup", "plural": "podgroups", "singular": "podgroup"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC}}},
            }
        ],
    },
}


@pytest.fixture(scope="module")
def definition(environment: Mapping[str, str]) -> None:
    """The kind is there."""
    kube = Kube(environment)
    kube.apply(DEFINITION)
    kube.run("wait", "--for=condition=Established", f"crd/{RESOURCE}", "--timeout=30s")


@pytest.fixture
def space(environment: Mapping[str, str], definition: None) -> Iterator[Namespace]:
    """A namespace whose heads run as soon as they are there; its workers wait."""
    made = Namespace(ApiServer(environment["KUBECONFIG"]), f"gangs-{uuid4().hex[:8]}")
    made.create()
    made.kubelet(heads_only=True)
    yield made
    made.stop()
    made.server.ask("DELETE", f"/api/v1/namespaces/{made.name}")


@pytest.fixture
def operator_of(environment: Mapping[str, str], space: Namespace) -> Iterator[OperatorProcess]:
    """The operator of the namespace, not started."""
    process = OperatorProcess(environment, space.name)
    yield process
    process.stop()
    process.close()


def cluster(example: dict[str, Any], **gang: Any) -> dict[str, Any]:
    """The example, without workers of its own, whose gangs have PodGroups."""
    example["spec"] |= {"maxWorkers": 20, "gang": {**GANG, **gang}}
    example["spec"]["podTypes"][1] |= {"minWorkers": 0, "maxWorkers": 20, "rayResources": {"CPU": 1}}
    return example


def groups(space: Namespace) -> dict[str, int]:
    """Name -> minMember."""
    items = space.server.ask("GET", f"/apis/{VERSION}/namespaces/{space.name}/podgroups")["items"]
    return {item["metadata"]["name"]: item["spec"]["minMember"] for item in items}


def members(space: Namespace) -> Counter[str]:
    """How many workers name which PodGroup."""
    return Counter(pod["metadata"]["labels"].get(LABEL) for pod in space.pods("worker"))


def complete(space: Namespace) -> bool:
    """Two PodGroups of four, and four pods for each."""
    found = groups(space)
    return sorted(found.values()) == [4, 4] and members(space) == Counter(found)


def quota(space: Namespace, pods: int) -> None:
    """So many pods are allowed from now on."""
    hard = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": str(pods)}}}
    space.server.ask("POST", space.path("resourcequotas"), hard)
    eventually(lambda: space.get("resourcequotas", "few").get("status", {}).get("hard"))


def told(space: Namespace) -> str:
    return json.dumps([space.get("rayclusters", NAME).get("status"), space.all("events")])


def test_two_placement_groups_have_two_objects_until_their_pods_are_gone(
    space: Namespace, operator_of: OperatorProcess, example: dict[str, Any]
) -> None:
    operator_of.start(None, *LISTED)
    made = space.make(cluster(example))
    wait_for_groups(space)
    eventually(lambda: complete(space))
    assert {pod["spec"]["schedulerName"] for pod in space.pods("worker")} == {"scheduler-plugins-scheduler"}
    (item, _) = space.server.ask("GET", f"/apis/{VERSION}/namespaces/{space.name}/podgroups")["items"]
    assert [o["uid"] for o in item["metadata"]["ownerReferences"]] == [made["metadata"]["uid"]]
    space.edit(NAME, ("maxWorkers", 0), ("podTypes/1/maxWorkers", 0))
    eventually(lambda: not groups(space))
    assert not space.pods("worker") and "GangObjectsFailed" not in told(space)


def test_an_operator_that_is_killed_between_object_and_pods_leaves_nothing_wrong(
    space: Namespace, operator_of: OperatorProcess, example: dict[str, Any]
) -> None:
    operator_of.start(None, *LISTED)
    space.make(cluster(example))
    eventually(space.heads)
    quota(space, 1)
    wait_for_groups(space)
    before = eventually(lambda: found if len(found := groups(space)) == 2 else {})
    operator_of.kill()
    assert not space.pods("worker")
    space.server.ask("DELETE", space.path("resourcequotas", "few"))
    operator_of.start(None, *LISTED)
    eventually(lambda: complete(space))
    assert groups(space) == before


def test_the_objects_go_with_their_cluster(
    space: Namespace, operator_of: OperatorProcess, example: dict[str, Any]
) -> None:
    """By the garbage collector, which learns of new kinds every half minute."""
    operator_of.start(None, *LISTED)
    space.make(cluster(example))
    wait_for_groups(space)
    eventually(lambda: complete(space))
    operator_of.kill()
    space.delete("rayclusters", NAME)
    eventually(lambda: not groups(space), within=120)


def test_a_kind_that_is_not_listed_is_refused_by_name(
    space: Namespace, operator_of: OperatorProcess, example: dict[str, Any]
) -> None:
    operator_of.start()
    space.make(cluster(example))
    found = eventually(lambda: space.condition(NAME, "SpecValid"))
    assert found["status"] == "False"
    assert f"spec.gang.objects[0].kind: 'PodGroup' of {VERSION} is not among" in found["message"]
    assert f"an administrator adds {RESOURCE} to --gang-objects" in found["message"]
    assert not space.pods() and not groups(space)


def test_what_the_kind_does_not_take_is_told_with_the_servers_words(
    space: Namespace, operator_of: OperatorProcess, example: dict[str, Any]
) -> None:
    operator_of.start(None, *LISTED)
    template = {"apiVersion": VERSION, "kind": "PodGroup", "spec": {"minMember": "many"}}
    space.make(cluster(example, objects=[template]))
    wait_for_groups(space)
    eventually(lambda: "a gang's PodGroup cannot be made: " in told(space))
    assert "minMember" in told(space) and "; correct spec.gang.objects" in told(space)
    assert not space.pods("worker")


def grant(space: Namespace, environment: Mapping[str, str], *values: str) -> None:
    """The account "op" of the namespace gets the chart's role."""
    objects = render(environment, space.name, "namespacedOperator=true", "operatorOnly=true", *values)
    group = "rbac.authorization.k8s.io"
    common = {"apiVersion": f"{group}/v1", "metadata": {"name": "op", "namespace": space.name}}
    subject = {"kind": "ServiceAccount", "name": "op", "namespace": space.name}
    reference = {"apiGroup": group, "kind": "Role", "name": "op"}
    Kube(environment, space.name).apply(
        {**common, "kind": "Role", "rules": one(objects, "Role", "ray-operator-role")["rules"]},
        {**common, "kind": "RoleBinding", "subjects": [subject], "roleRef": reference},
    )


def test_without_the_right_the_status_says_so_and_with_the_charts_role_it_works(
    space: Namespace, environment: Mapping[str, str], example: dict[str, Any], tmp_path: Path
) -> None:
    kube = Kube(environment, space.name)
    kube.run("create", "serviceaccount", "op")
    grant(space, environment)
    process = OperatorProcess(as_service_account(kube, "op", tmp_path), space.name)
    process.start(None, *LISTED)
    try:
        space.make(cluster(example))
        wait_for_groups(space)
        (block,) = eventually(lambda: space.get("rayclusters", NAME).get("status", {}).get("blockedTypes"))
        assert (block["name"], block["reason"]) == ("worker-node", "Forbidden")
        assert "a gang's PodGroup cannot be made: " in block["message"]
        assert f"let the operator create, get, list and delete {RESOURCE}" in block["message"]
        assert not space.pods("worker") and space.pods("head")
        grant(space, environment, f"gangObjects={{{RESOURCE}}}")
        eventually(lambda: complete(space), within=90)
        space.edit(NAME, ("maxWorkers", 0), ("podTypes/1/maxWorkers", 0))
        eventually(lambda: not groups(space), within=90)
    finally:
        process.stop()
        process.close()
