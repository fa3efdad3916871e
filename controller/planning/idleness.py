"""Whether a cluster is used, since when it is not, and what spec.idleTermination makes of that. Pure.

A driver that is connected, a job or an actor that lives, work that waits and resources that are held are use. That none
is there is believed of a fresh answer only, and of one that was asked for after the decision before it is carried out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from autoscaler.model import NodeStatus, RayNode, RayState, RayUsage
from controller.objects.labels import HEAD
from controller.objects.views import PodView
from controller.raycluster.idle_termination import DELETE, SUSPEND, IdleTermination
from controller.raycluster.model import timestamp
from controller.wording import duration

from .idle_record import DECIDED, IDLE, IN_USE, UNKNOWN, IdleRecord
from .observed import EXPIRED_SECONDS, FRESH_SECONDS, Observed, RayView, UsageView

# A head is asked this often who uses the cluster at most, and at least while the answer may change anything.
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 30.0
# The part of a core that reading the answers of one head may take.
LARGEST_SHARE = 0.01
# For so long an answer tells that a cluster is used, or is not.
KNOWN_SECONDS = 30.0
ASK_AGAIN_SECONDS = 1.0
NO_ANSWER = "the head does not answer"
# Ray keeps objects in it when nobody is left to use them.
STORE = "object_store_memory"


@dataclass(frozen=True)
class Idleness:
    """What is known now, and what comes of it.

    ``record``: what the status is to keep. ``ask``: the head is to be asked who uses the cluster. ``carry_out``: the
    decision that is carried out now, one of ACTIONS; empty for none. ``holds``: pods are neither made nor deleted while
    the head is asked once more.
    """

    record: IdleRecord
    ask: bool = False
    look_again_at: float | None = None
    carry_out: str = ""
    holds: bool = False

    @property
    def suspends(self) -> bool:
        """Whether the cluster is suspended, or on its way there."""
        return self.carry_out == SUSPEND or self.holds


@dataclass(frozen=True)
class _Finding:
    """``state``: IN_USE, IDLE or UNKNOWN. ``asked``: it comes from the answer to the question who uses the cluster."""

    state: str
    message: str = ""
    asked: bool = False


def idleness(seen: Observed) -> Idleness | None:
    """None where the spec does not ask for it."""
    wanted = seen.spec.idle
    if wanted is None or seen.spec.suspend:
        return None
    heads = sorted((p for p in seen.pods if p.kind == HEAD and p.live), key=lambda p: (p.started_at, p.name))
    answers = _Answers(seen, wanted, heads[0] if heads else None)
    return _Judgement(seen, wanted, IdleRecord.current(seen.cluster), answers).idleness()


@dataclass(frozen=True)
class _Answers:
    """What the head that lives has said."""

    seen: Observed
    wanted: IdleTermination
    head: PodView | None

    @property
    def ray(self) -> RayView | None:
        """Its state, unless that is too old to tell anything."""
        ray = self.seen.ray
        mine = ray and self.head and ray.head_uid == self.head.uid
        return ray if ray and mine and ray.age <= KNOWN_SECONDS else None

    @property
    def _view(self) -> UsageView | None:
        view = self.seen.usage
        return view if view and self.head and view.head_uid == self.head.uid else None

    @property
    def usage(self) -> RayUsage | None:
        """Who uses the cluster."""
        return self._view.usage if self._view else None

    @property
    def error(self) -> str:
        """Why it did not say who does."""
        return self._view.error if self._view else ""

    @property
    def asked_ago(self) -> float:
        """Seconds since it was asked for that."""
        return self._view.age if self._view else math.inf

    @property
    def pause(self) -> float:
        """Seconds from one such question to the next."""
        often = min(max(self.wanted.seconds / 4, SHORTEST_SECONDS), LONGEST_SECONDS)
        return max(often, self.usage.cost / LARGEST_SHARE) if self.usage else often

    def fresh(self, asked_after: float) -> bool:
        """It answers, has just said who uses the cluster, and was asked for that after some time."""
        asked_at = self.seen.now - self.asked_ago
        answers = bool(self.ray and self.ray.fresh and not self.seen.silence)
        return answers and self.asked_ago <= FRESH_SECONDS and asked_at >= asked_after

    def finding(self) -> _Finding:
        """What all that comes to."""
        if self.head is None or not self.head.ip:
            return _Finding(UNKNOWN, "the head does not run")
        if self.ray is None:
            return _Finding(UNKNOWN, NO_ANSWER if self.seen.silence else "")
        if self.ray.state.demands or self.ray.state.gangs:
            return _Finding(IN_USE, "work waits for resources")
        if _holds_resources(self.ray.state):
            return _Finding(IN_USE, "resources of Ray nodes are in use")
        if self.usage is None or self.asked_ago > self.pause + KNOWN_SECONDS:
            return _Finding(UNKNOWN, self.error and f"the head does not say who uses the cluster ({self.error})")
        return _Finding(IN_USE if self.usage.user else IDLE, self.usage.user, asked=True)


@dataclass(frozen=True)
class _Judgement:
    """About one cluster at one moment. ``before``: what the status says."""

    seen: Observed
    wanted: IdleTermination
    before: IdleRecord
    answers: _Answers

    def idleness(self) -> Idleness:
        """What is known, and what comes of it."""
        found = self.answers.finding()
        return self._decided(found) if self.before.state == DECIDED else self._undecided(found)

    def _undecided(self, found: _Finding) -> Idleness:
        if found.state != IDLE:
            return self._waits(self._in_use(found) if found.state == IN_USE else self._unknown(found), found)
        record = self._idle()
        due = record.since + self.wanted.seconds
        if self.seen.now < due:
            return self._waits(record, found, due)
        if self.answers.fresh(0.0):
            decided = replace(record, state=DECIDED, decided_at=int(self.seen.now), action=self.wanted.action)
            # Once that is written, it is carried out.
            return Idleness(self._worded(decided), ask=True, look_again_at=self.seen.now)
        return self._asks_now(record)

    def _decided(self, found: _Finding) -> Idleness:
        """A decision is carried out on an answer that is younger than it. It is dropped when something uses the cluster
        again, or when the head goes on saying nothing.
        """
        before, answers = self.before, self.answers
        if answers.head is None and before.action == SUSPEND:
            return Idleness(before, carry_out=SUSPEND)
        error = answers.error if answers.asked_ago < KNOWN_SECONDS else ""
        if found.state == IN_USE:
            return replace(self, before=IdleRecord())._undecided(found)
        if answers.head is None or self.seen.silence > EXPIRED_SECONDS or error:
            dropped = replace(before, state=IDLE, decided_at=0, action="")
            return replace(self, before=dropped)._undecided(_Finding(UNKNOWN, found.message or error or NO_ANSWER))
        if found.state == IDLE and answers.fresh(before.decided_at):
            return Idleness(before, look_again_at=self.seen.now + FRESH_SECONDS, carry_out=before.action)
        return replace(self._asks_now(before), holds=before.action == SUSPEND)

    def _asks_now(self, record: IdleRecord) -> Idleness:
        """It is asked as soon as it may be: every second."""
        wait = max(0.0, ASK_AGAIN_SECONDS - self.answers.asked_ago)
        return Idleness(record, ask=not wait, look_again_at=self.seen.now + (wait or ASK_AGAIN_SECONDS))

    def _waits(self, record: IdleRecord, found: _Finding, due: float = math.inf) -> Idleness:
        """Nothing is done. It is asked again after a pause, unless what it says anyway shows some use."""
        answers = self.answers
        idles = answers.ray is not None and (found.state != IN_USE or found.asked)
        ask = idles and answers.asked_ago >= answers.pause
        later = self.seen.now + max(ASK_AGAIN_SECONDS, answers.pause - (0.0 if ask else answers.asked_ago))
        next_look = min(later if idles else math.inf, due)
        return Idleness(record, ask, None if next_look == math.inf else next_look)

    def _in_use(self, found: _Finding) -> IdleRecord:
        """A driver whose work begins and ends all the time is not written down anew each time."""
        known = self.before.state == IN_USE and not found.asked
        return self._record(IN_USE, self.before.message if known else found.message)

    def _unknown(self, found: _Finding) -> IdleRecord:
        """What was known is kept: whether the cluster was used meanwhile, the head says when it answers again."""
        before, head, cluster = self.before, self.answers.head, self.seen.cluster
        # This process has only begun to ask.
        if not found.message and before.state and head and before.head == head.uid:
            return before
        message = f"not known, so that nothing is done: {found.message or 'the head has not been asked yet'}"
        return replace(before, state=UNKNOWN, message=message, generation=cluster.generation, resumed=cluster.resumed)

    def _idle(self) -> IdleRecord:
        """Idle since it was first seen to be, if no driver has come and gone since then."""
        before, ray, now = self.before, self.answers.ray, int(self.seen.now)
        made = self._record(IDLE, "")
        same = (before.head, before.session, before.last_end) == (made.head, made.session, made.last_end)
        since = before.since if same and before.state != IN_USE else now
        if ray:
            # A job that needs no driver may have come and gone on the head.
            busy = (self.seen.now - ray.age - n.idle_seconds for n in ray.state.living if _is_idle_head(n))
            since = max(since, *(int(until) - 1 for until in busy), 0)
        return self._worded(replace(made, since=min(since, now)))

    def _record(self, state: str, message: str) -> IdleRecord:
        answers, cluster = self.answers, self.seen.cluster
        return IdleRecord(
            state=state,
            message=message,
            last_end=answers.usage.last_end if answers.usage else self.before.last_end,
            head=answers.head.uid if answers.head else "",
            session=answers.ray.state.session if answers.ray else "",
            generation=cluster.generation,
            resumed=cluster.resumed,
        )

    def _worded(self, record: IdleRecord) -> IdleRecord:
        """With its message: what follows when, and how to undo it."""
        deletes = self.wanted.action == DELETE
        since, what = timestamp(record.since), "deleted" if deletes else "suspended"
        if not record.decided_at:
            due = timestamp(record.since + self.wanted.seconds)
            return replace(record, message=f"nothing has used the cluster since {since}; it is {what} at {due}")
        minutes = duration(self.wanted.minutes)
        why = f"nothing used the cluster from {since} on, for {minutes} (spec.idleTermination)"
        back = f"; ray-operator resume {self.seen.cluster.name}, or any change of the spec, brings it back"
        message = f"{why}: {what} at {timestamp(record.decided_at)}{'' if deletes else back}"
        return replace(record, message=message)


def _holds_resources(state: RayState) -> bool:
    """Whether a node that is not on its way out has given away some of what it has, to a placement group perhaps."""
    running = (n for n in state.living if n.status is NodeStatus.RUNNING)
    return any(n.available.get(name, 0) < amount for n in running for name, amount in n.total.items() if name != STORE)


def _is_idle_head(node: RayNode) -> bool:
    return node.is_head and node.status is NodeStatus.IDLE
