"""How many workers of which type the waiting work needs. Pure: equal requests, in any order, get equal decisions.

Nodes on their way are filled after those that run, as Ray itself will do it, and because only then the answer stays
the same while pods start: the next round finds last round's launches and fills them in the order in which it chose
them. Packing is greedy, so when something is launched or left over other heuristics are tried, and a better result
wins: more placed, then fewer nodes, then cheaper ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from operator import not_
from typing import NamedTuple

from autoscaler.model import Demand, Gang, NodeType, Shape, Strategy, in_order

from .causes import Judgement
from .gangs import Group
from .packing_input import Heuristic, PackingInput, least
from .packing_pass import GANG, MIN_WORKERS, Planner
from .request import Decision, Existing, Request, Together, as_workers

__all__ = ["EXPECTED", "GANG", "Decision", "Existing", "Request", "Together", "removable", "schedule"]

# The reason of launches for expected work, beside those of the packing.
EXPECTED = "expected"


class _Result(NamedTuple):
    planner: Planner
    requested: Counter[Shape]
    gangs: list[tuple[Group, int]]
    demands: Counter[Shape]

    @property
    def left(self) -> tuple[int, int, int]:
        """How much found no place."""
        return sum([count for _, count in self.gangs]), sum(self.requested.values()), sum(self.demands.values())

    def launched(self, given: PackingInput) -> tuple[int, ...]:
        """Number of nodes launched, those of the least priority first, and their GPUs, CPUs and memory."""
        counts = {name: sum(reasons.values()) for name, reasons in self.planner.reasons.items()}
        counts = {name: count * given.types[name].hosts for name, count in counts.items()}
        totals = (
            sum(given.types[name].resources.get(resource, 0) * n for name, n in counts.items())
            for resource in ("GPU", "CPU", "memory")
        )
        nodes = Counter(dict.fromkeys(given.priorities, 0))
        for name, count in counts.items():
            nodes[given.types[name].priority] += count
        return (*(nodes[priority] for priority in given.priorities), *totals)


def schedule(request: Request) -> Decision:
    """Decide. Never raises on a well-typed request, whatever its numbers."""
    decision = _packed(_with_room(request, sum(request.reserved.values())))
    if request.last_resort:
        decision = _with_last_resort(request, decision)
    if request.expected:
        decision = _with_expected(request, decision)
    return decision


def _with_room(request: Request, reserved: int) -> Request:
    return replace(request, max_workers=max(0, request.max_workers - reserved))


def _with_last_resort(request: Request, first: Decision) -> Decision:
    """The first decision, and what types of a last resort are to serve beyond it."""
    more = replace(request, blocked=request.blocked - request.last_resort)
    second = _packed(_after(more, first, draining=False))
    reasons = {
        name: dict(Counter(first.reasons.get(name, {})) + Counter(second.reasons.get(name, {})))
        for name in sorted(first.reasons.keys() | second.reasons.keys())
    }
    return _merged(request, first, reasons, second)


def _with_expected(request: Request, first: Decision) -> Decision:
    """The first decision, and what else is to be launched and kept for work that does not wait yet."""
    more = replace(request, demands=(*request.demands, *request.expected))
    second = _packed(_after(more, first, draining=True))
    reasons = {name: dict(counts) for name, counts in first.reasons.items()}
    for name, count in second.launches.items():
        reasons.setdefault(name, {})[EXPECTED] = count
    return _merged(request, first, dict(sorted(reasons.items())), second)


def _after(request: Request, first: Decision, *, draining: bool) -> Request:
    """The request once the first decision's launches are on their way, so that all bounds hold for both together.

    Nodes of a last resort exist in it. ``draining``: they take nothing, as they may never start.
    """
    types = {t.name: t for t in request.types}
    launched = (
        node
        for name, count in first.launches.items()
        for number in range(count)
        for node in _coming(types[name], number)
    )
    stuck = (node for node in request.stuck if node.node_type in request.last_resort)
    coming = [replace(n, draining=draining and n.node_type in request.last_resort) for n in (*launched, *stuck)]
    others = sum(count for name, count in request.reserved.items() if name not in request.last_resort)
    return _with_room(replace(request, nodes=(*request.nodes, *coming)), others)


def _coming(node_type: NodeType, number: int) -> Iterator[Existing]:
    """The nodes of a worker that is about to be launched. No node that exists has such a name."""
    worker = f"/{node_type.name}/{number}"
    for host in range(node_type.hosts):
        resources, labels = node_type.host_resources(host), node_type.host_labels(host)
        yield Existing(f"{worker}/{host}", node_type.name, resources, resources, labels, pending=True, worker=worker)


def _merged(request: Request, first: Decision, reasons: Mapping[str, Mapping[str, int]], second: Decision) -> Decision:
    """These launches, what either decision needs of the nodes that exist, and what the first one leaves over."""
    launches = {name: sum(counts.values()) for name, counts in reasons.items()}
    existing = {n.name for n in (*request.nodes, *request.stuck)}
    return replace(
        first,
        launches=launches,
        reasons=reasons,
        needed=first.needed | second.needed & existing,
        together=(*first.together, *second.together),
    )


def _packed(request: Request) -> Decision:
    """The best of several packings: more placed, then fewer nodes, then cheaper ones."""
    given = PackingInput(request)
    best = _run(given, Heuristic())
    complete = given.complete
    for heuristic in _others(given, best):
        result = _run(given, heuristic)
        if not given.complete:
            break
        fewer_left = result.left < best.left
        # The order of selectors is a wish: it is dropped to place more, not to save nodes.
        same_left = result.left == best.left and heuristic.ordered
        if fewer_left or (same_left and result.launched(given) < best.launched(given)):
            best = result
    return _decision(given, best, complete)


def removable(request: Request, decision: Decision, idle: Sequence[str] | None = None) -> frozenset[str]:
    """Those of ``idle`` (workers by name, the longest idle first; default: all) that need not stay.

    No needed worker is among them, and of each type its minimum stays, counting what runs or is on its way. None while
    the decision is incomplete: what was not examined may need them. A worker is needed where any of its nodes is.
    """
    if not decision.complete:
        return frozenset()
    live = {n.worker or n.name: n.node_type for n in as_workers(request.nodes) if not n.is_head and not n.draining}
    needed = {n.worker or n.name for n in request.nodes if n.name in decision.needed}
    spare = Counter(live.values())
    spare.subtract({t.name: least(t) for t in request.types})
    chosen: set[str] = set()
    for name in sorted(live) if idle is None else dict.fromkeys(idle):
        if name in live and name not in needed and spare[live[name]] > 0:
            chosen.add(name)
            spare[live[name]] -= 1
    return frozenset(chosen)


def _run(given: PackingInput, heuristic: Heuristic) -> _Result:
    planner = Planner(given, heuristic)
    planner.launch_minimum()
    requested = planner.place_requested()
    return _Result(planner, requested, planner.place_gangs(), planner.place_demands())


def _others(given: PackingInput, first: _Result) -> Iterator[Heuristic]:
    """Heuristics that could improve on the first one."""
    launched = any(reason != MIN_WORKERS for reasons in first.planner.reasons.values() for reason in reasons)
    if not (launched or any(first.left)) or not given.is_small:
        return
    spreads = any(g.strategy is Strategy.SPREAD for g in given.request.gangs)
    if spreads:
        yield Heuristic(spread=False)
    yield Heuristic(spread=False, scarce=True)
    yield Heuristic(spread=False, roomy=True)
    if given.nodes:
        yield Heuristic(joint=True)
        yield Heuristic(joint=True, spread=False, scarce=True)
        yield Heuristic(joint=True, spread=False, roomy=True)
        if spreads:
            yield Heuristic(joint=True, spread=False)
    if any(first.left):
        yield Heuristic(joint=True, spread=False, ordered=False)


def _decision(given: PackingInput, result: _Result, complete: bool) -> Decision:
    reasons = {name: dict(counts) for name, counts in sorted(result.planner.reasons.items()) if counts}
    found = Judgement(given, result.planner)
    infeasible = found.infeasible([*result.demands, *result.requested])
    hopeless = [found.is_hopeless(group) for group, _ in result.gangs]
    waiting = list(compress(result.gangs, map(not_, hopeless)))
    return Decision(
        launches={name: sum(counts.values()) for name, counts in reasons.items()},
        reasons=reasons,
        needed=frozenset(result.planner.needed),
        infeasible=_demands({s: n for s, n in result.demands.items() if s in infeasible}),
        infeasible_gangs=_gangs(compress(result.gangs, hopeless)),
        infeasible_requested=_demands({s: n for s, n in result.requested.items() if s in infeasible}),
        unplaced=_demands({s: n for s, n in result.demands.items() if s not in infeasible}),
        unplaced_gangs=_gangs(waiting),
        unplaced_requested=_demands({s: n for s, n in result.requested.items() if s not in infeasible}),
        causes=found.causes(result.demands, result.requested, waiting, complete),
        slowed=dict(sorted(result.planner.slowed_nodes.items())),
        complete=complete,
        together=tuple(result.planner.together),
    )


def _gangs(waiting: Iterable[tuple[Group, int]]) -> tuple[Gang, ...]:
    return tuple([gang for group, count in waiting for gang in group.members[-count:]])


def _demands(counts: Mapping[Shape, int]) -> tuple[Demand, ...]:
    return tuple([Demand(shape, counts[shape]) for shape in sorted(counts, key=in_order)])
