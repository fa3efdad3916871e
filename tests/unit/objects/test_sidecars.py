"""Containers that webhooks put beside Ray's, before it or as sidecars of Kubernetes' own kind: no news about Ray."""

from __future__ import annotations

from typing import Any

import pytest

from controller.objects.labels import HEAD
from controller.objects.pod import build_pod
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, DeletePod
from controller.planning.observed import Observed
from controller.planning.plan import make_plan
from controller.raycluster.model import parse_spec
from tests.support.builders import NOW, NOW_TEXT, cluster

LATER = "2023-11-14T22:14:20Z"
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": LATER}}
RUNNING = {"running": {"startedAt": NOW_TEXT}}
PROXY: dict[str, Any] = {"name": "proxy", "image": "proxy"}
CLUSTER = cluster()
SPEC = parse_spec(CLUSTER.spec)


def view(
    place: str,
    ray: dict[str, Any],
    proxy: dict[str, Any],
    *,
    phase: str = "Running",
    kind: str = HEAD,
    ready: bool = False,
) -> PodView:
    """A pod with a proxy: ``first`` or ``last`` of its containers, or an init container that goes on (``native``)."""
    pod_type = SPEC.head if kind == HEAD else SPEC.worker_types[0]
    pod = build_pod(CLUSTER, SPEC, pod_type, f"p-{kind}")
    pod["metadata"] |= {"uid": kind, "resourceVersion": "2", "creationTimestamp": NOW_TEXT}
    own = pod["spec"]["containers"]
    statuses = [{"name": own[0]["name"], "state": ray, "ready": ready}]
    beside = {"name": "proxy", "state": proxy, "ready": "running" in proxy}
    pod["status"] = {"phase": phase, "podIP": "10.0.0.1", "containerStatuses": statuses}
    if place == "native":
        pod["spec"]["initContainers"] = [{**PROXY, "restartPolicy": "Always"}]
        pod["status"]["initContainerStatuses"] = [beside]
    else:
        pod["spec"]["containers"] = [PROXY, *own] if place == "first" else [*own, PROXY]
        statuses.append(beside)
    all_ready = str(ready and "running" in proxy)
    at = {"status": all_ready, "lastTransitionTime": LATER}
    pod["status"]["conditions"] = [{"type": "Ready", **at}, {"type": "ContainersReady", **at}]
    return PodView.from_object(pod)


PLACES = pytest.mark.parametrize("place", ["first", "last", "native"])


@PLACES
@pytest.mark.parametrize("phase", ["Running", "Pending"])
@pytest.mark.parametrize("exit_code", [0, 137])
def test_a_dead_ray_behind_a_living_proxy_has_ended(place: str, phase: str, exit_code: int) -> None:
    """Pending: the proxy's image is still being pulled."""
    ray = {"terminated": {**KILLED["terminated"], "exitCode": exit_code}}
    pod = view(place, ray, RUNNING, phase=phase)
    assert (pod.ended, pod.live, pod.ready, pod.ended_at) == (True, False, False, NOW + 60)
    assert pod.problem == ("OOMKilled, exit code 137" if exit_code else "")


@PLACES
def test_a_head_whose_ray_was_killed_is_replaced(place: str) -> None:
    pods = [view(place, KILLED, RUNNING)]
    actions = make_plan(Observed(CLUSTER, SPEC, pods, service=None, now=NOW + 86400)).actions
    assert {type(a) for a in actions} >= {DeletePod, CreatePod}


@PLACES
@pytest.mark.parametrize(
    "proxy",
    [
        {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": LATER}},
        {"terminated": {"exitCode": 0, "finishedAt": LATER}},
        {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
    ],
)
@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_proxys_end_is_no_news_about_ray(place: str, proxy: dict[str, Any], phase: str) -> None:
    pod = view(place, RUNNING, proxy, phase=phase, ready=True)
    assert (pod.live, pod.ready, pod.problem, pod.stuck, pod.running_since) == (True, True, "", "", NOW)


@PLACES
def test_a_ray_that_is_not_ready_yet_is_not_ready_behind_a_ready_proxy(place: str) -> None:
    assert not view(place, RUNNING, RUNNING, ready=False).ready


def test_a_proxy_that_keeps_ray_from_starting_is_the_problem() -> None:
    """One of Kubernetes' own kind starts before Ray does."""
    waiting = {"waiting": {"reason": "PodInitializing"}}, {"waiting": {"reason": "ErrImagePull"}}
    pod = view("native", *waiting, phase="Pending")
    assert (pod.live, pod.problem, pod.stuck) == (True, "ErrImagePull", "ImageMissing")


@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun"])
def test_an_image_without_bash_is_named(reason: str) -> None:
    words = 'exec: "/bin/bash": stat /bin/bash: no such file or directory'
    ended = {"terminated": {"exitCode": 128, "reason": reason, "message": words, "finishedAt": LATER}}
    assert view("last", ended, RUNNING).problem == (
        f"{reason}, exit code 128: {words}; the start commands need bash: use an image that has /bin/bash"
    )
