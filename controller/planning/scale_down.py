"""Which workers go, and how: the idle, the surplus, the outdated, the stuck, and those already on their way out. Pure.

A worker that Ray knows is drained before its pod is deleted: an idle one with Ray's consent, a busy one with time to
finish. Nothing of this is decided on an old answer of the head. The one exception is a change that a user asked for,
while the head has been silent for so long that no question is going to be sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autoscaler.model import NodeStatus
from autoscaler.scheduling.scheduler import removable
from controller.objects.views import PodView
from controller.wording import duration

from .actions import DeletePod, DrainPod
from .announced_ends import announced_ends
from .departure import ASK_AGAIN_SECONDS, JOIN_SECONDS, Choice, Departure, ScaleDownInputs, let_go_together
from .hosts import by_worker, count_workers, number_of_workers
from .reasons import Label, Reason, reason_of_drain

# Workers drained in one pass.
MAX_DRAINS = 16
# What a worker that has joined takes over is shown by Ray within seconds.
SETTLE_SECONDS = 10.0
OVER_MAXIMUM = Reason(Label.ABOVE_MAXIMUM, "there are more workers than maxWorkers allows")


@dataclass(frozen=True)
class Departures:
    """Workers that go now, seconds until the next deadline is over, and how many drains are left for the next pass."""

    actions: tuple[Departure, ...]
    look_again_in: float | None = None
    put_off: int = 0


def departures(at: ScaleDownInputs) -> Departures:
    """All of them, each pod once: the first reason counts."""
    choices = (
        *_finishing(at),
        *announced_ends(at),
        *_stuck(at),
        *_surplus(at),
        *_idle(at),
        *_outdated(at),
        *_undecided(at),
    )
    chosen: dict[str, Departure] = {}
    for choice in choices:
        if choice.action:
            chosen.setdefault(choice.action.pod.uid, choice.action)
    waits = (c.look_again_in for c in choices if c.look_again_in is not None)
    kept = tuple(bounded(chosen.values()))
    # Those that were noted before have been drained, or their head does not answer.
    put_off = len({a.pod.uid for a in chosen.values() if _announces(a)} - {a.pod.uid for a in kept})
    return Departures(kept, min(waits, default=None), put_off)


def bounded(departures: Iterable[Departure]) -> Iterator[Departure]:
    """Those of one pass: each drain may wait for a raylet, and other clusters wait with it. Announced ends come first:
    their time is short.
    """
    drains = 0
    begun: set[str] = set()
    for departure in sorted(departures, key=lambda d: not _announces(d)):
        group = departure.pod.group
        drains += not isinstance(departure, DeletePod)
        if isinstance(departure, DeletePod) or drains <= MAX_DRAINS or group in begun:
            # The hosts of a worker go in one pass, however many they are.
            begun |= {group} if group else set()
            yield departure


def _announces(departure: Departure) -> bool:
    """It drains for an end that Kubernetes has announced, for the first time."""
    new = isinstance(departure, DrainPod) and not departure.pod.drain_by
    return new and departure.reason.label is Label.INTERRUPTED


def _undecided(at: ScaleDownInputs) -> Iterator[Choice]:
    """Some would have to go, and the head's answer is too old to decide how."""
    if not at.fresh and (at.fleet.outdated or at.fleet.going or _excess(at)):
        yield Choice(look_again_in=ASK_AGAIN_SECONDS)


