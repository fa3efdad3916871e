"""The structure of the code: its limits, its picture in the documentation, and the script that measures both."""

from __future__ import annotations

from pathlib import Path

import pytest
import structure

HOUSE = structure.read(structure.ROOT)


def test_no_file_function_or_class_is_over_its_limit() -> None:
    """300 lines, 40 lines, 15 methods; nine of ten functions have at most 18 lines."""
    assert HOUSE.sizes.problems() == []


def test_every_arrow_points_down_and_none_leads_back() -> None:
    assert HOUSE.upward() == []
    assert structure.circles(HOUSE.arrows) == []


@pytest.mark.parametrize("page", structure.PAGES, ids=lambda page: page.name)
def test_the_picture_in_the_documentation_is_the_one_of_the_code(page: Path) -> None:
    text = page.read_text()
    assert structure.redrawn(text, HOUSE) == text, "run scripts/structure.py --write"


CONTRACT = """
[importlinter:contract:house]
type = layers
containers = controller
layers =
    top
    middle
    bottom
"""
FILES = {
    "controller/__init__.py": "",
    "controller/top.py": "from .middle import a",
    "controller/middle/__init__.py": "",
    "controller/middle/a.py": "import json\nfrom controller.bottom import VALUE\nfrom . import b",
    "controller/middle/b.py": "class B:\n    def one(self):\n        return 1\n",
    "controller/bottom.py": "VALUE = 1",
    "autoscaler/model.py": "",
}


def house(root: Path, **changed: str) -> structure.House:
    """What is read of a small repository, some of whose files are different."""
    files = FILES | {name.replace("__", "/") + ".py": text for name, text in changed.items()}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "setup.cfg").write_text(CONTRACT)
    return structure.read(root)


def test_rooms_arrows_and_floors_are_counted(tmp_path: Path) -> None:
    found = list(structure.counts(house(tmp_path)))
    assert found[0] == "controller: 4 rooms on 3 floors, 3 arrows; 3 wings on 3 floors, 2 arrows"
    assert found[2:] == ["upward arrows: 0; circles: 0", "functions: 1, half up to 2 lines, 90 % up to 2"]


@pytest.mark.parametrize(
    ("changed", "arrow"),
    [
        pytest.param({"controller__bottom": "import controller.top"}, "controller.bottom -> controller.top", id="up"),
        pytest.param(
            {"controller__bottom": "def f():\n    from .middle import b"},
            "controller.bottom -> controller.middle.b",
            id="up, inside of a function",
        ),
        pytest.param({"controller__stray": ""}, "controller.stray is in no layer", id="a file in no layer"),
        pytest.param(
            {"autoscaler__model": "from controller import bottom"},
            "autoscaler.model -> controller.bottom",
            id="the autoscaler knows the controller",
        ),
    ],
)
def test_an_arrow_that_does_not_point_down_is_named(tmp_path: Path, changed: dict[str, str], arrow: str) -> None:
    assert arrow in house(tmp_path, **changed).upward()


def test_a_circle_is_named(tmp_path: Path) -> None:
    found = structure.circles(house(tmp_path, controller__middle__b="from .a import x").arrows)
    assert found == [frozenset({"controller.middle.a", "controller.middle.b"})]


def test_what_is_too_long_is_named(tmp_path: Path) -> None:
    method = "    def {}(self):\n        pass\n"
    text = "def long():\n" + "    pass\n" * 45 + "class Big:\n" + "".join(method.format(f"m{n}") for n in range(16))
    found = house(tmp_path, controller__bottom=text + "\n" * 300).sizes.problems()
    assert [line.rpartition(": ")[2] for line in found] == [
        "379 lines, at most 300",
        "46 lines, at most 40",
        "16 methods, at most 15",
    ]
