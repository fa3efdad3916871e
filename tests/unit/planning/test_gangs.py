"""Pods that are launched for one placement group, or are one worker, carry one name and their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, Gang, RayNode, RayState, Shape, Strategy
from controller.objects.gang import PodGang, gang_name
from controller.objects.views import PodView
from controller.planning.actions import CreatePod
from controller.planning.observed import RayView
from controller.planning.plan import make_plan
from controller.raycluster.model import parse_spec
from tests.fakes.heads import node
from tests.support.builders import cluster, head_pod, raw_spec, seen, worker_pod
from tests.support.slices import SPEC as SLICES
from tests.support.slices import slice_pods, slice_service, slice_spec

TEMPLATE = {"labels": {"group": "$(GANG_NAME)"}, "annotations": {"size": "$(GANG_SIZE)"}}
CPU = Shape.of({"CPU": 1})


def spec(template: dict[str, Any] | None = None, workers: int = 0, most: int = 20) -> dict[str, Any]:
    raw = raw_spec(workers, maxWorkers=most, gang=TEMPLATE if template is None else template)
    raw["podTypes"][1]["maxWorkers"] = most
    return raw


SPEC = parse_spec(spec())
HEAD = head_pod(SPEC)


def gang(name: str, bundles: int, strategy: Strategy = Strategy.STRICT_SPREAD) -> Gang:
    """A placement group that waits."""
    return Gang((Demand(CPU, bundles),), strategy, name)


def named(group: str, number: int = 0) -> str:
    return gang_name(cluster(), group, number)


def member(ordinal: int, of: PodGang | None, **fields: Any) -> PodView:
    """A worker on its way."""
    note = of.text if of else ""
    return worker_pod(SPEC, ordinal, **{"gang": note, "phase": "Pending", "ready": False, **fields})


def launched(
    gangs: Sequence[Gang] = (),
    pods: Sequence[PodView] = (),
    waiting: int = 0,
    nodes: tuple[RayNode, ...] = (),
    raw: dict[str, Any] | None = None,
) -> Counter[PodGang | None]:
    """How many pods of which gang are created."""
    demands = (Demand(CPU, waiting),) if waiting else ()
    answer = RayView(RayState("s", 0.0, nodes, demands, tuple(gangs)), HEAD.uid, 0.0)
    plan = make_plan(seen([HEAD, *pods], cluster(raw or spec()), ray=answer))
    return Counter(a.gang for a in plan.actions if isinstance(a, CreatePod))


A4, B4, A2 = PodGang(named("a"), 4), PodGang(named("b"), 4), PodGang(named("a"), 2)
LAUNCHES: list[tuple[str, list[Gang], list[PodView], int, dict[PodGang | None, int]]] = [
    ("one group", [gang("a", 4)], [], 0, {A4: 4}),
    ("two groups", [gang("a", 4), gang("b", 4)], [], 0, {A4: 4, B4: 4}),
    ("two kinds", [gang("a", 4), gang("b", 2)], [], 0, {A4: 4, PodGang(named("b"), 2): 2}),
    ("a group that packs", [gang("a", 2, Strategy.PACK)], [], 0, {A2: 2}),
    ("on one node", [gang("a", 1, Strategy.STRICT_PACK)], [], 0, {None: 1}),
    ("without a name", [gang("", 4)], [], 0, {None: 4}),
    ("tasks", [], [], 3, {None: 3}),
    ("a group and tasks", [gang("a", 2)], [], 2, {A2: 2, None: 2}),
    ("half of it is there", [gang("a", 4)], [member(0, A4), member(1, A4)], 0, {A4: 2}),
    ("all of it is there", [gang("a", 4)], [member(n, A4) for n in range(4)], 0, {}),
    (
        "one and a half of two",
        [gang("a", 4), gang("b", 4)],
        [*(member(n, B4) for n in range(4)), member(4, A4)],
        0,
        {A4: 3},
    ),
    ("a part of each", [gang("a", 4), gang("b", 4)], [member(0, A4), member(1, B4)], 0, {A4: 3, B4: 3}),
    ("nothing of the second", [gang("a", 4), gang("b", 4)], [member(n, A4) for n in range(4)], 0, {B4: 4}),
    ("others are on their way", [gang("a", 4)], [member(0, None)], 0, {PodGang(named("a"), 3): 3}),
    (
        "what was there has other work",
        [gang("a", 2)],
        [member(n, A2, ready=True, phase="Running") for n in range(2)],
        0,
        {PodGang(named("a", 1), 2): 2},
    ),
    ("a note that makes no sense", [gang("a", 2)], [member(0, None, gang="a/b/c/-1")], 0, {None: 1}),
]


@pytest.mark.parametrize(
    ("gangs", "pods", "waiting", "expected"), [row[1:] for row in LAUNCHES], ids=[row[0] for row in LAUNCHES]
)
def test_what_is_launched_belongs_together(
    gangs: list[Gang], pods: list[PodView], waiting: int, expected: dict[PodGang | None, int]
) -> None:
    busy = tuple(node(n + 1, p.name, "worker-node", free=0) for n, p in enumerate(pods) if p.ready)
    assert launched(gangs, pods, waiting, busy) == expected


def test_groups_that_share_nodes_are_one_gang() -> None:
    """Two bundles of either group fit on each node: neither can do without the nodes of the other."""
    raw = spec()
    for kind in ("requests", "limits"):
        raw["podTypes"][1]["podConfig"]["spec"]["containers"][0]["resources"][kind]["cpu"] = "3"
    shared = [gang("a", 3), gang("b", 3)]
    assert launched(shared, raw=raw) == {PodGang(named("a"), 3): 3}


def test_without_a_template_nothing_is_noted() -> None:
    assert launched([gang("a", 4)], raw=spec({})) == {None: 4}


def test_pods_of_a_minimum_are_no_gang() -> None:
    assert launched(raw=spec(workers=3)) == {None: 3}


def test_more_than_a_pass_creates_is_one_gang() -> None:
    """The size is known from the beginning, and the next pass adds the rest."""
    raw, whole = spec(most=300), PodGang(named("a"), 150)
    assert launched([gang("a", 150)], raw=raw) == {whole: 100}
    there = [member(n, whole) for n in range(100)]
    assert launched([gang("a", 150)], there, raw=raw) == {whole: 50}


@pytest.mark.parametrize("seen_of_it", range(1, 8))
def test_a_pass_that_ended_anywhere_is_completed(seen_of_it: int) -> None:
    """Of two groups any of the pods may be there, in any order."""
    groups = [gang("a", 4), gang("b", 4)]
    whole = [A4, B4, B4, A4, B4, A4, A4, B4]
    there = [member(n, of) for n, of in enumerate(whole[:seen_of_it])]
    made = launched(groups, there)
    assert made + Counter(whole[:seen_of_it]) == {A4: 4, B4: 4}


def test_a_worker_of_several_hosts_is_a_gang() -> None:
    head = head_pod(SLICES)
    raw = slice_spec(workers=2) | {"gang": TEMPLATE}
    plan = make_plan(seen([head], cluster(raw), hosts_service=slice_service()))
    made = Counter(a.gang for a in plan.actions if isinstance(a, CreatePod) and a.host)
    assert [of.size for of in made if of] == [2, 2]
    assert sorted(made.values()) == [2, 2]


def test_the_rest_of_a_worker_belongs_with_what_is_there() -> None:
    head, (first, _) = head_pod(SLICES), slice_pods(SLICES, 0)
    of = PodGang("its-gang", 2)
    raw = slice_spec(workers=1) | {"gang": TEMPLATE}
    pod = replace(first, gang=of.text, complete=False)
    plan = make_plan(seen([head, pod], cluster(raw), hosts_service=slice_service()))
    assert [a.gang for a in plan.actions if isinstance(a, CreatePod)] == [of]
