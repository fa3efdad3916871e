"""How much a decision may cost. Counted in steps rather than in time: equal requests get equal decisions."""

from __future__ import annotations

import sys


class Work:
    """Steps that are left, of about half a microsecond each. What is not examined for want of them counts as unplaced.

    ``cut_short``: whether anybody was refused.
    """

    __slots__ = ("cut_short", "left")

    def __init__(self, steps: int = sys.maxsize) -> None:
        self.left = steps
        self.cut_short = False

    def spend(self, steps: int) -> bool:
        """Whether there was anything left to spend: what is begun is finished."""
        if self.left <= 0:
            self.cut_short = True
            return False
        self.left -= steps
        return True
