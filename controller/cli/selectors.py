"""Label selectors as programs write them for Ray: ``a``, ``!a``, ``in(a, b)`` and ``!in(a, b)``.

Ray's own: https://docs.ray.io/en/latest/ray-core/scheduling/label-based-scheduling.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from autoscaler.model import LabelConstraint, LabelOperator, Selector

_VALUE = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
# What Ray takes, as a schema's pattern.
PATTERN = rf"^(!?{_VALUE}|!?in\({_VALUE}(, ?{_VALUE})*\))?$"
_PARTS = re.compile(r"(?P<negated>!?)(?:in\((?P<several>.*)\)|(?P<one>.*))")


def selector_of(labels: Mapping[str, str]) -> Selector:
    """All of these together. Call only with values that match ``PATTERN``."""
    return Selector(tuple(sorted(_constraint(key, value) for key, value in labels.items())))


def selectors_of(labels: Mapping[str, str] | None, fallbacks: Iterator[Mapping[str, str]]) -> list[Selector]:
    """Where a task may go, in order: its selector, then its fallbacks. Empty when it may go anywhere."""
    return [selector_of(chosen) for chosen in (labels or {}, *fallbacks)]


def _constraint(key: str, value: str) -> LabelConstraint:
    parts = _PARTS.fullmatch(value)
    assert parts
    several = parts["several"]
    values = [v.strip() for v in several.split(",")] if several is not None else [parts["one"]]
    return LabelConstraint.of(key, LabelOperator.NOT_IN if parts["negated"] else LabelOperator.IN, values)
