"""Long sweeps and their short form: every case, or a part that a seed chooses.

``TEST_PROFILE=long`` runs every case (``make test-long``). ``TEST_SEED`` chooses another part. The tests on real nodes
run in full unless ``TEST_PROFILE=short`` (``make test-e2e``).
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

PROFILE = os.environ.get("TEST_PROFILE", "")
LONG = PROFILE == "long"
SEED = os.environ.get("TEST_SEED", "1")


def sampled(cases: Sequence[T], share: float) -> list[T]:
    """A share of the cases, in their order; all of them in the long form."""
    chosen = random.Random(SEED).sample(range(len(cases)), round(share * len(cases)))
    return list(cases) if LONG else [cases[index] for index in sorted(chosen)]


def one_of_each(cases: Sequence[Sequence[T]]) -> list[T]:
    """One of each group; all of them in the long form."""
    choose = random.Random(SEED)
    return [case for group in cases for case in (group if LONG else [choose.choice(group)])]


def groups_of(cases: Iterable[T], group: Callable[[T], Hashable]) -> list[list[T]]:
    """The cases by group, both in their order."""
    found: defaultdict[Hashable, list[T]] = defaultdict(list)
    for case in cases:
        found[group(case)].append(case)
    return list(found.values())


def some_of(cases: Sequence[T], count: int) -> list[T]:
    """So many of the cases that the seed chooses, in their order."""
    chosen = random.Random(SEED).sample(range(len(cases)), min(count, len(cases)))
    return [cases[index] for index in sorted(chosen)]
