"""The objects of gangs: there before the pods, gone after the last of them, made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, Gang, RayState, Shape, Strategy
from controller.objects.gang import GangObject, PodGang, gang_name
from controller.objects.views import PodView
from controller.planning.actions import CreateGangObject, CreatePod, DeleteGangObject
from controller.planning.blocked_types import Block
from controller.planning.observed import RayView
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import parse_spec
from tests.support.builders import NOW, cluster, head_pod, raw_spec, seen, worker_pod

GROUP = {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "spec": {"minMember": "$(GANG_SIZE)"}}
TEMPLATE = {"labels": {"scheduling.x-k8s.io/pod-group": "$(GANG_NAME)"}, "objects": [GROUP]}
CPU = Shape.of({"CPU": 1})
A4 = PodGang(gang_name(cluster(), "a", 0), 4)
B4 = PodGang(gang_name(cluster(), "b", 0), 4)
OLD = PodGang("an-old-one", 2)


def spec(most: int = 20, **template: Any) -> dict[str, Any]:
    raw = raw_spec(0, maxWorkers=most, gang={**TEMPLATE, **template})
    raw["podTypes"][1]["maxWorkers"] = most
    return raw


SPEC = parse_spec(spec())
HEAD = head_pod(SPEC)


def there(gang: PodGang, since: float = NOW - 60, name: str = "") -> GangObject:
    """Its object exists, and this process has known that for a while."""
    name = name or gang.name
    return GangObject("scheduling.x-k8s.io/v1alpha1", "podgroups", name, f"uid-of-{name}", gang, since)


def member(ordinal: int, of: PodGang, **fields: Any) -> PodView:
    """A worker that waits for a node."""
    return worker_pod(SPEC, ordinal, **{"gang": of.text, "phase": "Pending", "ready": False, **fields})


def planned(
    waiting: str = "",
    pods: Sequence[PodView] = (),
    objects: Sequence[GangObject] = (),
    raw: dict[str, Any] | None = None,
    **fields: Any,
) -> Plan:
    """``waiting``: the letters of placement groups that wait, each of four bundles."""
    gangs = tuple(Gang((Demand(CPU, 4),), Strategy.STRICT_SPREAD, letter) for letter in waiting)
    answer = RayView(RayState("s", 0.0, (), (), gangs), HEAD.uid, 0.0)
    return make_plan(seen([HEAD, *pods], cluster(raw or spec()), ray=answer, gang_objects=objects, **fields))


def created(plan: Plan) -> list[PodGang]:
    return [a.gang for a in plan.actions if isinstance(a, CreateGangObject)]


def deleted(plan: Plan) -> list[PodGang]:
    return [a.object.gang for a in plan.actions if isinstance(a, DeleteGangObject)]


def four(of: PodGang, **fields: Any) -> list[PodView]:
    return [member(n, of, **fields) for n in range(4)]


ROWS: list[tuple[str, dict[str, Any], list[PodGang], list[PodGang]]] = [
    ("a new gang", {"waiting": "a"}, [A4], []),
    ("two new gangs", {"waiting": "ab"}, [A4, B4], []),
    ("nothing waits", {}, [], []),
    ("one that is there", {"waiting": "a", "objects": [there(A4)]}, [], []),
    ("one of another size", {"waiting": "a", "objects": [there(PodGang(A4.name, 3))]}, [A4], []),
    ("half of its pods are there", {"waiting": "a", "pods": four(A4)[:2], "objects": [there(A4)]}, [], []),
    ("it has vanished while its pods wait", {"pods": four(A4)}, [A4], []),
    ("it has vanished and its pods have nodes", {"pods": four(A4, node="n")}, [], []),
    ("its pods are running", {"pods": four(A4, node="n"), "objects": [there(A4)]}, [], []),
    ("a pod of it is going", {"pods": [member(0, OLD, deleting=True)], "objects": [there(OLD)]}, [], []),
    ("its pods have gone", {"objects": [there(OLD)]}, [], [OLD]),
    ("its pods have gone, others come", {"waiting": "a", "objects": [there(OLD)]}, [A4], [OLD]),
    ("its pods are not seen yet", {"objects": [there(OLD, since=NOW - 9)]}, [], []),
    (
        "its pods are refused",
        {"objects": [there(OLD)], "blocks": {"worker-node": Block("QuotaExceeded", "full", NOW)}},
        [],
        [],
    ),
    (
        "others of the type cannot start",
        {"objects": [there(OLD)], "blocks": {"worker-node": Block("Unschedulable", "no room", NOW)}},
        [],
        [OLD],
    ),
    ("a template without objects", {"waiting": "a", "raw": spec(objects=[])}, [], []),
    ("the template has lost its objects", {"objects": [there(OLD)], "raw": spec(objects=[])}, [], [OLD]),
    ("no template any more", {"objects": [there(OLD)], "raw": raw_spec(0)}, [], [OLD]),
]


@pytest.mark.parametrize(("given", "made", "gone"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_objects_come_and_go_with_their_gangs(given: dict[str, Any], made: list[PodGang], gone: list[PodGang]) -> None:
    plan = planned(**given)
    assert (created(plan), deleted(plan)) == (made, gone)


def test_each_gang_gets_one_object_of_each_template() -> None:
    other = {**GROUP, "metadata": {"name": "x-$(GANG_NAME)"}}
    plan = planned("a", raw=spec(objects=[GROUP, other]), objects=[there(A4)])
    assert [a.template.name for a in plan.actions if isinstance(a, CreateGangObject)] == ["x-$(GANG_NAME)"]


def test_no_pod_is_made_before_its_gangs_object() -> None:
    """However many there are in a pass: of the actions of each other kind it carries out a hundred."""
    raw = spec(300, objects=[{**GROUP, "metadata": {"name": f"x{n}-$(GANG_NAME)"}} for n in range(4)])
    raw["upscalingSpeed"] = 1000
    gangs = tuple(Gang((Demand(CPU, 2),), Strategy.STRICT_SPREAD, f"g{n}") for n in range(60))
    answer = RayView(RayState("s", 0.0, (), (), gangs), HEAD.uid, 0.0)
    plan = make_plan(seen([HEAD], cluster(raw), ray=answer))
    pods = {a.gang for a in plan.actions if isinstance(a, CreatePod) and a.gang}
    assert len(pods) == 50
    assert len(created(plan)) == 4 * len(pods) and set(created(plan)) == pods


def test_an_object_whose_pods_are_not_seen_yet_is_looked_at_again() -> None:
    plan = planned(objects=[there(OLD, since=NOW - 4)])
    assert plan.look_again_at == NOW + 6


def test_a_suspended_cluster_makes_none_and_deletes_what_has_no_pods() -> None:
    raw = {**spec(), "suspend": True}
    assert deleted(planned("a", objects=[there(OLD)], raw=raw)) == [OLD]
    waits = planned("a", four(A4), [there(OLD)], raw=raw)
    assert created(waits) == [] and deleted(waits) == [OLD]


def test_a_plan_for_what_is_there_then_has_nothing_to_do() -> None:
    """Once the pods and the objects of a plan exist, the next plan is about neither."""
    made = created(planned("ab"))
    pods = [replace(member(n, of), node="n") for n, of in enumerate([A4] * 4 + [B4] * 4)]
    plan = planned("ab", pods, [there(gang) for gang in made])
    assert (created(plan), deleted(plan)) == ([], [])
