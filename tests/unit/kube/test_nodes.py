"""What is known of nodes: signs alone, and nobody hears of a heartbeat."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from controller.kube.nodes import Nodes
from controller.objects.nodes import NodeView
from controller.raycluster.model import Key
from tests.support.builders import NOW_TEXT
from tests.unit.objects.test_nodes import raw_node, taint

GOING = taint("karpenter.sh/disrupted")


class Told:
    """The nodes, and of which changes somebody heard."""

    def __init__(self) -> None:
        self.heard: list[Collection[str]] = []
        self.nodes = Nodes(self.heard.append)

    def watched(self, *taints: dict[str, Any], version: int = 7, **metadata: Any) -> None:
        self.nodes.watched(view(*taints, resourceVersion=str(version), **metadata), "")


def view(*taints: dict[str, Any], **metadata: Any) -> NodeView:
    return NodeView.from_object(raw_node(*taints, **metadata))


def test_a_node_that_shows_no_sign_is_not_kept() -> None:
    told = Told()
    told.nodes.replace([view(name=f"node-{n}") for n in range(10_000)], 9, "")
    told.watched()
    assert (len(told.nodes), told.heard) == (0, [])
    assert told.nodes.of(["node-1"]) == {}


def test_a_sign_is_reported_when_it_comes_and_when_it_goes() -> None:
    told = Told()
    told.watched(GOING, version=8)
    assert told.nodes.of(["node-1", "node-2"]).keys() == {"node-1"}
    told.watched(version=9)
    assert (told.nodes.of(["node-1"]), told.heard) == ({}, [{"node-1"}, {"node-1"}])


def test_nobody_hears_of_a_heartbeat() -> None:
    """Nor of an annotation, a label or a condition: only the version differs then."""
    told = Told()
    told.watched(GOING, version=8)
    for version in range(9, 100):
        told.watched(GOING, version=version, annotations={"beat": str(version)})
        told.nodes.watched(view(name="node-2", resourceVersion=str(version)), "")
    assert told.heard == [{"node-1"}]
    node = told.nodes.get(Key("", "node-1"))
    assert node is not None
    assert node.resource_version == 99


def test_another_sign_is_reported() -> None:
    told = Told()
    told.watched(GOING, version=8)
    told.watched(GOING, version=9, deletionTimestamp=NOW_TEXT)
    assert told.heard == [{"node-1"}, {"node-1"}]


def test_a_list_reports_what_has_changed_in_the_meantime() -> None:
    told = Told()
    told.nodes.replace([view(GOING, name="a"), view(GOING, name="b")], 9, "")
    told.nodes.replace([view(GOING, name="b"), view(GOING, name="c"), view(name="d")], 12, "")
    assert told.heard == [{"a", "b"}, {"a", "c"}]


def test_a_node_that_is_gone_shows_nothing() -> None:
    told = Told()
    told.watched(GOING, version=8)
    told.nodes.deleted(view(GOING), "")
    told.nodes.deleted(view(GOING, name="other"), "")
    assert (len(told.nodes), told.heard) == (0, [{"node-1"}, {"node-1"}])
