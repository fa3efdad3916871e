"""What a change of the spec leads to: one table, a row for each kind of change a user can make.

Two workers run, known to Ray: the first is at work, the second is idle.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from autoscaler.model import RayState
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, CreateService, DeletePod, DrainPod, PatchService, RetirePod
from controller.planning.blocked_types import Stuck
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import RayCluster, parse_spec
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, pod_config, raw_spec, raw_type, seen, service, worker_pod
from tests.support.plans import HEAD, SPEC, W0, W1, WELL, changed_pod

AT_WORK, IDLE = node(1, W0.name, "worker-node", free=0), node(2, W1.name, "worker-node", idle=1.0)


class Outcome(NamedTuple):
    """What is done, in numbers of pods, and what is announced."""

    created: int = 0
    deleted: int = 0
    retired: int = 0
    drained: int = 0
    service: int = 0
    told: tuple[str, ...] = ()


def shown(of: RayCluster, pods: list[PodView] | None = None, **fields: Any) -> Observed:
    """The cluster of the table; ``of`` is what the user has made of it."""
    answer = RayView(RayState("s", 0.0, (AT_WORK, IDLE)), "head-uid", 0.0)
    return replace(seen(WELL if pods is None else pods, of, service(), ray=answer), **fields)


def outcome(plan: Plan) -> Outcome:
    kinds = [type(action) for action in plan.actions]
    return Outcome(
        created=kinds.count(CreatePod),
        deleted=kinds.count(DeletePod),
        retired=kinds.count(RetirePod),
        drained=kinds.count(DrainPod),
        service=kinds.count(PatchService) + kinds.count(CreateService),
        told=tuple(told.reason for told in plan.announcements),
    )


def head(**fields: Any) -> dict[str, Any]:
    """The head's type of the table, changed."""
    return raw_type("head-node", "ray-head-", **fields)


