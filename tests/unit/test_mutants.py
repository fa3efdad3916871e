"""The table of changes that tests have to notice is one of this code."""

from __future__ import annotations

import pytest
from mutants import ROOT, Mutant, changed, read


@pytest.mark.parametrize("mutant", read(()), ids=lambda mutant: mutant.what)
def test_each_change_can_be_made_and_its_tests_are_there(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert changed(text, mutant) != text
    assert [test for test in mutant.tests.split() if not (ROOT / test).exists()] == []
