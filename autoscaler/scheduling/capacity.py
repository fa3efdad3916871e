"""What there is to place work on: nodes and types as vectors, and equal nodes counted together."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import le

from autoscaler.model import ANY_LABEL, GROUP_LABEL, IMPLICIT, QUANTUM, UNKNOWN, Shape

from .budget import Work
from .demand_index import Vector
from .packing import Candidate, Pick, Profile

# Names of resources that count. What else is asked for is not examined: vectors of every length would take memory as
# the product of what a head names and the nodes it lists.
MAX_NAMES = 128
STEPS_PER_CANDIDATE = 3


@dataclass(frozen=True)
class Space:
    """The resources and label keys that demand names. All else about a node says nothing about where work fits.

    ``unexamined``: resources that demand names and that are too many.
    """

    names: dict[str, int]
    keys: frozenset[str]
    # What a node has of each resource that it does not list.
    missing: tuple[tuple[str, int], ...]
    unexamined: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, shapes: Iterable[Shape], types: Iterable[Mapping[str, int]], nodes: Iterable[Mapping[str, int]]
    ) -> Space:
        """Resources that no node offers are left out: shapes that name them fit nowhere. Those of types go first."""
        shapes = list(shapes)
        launched = set().union(*types)
        present = launched.union(*nodes)
        named = {name for shape in shapes for name, _ in shape.resources}
        offered = sorted(name for name in named if name in present or name.startswith(IMPLICIT))
        offered.sort(key=lambda name: name not in launched)
        kept = sorted(offered[:MAX_NAMES])
        keys = {c.key for shape in shapes for selector in shape.selectors for c in selector.constraints}
        missing = tuple((name, QUANTUM if name.startswith(IMPLICIT) else 0) for name in kept)
        names = {name: d for d, name in enumerate(kept)}
        return cls(names, frozenset(keys), missing, frozenset(offered[MAX_NAMES:]))

    def vector(self, resources: Mapping[str, int]) -> Vector:
        """Amounts in the order of ``names``; what is overdrawn counts as nothing."""
        return tuple([max(0, resources.get(name, missing)) for name, missing in self.missing])

    def profile(
        self,
        total: Mapping[str, int],
        labels: Mapping[str, str],
        stage: int,
        *,
        is_worker: bool = True,
        unknown: frozenset[str] = frozenset(),
        rank: int = 0,
    ) -> Profile:
        """An empty node as the packer sees it."""
        vector = self.vector(total)
        others = sum([1 for name, amount in total.items() if amount > 0 and self._is_other(name)])
        kept = {key: value for key, value in labels.items() if key in self.keys}
        if unknown and self.keys:
            vague = self._undeclared if ANY_LABEL in unknown else self.keys & unknown
            kept = {**dict.fromkeys(vague, UNKNOWN), **kept}
        gpu = total.get("GPU", 0) > 0
        return Profile(stage, is_worker, gpu, rank, others, vector, vector, tuple(sorted(kept.items())))

    @property
    def _undeclared(self) -> Iterable[str]:
        """The keys that a node may have although its type does not declare them."""
        return [key for key in self.keys if not key.startswith(GROUP_LABEL)]

    def used(self, whole: Profile, total: Mapping[str, int], free: Mapping[str, int]) -> Profile:
        """The same node with only this much left."""
        if free is total or free == total:
            return whole
        vector = self.vector(free)
        unused = [name for name, amount in total.items() if 0 < amount <= free.get(name, 0) and self._is_other(name)]
        return whole._replace(free=vector, total=tuple(map(max, whole.total, vector)), others=len(unused))

    def _is_other(self, name: str) -> bool:
        return name not in self.names and not name.startswith("node:")


class Pool:
    """Nodes that exist or will be launched, counted by profile. Existing workers keep their names.

    ``_names`` has the next name to be used last. ``_order`` holds the profiles of which there are nodes, sorted: those
    that run, the head first (it is there anyway), no GPU, small, full.
    """

    def __init__(self) -> None:
        self._names: defaultdict[Profile, list[str]] = defaultdict(list)
        self._planned: defaultdict[Profile, int] = defaultdict(int)
        self._order: list[Profile] = []

    def copy(self) -> Pool:
        """The same nodes, to be used up apart from these."""
        other = Pool()
        other._names.update({profile: list(names) for profile, names in self._names.items()})
        other._planned.update(self._planned)
        other._order = list(self._order)
        return other

    def add(self, nodes: Sequence[tuple[Profile, str]]) -> None:
        """Existing nodes. Those that come first are used first."""
        for profile, name in reversed(nodes):
            self._names[profile].append(name)
        self._order = sorted(self._names.keys() | self._planned.keys())

    def plan(self, profile: Profile, count: int) -> None:
        """Nodes that will be launched."""
        self._appear(profile)
        self._planned[profile] += count

    def candidates(self, stages: Sequence[int], floor: Vector, work: Work, turn: int = 1) -> Iterator[Candidate]:
        """Nodes of these stages, which follow each other, that have at least ``floor`` free; in order, or backwards.

        To be used up before the pool changes.
        """
        first = bisect_left(self._order, (stages[0],))
        last = bisect_left(self._order, (stages[-1] + 1,), first)
        if not work.spend(1):
            return
        for profile in self._order[first:last][::turn]:
            work.left -= 1
            if all(map(le, floor, profile.free)):
                work.left -= STEPS_PER_CANDIDATE
                yield Candidate(profile, len(self._names.get(profile, ())) + self._planned.get(profile, 0))

    def use(self, pick: Pick) -> list[str]:
        """Carry out a pick; returns the names of the existing workers among the nodes it uses."""
        profile = pick.candidate.profile
        after = profile._replace(free=pick.free)
        self._appear(after)
        names = self._names.get(profile, [])
        used = names[-pick.nodes :]
        del names[-pick.nodes :]
        planned = pick.nodes - len(used)
        if used:
            self._names[after] += used
        if planned:
            self._planned[profile] -= planned
            self._planned[after] += planned
        self._disappear(profile)
        return used if profile.is_worker else []

    def _appear(self, profile: Profile) -> None:
        if profile not in self._names and profile not in self._planned:
            insort(self._order, profile)

    def _disappear(self, profile: Profile) -> None:
        """Forget a profile of which no node is left."""
        if not self._names.get(profile):
            self._names.pop(profile, None)
        if not self._planned.get(profile):
            self._planned.pop(profile, None)
        if profile not in self._names and profile not in self._planned:
            del self._order[bisect_left(self._order, profile)]
