"""Pod types that cannot be launched for the time being, and why: set aside, so that another type may serve. Pure.

A type is blocked while a pod of it cannot start (a gate, no room, no image), for a growing time after the API server
refused one (quota, policy), and for a growing time while another client deletes each new pod soon after its start. What
is remembered only protects: a new process that has forgotten it makes one try more, and no pod is lost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from autoscaler.provider import ForbiddenError, InvalidNodeError, ProviderError, QuotaExceededError
from controller.objects.pod_status import SCHEDULING_GATED, UNSCHEDULABLE
from controller.objects.views import PodView

from .slots import QUIET_SECONDS, backoff_seconds

# A refusal is tried again after a second, then ever later: a quota that was raised is used within half a minute.
REFUSED_LIMIT_SECONDS = 30.0
STUCK_BASE_SECONDS = 30.0
STUCK_LIMIT_SECONDS = 300.0
LOST = "PodsLost"
# A pod that was deleted at this age or later was not deleted soon after its start.
YOUNG_SECONDS = 60.0
# The pod made after a loss has so long to be lost as well. Beyond that, the next loss is the first of its row.
ROW_SECONDS = 2 * YOUNG_SECONDS
# Refusals of a pod that the next one will meet as well.
LASTING = (QuotaExceededError, ForbiddenError, InvalidNodeError)
_REFUSALS: Mapping[type[ProviderError], str] = {
    QuotaExceededError: "QuotaExceeded",
    ForbiddenError: "Forbidden",
    InvalidNodeError: "Invalid",
}


@dataclass(frozen=True)
class Block:
    """Why a type is set aside, and since when (seconds since the epoch).

    ``attempts``: how often in a row it came to this. ``config``: the hash of the configuration that it is about;
    a change of it starts afresh.
    """

    reason: str
    message: str
    since: float
    attempts: int = 1
    config: str = ""

    @property
    def refuses(self) -> bool:
        """Not even the one pod that must be there is to be tried for the time being."""
        return self.reason == LOST or self.reason in _REFUSALS.values()

    @property
    def last_resort(self) -> bool:
        """More pods may help: a cluster that grows by what it sees waiting must see all of it, and so must a queue."""
        return self.reason in (UNSCHEDULABLE, SCHEDULING_GATED)


@dataclass(frozen=True)
class Stuck(Block):
    """Pods of the type cannot start. It lasts as long as they are there and stuck. ``pods``: their uids."""

    pods: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pause(Block):
    """The type is not tried until then (seconds since the epoch)."""

    until: float = 0.0


class Young(NamedTuple):
    """A pod that started a moment ago, at ``started_at`` (seconds since the epoch)."""

    node_type: str
    started_at: float


Blocks = Mapping[str, Block]
# Why a pod is stuck -> seconds for which it may be. For all other reasons its type is set aside at once.
Graces = Mapping[str, float]
# Type -> the hashes of its configuration: of its workers' one, and the head's if it is the head's type.
Configs = Mapping[str, Collection[str]]


class Applied(Protocol):
    """What became of a pass: uids of pods deleted on purpose, types of which pods were made, and were refused."""

    @property
    def removed(self) -> Collection[str]: ...

    @property
    def launched(self) -> Collection[str]: ...

    @property
    def refused(self) -> Mapping[str, ProviderError]: ...


@dataclass(frozen=True)
class LaunchHistory:
    """What is remembered of a cluster from pass to pass: ``seen`` before its plan is made, ``after`` it is applied.

    ``blocks`` and ``losses``: pod type -> block, active or over. ``young``: uid -> type and start (seconds since the
    epoch), of pods that started a moment ago. ``asked``: uids that were deleted on purpose. ``configs``: of the pass.
    """

    blocks: Blocks = field(default_factory=dict)
    losses: Mapping[str, Pause] = field(default_factory=dict)
    young: Mapping[str, Young] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    configs: Configs = field(default_factory=dict)

    def active(self, now: float) -> dict[str, Block]:
        """The types that cannot be launched at this time."""
        every = [*self.losses.items(), *self.blocks.items()]
        return {name: b for name, b in every if not (isinstance(b, Pause) and b.until <= now)}

    def seen(self, pods: Sequence[PodView], configs: Configs, now: float, graces: Graces) -> LaunchHistory:
        """Take in the pods of a pass."""
        there = {p.uid for p in pods}
        current = [p for p in pods if p.config_hash in configs.get(p.node_type, ())]
        valid = {n: b for n, b in self.blocks.items() if b.config in configs.get(n, ())}
        return LaunchHistory(
            blocks=_renewed(valid, current, now, graces),
            losses=_with_losses(self.losses, self._lost(pods), now),
            young={p.uid: Young(p.node_type, p.started_at) for p in pods if _is_young(p, now)},
            asked=self.asked & there,
            configs=configs,
        )

    def after(self, applied: Applied, now: float) -> LaunchHistory:
        """Take in what became of the pass's plan. Pods of a type may be both made and refused."""
        blocks = {n: b for n, b in self.blocks.items() if n not in applied.launched or isinstance(b, Stuck)}
        for name, error in applied.refused.items():
            config = min(self.configs.get(name, ("",)))
            blocks[name] = _refused(blocks.get(name), error, config, now)
        return replace(self, blocks=blocks, asked=self.asked.union(applied.removed))

    def _lost(self, pods: Sequence[PodView]) -> Counter[str]:
        """Young pods that other clients deleted, by type. Those that are older than the loss before are part of it:
        what empties a machine deletes the pods that are there, one after the other. What Kubernetes announces as a
        disruption, an eviction for one, is no loss.
        """
        kept = {p.uid for p in pods if not p.deleting or p.disrupted}
        lost = [pod for uid, pod in self.young.items() if uid not in kept and uid not in self.asked]
        # Pods know the second of their start.
        before = {name: float(int(loss.since)) for name, loss in self.losses.items()}
        return Counter(pod.node_type for pod in lost if pod.started_at >= before.get(pod.node_type, 0.0))