def with_types(*types: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return raw_spec(podTypes=[head(), *types], **fields)


def worker(**fields: Any) -> dict[str, Any]:
    """The worker type of the table, changed."""
    return raw_type("worker-node", **{"minWorkers": 2, "maxWorkers": 10, **fields})


def labelled(index: int) -> dict[str, Any]:
    spec = raw_spec()
    spec["podTypes"][index]["podConfig"]["metadata"]["labels"] = {"team": "a"}
    return spec


# The new head is made once the deletion of the old one was accepted; workers that wait for it, at once.
RESTART = Outcome(created=2, deleted=3, told=("Restarting",))
# Two replacements are launched beside the two old ones, which stay until these have joined.
REPLACE = Outcome(created=2, told=("ReplacingWorkers",))
NOTHING = Outcome()

TABLE = [
    ("the head's image", changed_pod(0), RESTART),
    ("the head's labels", labelled(0), RESTART),
    # Of the head's type there may be workers as well, and here there have to be two.
    ("headPodType", raw_spec(headPodType="worker-node"), RESTART),
    ("headStartRayCommands", raw_spec(headStartRayCommands=["ray start --head --port=6380"]), RESTART),
    (
        "setupCommands of the head",
        raw_spec(podTypes=[head(setupCommands=["true"]), worker()]),
        RESTART,
    ),
    ("a worker's image", changed_pod(1), REPLACE),
    ("a worker's labels", labelled(1), REPLACE),
    ("setupCommands of a worker", with_types(worker(setupCommands=["true"])), REPLACE),
    ("workerSetupCommands of a worker", with_types(worker(workerSetupCommands=["true"])), REPLACE),
    ("workerStartRayCommands", raw_spec(workerStartRayCommands=["ray start --address=$RAY_HEAD_IP:6379 -v"]), REPLACE),
    ("minWorkers up", with_types(worker(minWorkers=3)), Outcome(created=1)),
    ("minWorkers down", with_types(worker(minWorkers=0)), NOTHING),
    ("maxWorkers of the type down", with_types(worker(minWorkers=1, maxWorkers=1)), Outcome(retired=1)),
    ("maxWorkers of the cluster down", with_types(worker(minWorkers=0), maxWorkers=1), Outcome(retired=1)),
    ("maxWorkers to nothing", with_types(worker(minWorkers=0), maxWorkers=0), Outcome(retired=1, drained=1)),
    ("maxWorkers up", raw_spec(maxWorkers=50), NOTHING),
    ("maxWorkers of the head's type", raw_spec(podTypes=[head(maxWorkers=2), worker()]), NOTHING),
    (
        "minWorkers of the head's type",
        raw_spec(podTypes=[head(minWorkers=1, maxWorkers=2), worker()]),
        Outcome(created=1),
    ),
    ("minWorkers of a head's type without workers", raw_spec(podTypes=[head(minWorkers=1), worker()]), NOTHING),
    ("idleTimeoutMinutes", raw_spec(idleTimeoutMinutes=99), NOTHING),
    ("idleTimeoutMinutes of the type", with_types(worker(idleTimeoutMinutes=99)), NOTHING),
    ("priority of the type", with_types(worker(priority=9)), NOTHING),
    ("labels of the type", with_types(worker(labels={"tier": "gold"})), REPLACE),
    ("labels of the head", raw_spec(podTypes=[head(labels={"tier": "gold"}), worker()]), RESTART),
    (
        "startRayCommands of the type",
        with_types(worker(startRayCommands=["ray start --address=$RAY_HEAD_IP:6379 -v"])),
        REPLACE,
    ),
    ("startRayCommands of the head's type", raw_spec(podTypes=[head(startRayCommands=["x"]), worker()]), NOTHING),
    # The two old ones are workers, and each of the two new ones is two pods.
    ("hosts of the type", with_types(worker(hosts=2)), Outcome(created=4, service=1, told=("ReplacingWorkers",))),
    ("hosts of the type, given as one", with_types(worker(hosts=1)), NOTHING),
    ("upscalingSpeed", raw_spec(upscalingSpeed=9.0), NOTHING),
    ("idleTermination", raw_spec(idleTermination={"minutes": 9, "action": "Delete"}), NOTHING),
    ("gang", raw_spec(gang={"labels": {"group": "$(GANG_NAME)"}}), NOTHING),
    ("doNotDisrupt", raw_spec(doNotDisrupt={"head": True, "busyWorkers": True}), NOTHING),
    ("rayResources", with_types(worker(rayResources={"special": 1})), NOTHING),
    (
        "headServicePorts",
        raw_spec(headServicePorts=[{"name": "client", "port": 10002, "targetPort": 10001}]),
        Outcome(service=1, told=("UpdatingService",)),
    ),
    ("a type added", with_types(worker(), raw_type("other", minWorkers=1)), Outcome(created=1)),
    ("the type removed", with_types(), Outcome(retired=1, drained=1, told=("ReplacingWorkers",))),
    (
        "the type renamed",
        with_types(worker() | {"name": "renamed"}),
        Outcome(created=2, retired=1, drained=1, told=("ReplacingWorkers",)),
    ),
]


@pytest.mark.parametrize(("spec", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_change_has_its_outcome(spec: dict[str, Any], expected: Outcome) -> None:
    """Once, as the table says; and an answer of the head that is too old removes nobody but with its head."""
    assert outcome(make_plan(shown(cluster(spec)))) == expected
    old = shown(cluster(spec), ray=RayView(RayState("s", 0.0, (AT_WORK, IDLE)), "head-uid", 10.0))
    assert outcome(make_plan(old))[2:4] == (0, 0)


def test_labels_and_annotations_of_the_resource_change_nothing() -> None:
    """They come with another resourceVersion, and the same generation."""
    assert outcome(make_plan(shown(cluster(resource_version=99)))) == NOTHING


def test_every_announcement_says_what_happens_and_why() -> None:
    def told(spec: dict[str, Any]) -> list[str]:
        return [a.message for a in make_plan(shown(cluster(spec))).announcements]

    assert told(changed_pod(0)) == [
        "the head's pod type or start commands changed: the head and 2 workers are replaced, what runs in Ray is lost"
    ]
    assert told(changed_pod(1)) == [
        "the pod type worker-node or its start commands changed: its 2 workers are drained and replaced"
    ]
    assert told(with_types()) == [
        "the pod type worker-node is no longer a worker type: its 2 workers are drained and removed"
    ]


NEW = cluster(changed_pod(1))
R0, R1 = (replace(worker_pod(SPEC, n, config_hash=""), uid=f"new-{n}") for n in (2, 3))


def renewed(*names: str, of: RayCluster = NEW, **fields: Any) -> tuple[list[PodView], RayView]:
    """The old two and two new ones, of which those called ``names`` have joined Ray."""
    changed = parse_spec(of.spec)
    current = changed.hash_of(changed.worker_types[0])
    new = [replace(r, config_hash=current, **fields) for r in (R0, R1)]
    nodes = [node(7 + n, p.name, "worker-node", idle=1.0) for n, p in enumerate(new) if p.name in names]
    return [*WELL, *new], RayView(RayState("s", 0.0, (AT_WORK, IDLE, *nodes)), "head-uid", 0.0)


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        pytest.param((), Outcome(told=("ReplacingWorkers",)), id="none has joined: nobody goes"),
        pytest.param((R0.name,), Outcome(retired=1, told=("ReplacingWorkers",)), id="one has: the idle one goes"),
        pytest.param(
            (R0.name, R1.name),
            Outcome(retired=1, drained=1, told=("ReplacingWorkers",)),
            id="both have: the one at work is let finish",
        ),
    ],
)
def test_old_workers_go_as_their_replacements_join(joined: tuple[str, ...], expected: Outcome) -> None:
    pods, answer = renewed(*joined)
    assert outcome(make_plan(shown(NEW, pods, ray=answer))) == expected


def test_an_image_that_is_missing_stops_the_replacement_and_the_old_workers_stay() -> None:
    """Whoever mistypes an image loses nothing that runs."""
    pods, answer = renewed(ready=False, phase="Pending", stuck="ImageMissing")
    blocks = {"worker-node": Stuck("ImageMissing", "no such image", NOW)}
    assert outcome(make_plan(shown(NEW, pods, ray=answer, blocks=blocks))) == Outcome(told=("ReplacingWorkers",))


def test_without_room_for_replacements_a_quarter_goes_first() -> None:
    """maxWorkers is what there is: one of two is let go, the idle one, and no second one while it is on its way."""
    tight = changed_pod(1)
    tight["maxWorkers"] = tight["podTypes"][1]["maxWorkers"] = 2
    of = cluster(tight)
    assert outcome(make_plan(shown(of))) == Outcome(retired=1, told=("ReplacingWorkers",))
    leaving = replace(W1, drain_by=NOW + 60, drain_reason="it changed")
    assert outcome(make_plan(shown(of, [HEAD, W0, leaving]))).retired == 0


def test_a_worker_that_never_joined_is_replaced_without_ceremony() -> None:
    """Its Ray is not up: there is nothing to drain."""
    answer = RayView(RayState("s", 0.0, (AT_WORK,)), "head-uid", 0.0)
    starting = replace(W1, ready=False)
    assert outcome(make_plan(shown(NEW, [HEAD, W0, starting], ray=answer))).deleted == 1


@pytest.mark.parametrize(("silence", "deleted"), [(0.0, 0), (29.0, 0), (31.0, 1)])
def test_a_head_that_is_silent_for_long_does_not_stop_a_change(silence: float, deleted: int) -> None:
    """Workers that were ready are replaced a few at a time; those that were not, at once."""
    tight = changed_pod(1)
    tight["maxWorkers"] = tight["podTypes"][1]["maxWorkers"] = 2
    assert outcome(make_plan(shown(cluster(tight), ray=None, silence=silence))).deleted == deleted


def test_the_config_of_two_types_is_told_apart() -> None:
    """A change of one type leaves the workers of another alone."""
    other = raw_type("other", "ray-other-", minWorkers=0, maxWorkers=5) | {"podConfig": pod_config(cpu="9")}
    assert outcome(make_plan(shown(cluster(with_types(worker(), other))))) == NOTHING
