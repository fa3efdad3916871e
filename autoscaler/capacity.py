"""What there is to place work on: nodes and types as vectors, and equal nodes counted together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .model import QUANTUM, Selector, Shape
from .packing import Candidate, Pick, Profile
from .wants import Choice, Vector

# Every Ray node has one of each resource that starts so, listed or not; Ray uses them to limit replicas per node.
IMPLICIT = "node:__internal_implicit_resource_"

ANYWHERE = (Choice(),)


@dataclass(frozen=True)
class Space:
    """The resources and label keys that demand names. All else about a node says nothing about where work fits."""

    names: dict[str, int]
    keys: tuple[str, ...]
    # What a node has of each resource that it does not list.
    missing: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, shapes: Iterable[Shape], offered: Iterable[Mapping[str, int]]) -> Space:
        """Resources that nobody offers are left out: shapes that name them fit nowhere."""
        shapes = list(shapes)
        present = set().union(*offered)
        named = {name for shape in shapes for name, _ in shape.resources}
        kept = sorted(name for name in named if name in present or name.startswith(IMPLICIT))
        keys = {c.key for shape in shapes for selector in shape.selectors for c in selector.constraints}
        missing = tuple((name, QUANTUM if name.startswith(IMPLICIT) else 0) for name in kept)
        return cls({name: d for d, name in enumerate(kept)}, tuple(sorted(keys)), missing)

    def vector(self, resources: Mapping[str, int]) -> Vector:
        """Amounts in the order of ``names``; what is overdrawn counts as nothing."""
        return tuple([max(0, resources.get(name, missing)) for name, missing in self.missing])

    def profile(
        self, total: Mapping[str, int], labels: Mapping[str, str], stage: int, is_worker: bool = True
    ) -> Profile:
        """An empty node as the packer sees it."""
        vector = self.vector(total)
        others = sum([1 for name, amount in total.items() if amount > 0 and self._is_other(name)])
        kept = tuple([(key, labels[key]) for key in self.keys if key in labels])
        return Profile(stage, is_worker, total.get("GPU", 0) > 0, others, vector, vector, kept)

    def used(self, whole: Profile, total: Mapping[str, int], free: Mapping[str, int]) -> Profile:
        """The same node with only this much left."""
        if free == total:
            return whole
        vector = self.vector(free)
        unused = [name for name, amount in total.items() if 0 < amount <= free.get(name, 0) and self._is_other(name)]
        return whole._replace(free=vector, total=tuple(map(max, whole.total, vector)), others=len(unused))

    def _is_other(self, name: str) -> bool:
        return name not in self.names and not name.startswith("node:")


class Places:
    """Kinds of nodes, empty: what a shape could be placed on if all work went away.

    ``counting``: how many they are is told of every shape, not only of those with selectors.
    """

    def __init__(self, space: Space, profiles: Iterable[Profile], counting: bool = False) -> None:
        self._space = space
        self._counting = counting
        self._places = [(total, dict(labels)) for total, labels in sorted({(p.total, p.labels) for p in profiles})]
        # Big ones first: most shapes find their place at the first try.
        self._places.sort(key=lambda place: sum(place[0]), reverse=True)

    def possible(self, shape: Shape) -> bool:
        """Whether any of the places could hold it, by any of its selectors."""
        return bool(self.options(shape))

    def options(self, shape: Shape) -> tuple[Choice, ...]:
        """Those of the shape's selectors that some place satisfies, in order."""
        names = self._space.names
        try:
            needs = [(names[name], amount) for name, amount in shape.resources]
        except KeyError:
            return ()  # nobody offers it
        fitting = (labels for total, labels in self._places if _holds(total, needs))
        if not shape.selectors and not self._counting:
            return ANYWHERE if next(fitting, None) is not None else ()
        found = list(fitting)
        counted = [(selector, sum(map(selector.admits, found))) for selector in shape.selectors or (Selector(),)]
        return tuple([Choice((s,) if s.constraints else (), places) for s, places in counted if places])


class Pool:
    """Nodes that exist or will be launched, counted by profile. Existing workers keep their names."""

    def __init__(self) -> None:
        self._names: defaultdict[Profile, list[str]] = defaultdict(list)
        self._planned: defaultdict[Profile, int] = defaultdict(int)

    def copy(self) -> Pool:
        """The same nodes, to be used up apart from these."""
        other = Pool()
        other._names.update({profile: list(names) for profile, names in self._names.items()})
        other._planned.update(self._planned)
        return other

    def add(self, profile: Profile, name: str) -> None:
        """An existing node. Those added first are used first."""
        self._names[profile].append(name)

    def plan(self, profile: Profile, count: int) -> None:
        """Nodes that will be launched."""
        self._planned[profile] += count

    def candidates(self, *stages: int) -> list[Candidate]:
        """Nodes in a fixed order: those that run, the head first (it is there anyway), no GPU, small, full."""
        found = [p for p in self._names.keys() | self._planned.keys() if p.stage in stages]
        return [Candidate(p, len(self._names.get(p, ())) + self._planned.get(p, 0)) for p in sorted(found)]

    def use(self, pick: Pick) -> list[str]:
        """Carry out a pick; returns the names of the existing workers among the nodes it uses."""
        profile = pick.candidate.profile
        after = profile._replace(free=pick.free)
        names = self._names.get(profile, [])
        used, rest = names[: pick.nodes], names[pick.nodes :]
        planned = pick.nodes - len(used)
        self._names.pop(profile, None)
        if rest:
            self._names[profile] = rest
        self._names[after] = used + self._names[after]
        if planned:
            self._planned[profile] -= planned
            if not self._planned[profile]:
                del self._planned[profile]
            self._planned[after] += planned
        return used if profile.is_worker else []


def _holds(total: Vector, needs: list[tuple[int, int]]) -> bool:
    for d, amount in needs:  # noqa: SIM110 (called for every shape: a generator would double the cost)
        if total[d] < amount:
            return False
    return True
