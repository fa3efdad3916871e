"""The rules of the CustomResourceDefinition: the oldest Kubernetes that the chart is for knows all that they use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Functions and macros of CEL, and the first release of Kubernetes that takes them in the rules of a definition. A
# library that came with 1.28 is for rules from 1.29 on, so that the API server can be rolled back.
SINCE = {
    **dict.fromkeys(("has", "all", "exists", "exists_one", "map", "filter"), (1, 25)),
    **dict.fromkeys(("size", "type", "int", "string", "matches", "startsWith", "endsWith", "contains"), (1, 25)),
    **dict.fromkeys(("isSorted", "sum", "min", "max", "indexOf", "lastIndexOf"), (1, 25)),
    **dict.fromkeys(
        ("isURL", "url", "find", "findAll", "lowerAscii", "replace", "split", "substring", "trim"), (1, 25)
    ),
    **dict.fromkeys(
        ("optional", "orValue", "hasValue", "isQuantity", "quantity", "isGreaterThan", "isLessThan"), (1, 29)
    ),
    **dict.fromkeys(("isIP", "ip", "isCIDR", "cidr", "format"), (1, 31)),
}
CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


def rules(node: Any) -> Iterator[str]:
    """Every expression in a definition: rules, and the messages that are computed."""
    if isinstance(node, dict):
        for rule in node.get("x-kubernetes-validations", ()):
            yield rule["rule"]
            yield rule.get("messageExpression", "")
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from rules(inner)


def called(expressions: Iterator[str]) -> set[str]:
    """The functions that they call. What is in quotes is text."""
    return {name for text in expressions for name in CALL.findall(re.sub(r"'[^']*'|\"[^\"]*\"", "''", text))}


def newer_than(version: tuple[int, ...], functions: set[str]) -> set[str]:
    """Those that a release does not know. One that is not in the table is new until somebody has looked it up."""
    return {name for name in functions if name not in SINCE or SINCE[name] > version}


def test_every_function_of_the_rules_is_as_old_as_the_oldest_kubernetes() -> None:
    definition = yaml.safe_load((ROOT / "charts/ray/crds/raycluster.yaml").read_text())
    chart = yaml.safe_load((ROOT / "charts/ray/Chart.yaml").read_text())
    oldest = tuple(int(part) for part in re.findall(r"\d+", chart["kubeVersion"])[:2])
    functions = called(rules(definition))
    assert {"has", "matches", "exists_one", "sum"} <= functions
    assert newer_than(oldest, functions) == set()


@pytest.mark.parametrize(
    ("rule", "newer"),
    [
        ("self.matches('^quantity(x)$') && size(self) > 0", set()),
        (
            "isQuantity(string(self)) && quantity(self).isGreaterThan(quantity('0'))",
            {"isQuantity", "quantity", "isGreaterThan"},
        ),
        ("self.all(a, isIP (a))", {"isIP"}),
        ("self.somethingElse()", {"somethingElse"}),
    ],
)
def test_functions_are_found_and_quoted_text_is_none(rule: str, newer: set[str]) -> None:
    assert newer_than((1, 28), called(iter([rule]))) == newer
