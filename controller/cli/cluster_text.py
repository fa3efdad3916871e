"""RayClusters as text for a terminal. Pure. Names and messages are untrusted: control characters are replaced."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from controller.objects.pod_state import state_of
from controller.objects.views import PodView
from controller.planning.idle_record import IdleRecord
from controller.raycluster.model import Json, RayCluster
from controller.status.read import ClusterStatus

MAX_MESSAGE = 100
MAX_SHAPES = 10
WIDTH = 100


@dataclass(frozen=True)
class _Seen:
    """One cluster. ``nodes``: (type, state) -> number; None where pods may not be listed."""

    cluster: RayCluster
    status: ClusterStatus
    nodes: Mapping[tuple[str, str], int] | None
    age: float

    @property
    def ready(self) -> bool:
        return self.status.condition("Ready").met

    @property
    def head(self) -> str:
        """Whether the head says what work waits."""
        answers = self.status.condition("Autoscaling")
        return "answers" if answers.met else "asleep" if self.status.phase == "Suspended" else "no answer"


def table(clusters: Sequence[Json], pods: Sequence[Json] | None, now: float, *, with_namespace: bool) -> str:
    """One line a cluster, those that are not ready first. ``pods``: of all of them; None if they are not known."""
    seen = sorted(
        (_seen(c, pods, now) for c in clusters),
        key=lambda s: (s.ready, not s.status.infeasible, s.cluster.key),
    )
    titles = ["NAMESPACE"] if with_namespace else []
    titles += ["NAME", "PHASE", "WORKERS", "NODES", "DEMAND", "HEAD", "RESTARTS", "AGE", "WHY"]
    rows = [titles, *([*([s.cluster.namespace] if with_namespace else []), *_cells(s)] for s in seen)]
    return _aligned(rows)


def _cells(seen: _Seen) -> list[str]:
    status, ready = seen.status, seen.status.condition("Ready")
    why = "" if ready.met else ready.message
    return [
        seen.cluster.name,
        status.phase or "new",
        f"{status.ready_workers} of {status.desired_workers}",
        _nodes(seen.nodes),
        _demand(status),
        seen.head,
        str(status.restarts),
        ago(seen.age),
        why if len(why) <= MAX_MESSAGE else f"{why[: MAX_MESSAGE - 1]}…",
    ]


def _nodes(nodes: Mapping[tuple[str, str], int] | None) -> str:
    if nodes is None:
        return "?"
    states = Counter[str]()
    for (_, state), count in nodes.items():
        states[state] += count
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"


def _demand(status: ClusterStatus) -> str:
    parts = [f"{status.pending} waiting"] if status.pending else []
    parts += [f"{status.infeasible} never possible"] if status.infeasible else []
    return ", ".join(parts) or "none"


def details(cluster: Json, pods: Sequence[Json] | None, now: float) -> str:
    """All that is known of one cluster."""
    seen = _seen(cluster, pods, now)
    return "\n".join(_printable(line) for line in _details(seen))


def _details(seen: _Seen) -> Iterator[str]:
    status, raw = seen.status, seen.cluster.status
    head = raw.get("head") if isinstance(raw.get("head"), Mapping) else {}
    fields = {
        "cluster": f"{seen.cluster.namespace}/{seen.cluster.name}",
        "phase": status.phase or "new: no operator has seen it yet",
        "workers": f"{status.ready_workers} of {status.desired_workers} ready",
        "demand": _demand(status),
        "head": " ".join(filter(None, (str((head or {}).get("podName", "")), seen.head))),
        "restarts": str(status.restarts),
        "age": ago(seen.age),
    }
    use = IdleRecord.of(raw)
    fields |= {"use": use.words} if use.words else {}
    yield from (f"{name:10} {value}" for name, value in fields.items())
    yield from _section("nodes", _node_lines(seen.nodes))
    yield from _section("waiting", _shapes(raw.get("pendingDemand")))
    yield from _section("never possible", _shapes(raw.get("infeasibleDemand")))
    yield from _section("blocked types", _blocked(raw.get("blockedTypes")))
    yield from _section("conditions", _conditions(status))
    decision = raw.get("lastDecision")
    if isinstance(decision, Mapping):
        yield from _section("last decision", [f"{decision.get('time', '')}  {decision.get('message', '')}"])


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"{title}:")
    for line in lines:
        yield from textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ") or [""]


def _node_lines(nodes: Mapping[tuple[str, str], int] | None) -> list[str]:
    if nodes is None:
        return ["not known: you may not list pods"]
    return [f"{count} {kind} {state}" for (kind, state), count in sorted(nodes.items())]


def _shapes(given: object) -> list[str]:
    shapes = [s for s in given if isinstance(s, Mapping)] if isinstance(given, list) else []
    return [f"{shape.get('count')} x {shape.get('resources')}" for shape in shapes[:MAX_SHAPES]]


def _blocked(given: object) -> list[str]:
    blocked = [b for b in given if isinstance(b, Mapping)] if isinstance(given, list) else []
    return [f"{b.get('name')}: {b.get('reason')} since {b.get('since')}: {b.get('message')}" for b in blocked]


def _conditions(status: ClusterStatus) -> list[str]:
    return [
        f"{kind} {c.status}: {c.reason}{f', {c.message}' if c.message else ''} (since {c.since})"
        for kind, c in status.conditions.items()
    ]


def _seen(raw: Json, pods: Sequence[Json] | None, now: float) -> _Seen:
    cluster = RayCluster.from_object(raw)
    mine = None if pods is None else [p for p in map(PodView.from_object, pods) if p.owner_uid == cluster.uid]
    nodes = None if mine is None else Counter((p.node_type, state_of(p)) for p in mine)
    return _Seen(cluster, ClusterStatus.of(cluster.status), nodes, max(0.0, now - _seconds(raw)))


def _seconds(raw: Json) -> float:
    made = datetime.strptime(raw["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return made.replace(tzinfo=timezone.utc).timestamp()


def ago(seconds: float) -> str:
    """A time as kubectl writes ages."""
    for unit, length, limit in (("s", 1, 120), ("m", 60, 120 * 60), ("h", 3600, 48 * 3600)):
        if seconds < limit:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds // 86400:.0f}d"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    cells = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("   ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text.encode(errors="replace").decode())
