"""Random clusters and demand for the scheduler's tests, small enough to be thought through, by seed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from autoscaler.model import (
    GROUP_LABEL,
    QUANTUM,
    Demand,
    Gang,
    LabelConstraint,
    LabelOperator,
    NodeType,
    Selector,
    Shape,
    Strategy,
)
from autoscaler.scheduling.scheduler import Existing, Request

HEAD_TYPE = "head"
ZONES = ("a", "b", "c")
UNLIMITED = 1e9


def random_request(rng: Random, *, labels: bool = False, gangs: bool = False, requested: bool = False) -> Request:
    """A cluster within its bounds, and demand of which most is feasible."""
    types = tuple(_type(rng, f"t{i}", labels) for i in range(rng.randint(1, 4)))
    nodes = [_node(rng, types, i) for i in range(rng.choice((0, 0, 1, 2, 5)))]
    kept, counts = [], {t.name: 0 for t in types}
    for node in nodes:
        counts[node.node_type] += 1
        if counts[node.node_type] <= next(t.max_workers for t in types if t.name == node.node_type):
            kept.append(node)
    if rng.random() < 0.3:
        total = {"CPU": rng.randint(0, 4) * QUANTUM}
        kept.append(Existing("head", HEAD_TYPE, total, total, {}, is_head=True))
    workers = sum(not n.is_head for n in kept)
    least = max(workers, sum(t.min_workers for t in types) + workers)
    return Request(
        types=types,
        max_workers=least + rng.choice((0, 1, 3, 10, 1000, 1000)),
        upscaling_speed=UNLIMITED,
        nodes=tuple(kept),
        demands=tuple(_demand(rng, labels) for _ in range(rng.randint(0, 4))),
        gangs=tuple(_gang(rng, labels) for _ in range(rng.randint(1, 3))) if gangs else (),
        requested=tuple(_small(rng) for _ in range(rng.randint(1, 3))) if requested else (),
    )


def partly_placed_request(rng: Random) -> Request:
    """Placement groups that lost nodes: what is left of each waits, and nodes with room hold the rest of it."""
    types = tuple(NodeType(f"t{i}", {"CPU": rng.choice((4, 8)) * QUANTUM}, 0, 1000) for i in range(rng.randint(1, 2)))
    given = [rng.choice(types) for _ in range(rng.randint(1, 5))]
    labels: list[dict[str, str]] = [{} for _ in given]
    gangs = []
    for number in range(rng.randint(1, 3)):
        label, strategy = f"{GROUP_LABEL}{number}", rng.choice(list(Strategy))
        holding = rng.sample(labels, rng.randint(0, len(labels)))
        for those in holding:
            those[label] = ""
        kept_off = strategy is Strategy.STRICT_SPREAD and holding
        elsewhere = (LabelConstraint.of(label, LabelOperator.NOT_IN, [""]),) if kept_off else ()
        bundles = (Demand(Shape.of({"CPU": rng.choice((0.5, 1, 2))}), rng.choice((1, 2, 3))),)
        gangs.append(Gang(bundles, strategy, str(number), elsewhere=elsewhere))
    nodes = [
        Existing(f"n{i}", t.name, t.resources, {"CPU": t.resources["CPU"] // rng.choice((1, 2))}, those)
        for i, (t, those) in enumerate(zip(given, labels, strict=True))
    ]
    most = len(nodes) + rng.choice((0, 1, 1000))
    return Request(types, most, UNLIMITED, tuple(nodes), gangs=tuple(gangs))


def labelled_request(rng: Random) -> Request:
    """A small cluster, and demand of every kind of which all has selectors: each operator, and fallbacks."""
    types = tuple(_labelled_type(rng, f"t{i}") for i in range(rng.randint(1, 4)))
    nodes = tuple(_node(rng, types, i) for i in range(rng.choice((0, 0, 1, 2))))
    kind = rng.choice(("demands", "demands", "gangs", "requested"))
    wanted = tuple(_labelled_demand(rng) for _ in range(rng.randint(1, 3)))
    return Request(
        types=types,
        max_workers=len(nodes) + sum(t.min_workers for t in types) + rng.choice((1, 3, 1000)),
        upscaling_speed=UNLIMITED,
        nodes=nodes,
        demands=wanted if kind == "demands" else (),
        gangs=(Gang(wanted, rng.choice(list(Strategy)), "g"),) if kind == "gangs" else (),
        requested=wanted if kind == "requested" else (),
    )


def _labelled_type(rng: Random, name: str) -> NodeType:
    resources = {"CPU": rng.choice((1, 2, 4, 8)) * QUANTUM}
    if rng.random() < 0.2:
        resources["GPU"] = QUANTUM
    labels = {key: rng.choice(ZONES) for key in ("zone", "tier") if rng.random() < 0.7}
    return NodeType(name, resources, rng.choice((0, 0, 0, 1)), rng.choice((3, 10, 1000)), labels)


def _labelled_demand(rng: Random) -> Demand:
    selectors = [_selector_of(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    return Demand(Shape.of({"CPU": rng.choice((0.5, 1, 2))}, selectors), rng.choice((1, 2, 5)))


def _selector_of(rng: Random) -> Selector:
    constraints = {
        LabelConstraint.of(
            rng.choice(("zone", "tier")), rng.choice(list(LabelOperator)), rng.sample(ZONES, rng.choice((1, 1, 2)))
        )
        for _ in range(rng.choice((1, 1, 2)))
    }
    return Selector(tuple(sorted(constraints)))


def permuted(rng: Random, request: Request) -> Request:
    """The same request in another order."""

    def shuffled(items: tuple) -> tuple:  # type: ignore[type-arg]
        return tuple(rng.sample(items, len(items)))

    return replace(
        request,
        types=shuffled(request.types),
        nodes=shuffled(request.nodes),
        demands=shuffled(request.demands),
        gangs=tuple(replace(g, bundles=shuffled(g.bundles)) for g in shuffled(request.gangs)),
        requested=shuffled(request.requested),
    )


def _type(rng: Random, name: str, labels: bool) -> NodeType:
    resources = {"CPU": rng.choice((1, 2, 4, 8, 16)) * QUANTUM}
    if rng.random() < 0.5:
        resources["memory"] = rng.choice((4, 8, 32)) * QUANTUM
    if rng.random() < 0.3:
        resources["GPU"] = rng.choice((1, 4)) * QUANTUM
    if rng.random() < 0.2:
        resources["X"] = 2 * QUANTUM
    most = rng.choice((1, 3, 10, 1000, 1000))
    least = rng.choice((0, 0, 0, 1))
    return NodeType(name, resources, least, most, {"zone": rng.choice(ZONES)} if labels else {})


def _node(rng: Random, types: tuple[NodeType, ...], number: int) -> Existing:
    node_type = rng.choice(types)
    pending = rng.random() < 0.3
    share = 1.0 if pending else rng.choice((0.0, 0.5, 0.5, 1.0))
    free = {name: int(amount * share) for name, amount in node_type.resources.items()}
    return Existing(f"n{number}", node_type.name, node_type.resources, free, node_type.labels, pending)


def _shape(rng: Random, labels: bool) -> Shape:
    resources: dict[str, float] = {}
    if rng.random() < 0.95:
        resources["CPU"] = rng.choice((0.5, 1, 1, 2, 3, 4, 6))
    if rng.random() < 0.3:
        resources["memory"] = rng.choice((1, 2, 5))
    if rng.random() < 0.2:
        resources["GPU"] = rng.choice((0.5, 1, 2))
    if rng.random() < 0.1:
        resources["X"] = 1
    return Shape.of(resources, [_selector(rng) for _ in range(rng.choice((0, 0, 1, 2)))] if labels else [])


def _selector(rng: Random) -> Selector:
    values = rng.sample(ZONES, rng.choice((1, 1, 2)))
    return Selector((LabelConstraint.of("zone", rng.choice(list(LabelOperator)), values),))


def _demand(rng: Random, labels: bool) -> Demand:
    return Demand(_shape(rng, labels), rng.choice((1, 2, 5, 20, 50)))


def _small(rng: Random) -> Demand:
    name, amounts = rng.choice((("CPU", (0.5, 1, 2)), ("CPU", (1, 4)), ("GPU", (1,)), ("memory", (2,))))
    return Demand(Shape.of({name: rng.choice(amounts)}), rng.choice((1, 2, 5, 20)))


def _gang(rng: Random, labels: bool) -> Gang:
    bundles = tuple(Demand(_shape(rng, labels), rng.choice((1, 2, 5))) for _ in range(rng.choice((1, 1, 2))))
    return Gang(bundles, rng.choice(list(Strategy)), f"g{rng.randint(0, 9)}")
