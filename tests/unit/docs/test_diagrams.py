"""The diagrams in the documentation are those that their program draws."""

from __future__ import annotations

import pytest
from diagrams import IMAGES, Drawing, installations, scaling_down


@pytest.mark.parametrize(("name", "drawing"), [("installations", installations()), ("scaling-down", scaling_down())])
def test_the_file_is_what_the_program_draws(name: str, drawing: Drawing) -> None:
    assert (IMAGES / f"{name}.svg").read_text() == str(drawing), "run scripts/diagrams.py"
