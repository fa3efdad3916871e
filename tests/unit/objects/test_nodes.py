"""What a Node says about being emptied, and which of it a pod tolerates."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from controller.objects.nodes import KNOWN, NodeView, Taint, Toleration
from controller.objects.views import PodView
from tests.support.builders import NOW, NOW_TEXT, raw_pod


def raw_node(*taints: dict[str, Any], name: str = "node-1", **metadata: Any) -> dict[str, Any]:
    """A Node as the API server answers it."""
    spec: dict[str, Any] = {"podCIDR": "10.0.0.0/24", "providerID": "any"}
    return {
        "metadata": {"name": name, "uid": f"{name}-uid", "resourceVersion": "7", "labels": {"a": "b"}, **metadata},
        "spec": {**spec, "taints": list(taints)} if taints else spec,
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def taint(key: str, effect: str = "NoSchedule", **fields: str) -> dict[str, Any]:
    """As it stands in a Node's spec."""
    return {"key": key, "effect": effect, **fields}


SIGNS = [
    *[(key, taint(key), True) for key in KNOWN],
    *[(f"{key}, evicting", taint(key, "NoExecute"), True) for key in KNOWN],
    *[(f"{key}, preferred", taint(key, "PreferNoSchedule"), False) for key in KNOWN],
    ("out of service", taint("node.kubernetes.io/out-of-service", "NoExecute"), True),
    ("somebody's", taint("example.com/maintenance", "NoExecute"), True),
    ("somebody's, for new pods", taint("example.com/maintenance"), False),
    ("a candidate", taint("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule"), False),
    ("spot nodes of Azure", taint("kubernetes.azure.com/scalesetpriority", value="spot"), False),
    ("a risk", taint("aws-node-termination-handler/rebalance-recommendation"), False),
    ("a cordon", taint("node.kubernetes.io/unschedulable"), False),
    ("a silent kubelet", taint("node.kubernetes.io/unreachable", "NoExecute"), False),
    ("not ready", taint("node.kubernetes.io/not-ready", "NoExecute"), False),
    ("a GPU", taint("nvidia.com/gpu", value="present"), False),
    ("no effect", {"key": "ToBeDeletedByClusterAutoscaler"}, False),
]


@pytest.mark.parametrize(("raw", "counts"), [row[1:] for row in SIGNS], ids=[row[0] for row in SIGNS])
def test_which_taints_are_a_sign(raw: dict[str, Any], counts: bool) -> None:
    assert bool(NodeView.from_object(raw_node(raw)).taints) == counts


def test_a_node_that_is_being_deleted_is_one() -> None:
    node = NodeView.from_object(raw_node(deletionTimestamp=NOW_TEXT))
    assert (node.deleting, node.deleted_at, node.taints) == (True, NOW, ())


def test_a_cordon_alone_is_none() -> None:
    raw = raw_node()
    raw["spec"]["unschedulable"] = True
    assert NodeView.from_object(raw).signs == NodeView.from_object(raw_node()).signs


@pytest.mark.parametrize(
    ("raw", "since"),
    [
        (taint("ToBeDeletedByClusterAutoscaler", value=str(int(NOW))), NOW),
        (taint("ToBeDeletedByClusterAutoscaler", value="soon"), 0.0),
        (taint("example.com/away", "NoExecute", timeAdded=NOW_TEXT), NOW),
        (taint("karpenter.sh/disrupted"), 0.0),
    ],
)
def test_when_it_was_tainted(raw: dict[str, Any], since: float) -> None:
    (found,) = NodeView.from_object(raw_node(raw)).taints
    assert found.since == since


def tolerated(
    key: str = "", operator: str = "Equal", value: str = "", effect: str = "", left: float | None = None
) -> Any:
    """A toleration."""
    return Toleration(key, operator, value, effect, left)


EVICTS = Taint("example.com/away", "yes", "NoExecute", 0.0)
BARS = Taint("karpenter.sh/disrupted", "", "NoSchedule", 0.0)
TOLERATED = [
    ("by none", EVICTS, [], 0.0),
    ("equal", EVICTS, [tolerated("example.com/away", value="yes")], None),
    ("equal, for a minute", EVICTS, [tolerated("example.com/away", value="yes", left=60.0)], 60.0),
    ("another value", EVICTS, [tolerated("example.com/away", value="no")], 0.0),
    ("another key", EVICTS, [tolerated("example.com/other", "Exists")], 0.0),
    ("another effect", EVICTS, [tolerated("example.com/away", "Exists", effect="NoSchedule")], 0.0),
    ("any value", EVICTS, [tolerated("example.com/away", "Exists", effect="NoExecute")], None),
    ("everything", EVICTS, [tolerated(operator="Exists")], None),
    ("the first one counts", EVICTS, [tolerated(operator="Exists", left=5.0), tolerated(operator="Exists")], 5.0),
    ("an operator of later days", EVICTS, [tolerated("example.com/away", "Gt", "3")], None),
    ("not scheduled, by none", BARS, [], 0.0),
    ("not scheduled", BARS, [tolerated("karpenter.sh/disrupted", "Exists", effect="NoSchedule")], None),
    ("seconds are of eviction", BARS, [tolerated("karpenter.sh/disrupted", "Exists", left=5.0)], None),
]


@pytest.mark.parametrize(
    ("found", "tolerations", "left"), [row[1:] for row in TOLERATED], ids=[row[0] for row in TOLERATED]
)
def test_what_is_tolerated(found: Taint, tolerations: list[Toleration], left: float | None) -> None:
    assert found.tolerated_for(tolerations) == left


def test_a_pod_says_where_it_is_and_what_it_tolerates() -> None:
    raw = raw_pod()
    assert (PodView.from_object(raw).node, PodView.from_object(raw).tolerations) == ("", ())
    raw["spec"] |= {
        "nodeName": "node-1",
        "tolerations": [
            {
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            },
            {"key": "a", "value": "b"},
        ],
    }
    pod, other = PodView.from_object(raw), PodView.from_object(raw)
    assert pod.node == "node-1"
    assert pod.tolerations == (
        Toleration("node.kubernetes.io/not-ready", "Exists", "", "NoExecute", 300.0),
        Toleration("a", "Equal", "b", "", None),
    )
    assert pod.tolerations is other.tolerations
    assert pod.node is other.node


def test_a_node_costs_little() -> None:
    """Of its labels, its images and its conditions nothing is kept."""
    raw = [raw_node(name=f"node-{n}") for n in range(1000)]
    tracemalloc.start()
    views = [NodeView.from_object(obj) for obj in raw]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(views) < 400
