"""What becomes of a user's podConfig, and what the pods are called."""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from controller.objects.entrypoint import command_of, head_script, worker_script
from controller.objects.pod import FORK_SUPPORT, build_pod, slot_name, unbuildable
from controller.raycluster.model import PodType, config_hash, parse_spec
from controller.raycluster.ray_resources import ray_resources
from controller.raycluster.validation import problems
from tests.support.builders import UID, cluster, pod_config, raw_spec, raw_type
from tests.support.container import expanded
from tests.support.prerequisites import ROOT

CLUSTER = cluster()
SPEC = parse_spec(CLUSTER.spec)
WORKER = SPEC.worker_types[0]


def env(pod: dict[str, Any]) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in pod["spec"]["containers"][0]["env"]}


def worker_of(config: dict[str, Any], **options: Any) -> dict[str, Any]:
    spec = parse_spec(raw_spec(podTypes=[raw_type("head-node"), {"name": "worker-node", "podConfig": config}]))
    return build_pod(CLUSTER, spec, spec.worker_types[0], "w", **options)


def test_a_head_is_labelled_owned_and_started() -> None:
    pod = build_pod(CLUSTER, SPEC, SPEC.head, "h")
    assert pod["metadata"] == {
        "name": "h",
        "namespace": "ray",
        "labels": {
            "ray-cluster-name": "example",
            "ray-node-type": "head",
            "ray-user-node-type": "head-node",
            "ray-node-name": "ray-example-head",
            "cluster.ray.io/component": "example-ray-head",
        },
        "annotations": {
            "cluster.ray.io/config-hash": config_hash(SPEC, SPEC.head),
            "kubectl.kubernetes.io/default-container": "ray-node",
        },
        "ownerReferences": [
            {
                "apiVersion": "cluster.ray.io/v1",
                "kind": "RayCluster",
                "name": "example",
                "uid": UID,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    container = pod["spec"]["containers"][0]
    assert container["command"][:2] == ["/bin/bash", "-c"]
    assert expanded(container["command"][2]) == head_script(SPEC)
    assert container["readinessProbe"]["tcpSocket"] == {"port": 6379}
    assert env(pod)["RAY_enable_autoscaler_v2"] == "1"


@pytest.mark.parametrize(("given", "found"), [([], "false"), ([{"name": FORK_SUPPORT, "value": "true"}], "true")])
def test_a_head_forks_for_ray_client_without_grpcs_handlers_unless_the_user_wants_them(
    given: list[dict[str, str]], found: str
) -> None:
    raw = raw_spec()
    for pod_type in raw["podTypes"]:
        pod_type["podConfig"]["spec"]["containers"][0]["env"] = given
    spec = parse_spec(raw)
    head, worker = (build_pod(cluster(raw), spec, pod_type, "name") for pod_type in spec.pod_types)
    assert env(head)[FORK_SUPPORT] == found
    assert env(worker).get(FORK_SUPPORT) == (found if given else None)


def test_a_worker_of_the_heads_type_is_a_worker() -> None:
    """With the start commands of workers, without the label that the Service looks for."""
    raw = raw_spec()
    raw["podTypes"][0] |= {"maxWorkers": 1}
    spec = parse_spec(raw)
    worker_type = next(t for t in spec.worker_types if t.name == "head-node")
    pod = build_pod(CLUSTER, spec, worker_type, "w")
    assert expanded(pod["spec"]["containers"][0]["command"][2]) == worker_script(spec, worker_type)
    assert pod["metadata"]["labels"] == {
        "ray-cluster-name": "example",
        "ray-node-type": "worker",
        "ray-user-node-type": "head-node",
        "ray-node-name": "ray-example-worker",
    }
    assert config_hash(spec, spec.head) == config_hash(SPEC, SPEC.head) != config_hash(spec, worker_type)


def test_a_worker_learns_its_head_from_a_file() -> None:
    pod = build_pod(CLUSTER, SPEC, WORKER, "w", attempt=2, head_ip="10.0.0.1", head_uid="h")
    assert pod["metadata"]["labels"]["ray-node-type"] == "worker"
    assert "cluster.ray.io/component" not in pod["metadata"]["labels"]
    assert pod["metadata"]["annotations"] == {
        "cluster.ray.io/config-hash": config_hash(SPEC, WORKER),
        "cluster.ray.io/attempt": "2",
        "cluster.ray.io/head-ip": "10.0.0.1",
        "cluster.ray.io/head-uid": "h",
        "kubectl.kubernetes.io/default-container": "ray-node",
    }
    container = pod["spec"]["containers"][0]
    assert expanded(container["command"][2]) == worker_script(SPEC, WORKER)
    field = {"fieldPath": "metadata.annotations['cluster.ray.io/head-ip']"}
    items = [{"path": "head-ip", "fieldRef": field}]
    assert pod["spec"]["volumes"][-1] == {"name": "ray-operator-head", "downwardAPI": {"items": items}}
    mount = {"name": "ray-operator-head", "mountPath": "/etc/ray-operator", "readOnly": True}
    assert container["volumeMounts"][-1] == mount
    assert "readinessProbe" not in container
    assert "RAY_enable_autoscaler_v2" not in env(pod)


@pytest.mark.parametrize(("max_workers", "period"), [(0, "100"), (3, "100"), (100, "400"), (10_000, "1000")])
def test_a_head_looks_for_waiting_work_as_often_as_its_size_allows(max_workers: int, period: str) -> None:
    spec = parse_spec(raw_spec(workers=0, maxWorkers=max_workers))
    pod = build_pod(CLUSTER, spec, spec.head, "h")
    assert env(pod)["RAY_gcs_pull_resource_loads_period_milliseconds"] == period


def test_everything_else_of_a_legacy_pod_config_stays_as_it_is() -> None:
    given = pod_config()
    built = worker_of(given)["spec"]
    before = given["spec"]["containers"][0]
    container = built["containers"][0]
    assert {k: container[k] for k in ("name", "image", "imagePullPolicy", "ports", "resources")} == {
        k: before[k] for k in ("name", "image", "imagePullPolicy", "ports", "resources")
    }
    assert "args" not in container
    assert (built["volumes"][0], container["volumeMounts"][0]) == (
        given["spec"]["volumes"][0],
        before["volumeMounts"][0],
    )
    assert container["env"][-1] == before["env"][0]
    assert built["restartPolicy"] == "Never"


def test_of_a_pod_with_every_field_only_what_starts_ray_is_changed() -> None:
    given = yaml.safe_load((ROOT / "tests/support/modern_pod.yaml").read_text())
    built = worker_of(given)["spec"]
    before, container = given["spec"]["containers"][0], built["containers"][0]
    replaced = ("command", "args", "restartPolicy", "restartPolicyRules")
    assert {k: v for k, v in container.items() if k not in ("command", "env", "volumeMounts")} == {
        k: v for k, v in before.items() if k not in (*replaced, "env", "volumeMounts")
    }
    assert container["env"][-len(before["env"]) :] == before["env"]
    assert container["volumeMounts"][:-1] == before["volumeMounts"]
    assert built["volumes"][:-1] == given["spec"]["volumes"]
    assert built["containers"][1:] == given["spec"]["containers"][1:]
    assert {**built, "containers": [], "volumes": []} == {**given["spec"], "containers": [], "volumes": []}


def test_ray_gets_the_kind_of_node_it_is() -> None:
    found = env(worker_of(pod_config(cpu="1500m", memory="512Mi")))
    assert found["RAY_NODE_TYPE_NAME"] == "worker-node"
    assert found["RAY_CLOUD_INSTANCE_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert json.loads(found["RAY_OVERRIDE_RESOURCES"]) == {"CPU": 2, "GPU": 0, "memory": 375809638}


def test_the_users_variables_and_settings_win() -> None:
    config = pod_config()
    config["spec"] |= {"automountServiceAccountToken": True, "enableServiceLinks": True}
    config["spec"]["containers"][0]["env"] = [{"name": "RAY_OVERRIDE_RESOURCES", "value": "{}"}]
    pod = worker_of(config)
    assert [v["name"] for v in pod["spec"]["containers"][0]["env"]].count("RAY_OVERRIDE_RESOURCES") == 1
    assert env(pod)["RAY_OVERRIDE_RESOURCES"] == "{}"
    assert (pod["spec"]["automountServiceAccountToken"], pod["spec"]["enableServiceLinks"]) == (True, True)


def test_pods_get_no_token_and_no_service_variables_unless_asked_for() -> None:
    spec = worker_of(pod_config())["spec"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)


def test_a_users_own_probe_stays() -> None:
    raw = raw_spec()
    raw["podTypes"][0]["podConfig"]["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["x"]}}
    spec = parse_spec(raw)
    pod = build_pod(CLUSTER, spec, spec.head, "h")
    assert pod["spec"]["containers"][0]["readinessProbe"] == {"exec": {"command": ["x"]}}


def test_a_restarting_container_is_made_a_replaced_pod() -> None:
    config = pod_config()
    config["spec"]["restartPolicy"] = "Always"
    assert worker_of(config)["spec"]["restartPolicy"] == "Never"


def test_labels_and_annotations_of_the_user_stay_and_ours_win() -> None:
    config = pod_config()
    config["metadata"] |= {"labels": {"team": "a", "ray-node-type": "mine"}, "annotations": {"note": "b"}}
    config["metadata"] |= {"name": "mine", "finalizers": ["example.com/f"], "ownerReferences": [{"name": "mine"}]}
    metadata = worker_of(config)["metadata"]
    assert metadata["finalizers"] == ["example.com/f"]
    assert (metadata["name"], [owner["name"] for owner in metadata["ownerReferences"]]) == ("w", ["example"])
    assert (metadata["labels"]["team"], metadata["labels"]["ray-node-type"]) == ("a", "worker")
    assert metadata["annotations"]["note"] == "b"
    assert metadata["annotations"]["kubectl.kubernetes.io/default-container"] == "ray-node"


def test_kubectl_goes_to_the_container_that_a_podconfig_names() -> None:
    name = "kubectl.kubernetes.io/default-container"
    config = pod_config()
    config["metadata"]["annotations"] = {name: "other"}
    assert worker_of(config)["metadata"]["annotations"][name] == "other"


def test_the_smallest_pod_config_works_and_is_never_changed() -> None:
    config: dict[str, Any] = {"spec": {"containers": [{"name": "ray"}]}}
    before = copy.deepcopy(config)
    pod = worker_of(config)
    assert config == before
    assert json.loads(env(pod)["RAY_OVERRIDE_RESOURCES"]) == {"CPU": 0, "GPU": 0}


def test_building_never_changes_the_cluster() -> None:
    before = copy.deepcopy(CLUSTER.spec)
    for pod_type in SPEC.pod_types:
        build_pod(CLUSTER, SPEC, pod_type, "x", attempt=1, head_ip="1", head_uid="2")
    assert CLUSTER.spec == before


def test_ray_resources_override_what_was_detected_key_by_key() -> None:
    found = ray_resources(replace(WORKER, ray_resources={"CPU": 0, "custom": 5}))
    assert found == {"CPU": 0, "GPU": 0, "memory": 751619276, "custom": 5}


def test_a_slot_has_one_name_and_each_slot_type_and_cluster_its_own() -> None:
    names = [slot_name(CLUSTER, t, n) for t in SPEC.pod_types for n in range(50)]
    assert len(set(names)) == 100
    assert names == [slot_name(CLUSTER, t, n) for t in SPEC.pod_types for n in range(50)]
    assert slot_name(replace(CLUSTER, uid="again"), WORKER, 0) != slot_name(CLUSTER, WORKER, 0)


@pytest.mark.parametrize(
    ("pod_type", "prefix"),
    [
        (replace(WORKER, pod_config=pod_config("ray-head-")), "example-ray-head-"),
        (PodType("rayWorkerType", 0, 0, {}, (), {}), "example-ray-worker-type-"),
        (PodType("gpu_A100.v2", 0, 0, {}, (), {"metadata": {}}), "example-gpu-a100-v2-"),
    ],
)
def test_pods_are_named_like_the_legacy_operators(pod_type: PodType, prefix: str) -> None:
    name = slot_name(CLUSTER, pod_type, 0)
    assert name.startswith(prefix)
    assert len(name) == len(prefix) + 5
    assert name == name.lower()


def test_a_config_hash_covers_what_needs_a_new_pod_and_nothing_else() -> None:
    same = [
        replace(SPEC, max_workers=99, idle_timeout_minutes=1.0, service_ports=()),
        replace(SPEC, head_start=("ray start --head --port=6379 -v",)),
    ]
    assert {config_hash(s, WORKER) for s in same} == {config_hash(SPEC, WORKER)}
    bounds = replace(WORKER, min_workers=1, max_workers=1, ray_resources={"CPU": 1})
    assert config_hash(SPEC, bounds) == config_hash(SPEC, WORKER)
    others = [
        config_hash(replace(SPEC, worker_start=("x",)), WORKER),
        config_hash(replace(SPEC, head_start=("ray start --port=1",)), WORKER),
        config_hash(SPEC, replace(WORKER, setup_commands=("x",))),
        config_hash(SPEC, replace(WORKER, pod_config=pod_config(cpu="2"))),
    ]
    assert len({config_hash(SPEC, WORKER), *others}) == 5


def test_kubernetes_leaves_the_start_commands_as_they_are() -> None:
    """It replaces $(NAME) and $$ in a container's command: both are escaped, and $NAME can be read as it is."""
    spec = parse_spec(raw_spec(headStartRayCommands=["ray start --head --labels=$(hostname)-$$-$HOSTNAME"]))
    pod = build_pod(cluster(), spec, spec.head, "p")
    assert "--labels=$$(hostname)-$$$-$HOSTNAME" in pod["spec"]["containers"][0]["command"][-1]


@pytest.mark.parametrize("length", [3, 6])
def test_no_text_is_another_one_after_kubernetes_has_expanded_it(length: int) -> None:
    for letters in itertools.product("$(Aü)"[: 5 if length < 5 else 4], repeat=length):
        script = "".join(letters)
        assert expanded(command_of(script)[-1]) == script


@pytest.mark.parametrize("field", ["env", "volumeMounts"])
def test_a_pod_config_of_a_wrong_shape_is_a_problem_with_its_place(field: str) -> None:
    """And no failure of the pass."""
    raw = raw_spec()
    raw["podTypes"][1]["podConfig"]["spec"]["containers"][0][field] = "wrong"
    (problem,) = problems("example", raw) or unbuildable(cluster(raw), parse_spec(raw))
    assert str(problem) == f'spec.podTypes[1].podConfig.spec.containers[0].{field}: "wrong" is not a list'


@pytest.mark.parametrize(("grace", "seconds"), [(None, "25"), (60, "55"), (5, "2.5"), (0, "0")])
def test_rays_own_drain_lasts_almost_as_long_as_the_pods_grace_period(grace: int | None, seconds: str) -> None:
    """A head ends at once: its workers end with it."""
    raw = raw_spec()
    for pod_type in raw["podTypes"]:
        pod_type["podConfig"]["spec"] |= {} if grace is None else {"terminationGracePeriodSeconds": grace}
    spec = parse_spec(raw)
    made = [build_pod(cluster(raw), spec, t, "name")["spec"]["containers"][0]["env"] for t in spec.pod_types]
    told = [{v["name"]: v.get("value") for v in env}.get("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S") for env in made]
    assert told == [None, seconds]


def test_what_the_operator_itself_writes_on_pods_is_not_taken_from_a_podconfig() -> None:
    """It is believed where it is read: a worker could be made one that leaves, or another cluster's head."""
    config = pod_config()
    own = {"cluster.ray.io/component": "other-ray-head", "cluster.ray.io/unheard-of": "x", "ray-cluster-name": "other"}
    config["metadata"] |= {"labels": {**own, "team": "a"}, "annotations": {**own, "note": "b"}}
    metadata = worker_of(config)["metadata"]
    assert metadata["labels"]["ray-cluster-name"] == "example"
    assert metadata["labels"]["team"] == "a" and metadata["annotations"]["note"] == "b"
    assert [name for name in metadata["labels"] if name.startswith("cluster.ray.io/")] == []
    assert [n for n in metadata["annotations"] if n.startswith("cluster.ray.io/")] == ["cluster.ray.io/config-hash"]
