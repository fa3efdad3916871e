"""What the pods of a worker of several hosts are called, and what each of them is told."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from controller.objects.hosts import Host, host_name, worker_name
from controller.objects.pod import build_pod, slot_name
from controller.objects.service import build_hosts_service, is_current_for_hosts
from controller.objects.views import PodView
from controller.planning.node_types import declared_labels, declared_resources
from controller.raycluster.model import parse_spec
from controller.raycluster.notes import notes
from tests.support.builders import cluster
from tests.support.slices import TYPE, slice_service, slice_spec

CLUSTER = cluster()
# https://www.rfc-editor.org/rfc/rfc1123#section-2.1
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def built(index: int, **fields: Any) -> dict[str, Any]:
    spec = parse_spec(slice_spec(**fields))
    pod_type = spec.worker_types[0]
    host = Host(slot_name(CLUSTER, pod_type, 0), index)
    return build_pod(CLUSTER, spec, pod_type, host.pod_name, host=host)


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {v["name"]: v["value"] for v in pod["spec"]["containers"][0]["env"] if "value" in v}


def test_a_host_knows_its_worker_its_index_and_the_names_of_all() -> None:
    pod = built(1, hosts=3)
    slot = pod["metadata"]["name"].removesuffix("-1")
    told = environment(pod)
    assert (told["RAY_WORKER_NAME"], told["RAY_WORKER_HOSTS"], told["RAY_WORKER_HOST_INDEX"]) == (slot, "3", "1")
    assert told["RAY_WORKER_HOST_NAMES"] == ",".join(f"{slot}-{n}.example-ray-hosts" for n in range(3))
    assert not any(name.startswith("TPU") for name in told)


def test_the_names_lead_to_the_pods() -> None:
    """Each is a pod's hostname, below the Service's name, and the Service selects these pods and no others."""
    pods = [built(index) for index in range(2)]
    names = environment(pods[0])["RAY_WORKER_HOST_NAMES"].split(",")
    assert names == [f"{p['spec']['hostname']}.{p['spec']['subdomain']}" for p in pods]
    made = build_hosts_service(CLUSTER)
    assert made["metadata"]["name"] == pods[0]["spec"]["subdomain"]
    assert made["spec"]["selector"].items() <= pods[0]["metadata"]["labels"].items()
    assert made["spec"]["clusterIP"] == "None" and made["spec"]["publishNotReadyAddresses"]
    alone = parse_spec(slice_spec(hosts=1))
    for pod_type in alone.pod_types:
        labels = build_pod(CLUSTER, alone, pod_type, "x")["metadata"]["labels"]
        assert not made["spec"]["selector"].items() <= labels.items()


def test_a_type_of_one_host_has_the_pods_that_it_always_had() -> None:
    with_field, without = (slice_spec(hosts=1) for _ in range(2))
    del without["podTypes"][1]["hosts"]
    pods = [build_pod(CLUSTER, s, s.worker_types[0], "x") for s in map(parse_spec, (with_field, without))]
    assert pods[0] == pods[1] and "subdomain" not in pods[0]["spec"]


def test_a_variable_of_the_pod_config_wins() -> None:
    raw = slice_spec(tpus=True)
    raw["podTypes"][1]["podConfig"]["spec"]["containers"][0]["env"] = [{"name": "TPU_NAME", "value": "mine"}]
    spec = parse_spec(raw)
    pod = build_pod(CLUSTER, spec, spec.worker_types[0], "a-0", host=Host("a", 0))
    assert environment(pod)["TPU_NAME"] == "mine"


@pytest.mark.parametrize(
    "slot", ["example-slice-abcde", "x" * 52 + "-ray.io-" + "y" * 150 + "-abcde", "a.b-abcde", "a-" * 40]
)
def test_names_are_labels_of_dns_and_values_of_labels(slot: str) -> None:
    assert DNS_LABEL.fullmatch(host_name(slot, 999)) and LABEL_VALUE.fullmatch(worker_name(slot))
    assert host_name(slot, 1) != host_name(slot, 11) and worker_name(slot) != worker_name(slot + "a")


def test_what_is_on_the_pod_is_read_back() -> None:
    raw = built(1)
    raw["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    view = PodView.from_object(raw)
    assert (view.group, view.host, view.hosts, view.complete) == (view.name[:-2], 1, 2, False)
    raw["metadata"]["annotations"]["cluster.ray.io/hosts"] = "9999999999"
    assert PodView.from_object(raw).hosts == 1_000


def test_a_service_that_somebody_has_changed_is_not_current() -> None:
    assert is_current_for_hosts(slice_service(), CLUSTER)
    assert not is_current_for_hosts(replace(slice_service(), publishes_unready=False), CLUSTER)
    assert not is_current_for_hosts(replace(slice_service(), selector=(("a", "b"),)), CLUSTER)


@pytest.mark.parametrize("index", [0, 1])
def test_ray_itself_makes_a_slice_of_these_hosts(index: int) -> None:
    """Its own resolution of labels and resources, with the environment of such a pod, says what is known beforehand."""
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # noqa: PLC0415 (slow)

    told = environment(built(index, tpus=True))
    with patch.dict(os.environ, told):
        ray = ResourceAndLabelSpec().resolve(is_head=False, node_ip_address="10.0.0.1")
    spec = parse_spec(slice_spec(tpus=True))
    known = declared_labels(spec, spec.worker_types[0], index)
    assert ray.labels == {**known, "ray.io/tpu-slice-name": told["RAY_WORKER_NAME"]}
    assert known["ray.io/tpu-worker-id"] == str(index) and known["ray.io/tpu-pod-type"] == "v4-16"
    resources = {name: amount * 10_000 for name, amount in (ray.resources or {}).items()}
    declared = declared_resources(spec, spec.worker_types[0], index)
    named = {name: amount for name, amount in declared.items() if name.startswith(("TPU", "accelerator"))}
    assert named.items() <= resources.items()
    assert ("TPU-v4-16-head" in resources) == ("TPU-v4-16-head" in declared) == (index == 0)


@pytest.mark.parametrize(
    ("kind", "topology", "wanted"),
    [("tpu-v4-podslice", "2x2x2", "v4-16"), ("tpu-v6e-slice", "4x4", "v6e-16"), ("tpu7x", "2x2x2", "tpu7x-16")],
)
def test_a_slice_has_the_name_that_gke_gives_it(kind: str, topology: str, wanted: str) -> None:
    from ray._private.accelerators.tpu import TPUAcceleratorManager  # noqa: PLC0415 (slow)

    raw = slice_spec(tpus=True)
    raw["podTypes"][1]["podConfig"]["spec"]["nodeSelector"] = {
        "cloud.google.com/gke-tpu-accelerator": kind,
        "cloud.google.com/gke-tpu-topology": topology,
    }
    spec = parse_spec(raw)
    told = environment(build_pod(CLUSTER, spec, spec.worker_types[0], "a-0", host=Host("a", 0)))
    assert (told["TPU_ACCELERATOR_TYPE"], told["TPU_TOPOLOGY"]) == (wanted, topology)
    with patch.dict(os.environ, told):
        labels = TPUAcceleratorManager.get_current_node_accelerator_labels()
    assert labels["ray.io/tpu-pod-type"] == declared_labels(spec, spec.worker_types[0])["ray.io/tpu-pod-type"]


def test_hosts_that_are_no_whole_slice_get_a_note() -> None:
    def told(hosts: int) -> list[str]:
        return [str(n) for n in notes(parse_spec(slice_spec(tpus=True, hosts=hosts)))]

    assert told(2) == []
    (found,) = told(3)
    assert found.startswith(
        "spec.podTypes[1].hosts: the topology 2x2x2 has 8 TPU chips, and 3 hosts with 4 each have 12"
    )
    assert found.endswith("set hosts to 2, so that a worker is a whole slice")
    assert "set hosts to 2" in told(1)[0]


def test_the_program_of_a_host_is_that_of_any_worker() -> None:
    spec = parse_spec(slice_spec())
    alone = build_pod(CLUSTER, spec, replace(spec.worker_types[0], hosts=1), "x")
    assert built(0)["spec"]["containers"][0]["command"] == alone["spec"]["containers"][0]["command"]
    assert json.loads(environment(built(0))["RAY_OVERRIDE_RESOURCES"])["CPU"] == 1
    assert built(0)["metadata"]["labels"]["ray-user-node-type"] == TYPE
