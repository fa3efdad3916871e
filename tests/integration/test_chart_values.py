"""The chart's values: each does what it says, old files work, and wrong ones are refused in words that help."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, helm, one, pod_spec, pod_type, render
from tests.support.kube import Kube, KubectlError, eventually
from tests.support.prerequisites import ROOT

LEGACY = sorted((ROOT / "tests/legacy/values").glob("*.yaml"))


def worker(environment: Mapping[str, str], **values: Any) -> dict[str, Any]:
    """The spec of a worker with these values."""
    return pod_spec(render(environment, "ray", values={"podTypes": {"rayWorkerType": values}}), "rayWorkerType")


@pytest.mark.parametrize("path", LEGACY, ids=lambda p: p.stem)
def test_the_api_server_takes_what_a_legacy_values_file_makes(kube: Kube, path: Any) -> None:
    """And it means what it meant: names, sizes, and the sum of maxWorkers."""
    values = yaml.safe_load(path.read_text())
    objects = render(kube.environment, kube.namespace, values=values)
    cluster = one(objects, "RayCluster")
    kube.apply(cluster)
    assert cluster["metadata"]["name"] == "example-cluster"
    types = {t["name"]: t for t in cluster["spec"]["podTypes"]}
    assert cluster["spec"]["maxWorkers"] == sum(t["maxWorkers"] for t in types.values())
    for name, given in values["podTypes"].items():
        limits = types[name]["podConfig"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits["cpu"] == str(given.get("CPU", given.get("numCPU")))
        assert limits["memory"] == given.get("memory", "512Mi")
        assert limits.get("nvidia.com/gpu", "0") == str(given.get("GPU", given.get("numGPU", 0)))
        assert types[name].get("rayResources", {}) == given.get("rayResources", {})


def test_the_older_names_of_cpu_and_gpu_win_over_the_charts_defaults(environment: Mapping[str, str]) -> None:
    """A file of Ray 1.4 that says numCPU: 3 is not overruled by the CPU: 1 that the chart says today."""
    (container,) = worker(environment, numCPU=3, numGPU=2)["containers"]
    assert container["resources"]["limits"] == {"cpu": "3", "memory": "512Mi", "nvidia.com/gpu": "2"}


def test_any_number_of_types_and_none_of_those_that_are_there(environment: Mapping[str, str]) -> None:
    """Two more types count for maxWorkers, and null removes one."""
    big, none = {"maxWorkers": 4, "CPU": 8, "memory": "1Gi"}, None
    objects = render(environment, "ray", values={"podTypes": {"a": big, "b": big, "rayWorkerType": none}})
    assert [t["name"] for t in one(objects, "RayCluster")["spec"]["podTypes"]] == ["a", "b", "rayHeadType"]
    assert one(objects, "RayCluster")["spec"]["maxWorkers"] == 8


def test_what_a_type_may_have_of_its_own(environment: Mapping[str, str]) -> None:
    """Image, environment, volumes, placement, service account: where a pod has them."""
    spec = worker(
        environment,
        image="mine@sha256:0123",
        imagePullPolicy="Always",
        env=[{"name": "A", "value": "b"}],
        envFrom=[{"configMapRef": {"name": "c"}}],
        volumes=[{"name": "data", "emptyDir": {}}],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        serviceAccountName="reader",
        priorityClassName="high",
        nodeSelector={"disk": "fast"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        affinity={"podAntiAffinity": {}},
        resources={"requests": {"cpu": "500m"}, "limits": {"google.com/tpu": 4}},
    )
    (container,) = spec["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("mine@sha256:0123", "Always")
    assert (container["env"], container["envFrom"]) == (
        [{"name": "A", "value": "b"}],
        [{"configMapRef": {"name": "c"}}],
    )
    assert [v["name"] for v in spec["volumes"]] == [v["name"] for v in container["volumeMounts"]] == ["dshm", "data"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("reader", True)
    assert (spec["priorityClassName"], spec["nodeSelector"]) == ("high", {"disk": "fast"})
    assert (spec["tolerations"], spec["affinity"]) == ([{"key": "gpu", "operator": "Exists"}], {"podAntiAffinity": {}})
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "512Mi"}
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "512Mi", "google.com/tpu": 4}


def test_labels_annotations_and_set_up_of_a_type(environment: Mapping[str, str]) -> None:
    """They are the pods' and the pod type's, and an annotation may overrule the scraper's."""
    mine = {"labels": {"team": "vision"}, "annotations": {"prometheus.io/scrape": "false"}, "setupCommands": ["true"]}
    found = pod_type(render(environment, "ray", values={"podTypes": {"rayWorkerType": mine}}), "rayWorkerType")
    metadata = found["podConfig"]["metadata"]
    assert metadata["labels"] == {"team": "vision"}
    assert metadata["annotations"] == {"prometheus.io/scrape": "false", "prometheus.io/port": "8080"}
    assert found["setupCommands"] == ["true"]


