"""A request as the packer sees it: demand added up, nodes and types as vectors, bounds, and what may be spent on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from autoscaler.model import Demand, NodeType, Shape

from . import gangs
from .budget import Work
from .capacity import Space
from .feasibility import Places
from .limits import Limits
from .packing import Candidate, Hosts, Profile, summed
from .request import Existing, Request, as_workers

# The order in which nodes are filled. Those on their way come after those that run, and of them first those that the
# minimum asks for: so the next round finds last round's launches in the order in which it chose them.
RUNNING, MINIMUM, COMING = 0, 1, 2
# Shapes and gangs, times nodes (and some), up to which several heuristics are compared. Bigger problems are packed
# once.
COMPARED = 1_000
# What one decision may cost: to read the request, to plan (some of it in any case), and to separate the infeasible
# from what has to wait.
PLANNING_STEPS = 1_000_000
PLANNING_STEPS_AT_LEAST = 200_000
STEPS_PER_NODE = 40
STEPS_PER_BUNDLE = 30
JUDGING_STEPS = 60_000


@dataclass(frozen=True)
class Heuristic:
    """What may be done in more than one way.

    ``joint``: nodes that run and nodes on their way are filled together, the best used first. ``spread``: SPREAD
    uses a node per bundle. ``ordered``: a fallback selector is used only when those before it cannot be satisfied.
    ``scarce``: what few kinds of nodes can hold goes first.
    ``roomy``: of nodes that are used equally well, the bigger one is taken, and big gangs come after small ones.
    """

    joint: bool = False
    spread: bool = True
    ordered: bool = True
    roomy: bool = False
    scarce: bool = False


class PackingInput:
    """The request as vectors. Read only: any number of plans start from it."""

    def __init__(self, request: Request) -> None:
        self.demands, self.requested = _added_up(request.demands), _added_up(request.requested)
        self.groups = gangs.grouped(request.gangs)
        shapes = {demand.shape for demand in (*self.demands, *self.requested)}
        shapes.update(shape for group in self.groups for way in group.ways for shape in way)
        bundles = sum([len(group.shapes) + sum(map(len, group.fallbacks)) for group in self.groups])
        reading = STEPS_PER_NODE * len(request.nodes) + STEPS_PER_BUNDLE * bundles
        self.work = Work(max(PLANNING_STEPS_AT_LEAST, PLANNING_STEPS - reading))
        self.request = request
        self.types = {t.name: t for t in sorted(request.types, key=_cost)}
        self.priorities = sorted({t.priority for t in request.types})
        nodes = sorted(request.nodes, key=lambda n: n.name)
        self.workers = as_workers(n for n in nodes if not n.is_head)
        self.space = space = Space.of(shapes, [t.host_resources(0) for t in request.types], [n.total for n in nodes])
        # Type -> the profiles of the nodes that a worker of it is.
        self.hosts = {t.name: self._hosts_of(t) for t in self.types.values()}
        self._profiles_of_types = {
            name: summed(h) if len(h) > 1 or h[0][1] > 1 else h[0][0] for name, h in self.hosts.items()
        }
        live = Counter(n.node_type for n in self.workers if not n.draining and not n.pending)
        self._below_minimum = {name: least(t) - live[name] for name, t in self.types.items()}
        self._stages: dict[str, int] = {}
        self._wholes: dict[tuple[int, int, int, int] | None, Profile] = {}
        self.nodes = [(n, *self._profiles(n)) for n in nodes if not n.draining]
        # Whether there is time to compare several heuristics.
        self.is_small = (len(shapes) + len(self.groups)) * (20 + len(nodes)) <= COMPARED
        leaving = [self._profiles(n)[0] for n in nodes if n.draining]
        here = [whole for _, whole, _ in self.nodes]
        self.judging = Work(JUDGING_STEPS)
        possible = [p for hosts in self.hosts.values() for p, _ in hosts]
        self._every_place = Places(space, [*possible, *here, *leaving], self.judging)
        limits = self.limits()
        launchable = [p for name, hosts in self.hosts.items() if limits.could(name) for p, _ in hosts]
        self.options = Places(space, [*launchable, *here], self.work, counting=self.is_small).options

    @property
    def complete(self) -> bool:
        """Whether everything that waits has been examined."""
        return not (self.work.cut_short or self.space.unexamined)

    def possible(self, shape: Shape) -> bool:
        """Whether anything could hold it, were it empty; true as well where the budget was spent."""
        examined = self.space.unexamined.isdisjoint([name for name, _ in shape.resources])
        return not examined or self._every_place.possible(shape)

    def launches(self, limits: Limits) -> list[Candidate]:
        """A candidate for each type, as far as the bounds leave room."""
        several = {name for name, hosts in self.hosts.items() if sum([n for _, n in hosts]) > 1}
        return [
            Candidate(profile, limits.room(name), name, self.hosts[name] if name in several else ())
            for name, profile in self._profiles_of_types.items()
        ]

    def limits(self) -> Limits:
        """All bounds, nothing launched yet."""
        present = Counter(n.node_type for n in self.workers)
        return Limits(self.types.values(), self.request.max_workers, present, self.request.blocked)

    def _hosts_of(self, node_type: NodeType) -> Hosts:
        t, space = node_type, self.space
        told = len(t.as_hosts)
        profiles = [
            space.profile(h.resources, h.labels, COMING, unknown=t.unknown, rank=-t.priority) for h in t.as_hosts
        ]
        counts = Counter(profiles)
        # The hosts that are not told apart are all like the last one.
        counts[profiles[-1]] += t.hosts - told
        return tuple(counts.items())

    def _profiles(self, node: Existing) -> tuple[Profile, Profile]:
        """All of the node, and what is free of it."""
        stage, rank = RUNNING, 0
        if node.pending:
            stage = self._stages.get(node.worker, -1)
            if stage < 0:
                missing = self._below_minimum.get(node.node_type, 0)
                stage = MINIMUM if missing > 0 else COMING
                self._below_minimum[node.node_type] = missing - 1
                if node.worker:
                    # The hosts of a worker are filled together.
                    self._stages[node.worker] = stage
            rank = -self.types[node.node_type].priority if node.node_type in self.types else 0
        # Nodes on their way share what their type says, and the request holds it meanwhile.
        key = (id(node.total), id(node.labels), stage, rank) if node.pending else None
        if key in self._wholes:
            whole = self._wholes[key]
        else:
            whole = self.space.profile(node.total, node.labels, stage, is_worker=not node.is_head, rank=rank)
            if key:
                self._wholes[key] = whole
        return whole, self.space.used(whole, node.total, node.free)


def _added_up(demands: Iterable[Demand]) -> tuple[Demand, ...]:
    """One demand per shape, sorted."""
    return tuple([Demand(shape, count) for shape, count in gangs.added_up(demands)])


def least(node_type: NodeType) -> int:
    """So many workers of a type there should always be."""
    return min(node_type.min_workers, node_type.max_workers)


def _cost(node_type: NodeType) -> tuple[bool, int, int, int, int, int, int, str]:
    """Preferred first, then cheap: GPUs cost most, then CPUs, then memory, then all else. Alike: as they are listed."""
    r, hosts = node_type.resources, node_type.hosts
    gpu, cpu, memory = (r.get(name, 0) * hosts for name in ("GPU", "CPU", "memory"))
    return gpu > 0, -node_type.priority, gpu, cpu, memory, sum(r.values()) * hosts, node_type.position, node_type.name
