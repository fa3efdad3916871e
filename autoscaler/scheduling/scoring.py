"""How well a node is used by what it would take: the order in which nodes are chosen. Lower sorts first.

The terms and their order are those of Ray's own autoscaler, so that users see the node types they know from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .demand_index import Taken, Wants
from .packing import Profile, Score


@dataclass(frozen=True)
class Utilisation:
    """Best used first: label match, no GPU left to work that needs none, the type's priority, resources in use, least
    use, mean use.

    ``gpu`` is the GPU's place in vectors, None when no demand names it. A resource's use is its amount times the
    cube of the used share, so that big nodes win when they fill up and small ones when they would not. A resource
    of the node that no work asks for counts as unused: nodes with special resources are kept for work that needs them.
    """

    gpu: int | None

    def __call__(self, wants: Wants, profile: Profile, taken: Taken, free: Sequence[int]) -> Score:
        """The score of a node with this profile that took ``taken`` and has ``free`` left."""
        labelled, named = _kinds_of(wants, profile, taken)
        wasted = profile.gpu and self.gpu not in named
        matching = 0
        least = 0.0 if profile.others else float("inf")
        total_use = 0.0
        counted = profile.others
        for d, total in enumerate(profile.total):
            if total <= 0:
                continue
            matching += d in named
            if profile.free[d] <= 0 and profile.stage == 0:
                continue  # used up by what runs: says nothing of this demand
            share = (total - free[d]) / total
            use = total * share * share * share
            least = min(least, use)
            total_use += use
            counted += 1
        return (
            -float(labelled),
            float(wasted),
            float(profile.rank),
            -float(matching),
            -least if counted else 0.0,
            -total_use / counted if counted else 0.0,
        )


@dataclass(frozen=True)
class Volume:
    """Most demand per node first, measured in shares of all that waits: for when nodes are what is scarce.

    Priority still goes before that: users who rank their types mean it wherever work fits.
    """

    gpu: int | None
    weights: tuple[float, ...]

    @classmethod
    def of(cls, wants: Wants, size: int, gpu: int | None) -> Volume:
        """Weights: one over all that waits, per resource."""
        totals = [0] * size
        for rank, kind in enumerate(wants.kind_of):
            for d, (_, amount) in zip(kind.dims, wants.wants[rank].shape.resources, strict=True):
                totals[d] += amount * wants.counts[rank]
        return cls(gpu, tuple(1 / total if total else 0.0 for total in totals))

    def __call__(self, wants: Wants, profile: Profile, taken: Taken, free: Sequence[int]) -> Score:
        """The score of a node with this profile that took ``taken`` and has ``free`` left."""
        labelled, named = _kinds_of(wants, profile, taken)
        wasted = profile.gpu and self.gpu not in named
        volume = sum((profile.free[d] - free[d]) * self.weights[d] for d in sorted(named))
        count = sum(count for _, count in taken)
        return (-float(labelled), float(wasted), float(profile.rank), -volume, -float(count))


def _kinds_of(wants: Wants, profile: Profile, taken: Taken) -> tuple[bool, set[int]]:
    """Whether any label is asked for, and the resources in use: by this, or by what was placed on a coming node."""
    labelled = False
    named: set[int] = set()
    if profile.stage > 0 and profile.free != profile.total:
        named.update(d for d, (free, total) in enumerate(zip(profile.free, profile.total, strict=True)) if free < total)
    for rank, _ in taken:
        kind = wants.kind_of[rank]
        labelled = labelled or bool(kind.selectors)
        named.update(kind.dims)
    return labelled, named