def test_what_a_type_may_decide_for_itself(environment: Mapping[str, str]) -> None:
    """The labels of its Ray nodes, its rank, its idle time, and how it starts Ray. None of it by default."""
    start = ["ray start --address=$RAY_HEAD_IP:6379 --num-cpus=2"]
    mine = {"rayLabels": {"tier": "gold"}, "priority": 10, "idleTimeoutMinutes": 0, "startRayCommands": start}
    found = pod_type(render(environment, "ray", values={"podTypes": {"rayWorkerType": mine}}), "rayWorkerType")
    assert (found["labels"], found["priority"]) == ({"tier": "gold"}, 10)
    assert (found["idleTimeoutMinutes"], found["startRayCommands"]) == (0, start)
    plain = pod_type(render(environment, "ray", values={}), "rayWorkerType")
    assert not {"labels", "priority", "idleTimeoutMinutes", "startRayCommands"} & plain.keys()


def test_what_the_cluster_may_have(environment: Mapping[str, str]) -> None:
    """Idle time, speed, ports of the head Service, and a Service for the outside with the same ports."""
    metrics = {"name": "metrics", "port": 8080, "targetPort": 8080}
    values = {"idleTimeoutMinutes": 0.5, "upscalingSpeed": 2, "headServicePorts": [metrics]}
    values["externalService"] = {
        "type": "LoadBalancer",
        "annotations": {"a": "b"},
        "loadBalancerSourceRanges": ["::/0"],
    }
    objects = render(environment, "ray", values=values)
    spec = one(objects, "RayCluster")["spec"]
    assert (spec["idleTimeoutMinutes"], spec["upscalingSpeed"], spec["headServicePorts"]) == (0.5, 2, [metrics])
    service = one(objects, "Service")
    assert (service["metadata"]["name"], service["metadata"]["annotations"]) == ("example-cluster-external", {"a": "b"})
    assert (service["spec"]["type"], service["spec"]["loadBalancerSourceRanges"]) == ("LoadBalancer", ["::/0"])
    assert service["spec"]["selector"] == {"cluster.ray.io/component": "example-cluster-ray-head"}
    assert {p["name"] for p in service["spec"]["ports"]} == {"client", "dashboard", "ray-serve", "metrics"}


def test_what_the_operator_may_have(environment: Mapping[str, str]) -> None:
    """Resources, placement, image by digest, secrets for pulling it."""
    values = {
        "operatorImage": "mine@sha256:0123",
        "imagePullSecrets": [{"name": "registry"}],
        "operatorResources": {"limits": {"memory": "1Gi"}},
        "operatorNodeSelector": {"pool": "system"},
        "operatorTolerations": [{"operator": "Exists"}],
        "operatorPriorityClassName": "high",
    }
    objects = render(environment, "ray", values=values)
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "mine@sha256:0123"
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"pool": "system"}, [{"operator": "Exists"}])
    assert spec["priorityClassName"] == "high"
    for pod in (spec, pod_spec(objects, "rayHeadType"), pod_spec(objects, "rayWorkerType")):
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_what_the_operator_shows_to_heads_comes_from_a_secret_for_each_namespace(kube: Kube) -> None:
    """Mounted where --ray-credentials looks, beside the namespace it is told and the certificate it serves with."""
    secrets = {"b": "secret-of-b", "a": "secret-of-a"}
    values = {"rayCredentials": secrets, "namespacedOperator": True, "metricsTlsSecret": "tls"}
    deployment = one(render(kube.environment, kube.namespace, values=values), "Deployment")
    kube.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(deployment))
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert {"name": "RAY_OPERATOR_RAY_CREDENTIALS", "value": "/etc/ray-credentials"} in container["env"]
    source = {v["name"]: v["secret"]["secretName"] for v in spec["volumes"]}
    mounted = {m["mountPath"]: source[m["name"]] for m in container["volumeMounts"]}
    assert mounted == {
        "/tls": "tls",
        "/etc/ray-credentials/a": "secret-of-a",
        "/etc/ray-credentials/b": "secret-of-b",
    }


