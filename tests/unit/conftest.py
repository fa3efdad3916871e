"""How long the property-based tests search, and whether two runs try the same examples.

``ci``, the default, tries the same examples in every run: a run fails for a change, never by chance. ``long`` looks for
new ones, ten times as many where a test does not set the number itself: HYPOTHESIS_PROFILE=long make test-unit.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("long", max_examples=1_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