def _finishing(at: ScaleDownInputs) -> Iterator[Choice]:
    """Those that are leaving: gone from Ray, out of time, or not drained in Ray yet."""
    for pod in at.fleet.leaving:
        node, reason = at.node(pod), reason_of_drain(pod)
        if at.now >= pod.drain_by:
            yield Choice(DeletePod(pod, reason.extended("; its time to finish is over")))
        elif at.fresh and node is None and at.now < at.rejoins_until:
            yield Choice(look_again_in=min(pod.drain_by, at.rejoins_until) - at.now)
        elif at.fresh and node is None:
            yield Choice(DeletePod(pod, reason.extended("; it has finished")))
        else:
            # Kubernetes may give it less time than it was told of.
            end = at.ends.get(pod.uid)
            until = min(pod.drain_by, end.until) if end else pod.drain_by
            unheard = at.fresh and node and (node.status is not NodeStatus.DRAINING or until < pod.drain_by)
            again = DrainPod(pod, node.node_id, reason, until) if node and unheard else None
            yield Choice(again, pod.drain_by - at.now)


def _stuck(at: ScaleDownInputs) -> Iterator[Choice]:
    """Those that nothing waits for. Work moves to workers that have just joined before Ray shows it there: until that
    has settled, a pod may be needed that does not seem so, and would be made again at once.
    """
    kept = {p.uid for p in at.scaling.kept_stuck}
    # Of a ready pod, this is when it became ready.
    settled_in = max((p.unready_since + SETTLE_SECONDS - at.now for p in at.fleet.fit if p.ready), default=0.0)
    for worker in by_worker([p for p in at.fleet.stuck if p.uid not in kept]):
        if settled_in > 0:
            yield Choice(look_again_in=settled_in)
            continue
        why = next((p.stuck for p in worker if p.stuck), "not all of its hosts can be made")
        reason = Reason(Label.STUCK, f"it cannot start ({why}), and nothing waits for it")
        if any(at.node(p) for p in worker):
            yield from let_go_together(at, worker, reason)
        else:
            yield from (Choice(DeletePod(pod, reason)) for pod in worker)


def _idle(at: ScaleDownInputs) -> Iterator[Choice]:
    """Workers that have idled long enough, with all of their hosts, and are not needed, the longest idle first."""
    if not at.fresh:
        return
    minutes = {t.name: at.spec.idle_minutes_of(t) for t in at.spec.worker_types}
    workers = by_worker(at.fleet.fit)
    idle = [(seconds, w) for w in workers if (seconds := _idle_together(at, w)) is not None]
    left = [(minutes[w[0].node_type] * 60 - seconds, seconds, w) for seconds, w in idle]
    ordered = sorted(left, key=lambda i: (-i[1], i[2][0].key[1]))
    due = {w[0].group or w[0].key[1]: w for over, _, w in ordered if over <= 0}
    yield from (Choice(look_again_in=over) for over, _, _ in left if over > 0)
    young = (p for p in at.fleet.fit if at.node(p) is None and not p.ready and at.now - p.started_at < JOIN_SECONDS)
    yield from (Choice(look_again_in=JOIN_SECONDS - (at.now - p.started_at)) for p in young)
    gone = removable(at.scaling.request, at.scaling.decision, list(due))
    for name in filter(gone.__contains__, due):
        yield from let_go_together(at, due[name], _idle_reason(minutes[due[name][0].node_type]))


def _idle_reason(minutes: float) -> Reason:
    return Reason(Label.IDLE, f"it has been idle for {duration(minutes)}")


def _idle_together(at: ScaleDownInputs, worker: Sequence[PodView]) -> float | None:
    """For how long none of a worker's hosts has been at work; None when one is."""
    if len(worker) == 1:
        return _idle_seconds(at, worker[0])
    idle = [_idle_seconds(at, pod) for pod in worker]
    known = [seconds for seconds in idle if seconds is not None]
    return min(known) if len(known) == len(idle) else None


def _idle_seconds(at: ScaleDownInputs, pod: PodView) -> float | None:
    """By Ray's own clock. A pod that has not joined Ray counts from its creation; None when it is at work."""
    node = at.node(pod)
    if node is None:
        age = at.now - pod.started_at
        return None if pod.ready or age < JOIN_SECONDS else age
    return node.idle_seconds if node.status is NodeStatus.IDLE else None


