"""Between Ray's messages and our values, pure in both directions.

Messages are ``ray.rpc.autoscaler`` protos (ray/src/ray/protobuf/autoscaler.proto) or anything shaped like them; they
are ``Any`` here because generated code carries no types. What a head says is untrusted: anything may answer on its
port. A wish that makes no sense is left out, which at worst launches too little. A *node* cannot be left out, since a
missing node looks like a lost one: an answer whose nodes make no sense is refused as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any

from autoscaler.model import (
    GROUP_LABEL,
    HEAD_RESOURCE,
    Demand,
    Gang,
    LabelConstraint,
    LabelOperator,
    NodeStatus,
    RayNode,
    RayState,
    Selector,
    Shape,
    Strategy,
    in_order,
)

from .resources import MAX_ENTRIES, amount_of, is_place, is_reserved, kept_text, room

NODE_ID_BYTES = 28
MAX_NODES = 10_000
MAX_DEAD_NODES = 10_000
MAX_SHAPES = 10_000
MAX_GANGS = 10_000
# Of one gang, and of all gangs together: 1,000 placement groups of 100 bundles are real.
MAX_BUNDLES = 10_000
MAX_ALL_BUNDLES = 200_000
MAX_COUNT = 1_000_000
# Resource names, constraints and values of all different shapes together, and resources and labels of all nodes
# together, 30 of each of 10,000: what they are made of, they cost, about 200 and 100 bytes each for as long as they are
# kept.
MAX_ALL_ENTRIES = 100_000
MAX_NODE_ENTRIES = 300_000
# Different shapes together, those of bundles too: a plan costs what they are many, and bundles of one kind are alike.
MAX_ALL_SHAPES = 20_000
MAX_SELECTORS = 32

_GANG_DETAILS = re.compile(r"(?P<id>[0-9a-f]+):(?P<strategy>[A-Z_]+)\|")

# Numbers of ray.rpc.autoscaler.NodeStatus. What we do not know counts as at work: never terminated for being idle.
_STATUS = {1: NodeStatus.RUNNING, 2: NodeStatus.DEAD, 3: NodeStatus.IDLE, 4: NodeStatus.DRAINING}
# Numbers of ray.rpc.LabelSelectorOperator.
_OPERATOR = {1: LabelOperator.IN, 2: LabelOperator.NOT_IN}
# Which of two live nodes under one instance id stands for it: the one whose work must not be disturbed.
_PRECEDENCE = {NodeStatus.RUNNING: 0, NodeStatus.IDLE: 1, NodeStatus.DRAINING: 2, NodeStatus.DEAD: 3}


class ImplausibleAnswerError(ValueError):
    """This is not what a Ray head answers."""


def ray_state(state: Any, taken_at: float) -> RayState:
    """What a ``ClusterResourceState`` says. Equal clusters give equal values, in whatever order a head lists them.

    A live node wins over a dead one of the same instance id. Dead nodes without a live successor stay, marked.

    Raises:
        ImplausibleAnswerError: too many nodes, or ids that are none.
    """
    constraints = state.cluster_resource_constraints
    shapes = _Shapes()
    nodes = _nodes(state.node_states)
    demands = _demands(state.pending_resource_requests, shapes)
    gangs = _gangs(state.pending_gang_resource_requests, shapes, nodes)
    places = _places(gangs) if shapes.tied else frozenset()
    return RayState(
        session=kept_text(state.cluster_session_name) or "",
        taken_at=taken_at,
        nodes=_nodes(state.node_states, places) if places else nodes,
        demands=demands,
        gangs=gangs,
        requested=_demands(constraints[0].resource_requests, shapes) if constraints else (),
    )


def _nodes(messages: Any, places: Collection[str] = ()) -> tuple[RayNode, ...]:
    """``places``: the resources of particular nodes that are asked for."""
    if len(messages) > MAX_NODES + MAX_DEAD_NODES:
        raise ImplausibleAnswerError(f"{len(messages)} nodes")
    kept: dict[tuple[str | bytes, str | None], RayNode] = {}
    left = MAX_NODE_ENTRIES
    for message in messages:
        node = _node(message, places)
        left -= len(node.total) + len(node.available) + len(node.labels)
        if left < 0:
            raise ImplausibleAnswerError(f"nodes of more than {MAX_NODE_ENTRIES} resources and labels")
        # Names of pods are used again: which of the dead was in a pod that is there, its address tells.
        name = node.instance_id or node.node_id
        identity = (name, node.ip if node.status is NodeStatus.DEAD else None)
        if identity not in kept or _precedence(node) < _precedence(kept[identity]):
            kept[identity] = node
    known = (node for (name, ip), node in kept.items() if ip is None or (name, None) not in kept)
    nodes = sorted(known, key=lambda node: (node.instance_id, node.node_id))
    if sum(node.status is not NodeStatus.DEAD for node in nodes) > MAX_NODES:
        raise ImplausibleAnswerError(f"{len(nodes)} nodes")
    return tuple(nodes)


def _precedence(node: RayNode) -> tuple[int, float, bytes]:
    return _PRECEDENCE[node.status], node.idle_seconds, node.node_id


def _node(message: Any, places: Collection[str]) -> RayNode:
    node_id = message.node_id
    if len(node_id) != NODE_ID_BYTES:
        raise ImplausibleAnswerError(f"a node id of {len(node_id)} bytes")
    status = _STATUS.get(message.status, NodeStatus.RUNNING)
    instance_id, node_type = kept_text(message.instance_id) or "", kept_text(message.ray_node_type_name) or ""
    ip = kept_text(message.node_ip_address) or ""
    if status is NodeStatus.DEAD:
        return RayNode(node_id, instance_id, node_type, status, total={}, available={}, ip=ip)
    return RayNode(
        node_id=node_id,
        instance_id=instance_id,
        node_type=node_type,
        status=status,
        total=room(message.total_resources, places),
        available=room(message.available_resources, places),
        labels=_labels(message.labels, message.dynamic_labels),
        idle_seconds=max(message.idle_duration_ms, 0) / 1000 if status is NodeStatus.IDLE else 0.0,
        is_head=HEAD_RESOURCE in message.total_resources,
        ip=ip,
    )


def _labels(*maps: Mapping[str, str]) -> dict[str, str]:
    """Static labels win over the dynamic ones, such as ``_PG_<id>`` where a bundle of that group lives."""
    labels: dict[str, str] = {}
    for pairs in maps:
        for key, value in islice(pairs.items(), MAX_ENTRIES):
            if kept_text(key) and kept_text(value) is not None:
                labels.setdefault(key, value)
    return labels


class _Shapes:
    """Shapes of one answer. Bundles are mostly alike, and comparing bytes is ten times faster than converting."""

    def __init__(self) -> None:
        self._known: dict[bytes, Shape | None] = {}
        # Equal selectors are one object, which the scheduler finds again at once.
        self._alike: dict[tuple[Selector, ...], tuple[Selector, ...]] = {}
        self._left = MAX_ALL_ENTRIES
        # Those that ask for resources of particular nodes.
        self.tied: set[Shape] = set()

    def of(self, request: Any) -> Shape | None:
        """See ``_shape``."""
        wire = request.SerializeToString(deterministic=True)
        if wire not in self._known:
            if len(self._known) >= MAX_ALL_SHAPES:
                return None
            self._left -= _entries(request)
            self._known[wire] = shape = _shape(request, self._alike) if self._left >= 0 else None
            if shape and any(is_place(name) for name, _ in shape.resources):
                self.tied.add(shape)
        return self._known[wire]


def _entries(request: Any) -> int:
    constraints = [c for selector in request.label_selectors for c in selector.label_constraints]
    return len(request.resources_bundle) + sum([1 + len(c.label_values) for c in constraints])


def _demands(messages: Iterable[Any], shapes: _Shapes) -> tuple[Demand, ...]:
    """One demand per shape, sorted. No launch helps a task or an actor that is tied to a node which is there."""
    counts: Counter[Shape] = Counter()
    for message in islice(messages, MAX_SHAPES):
        if message.count > 0 and (shape := shapes.of(message.request)) and shape not in shapes.tied:
            counts[shape] += message.count
    return _grouped(counts)


def _grouped(counts: Mapping[Shape, int]) -> tuple[Demand, ...]:
    return tuple([Demand(shape, min(counts[shape], MAX_COUNT)) for shape in sorted(counts, key=in_order)])


def _shape(request: Any, alike: dict[tuple[Selector, ...], tuple[Selector, ...]]) -> Shape | None:
    """None where no launch could help: amounts that are none, or room that a placement group reserved."""
    resources = request.resources_bundle
    if len(resources) > MAX_ENTRIES or len(request.label_selectors) > MAX_SELECTORS:
        return None
    if any(amount_of(value) is None or not kept_text(name) or is_reserved(name) for name, value in resources.items()):
        return None
    if not request.label_selectors:
        return Shape.of(resources)
    selectors = tuple([known for s in request.label_selectors if (known := _selector(s)) is not None])
    return Shape.of(resources, alike.setdefault(selectors, selectors)) if selectors else None


def _selector(message: Any) -> Selector | None:
    """None if it holds a constraint that we do not understand and so cannot keep."""
    if len(message.label_constraints) > MAX_ENTRIES:
        return None
    constraints: set[LabelConstraint] = set()
    for constraint in message.label_constraints:
        operator = _OPERATOR.get(constraint.operator)
        values = tuple(islice(constraint.label_values, MAX_ENTRIES + 1))
        texts = (constraint.label_key, *values)
        if operator is None or len(values) > MAX_ENTRIES or any(kept_text(text) is None for text in texts):
            return None
        constraints.add(LabelConstraint.of(constraint.label_key, operator, values))
    return Selector(tuple(sorted(constraints)))


def _gangs(messages: Iterable[Any], shapes: _Shapes, nodes: Iterable[RayNode]) -> tuple[Gang, ...]:
    holding = frozenset([pair for node in nodes for pair in node.labels.items() if pair[0].startswith(GROUP_LABEL)])
    gangs: list[Gang] = []
    left = MAX_ALL_BUNDLES
    for message in islice(messages, MAX_GANGS):
        ways = _ways(message)
        left -= sum(map(len, ways))
        if left < 0:
            break
        if gang := _gang(message, ways, shapes, holding):
            gangs.append(gang)
    return tuple(sorted(gangs, key=_gang_order))


def _places(gangs: Iterable[Gang]) -> frozenset[str]:
    """The resources of particular nodes that placement groups ask for: other bundles of theirs may need a launch.

    vLLM ties the first bundle of its group to the node of its driver.
    """
    demands = (demand for gang in gangs for bundles in (gang.bundles, *gang.fallbacks) for demand in bundles)
    return frozenset([name for demand in demands for name, _ in demand.shape.resources if is_place(name)])


def _gang_order(gang: Gang) -> tuple[object, ...]:
    ways = [[in_order(demand.shape) for demand in bundles] for bundles in (gang.bundles, *gang.fallbacks)]
    return gang.name, gang.strategy.value, ways


def _ways(message: Any) -> list[Any]:
    """The bundles, then those of the fallbacks. Heads before Ray 2.50 or so send ``requests`` only, without labels."""
    given = [selector.resource_requests for selector in islice(message.bundle_selectors, MAX_SELECTORS)]
    return given or [message.requests]


def _gang(message: Any, ways: list[Any], shapes: _Shapes, holding: Collection[tuple[str, str]]) -> Gang | None:
    """None if there is no way that makes sense. ``holding``: the labels of nodes that hold bundles of a group."""
    known = [bundles for requests in ways if (bundles := _bundles(requests, shapes))]
    if not known:
        return None
    details = _GANG_DETAILS.match(kept_text(message.details) or "")
    first = next(filter(None, ways))[0]
    name = details["id"] if details else ""
    return Gang(known[0], _strategy(first, details), name, tuple(known[1:]), _elsewhere(first, holding))


def _bundles(requests: Any, shapes: _Shapes) -> tuple[Demand, ...]:
    """Empty if any bundle makes no sense: a gang is placed whole or not at all."""
    if len(requests) > MAX_BUNDLES:
        return ()
    known = [shape for request in requests if (shape := shapes.of(request)) is not None]
    return _grouped(Counter(known)) if len(known) == len(requests) else ()


def _strategy(bundle: Any, details: re.Match[str] | None) -> Strategy:
    """The strict ones are constraints, the same on every bundle; the others are in the details only."""
    for constraint in islice(bundle.placement_constraints, 1):
        if constraint.HasField("anti_affinity"):
            return Strategy.STRICT_SPREAD
        if constraint.HasField("affinity"):
            return Strategy.STRICT_PACK
    return Strategy(details["strategy"]) if details and details["strategy"] in Strategy.__members__ else Strategy.PACK


def _elsewhere(bundle: Any, holding: Collection[tuple[str, str]]) -> tuple[LabelConstraint, ...]:
    """What keeps such a bundle off the nodes that hold others of its group.

    Ray sends the anti-affinity with every STRICT_SPREAD group, and of a group that lost a node the lost bundles only.
    Where no node has the label it says nothing, and groups of which nothing is placed stay alike.
    """
    for constraint in islice(bundle.placement_constraints, 1):
        label = constraint.anti_affinity
        if constraint.HasField("anti_affinity") and (label.label_name, label.label_value) in holding:
            return (LabelConstraint.of(label.label_name, LabelOperator.NOT_IN, [label.label_value]),)
    return ()
