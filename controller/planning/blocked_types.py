"""Pod types that cannot be launched for the time being, and why: set aside, so that another type may serve. Pure.

A type is blocked while a pod of it cannot start (no room, no image), for a growing time after the API server refused
one (quota, policy), and for a growing time after pods were deleted soon after their start by somebody else. What is
remembered only protects: a new process that has forgotten it makes one try more, and no pod is lost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.provider import ForbiddenError, InvalidNodeError, ProviderError, QuotaExceededError
from controller.objects.views import UNSCHEDULABLE, PodView

from .slots import QUIET_SECONDS, backoff_seconds

# A refusal is tried again after a second, then ever later: a quota that was raised is used within half a minute.
REFUSED_LIMIT_SECONDS = 30.0
STUCK_BASE_SECONDS = 30.0
STUCK_LIMIT_SECONDS = 300.0
LOST = "PodsLost"
# Refusals of a pod that the next one will meet as well.
LASTING = (QuotaExceededError, ForbiddenError, InvalidNodeError)
_REFUSALS: Mapping[type[ProviderError], str] = {
    QuotaExceededError: "QuotaExceeded",
    ForbiddenError: "Forbidden",
    InvalidNodeError: "Invalid",
}


@dataclass(frozen=True)
class Block:
    """Why and until when a type is set aside. Times are seconds since the epoch.

    ``until`` is infinite while a pod is stuck. ``attempts``: how often in a row it came to this. ``stuck``: the uids of
    the pods that cannot start. ``config``: the hash of the configuration that it is about; whoever changes that starts
    afresh.
    """

    reason: str
    message: str
    since: float
    until: float
    attempts: int = 1
    stuck: frozenset[str] = frozenset()
    config: str = ""

    @property
    def refuses(self) -> bool:
        """Not even the one pod that must be there is to be tried for the time being."""
        return self.reason == LOST or self.reason in _REFUSALS.values()

    @property
    def may_pass(self) -> bool:
        """More pods may help: a cluster that grows by what it sees waiting must see all of it."""
        return self.reason == UNSCHEDULABLE


Blocks = Mapping[str, Block]
# Type -> the hashes of its configuration: of its workers' one, and the head's if it is the head's type.
Configs = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Memory:
    """What is remembered of a cluster from pass to pass.

    ``blocks`` and ``losses``: pod type -> block, active or over. ``young``: uid -> type, of pods that are not old
    enough for their end to be an accident. ``asked``: uids that were deleted on purpose.
    """

    blocks: Blocks = field(default_factory=dict)
    losses: Blocks = field(default_factory=dict)
    young: Mapping[str, str] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()

    def active(self, now: float) -> dict[str, Block]:
        """The types that cannot be launched at this time."""
        return {name: b for found in (self.losses, self.blocks) for name, b in found.items() if now < b.until}

    def look(self, pods: Sequence[PodView], configs: Configs, now: float, grace: float) -> Memory:
        """Take in the pods of a pass.

        ``grace``: seconds for which a pod may wait for room.
        """
        there = {p.uid for p in pods}
        current = [p for p in pods if p.config_hash in configs.get(p.node_type, ())]
        valid = {n: b for n, b in self.blocks.items() if b.config in configs.get(n, ())}
        return Memory(
            blocks=_renewed(valid, current, now, grace),
            losses=_mourned(self.losses, self._lost(pods), now),
            young={p.uid: p.node_type for p in pods if not p.deleting and now - p.started_at < QUIET_SECONDS},
            asked=self.asked & there,
        )

    def removed(self, uids: Collection[str]) -> Memory:
        """These pods are deleted on purpose."""
        return replace(self, asked=self.asked | frozenset(uids))

    def tried(
        self, launched: Collection[str], refused: Mapping[str, ProviderError], configs: Configs, now: float
    ) -> Memory:
        """Pods of some types were made, of others refused; a type may be both."""
        blocks = {n: b for n, b in self.blocks.items() if n not in launched or math.isinf(b.until)}
        for name, error in refused.items():
            blocks[name] = replace(_refused(blocks.get(name), error, now), config=min(configs.get(name, ("",))))
        return replace(self, blocks=blocks)

    def _lost(self, pods: Sequence[PodView]) -> Counter[str]:
        kept = {p.uid for p in pods if not p.deleting}
        return Counter(t for uid, t in self.young.items() if uid not in kept and uid not in self.asked)


def next_end(blocks: Blocks) -> float | None:
    """When the first of them is over; None when time alone ends none."""
    return min((b.until for b in blocks.values() if not math.isinf(b.until)), default=None)


def can_start(pod: PodView, now: float, grace: float) -> bool:
    """Nothing keeps it from starting that has lasted too long. A cluster that grows needs a while to make room."""
    return not pod.stuck or (pod.stuck == UNSCHEDULABLE and now < pod.stuck_since + grace)


def next_stuck(pods: Sequence[PodView], now: float, grace: float) -> float | None:
    """When the next pod that waits for room has waited too long; None without one."""
    dues = (p.stuck_since + grace for p in pods if p.live and p.stuck == UNSCHEDULABLE)
    return min((due for due in dues if due > now), default=None)


def _renewed(blocks: Blocks, pods: Sequence[PodView], now: float, grace: float) -> Blocks:
    live = {p.uid: p for p in pods if p.live}
    stuck: dict[str, list[PodView]] = {}
    for pod in live.values():
        if not can_start(pod, now, grace):
            stuck.setdefault(pod.node_type, []).append(pod)
    kept = {name: after for name, block in blocks.items() if name not in stuck and (after := _after(block, live, now))}
    return kept | {name: _stuck(blocks.get(name), found, now) for name, found in stuck.items()}


def _stuck(block: Block | None, pods: Sequence[PodView], now: float) -> Block:
    first = min(pods, key=lambda p: p.name)
    before = block.attempts if block else 0
    again = block is not None and math.isinf(block.until)
    return Block(
        reason=first.stuck,
        message=first.problem,
        since=block.since if block and again else now,
        until=math.inf,
        attempts=before if again else before + 1,
        stuck=frozenset(p.uid for p in pods),
        config=first.config_hash,
    )


def _after(block: Block, live: Mapping[str, PodView], now: float) -> Block | None:
    """A block without a stuck pod: over at once if one of them has started, else after a while; then forgotten."""
    if not math.isinf(block.until):
        return block if now < block.until + QUIET_SECONDS else None
    if any(uid in live for uid in block.stuck):
        return None
    delay = min(STUCK_BASE_SECONDS * 2.0 ** min(block.attempts - 1, 30), STUCK_LIMIT_SECONDS)
    return replace(block, until=now + delay, stuck=frozenset())


def _refused(block: Block | None, error: ProviderError, now: float) -> Block:
    attempts = block.attempts + 1 if block else 1
    delay = min(2.0 ** min(attempts - 1, 30), REFUSED_LIMIT_SECONDS)
    reason = _REFUSALS[type(error)]
    since = block.since if block and block.reason == reason else now
    return Block(reason, str(error), since, now + delay, attempts)


def _mourned(losses: Blocks, lost: Mapping[str, int], now: float) -> Blocks:
    kept = {name: loss for name, loss in losses.items() if now < loss.until + QUIET_SECONDS}
    for name, count in lost.items():
        attempts = kept[name].attempts + 1 if name in kept else 1
        what = "a pod was deleted" if count == 1 else f"{count} pods were deleted"
        message = f"{what} by somebody else soon after the start, {attempts} times in a row"
        kept[name] = Block(LOST, message, now, now + backoff_seconds(attempts), attempts)
    return kept