def _excess(at: ScaleDownInputs) -> Counter[str]:
    """Workers beyond a type's maxWorkers or the cluster's, less those that are going anyway: type -> number."""
    types = {t.name: t for t in at.spec.worker_types}
    staying = count_workers((*at.fleet.fit, *at.scaling.kept_stuck, *at.fleet.outdated))
    excess = Counter({name: max(0, staying[name] - t.max_workers) for name, t in types.items()})
    total = sum(staying.values()) - at.spec.max_workers
    # Of removed types all go; of the others no more than their minimum can spare.
    rest = max(0, total - sum(excess.values()) - sum(n for name, n in staying.items() if name not in types))
    for name, t in types.items():
        more = max(0, min(rest, staying[name] - excess[name] - t.min_workers))
        excess[name] += more
        rest -= more
    return +excess


def _surplus(at: ScaleDownInputs) -> Iterator[Choice]:
    """Beyond the bounds: first who has not started, then who is idle, then the youngest of the busy."""
    for name, count in _excess(at).items():
        mine = [p for p in (*at.fleet.fit, *at.scaling.kept_stuck, *at.fleet.outdated) if p.node_type == name]
        for worker in _least_valuable(at, mine)[:count]:
            yield from let_go_together(at, worker, OVER_MAXIMUM)


def _least_valuable(at: ScaleDownInputs, pods: Iterable[PodView]) -> list[list[PodView]]:
    """The workers that these pods are, the least valuable first: each is worth as much as the busiest of its hosts."""
    return sorted(by_worker(pods), key=lambda worker: max([_value(at, pod) for pod in worker]))


def _value(at: ScaleDownInputs, pod: PodView) -> tuple[int, float, str]:
    """The least valuable first."""
    node = at.node(pod)
    if node is None:
        return int(pod.ready), -pod.started_at, pod.name
    if node.status is NodeStatus.IDLE:
        return 2, -node.idle_seconds, pod.name
    return 3, -pod.started_at, pod.name


def _outdated(at: ScaleDownInputs) -> Iterator[Choice]:
    """Workers of changed types, as many as their replacements allow; of removed types all."""
    for name in sorted({p.node_type for p in at.fleet.outdated}):
        mine = _least_valuable(at, [p for p in at.fleet.outdated if p.node_type == name])
        for worker in mine[: _replaceable(at, name, mine)]:
            reason = at.outdated[worker[0].uid]
            if at.silent:
                silent = reason.extended(", and the head does not answer")
                yield from (Choice(DeletePod(pod, silent)) for pod in worker)
            else:
                yield from let_go_together(at, worker, reason)


def _replaceable(at: ScaleDownInputs, name: str, mine: Sequence[Sequence[PodView]]) -> int:
    """How many outdated workers of a type may go now: never so many that fewer work than are needed.

    Where the bounds leave no room for a replacement beside them, a quarter goes first.
    """
    pod_type = next((t for t in at.spec.worker_types if t.name == name), None)
    if pod_type is None:
        return len(mine)
    fit = by_worker([p for p in (*at.fleet.fit, *at.fleet.stuck) if p.node_type == name])
    joined = sum([_is_up(at, worker) for worker in fit])
    asleep = sum([not _is_up(at, worker) for worker in mine])
    launches = at.scaling.decision.launches.get(name, 0)
    needed = max(len(fit) + launches, pod_type.min_workers)
    spare = max(asleep, joined + len(mine) - needed)
    coming = launches + len(fit) - joined + number_of_workers([p for p in at.fleet.leaving if p.node_type == name])
    return spare if spare > 0 or coming else max(1, len(mine) // 4)


def _is_up(at: ScaleDownInputs, worker: Sequence[PodView]) -> bool:
    """All that is there of a worker has joined Ray, as far as can be known."""
    up = (at.node(pod) is not None or (at.silent and pod.ready) for pod in worker)
    return len(worker) >= worker[0].hosts and all(up)
