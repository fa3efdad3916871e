"""Clusters come and go, and nothing of them stays in the operator: neither series nor memory.

CHURN_CLUSTERS=1000 makes it a benchmark: `make bench-churn`, which writes build/bench/churn.json.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pytest

from tests.support.apiserver import ApiServer
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT

CLUSTERS = int(os.environ.get("CHURN_CLUSTERS", "40"))
AT_A_TIME = 20
# What Python and the memory allocator keep of what comes and goes, measured over any number of clusters.
MOST_GROWTH_MB = 12.0
RESULT = ROOT / "build/bench/churn.json"
# Labels whose values come from outside: new ones may be met at any time, but only so many.
CODES = re.compile(r'code="[^"]*"|outcome="[^"]*"')
# A watch counts when it ends, which it may do at any time.
ENDED_WATCH = re.compile(r'ray_operator_api_requests_total\{.*verb="watch"')


class Churn:
    """An operator in a namespace where clusters come and go."""

    def __init__(self, environment: Mapping[str, str], example: dict[str, Any]) -> None:
        example["spec"]["podTypes"][1]["minWorkers"] = 1
        self._example = example
        self._space = Namespace(ApiServer(environment["KUBECONFIG"]), f"churn-{uuid4().hex[:8]}")
        self._space.create()
        self._space.kubelet()
        self._operator = OperatorProcess(environment, self._space.name)
        self._operator.start(None, "--metrics-address=127.0.0.1:0", "--log-level=info")
        self._made = 0

    def round(self) -> None:
        """Some clusters are made, run, and are deleted."""
        names = [f"cluster-{self._made + number}" for number in range(AT_A_TIME)]
        self._made += AT_A_TIME
        for name in names:
            cluster = copy.deepcopy(self._example)
            cluster["metadata"]["name"] = name
            self._space.make(cluster)
        eventually(lambda: self.value('ray_operator_clusters{phase="Running"}') == AT_A_TIME, within=120)
        for name in names:
            self._space.delete("rayclusters", name)
        kinds = ("rayclusters", "pods", "services")
        known = [f'ray_operator_cache_objects{{resource="{kind}"}}' for kind in kinds]
        eventually(lambda: not any(self.value(series) for series in known), within=120)

    def value(self, series: str) -> float:
        """What is told of one series; 0 if it is not there."""
        return self.scrape().get(series, 0.0)

    def scrape(self) -> dict[str, float]:
        """Every series."""
        with urlopen(f"http://127.0.0.1:{self._port()}/metrics", timeout=30) as answer:
            lines = (line.rpartition(" ") for line in answer.read().decode().splitlines() if line[0] != "#")
            return {series: float(value) for series, _, value in lines}

    def _port(self) -> int:
        return int(eventually(lambda: re.findall(r"at port (\d+)", self._operator.log()))[-1])

    def stop(self) -> None:
        """All of it ends."""
        self._operator.stop()
        self._operator.close()
        self._space.stop()


@pytest.fixture
def churn(environment: Mapping[str, str], example: dict[str, Any]) -> Iterator[Churn]:
    churn = Churn(environment, example)
    yield churn
    churn.stop()


def test_nothing_of_clusters_that_have_gone_stays(churn: Churn) -> None:
    rounds = []
    for _ in range(CLUSTERS // AT_A_TIME):
        churn.round()
        rounds.append(churn.scrape())
    memory = [seen["process_resident_memory_bytes"] / 1e6 for seen in rounds]
    first, last = ({CODES.sub("", series) for series in seen} for seen in (rounds[0], rounds[-1]))
    if "CHURN_CLUSTERS" in os.environ:
        write(memory, [len(seen) for seen in rounds])
    assert [series for series in last - first if not ENDED_WATCH.match(series)] == []
    assert not [series for series in rounds[-1] if "cluster-" in series]
    assert memory[-1] - memory[len(memory) // 4] < MOST_GROWTH_MB


def write(memory: list[float], series: list[int]) -> None:
    """The benchmark's result: after each so many clusters."""
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "clusters": CLUSTERS,
        "every": AT_A_TIME,
        "memory_mb": [round(value, 1) for value in memory],
        "series": series,
    }
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
