"""Whatever a head or a tenant says: the status, the log and quantities stay small, and cost little."""

from __future__ import annotations

import time
from dataclasses import replace

import orjson
import pytest

from autoscaler.model import Demand, Gang, RayState, Shape, Strategy
from controller.planning.blocked_types import Pause
from controller.planning.observed import RayView
from controller.planning.plan import make_plan
from controller.raycluster.model import parse_spec
from controller.raycluster.problem import Problem
from controller.raycluster.quantities import QuantityError, parse_quantity
from controller.status.autoscaler_log import overview
from controller.status.cluster_status import status_of, status_of_invalid
from tests.support.builders import NOW, cluster, head_pod, raw_spec, seen

SPEC = parse_spec(raw_spec())


def hostile() -> RayState:
    """A thousand shapes and gangs, each with all the names that fit into an answer."""
    shapes = [Shape(tuple((f"{'x' * 500}{shape}.{n}", 10_000) for n in range(200))) for shape in range(50)]
    demands = tuple(Demand(shape, 1) for shape in shapes)
    return RayState("s", 0.0, (), demands, (Gang(demands, Strategy.PACK, "g"), Gang(demands, Strategy.SPREAD, "h")))


def test_a_hostile_head_makes_no_large_status_and_no_long_lines() -> None:
    head = head_pod(SPEC)
    shown = seen([head], ray=RayView(hostile(), head.uid, 0.0))
    plan = make_plan(shown)
    assert len(orjson.dumps(status_of(shown, plan))) < 64 * 1024
    assert sum(map(len, overview(shown, plan))) < 16 * 1024


def test_a_spec_with_thousands_of_mistakes_makes_no_large_status() -> None:
    problems = [Problem(f"spec.podTypes[{n}].minWorkers", "x" * 1_000) for n in range(5_000)]
    status = status_of_invalid(cluster(), problems, NOW)
    assert len(orjson.dumps(status)) < 64 * 1024
    assert "more characters" in status["conditions"][0]["message"]


def test_a_message_of_the_api_server_makes_no_large_status() -> None:
    block = Pause("Forbidden", "policy " * 100_000, since=NOW, until=NOW + 60)
    shown = replace(seen([]), blocks={"worker-node": block})
    assert len(orjson.dumps(status_of(shown, make_plan(shown)))) < 64 * 1024


@pytest.mark.parametrize("text", ["1" * 40_000 + "x", "1." + "1" * 40_000 + "x", "+" * 40_000, "9" * 65])
def test_a_quantity_of_any_length_is_refused_at_once(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(QuantityError, match=r"characters long") as refused:
        parse_quantity(text)
    assert time.thread_time() - started < 0.1
    assert len(str(refused.value)) < 200
