"""What the chart's pod types can have beyond CPU and memory, and what of it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.cli.manifests import cluster_of
from controller.cli.render import objects_of
from tests.support.chart import one, pod_spec, render
from tests.support.kube import Kube


def worker(environment: Mapping[str, str], **values: Any) -> dict[str, Any]:
    """The spec of a worker with these values."""
    return pod_spec(render(environment, "ray", values={"podTypes": {"rayWorkerType": values}}), "rayWorkerType")


SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
FULL: dict[str, Any] = {
    "runtimeClassName": "gvisor",
    "shmSize": "2Gi",
    "topologySpreadConstraints": [SPREAD],
    "initContainers": [{"name": "fetch", "image": "busybox"}],
    "sidecars": [{"name": "logs", "image": "fluent-bit"}],
    "container": {
        "lifecycle": {"preStop": {"exec": {"command": ["sync"]}}},
        "ports": [{"name": "mine", "containerPort": 9000}],
        "startupProbe": {"tcpSocket": {"port": 9000}},
    },
    "podSpec": {"hostNetwork": True, "terminationGracePeriodSeconds": 120, "nodeSelector": {"disk": "fast"}},
}


def test_fields_of_pods(environment: Mapping[str, str]) -> None:
    """Each where a pod has it; Ray's container stays the first one."""
    found = worker(environment, **FULL)
    assert (found["runtimeClassName"], found["topologySpreadConstraints"]) == ("gvisor", [SPREAD])
    assert found["volumes"] == [{"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}]
    assert [c["name"] for c in found["initContainers"]] == ["fetch"]
    assert [c["name"] for c in found["containers"]] == ["ray-node", "logs"]
    assert FULL["podSpec"].items() <= found.items()


def test_pass_through_changes_nothing_else(environment: Mapping[str, str]) -> None:
    """And wins over the pod type's other values, with false and 0 too."""
    values = {"serviceAccountName": "reader", "memory": "1073741824", "env": [{"name": "A", "value": "12345678"}]}
    before = worker(environment, **values)
    after = worker(environment, **values, podSpec={"automountServiceAccountToken": False, "priority": 0})
    assert after == {**before, "automountServiceAccountToken": False, "priority": 0}


def test_the_api_token_beside_a_service_account(environment: Mapping[str, str]) -> None:
    """On by default with an account of its own, off without one, and as said."""
    for values, mounted in (
        ({}, None),
        ({"serviceAccountName": "a"}, True),
        ({"serviceAccountName": "a", "automountServiceAccountToken": False}, False),
        ({"automountServiceAccountToken": True}, True),
    ):
        assert worker(environment, **values).get("automountServiceAccountToken") is mounted


def test_names_that_look_like_numbers_stay_texts(environment: Mapping[str, str]) -> None:
    """Digits as names of a pod type, a priority class and a service account."""
    kind = {"maxWorkers": 1, "CPU": 1, "memory": "1Gi", "priorityClassName": "100", "serviceAccountName": "0x1F"}
    values = {"headPodType": "123", "podTypes": {"123": {**kind, "runtimeClassName": "7"}, "rayHeadType": None}}
    objects = render(
        environment, "456", values={**values, "operatorPriorityClassName": "100", "operatorNamespace": "789"}
    )
    cluster = one(objects, "RayCluster")
    assert (cluster["spec"]["headPodType"], cluster["metadata"]["namespace"]) == ("123", "456")
    spec = pod_spec(objects, "123")
    assert (spec["priorityClassName"], spec["serviceAccountName"], spec["runtimeClassName"]) == ("100", "0x1F", "7")
    deployment = one(objects, "Deployment")
    assert deployment["metadata"]["namespace"] == "789"
    assert deployment["spec"]["template"]["spec"]["priorityClassName"] == "100"


def test_pods_with_all_of_it_are_pods_that_kubernetes_takes(kube: Kube) -> None:
    """The operator's pods of such a type, at a real API server."""
    kube.run(
        "apply",
        "-f",
        "-",
        stdin="{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: gvisor}, handler: runsc}",
    )
    values = {"podTypes": {"rayWorkerType": {**FULL, "podSpec": {"terminationGracePeriodSeconds": 120}}}}
    cluster = one(render(kube.environment, kube.namespace, "clusterOnly=true", values=values), "RayCluster")
    kube.apply(cluster)
    pods = [o for o in objects_of(cluster_of(cluster)) if o["kind"] == "Pod"]
    assert len(pods) == 3
    for number, pod in enumerate(pods):
        # Their names are generated, and the owner is not there.
        metadata = {k: v for k, v in pod["metadata"].items() if k in ("labels", "annotations")}
        kube.apply({**pod, "metadata": {**metadata, "name": f"pod-{number}", "namespace": kube.namespace}})


@pytest.mark.parametrize("field", ["containers", "volumes", "initContainers"])
def test_what_would_replace_the_charts_own_is_refused(environment: Mapping[str, str], field: str) -> None:
    with pytest.raises(AssertionError, match=f"podTypes.rayWorkerType.podSpec.{field} would replace .*; use "):
        worker(environment, podSpec={field: []})


def test_rays_own_container_takes_any_other_field_of_a_container(environment: Mapping[str, str]) -> None:
    """Each field as given; nothing else of the container or of the pod is another one for it."""
    hook = {"preStop": {"exec": {"command": ["sync"]}}}
    values = {"serviceAccountName": "reader", "memory": "1073741824", "env": [{"name": "A", "value": "12345678"}]}
    before = worker(environment, **values)
    after = worker(environment, **values, container={"lifecycle": hook, "tty": False, "stdin": True})
    (plain,), (mine,) = before.pop("containers"), after.pop("containers")
    assert after == before
    assert mine == {**plain, "lifecycle": hook, "tty": False, "stdin": True}


def test_ports_are_added_to_those_of_ray(environment: Mapping[str, str]) -> None:
    """One of the same number and protocol takes the place of the chart's."""
    more = [
        {"containerPort": 9000, "name": "mine"},
        {"containerPort": 8000, "name": "serve"},
        {"containerPort": 8265, "protocol": "UDP"},
    ]
    (container,) = worker(environment, container={"ports": more}, podSpec={"hostNetwork": True})["containers"]
    usual = [{"containerPort": port} for port in (6379, 10001, 8265)]
    assert container["ports"] == [*usual, {"name": "metrics", "containerPort": 8080}, *more]


@pytest.mark.parametrize(
    "field",
    ["name", "image", "imagePullPolicy", "env", "envFrom", "volumeMounts", "resources", "securityContext"],
)
def test_fields_of_the_container_that_have_values_of_their_own_are_refused(
    environment: Mapping[str, str], field: str
) -> None:
    with pytest.raises(AssertionError, match=rf"podTypes.rayWorkerType.container.{field} would replace .*; use "):
        worker(environment, container={field: []})
