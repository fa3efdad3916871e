"""The block in the operator's log that users of the legacy operator search for: nodes, resources, demand. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from autoscaler.model import QUANTUM, Demand, RayState
from controller.planning.observed import Observed
from controller.planning.plan import Plan

MAX_LINES = 10
# Of each line so many characters, and of each placement group so many kinds of bundles.
MAX_WIDTH = 400
MAX_BUNDLES = 10


def heading(now: float) -> str:
    """The block's first line. ``now``: seconds since the epoch."""
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"======== Autoscaler status: {stamp} ========"


def overview(seen: Observed, plan: Plan) -> tuple[str, ...]:
    """The lines below it; the same as long as nothing has changed."""
    state = seen.ray.state if seen.ray else None
    return (
        "Node status",
        *_section("Healthy", _healthy(state), "(the head has not answered yet)"),
        *_section("Pending", _pending(seen, plan), "(no pending nodes)"),
        *_section("Leaving", _leaving(plan)),
        *_section("Recent failures", _failures(seen), "(no failures)"),
        "Resources",
        *_section("Usage", _usage(state), "(no resources)"),
        *_section("Demands", _demands(state), "(no resource demands)"),
    )


def _section(title: str, lines: Iterable[str], nothing: str = "") -> Iterator[str]:
    """Nothing at all when there is nothing to show, nor words for that."""
    shown = list(lines) or [nothing] * bool(nothing)
    if shown:
        yield f"{title}:"
    yield from (f" {line if len(line) <= MAX_WIDTH else line[:MAX_WIDTH] + ' …'}" for line in shown[:MAX_LINES])
    if len(shown) > MAX_LINES:
        yield f" ... and {len(shown) - MAX_LINES} more"


def _healthy(state: RayState | None) -> Iterator[str]:
    living = (n.node_type or "unknown" for n in (state.living if state else ()))
    yield from (f"{count} {name}" for name, count in sorted(Counter(living).items()))


def _pending(seen: Observed, plan: Plan) -> Iterator[str]:
    alive = seen.ray.alive if seen.ray else frozenset()
    heads = (p for p in (plan.head,) if p and not p.ready)
    waiting = (*heads, *(p for p in plan.workers if p.name not in alive and not p.drain_by))
    yield from (f"{p.name}: {p.node_type}, {p.problem or p.phase}" for p in waiting)


def _leaving(plan: Plan) -> Iterator[str]:
    yield from (f"{p.name}: {p.node_type}, {p.drain_reason}" for p in plan.workers if p.drain_by)


def _failures(seen: Observed) -> Iterator[str]:
    yield from (f"{p.name}: {p.node_type}, {p.problem or p.phase}" for p in seen.pods if p.ended)
    yield from (f"{name}: {block.message}" for name, block in sorted(seen.blocks.items()))


def _usage(state: RayState | None) -> Iterator[str]:
    total: Counter[str] = Counter()
    free: Counter[str] = Counter()
    for node in state.living if state else ():
        total.update(node.total)
        free.update(node.available)
    # A resource of one node that a placement group asks for is in no sum.
    for name, amount in sorted((name, amount) for name, amount in total.items() if not name.startswith("node:")):
        yield f"{_amount(name, amount - free[name])}/{_amount(name, amount)} {name}"


def _amount(name: str, quanta: int) -> str:
    amount = quanta / QUANTUM
    return f"{amount / 2**30:.2f}GiB" if name.endswith("memory") else f"{amount:g}"


def _demands(state: RayState | None) -> Iterator[str]:
    if state is None:
        return
    yield from (f"{_shape(d)}: {d.count}+ pending tasks/actors" for d in state.demands)
    for gang in state.gangs:
        bundles = ", ".join(f"{_shape(d)} * {d.count}" for d in gang.bundles[:MAX_BUNDLES])
        bundles += ", …" if len(gang.bundles) > MAX_BUNDLES else ""
        yield f"{bundles} ({gang.strategy.value}): 1+ pending placement groups"
    yield from (f"{_shape(d)}: {d.count}+ from request_resources()" for d in state.requested)


def _shape(demand: Demand) -> str:
    return "{" + ", ".join(f"'{name}': {amount / QUANTUM}" for name, amount in demand.shape.resources) + "}"
