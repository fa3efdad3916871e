"""RayClusters that cannot be read: an Event where their metadata say which one it is, and only from the leader."""

from __future__ import annotations

import math
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, cast

import pytest

from controller.kube.events import Events
from controller.kube.leadership import Leadership
from controller.kube.well_formed import MalformedError
from controller.monitoring.metrics import Metrics
from controller.raycluster.model import Key
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.unreadable import SetAside
from controller.reconcile.worker import Owner
from tests.fakes.api import FakeApi

SERIES = "ray_operator_objects_set_aside_total"
NAMED = {"namespace": "ray", "name": "example", "uid": "1"}


def said(obj: Any, error: Exception, leads: bool = True, resource: str = "rayclusters") -> list[tuple[Any, Any]]:
    """The names and the messages of the Events."""
    api = FakeApi()
    with ThreadPoolExecutor(1) as threads:

        def of(key: Key) -> Executor:
            assert key == ("ray", "example")
            return threads

        metrics = Metrics()
        owner = Owner(Leadership(until=math.inf if leads else 0.0), cast("Reconciler", None), Events(api))
        SetAside(metrics.set_aside, of, lambda key: owner).of(resource)(obj, error)
    assert metrics.registry.get_sample_value(SERIES, {"resource": resource}) == 1
    return [(event["involvedObject"]["name"], event["message"]) for event in api.events]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MalformedError("its status is of the type str"), "its status is of the type str"),
        (KeyError("resourceVersion"), "a field is missing or has the wrong type"),
    ],
)
def test_the_event_says_why_and_what_the_operator_does(error: Exception, why: str) -> None:
    expected = f"The RayCluster cannot be read: {why}. The operator does not touch it until it changes."
    assert said({"metadata": NAMED}, error) == [("example", expected)]


@pytest.mark.parametrize(
    "obj", [None, [], {}, {"metadata": None}, {"metadata": {**NAMED, "uid": 5}}, {"metadata": {**NAMED, "name": None}}]
)
def test_an_object_without_a_name_gets_no_event(obj: Any) -> None:
    assert said(obj, MalformedError("x")) == []


def test_an_operator_that_does_not_lead_posts_nothing() -> None:
    assert said({"metadata": NAMED}, MalformedError("x"), leads=False) == []


def test_other_objects_are_counted_alone() -> None:
    assert said({"metadata": NAMED}, MalformedError("x"), resource="pods") == []