WRONG = {
    "a number for a text": ("image: 5", "at '/image': got number, want string"),
    "a text for a number": (
        "podTypes: {rayWorkerType: {maxWorkers: many}}",
        "at '/podTypes/rayWorkerType/maxWorkers': got string, want integer",
    ),
    "a mistyped key of a type": (
        "podTypes: {rayWorkerType: {maxWorker: 3}}",
        "at '/podTypes/rayWorkerType': additional properties 'maxWorker' not allowed",
    ),
    "a mistyped key": ("operatorNamespce: ops", "at '': additional properties 'operatorNamespce' not allowed"),
    "a negative time": ("idleTimeoutMinutes: -1", "at '/idleTimeoutMinutes': minimum: got -1, want 0"),
    "a word that is none of the choices": (
        "operatorLogFormat: xml",
        "at '/operatorLogFormat': value must be one of 'human', 'json'",
    ),
    "half a Ray resource": (
        "podTypes: {rayWorkerType: {rayResources: {CPU: 0.5}}}",
        "at '/podTypes/rayWorkerType/rayResources/CPU': got number, want integer",
    ),
    "a head of no type": (
        "headPodType: head",
        'headPodType: "head" is not a key under podTypes; use one of them: rayHeadType, rayWorkerType',
    ),
    "more at least than at most": (
        "podTypes: {rayWorkerType: {minWorkers: 7}}",
        "podTypes.rayWorkerType.minWorkers: 7 is more than maxWorkers, which is 3; lower it or raise maxWorkers",
    ),
    "memory that is none": (
        "podTypes: {rayWorkerType: {memory: 1 GB}}",
        'podTypes.rayWorkerType.memory: "1 GB" is not a quantity; write for example 1Gi',
    ),
    "a type without CPUs": (
        "podTypes: {big: {maxWorkers: 1, memory: 1Gi}}",
        "podTypes.big.CPU is missing; write for example 1, or 500m for half a CPU",
    ),
    "a type without memory": (
        "podTypes: {big: {maxWorkers: 1, CPU: 1}}",
        "podTypes.big.memory is missing; write for example 1Gi",
    ),
    "a name that is no label": (
        "podTypes: {'my type': {CPU: 1, memory: 1Gi}}",
        "podTypes: \"my type\" cannot be the name of a pod type; use letters, digits, '-', '_' and '.', at most 63",
    ),
    "two modes that exclude each other": (
        "{operatorOnly: true, clusterOnly: true}",
        "operatorOnly and clusterOnly exclude each other; set one of them to false",
    ),
    "an account that nobody makes": (
        "operatorServiceAccount: {create: false}",
        "operatorServiceAccount.name is missing; name an existing service account, or set",
    ),
    "a digest that is none": (
        "operatorImageDigest: latest",
        "at '/operatorImageDigest': 'latest' does not match pattern",
    ),
    "a name that is no name": ("fullnameOverride: Mine", "at '/fullnameOverride': 'Mine' does not match pattern"),
    "a time without a unit": ('monitoring: {interval: "30"}', "at '/monitoring/interval': '30' does not match pattern"),
    "a log level that is none": (
        "operatorLogLevel: loud",
        "at '/operatorLogLevel': value must be one of 'debug', 'info', 'warning', 'error'",
    ),
    "namespaces for an operator that has all": (
        "watchNamespaces: [a]",
        "watchNamespaces: an operator for all namespaces has no use for it; add namespacedOperator: true, or remove it",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_values_are_refused_by_name_and_value(environment: Mapping[str, str], mistake: str) -> None:
    """Field, value, and what to write, from helm itself, before anything is sent."""
    values, complaint = WRONG[mistake]
    done = helm(environment, "template", "x", str(CHART), "-f", "-", stdin=values)
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize("name", ["1abc", "a.b", "a" * 53])
def test_release_names_that_no_cluster_can_have_are_refused(environment: Mapping[str, str], name: str) -> None:
    """An operator alone may have them."""
    done = helm(environment, "template", name, str(CHART), "--set", "clusterOnly=true")
    assert f'the release name "{name}" cannot be the name of a RayCluster and of its Service; start with' in done.stderr
    done = helm(environment, "template", name, str(CHART), "--set", "operatorOnly=true")
    assert done.returncode == 0, done.stderr


def test_every_value_is_known_to_the_schema_and_has_a_default(environment: Mapping[str, str]) -> None:
    """values.yaml shows all there is at its top."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == values.keys()
    words = set(re.findall(r"\w+", (CHART / "values.yaml").read_text()))
    assert schema["definitions"]["podType"]["properties"].keys() <= words


@pytest.mark.parametrize(
    ("assignment", "commands"),
    [
        (
            "image=x",
            (
                "wait --for=condition=Ready rayclusters.cluster.ray.io/example-cluster",
                "helm -n ray test",
                "port-forward",
            ),
        ),
        ("operatorOnly=true", ("rollout status deployment/ray-operator", "helm -n ray test", "clusterOnly=true")),
    ],
)
def test_the_notes_show_the_next_three_commands(
    environment: Mapping[str, str], assignment: str, commands: tuple[str, ...]
) -> None:
    """What somebody types after helm install, whichever mode it was."""
    command = ["install", "example-cluster", str(CHART), "-n", "ray", "--dry-run=client", "--set", assignment]
    notes = helm(environment, *command).stdout.partition("NOTES:")[2]
    typed = [line for line in notes.splitlines() if line.startswith("  ")]
    assert len(typed) == 3
    assert all(wanted in line for wanted, line in zip(commands, typed, strict=True))


def test_autoscalers_of_nodes_are_kept_away_where_that_is_asked_for(environment: Mapping[str, str]) -> None:
    cluster = one(render(environment, "ray", values={"doNotDisrupt": {"busyWorkers": True}}), "RayCluster")
    assert cluster["spec"]["doNotDisrupt"] == {"head": False, "busyWorkers": True}
    assert "doNotDisrupt" not in one(render(environment, "ray"), "RayCluster")["spec"]


def test_a_release_may_be_suspended(environment: Mapping[str, str]) -> None:
    """Without the value the spec does not mention it: what a user patched in stays over an upgrade."""
    cluster = one(render(environment, "ray", values={"suspend": True}), "RayCluster")
    assert cluster["spec"]["suspend"] is True
    assert "suspend" not in one(render(environment, "ray"), "RayCluster")["spec"]


def test_a_budget_refuses_evictions_of_the_head_where_it_is_asked_for(kube: Kube) -> None:
    """A real API server refuses the eviction of the only head, and takes that of a worker."""
    assert not [o for o in render(kube.environment, kube.namespace) if o["kind"] == "PodDisruptionBudget"]
    budget = one(
        render(kube.environment, kube.namespace, values={"headPodDisruptionBudget": True}), "PodDisruptionBudget"
    )
    kube.apply(budget)
    labels = {"head": budget["spec"]["selector"]["matchLabels"], "worker": {"ray-node-type": "worker"}}
    for name, given in labels.items():
        container = {"name": "ray", "image": "none"}
        metadata = {"name": name, "labels": given}
        kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    kube.run_pods()
    look = budget["metadata"]["name"]
    eventually(lambda: kube.get("poddisruptionbudget", look)["status"].get("currentHealthy") == 1)
    evict(kube, "worker")
    with pytest.raises(KubectlError, match="disruption budget"):
        evict(kube, "head")


def evict(kube: Kube, name: str) -> None:
    """Ask for the eviction of a pod, as kubectl drain does."""
    path = f"/api/v1/namespaces/{kube.namespace}/pods/{name}/eviction"
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": kube.namespace}}
    kube.run("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def test_a_gang_is_passed_to_the_cluster(environment: Mapping[str, str]) -> None:
    """The operator fills the placeholders in, not Helm."""
    gang = {
        "labels": {"kueue.x-k8s.io/pod-group-name": "$(GANG_NAME)"},
        "annotations": {"size": "$(GANG_SIZE)"},
        "podSpec": {"schedulingGroup": {"podGroupName": "$(GANG_NAME)"}},
        "objects": [{"apiVersion": "a.b/v1", "kind": "PodGroup", "spec": {"minMember": "$(GANG_SIZE)"}}],
    }
    assert one(render(environment, "ray", values={"gang": gang}), "RayCluster")["spec"]["gang"] == gang
    assert "gang" not in one(render(environment, "ray"), "RayCluster")["spec"]