def _is_young(pod: PodView, now: float) -> bool:
    return not pod.deleting and now - pod.started_at < YOUNG_SECONDS


def next_end(blocks: Blocks) -> float | None:
    """When the first of them is over; None when time alone ends none."""
    return min((b.until for b in blocks.values() if isinstance(b, Pause)), default=None)


def can_start(pod: PodView, now: float, graces: Graces) -> bool:
    """Nothing keeps it from starting that has lasted too long. A cluster that grows needs a while to make room, and
    who holds a gate needs a moment to open it.
    """
    return not pod.stuck or now < pod.stuck_since + graces.get(pod.stuck, -math.inf)


def next_stuck(pods: Sequence[PodView], now: float, graces: Graces) -> float | None:
    """When the next pod that waits for room or for a gate has waited too long; None without one."""
    dues = (p.stuck_since + graces[p.stuck] for p in pods if p.stuck in graces and p.live)
    return min((due for due in dues if due > now), default=None)


def _renewed(blocks: Blocks, pods: Sequence[PodView], now: float, graces: Graces) -> Blocks:
    live = {p.uid: p for p in pods if p.live}
    stuck: dict[str, list[PodView]] = {}
    for pod in live.values():
        if not can_start(pod, now, graces):
            stuck.setdefault(pod.node_type, []).append(pod)
    kept = {name: after for name, block in blocks.items() if name not in stuck and (after := _after(block, live, now))}
    return kept | {name: _stuck(blocks.get(name), found, now) for name, found in stuck.items()}


def _stuck(block: Block | None, pods: Sequence[PodView], now: float) -> Stuck:
    first = min(pods, key=lambda p: p.name)
    before = block.attempts if block else 0
    again = isinstance(block, Stuck)
    return Stuck(
        reason=first.stuck,
        message=first.problem,
        since=block.since if block and again else now,
        attempts=before if again else before + 1,
        config=first.config_hash,
        pods=frozenset(p.uid for p in pods),
    )


def _after(block: Block, live: Mapping[str, PodView], now: float) -> Block | None:
    """A block without a stuck pod: over at once if one of them has started, else after a while; then forgotten."""
    if isinstance(block, Pause):
        return block if now < block.until + QUIET_SECONDS else None
    if isinstance(block, Stuck) and any(uid in live for uid in block.pods):
        return None
    delay = min(STUCK_BASE_SECONDS * 2.0 ** min(block.attempts - 1, 30), STUCK_LIMIT_SECONDS)
    return Pause(block.reason, block.message, block.since, block.attempts, block.config, until=now + delay)


def _refused(block: Block | None, error: ProviderError, config: str, now: float) -> Pause:
    attempts = block.attempts + 1 if block else 1
    delay = min(2.0 ** min(attempts - 1, 30), REFUSED_LIMIT_SECONDS)
    reason = _REFUSALS[type(error)]
    since = block.since if block and block.reason == reason else now
    return Pause(reason, str(error), since, attempts, config, until=now + delay)


def _with_losses(losses: Mapping[str, Pause], lost: Mapping[str, int], now: float) -> dict[str, Pause]:
    kept = {name: loss for name, loss in losses.items() if now < loss.until + ROW_SECONDS}
    for name, count in lost.items():
        attempts = kept[name].attempts + 1 if name in kept else 1
        what = "a pod was deleted" if count == 1 else f"{count} pods were deleted"
        message = f"{what} by another client soon after the start, {attempts} times in a row"
        kept[name] = Pause(LOST, message, now, attempts, until=now + backoff_seconds(attempts))
    return kept
