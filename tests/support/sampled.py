"""Long sweeps and their short form: every case, or a part that a seed chooses.

``TEST_PROFILE=long`` runs every case (``make test-long``). ``TEST_SEED`` chooses another part.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

LONG = os.environ.get("TEST_PROFILE", "") == "long"
SEED = os.environ.get("TEST_SEED", "1")


def sampled(cases: Sequence[T], share: float) -> list[T]:
    """A share of the cases, in their order; all of them in the long form."""
    chosen = random.Random(SEED).sample(range(len(cases)), round(share * len(cases)))
    return list(cases) if LONG else [cases[index] for index in sorted(chosen)]


def one_of_each(cases: Sequence[Sequence[T]]) -> list[T]:
    """One of each group; all of them in the long form."""
    choose = random.Random(SEED)
    return [case for group in cases for case in (group if LONG else [choose.choice(group)])]
