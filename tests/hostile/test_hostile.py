"""Whatever one tenant does, the clusters of others go on as before: one operator in the chart's memory for all.

Twenty clusters in other namespaces grow and shrink all the time. How long their work waits beside each input is
compared with how long it waits before the first one.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import control_plane
from tests.support.apiserver import ApiServer
from tests.support.kube import eventually
from tests.support.prerequisites import ROOT

from .inputs import INPUTS
from .limits import Limited, limited
from .neighbours import Neighbours, told
from .place import NAMESPACE, Place

RESULT = ROOT / "build/bench/hostile.json"
UNDISTURBED_SECONDS, SECONDS = 30.0, 25.0
# How much longer the middle one and the longest of the waits may be: the API server, on the same cores, has more to do
# as well, most of all with objects of 1.3 MB.
MEDIAN_TIMES, LONGEST_TIMES, SLACK_SECONDS = 4.0, 4.0, 2.0


@dataclass
class World:
    """The operator, its neighbours, and how these do when they are let alone."""

    server: ApiServer
    operator: Limited
    neighbours: Neighbours
    undisturbed: list[float]
    rows: list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(run_name: str) -> Iterator[World]:
    environment: Mapping[str, str] = control_plane.start(run_name, "hostile")
    server = ApiServer(environment["KUBECONFIG"])
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    with limited(environment) as operator:
        eventually(lambda: "at port" in operator.log(), within=60)
        neighbours = Neighbours(server)
        neighbours.start()
        eventually(neighbours.ready, within=180)
        neighbours.taken()
        operator.probed()
        time.sleep(UNDISTURBED_SECONDS)
        world = World(server, operator, neighbours, neighbours.taken(), [])
        print(f"undisturbed: {told(world.undisturbed)}; {operator.usage()}")
        yield world
        operator.end()
        neighbours.stop()
        print(operator.log()[-20_000:])
        write(world)


@pytest.mark.parametrize("name", INPUTS)
def test_the_others_do_not_notice(world: World, name: str) -> None:
    until = threading.Event()
    place = Place(world.server, world.operator.port(), until)
    failed: list[BaseException] = []

    def act() -> None:
        try:
            INPUTS[name](place)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=act, daemon=True)
    cpu = world.operator.usage().cpu
    world.neighbours.taken()
    thread.start()
    time.sleep(SECONDS)
    until.set()
    thread.join(60)
    waits, use = world.neighbours.taken(), world.operator.usage()
    late, world.operator.late = world.operator.late, []
    wrong, world.neighbours.wrong = world.neighbours.wrong, []
    place.empty()
    eventually(place.is_empty, within=120)
    row = {
        "input": name,
        **figures(waits),
        "cpu": round(use.cpu - cpu, 2),
        "rss_mb": use.rss_mb,
        "peak_mb": use.peak_mb,
    }
    world.rows.append(row)
    print(f"{told(waits)}; {row}")
    assert not failed, failed
    assert world.operator.lives()
    assert not late
    assert not wrong
    assert statistics.median(waits) <= MEDIAN_TIMES * statistics.median(world.undisturbed)
    assert max(waits) <= LONGEST_TIMES * max(world.undisturbed) + SLACK_SECONDS


def figures(waits: list[float]) -> dict[str, Any]:
    """Of so many waits."""
    return {"waits": len(waits), "median": round(statistics.median(waits), 2), "longest": round(max(waits), 2)}


def write(world: World) -> None:
    """All figures of the run."""
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"input": "undisturbed", **figures(world.undisturbed)}, *world.rows]
    RESULT.write_text(json.dumps(rows, indent=1) + "\n")
