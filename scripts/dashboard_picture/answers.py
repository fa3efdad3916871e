"""What Prometheus answers to the queries of a panel, with the dashboard's variables put in as Grafana would."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# A scrape has as long for its answer: machines are busy.
SCRAPE_SECONDS = 5
# Those of Grafana: a value for each scrape, and rates over four scrapes.
STEP_SECONDS = float(SCRAPE_SECONDS)
RATE_INTERVAL = f"{4 * SCRAPE_SECONDS}s"


class Source(Protocol):
    """What answers queries over a time."""

    def query_range(self, text: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """One entry for each series."""


@dataclass(frozen=True)
class Line:
    """One series: its name in the legend, and a value for each step, NaN where there is none."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Answers:
    """Answers over the time from ``start`` to ``end``, with every variable of the dashboard at All."""

    source: Source
    dashboard: Mapping[str, Any]
    start: float
    end: float

    def lines(self, panel: Mapping[str, Any]) -> list[Line]:
        """All series of a panel, in the order of its queries."""
        return [line for target in panel["targets"] for line in self._answered(target)]

    def _answered(self, target: Mapping[str, Any]) -> Iterator[Line]:
        for series in self.source.query_range(self._asked(target["expr"]), self.start, self.end, STEP_SECONDS):
            name = _named(target["legendFormat"], series["metric"])
            found = {round((at - self.start) / STEP_SECONDS): _number(value) for at, value in series["values"]}
            steps = range(int((self.end - self.start) / STEP_SECONDS) + 1)
            yield Line(name, [found.get(step, math.nan) for step in steps])

    def _asked(self, query: str) -> str:
        query = query.replace("$__rate_interval", RATE_INTERVAL)
        for variable in self.dashboard["templating"]["list"]:
            query = query.replace(f"${variable['name']}", variable.get("allValue", ""))
        return query


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{\s*(\w+)\s*}}", lambda name: labels.get(name[1], ""), legend)


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else math.nan
