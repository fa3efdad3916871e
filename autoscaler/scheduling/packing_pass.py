"""One pass over a request: minimum workers, request_resources(), placement groups, tasks and actors, in this order.

Each fills what runs, then what is on its way, then launches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from autoscaler.model import Demand, Gang, Shape

from . import gangs
from .capacity import Pool
from .demand_index import Choice, Want, Wants
from .limits import Limits, at_once
from .packing import Pick, Scorer, place
from .packing_input import COMING, MINIMUM, RUNNING, Heuristic, PackingInput, least
from .request import Together
from .scoring import Utilisation, Volume

MIN_WORKERS, DEMAND, GANG, REQUESTED = "min workers", "demand", "gang", "requested"
# With more shapes than this, a second packing is not worth its time.
RETRIED_SHAPES = 2_000


class Planner:
    """A plan in the making: what is launched so far and why, and the room and the bounds that are left."""

    def __init__(self, given: PackingInput, heuristic: Heuristic) -> None:
        self._given = given
        self._heuristic = heuristic
        self._limits = given.limits()
        self._pool = Pool()
        self._gpu = given.space.names.get("GPU")
        self.reasons: dict[str, Counter[str]] = {name: Counter() for name in given.types}
        self.needed: set[str] = set()
        self.together: list[Together] = []
        # What waits for the upscaling speed alone: how much of which shape, for which types, on how many nodes of each.
        self.slowed: Counter[Shape] = Counter()
        self.slowed_types: dict[Shape, set[str]] = {}
        self.slowed_nodes: Counter[str] = Counter()

    @property
    def limits(self) -> Limits:
        """What the bounds leave."""
        return self._limits

    def launch_minimum(self) -> None:
        """The types that are preferred first, as far as the cluster's maximum goes.

        What is terminating has no place in it: it counts from here on.
        """
        live = Counter(n.node_type for n in self._given.workers if not n.draining)
        for node_type in sorted(self._given.types.values(), key=lambda t: (-t.priority, t.position, t.name)):
            count = min(least(node_type) - live[node_type.name], self._limits.room(node_type.name))
            if count > 0:
                self._launch(node_type.name, count, MIN_WORKERS)
                for profile, hosts in self._given.hosts[node_type.name]:
                    self._pool.plan(profile._replace(stage=MINIMUM), count * hosts)
        for name, count in self._given.request.terminating.items():
            self._limits.take(name, count)

    def place_requested(self) -> Counter[Shape]:
        """request_resources(): on all that nodes have, in use or not; then nodes that exist join the pool."""
        left: Counter[Shape] = Counter()
        if self._given.requested:
            whole = self._pool.copy()
            in_use_first = sorted(self._given.nodes, key=lambda n: n[1] == n[2])
            whole.add([(all_of_it, node.name) for node, all_of_it, _ in in_use_first])
            left = self._place_each(whole, self._given.requested, REQUESTED)
        needed_first = sorted(self._given.nodes, key=lambda n: n[0].name not in self.needed)
        self._pool.add([(free, node.name) for node, _, free in needed_first])
        return left

    def place_gangs(self) -> list[tuple[gangs.Group, int]]:
        """Whole gangs or nothing, the hardest first; returns how many of which group found no place."""
        left = []
        for group in sorted(self._given.groups, key=lambda group: group.order(small_first=self._heuristic.roomy)):
            waiting = len(group.members) - self._place_group(group)
            if waiting:
                left.append((group, waiting))
        return left

    def place_demands(self) -> Counter[Shape]:
        """Tasks and actors: the only ones that upscaling speed slows down."""
        running = Counter(n.node_type for n in self._given.workers if not n.pending)
        coming = Counter(n.node_type for n in self._given.workers if n.pending and not n.draining)
        speed = self._given.request.upscaling_speed
        allowed = {
            name: at_once(speed, running[name]) - coming[name] - sum(reasons.values())
            for name, reasons in self.reasons.items()
        }
        return self._place_each(self._pool, self._given.demands, DEMAND, allowed)

    def _place_group(self, group: gangs.Group) -> int:
        """How many of these equal gangs found a place."""
        count = len(group.members)
        if not group.shapes:
            return count
        left = count
        for attempt in gangs.attempts(group, self._options, self._heuristic.spread):
            left -= self._place_many(attempt, group.members[count - left :])
            if not left or not self._given.work.spend(0):
                break
        return count - left

    def _place_many(self, attempt: gangs.Attempt, members: Sequence[Gang]) -> int:
        """How many of these equal gangs find a place: all at once, else half as many, and so on."""
        placed, step, count = 0, len(members), len(members)
        while placed < count and step:
            step = min(step, count - placed)
            wanted, limit = attempt.times(step)
            picks, wants = self._best(self._pool, wanted, limit, attempt.launch)
            if wants.left:
                step //= 2
            else:
                self._commit(self._pool, picks, wants, GANG)
                self._note_together(members[placed : placed + step], picks)
                placed += step
        return placed

    def _note_together(self, members: Sequence[Gang], picks: Iterable[Pick]) -> None:
        launches: Counter[str] = Counter()
        for pick in picks:
            if pick.candidate.key:
                launches[pick.candidate.key] += pick.nodes
        if launches:
            self.together.append(Together(tuple([gang.name for gang in members]), launches))

    def _place_each(
        self, pool: Pool, demands: Sequence[Demand], reason: str, allowed: dict[str, int | float] | None = None
    ) -> Counter[Shape]:
        """Place what can be placed; returns the rest. What one selector does not place, the next one may."""
        left: Counter[Shape] = Counter()
        waiting = []
        for demand in demands:
            options = self._options(demand.shape)
            if options:
                waiting.append(Want(demand.shape, options[0], demand.count, options[1:]))
            else:
                left[demand.shape] += demand.count
        while waiting:
            if not self._given.work.spend(0):
                left.update({want.shape: want.number for want in waiting})
                break
            picks, wants = self._best(pool, waiting)
            left.update(self._commit(pool, picks, wants, reason, allowed))
            waiting = []
            for shape, _, number, later in wants.remaining():
                if later:
                    waiting.append(Want(shape, later[0], number, later[1:]))
                else:
                    left[shape] += number
        return left

    def _options(self, shape: Shape) -> tuple[Choice, ...]:
        options = self._given.options(shape)
        if self._heuristic.ordered or len(options) < 2:
            return options
        anywhere = not all(option.selectors for option in options)
        every = tuple(selector for option in options for selector in option.selectors)
        return (Choice(() if anywhere else every, sum(option.places for option in options)),)

    def _best(
        self, pool: Pool, waiting: Sequence[Want], limit: int | None = None, launch: bool = True
    ) -> tuple[list[Pick], Wants]:
        """The usual order; when that leaves something over, bounds bind: then nodes that hold more are tried first."""
        names, work = self._given.space.names, self._given.work
        wants = Wants(names, waiting, self._heuristic.scarce, work)
        picks = self._attempt(pool, wants, Utilisation(self._gpu), limit, launch)
        if wants.left and len(wants.wants) <= RETRIED_SHAPES:
            others = Wants(names, waiting, self._heuristic.scarce, work)
            volume = Volume.of(others, len(names), self._gpu)
            other_picks = self._attempt(pool, others, volume, limit, launch)
            if others.left < wants.left:
                return other_picks, others
        return picks, wants

    def _attempt(self, pool: Pool, wants: Wants, score: Scorer, limit: int | None, launch: bool) -> list[Pick]:
        turn = -1 if self._heuristic.roomy else 1
        picks: list[Pick] = []
        every = (RUNNING, MINIMUM, COMING)
        for stages in [every] if self._heuristic.joint else [(stage,) for stage in every]:
            picks += place(wants, pool.candidates(stages, wants.floor, wants.work, turn), score, limit)
        if launch:
            types = self._given.launches(self._limits)
            types = sorted(types[::turn], key=lambda c: c.profile.rank) if turn < 0 else types
            picks += place(wants, types, score, limit, cap=max(0, self._limits.workers))
        return picks

    def _commit(
        self,
        pool: Pool,
        picks: Iterable[Pick],
        wants: Wants,
        reason: str,
        allowed: dict[str, int | float] | None = None,
    ) -> Counter[Shape]:
        """Carry picks out, with ``allowed`` launches per type; returns what nodes beyond that would have held."""
        held: Counter[Shape] = Counter()
        for pick in picks:
            name = pick.candidate.key
            if not name:
                self.needed.update(pool.use(pick))
                continue
            count = pick.nodes if allowed is None else int(max(0, min(pick.nodes, allowed[name])))
            if count:
                self._launch(name, count, reason)
                for profile, hosts in pick.hosts or ((pick.candidate.profile._replace(free=pick.free), 1),):
                    pool.plan(profile, count * hosts)
                if pool is not self._pool:
                    for profile, hosts in self._given.hosts[name]:
                        self._pool.plan(profile, count * hosts)
            if allowed is not None:
                allowed[name] -= count
            if pick.nodes > count:
                # They will be launched as soon as speed allows: nothing else takes their place.
                self._limits.take(name, pick.nodes - count)
                self.slowed_nodes[name] += pick.nodes - count
                for rank, taken in pick.taken:
                    shape = wants.wants[rank].shape
                    held[shape] += taken * (pick.nodes - count)
                    self.slowed_types.setdefault(shape, set()).add(name)
        self.slowed += held
        return held

    def _launch(self, name: str, count: int, reason: str) -> None:
        self.reasons[name][reason] += count
        self._limits.take(name, count)
