"""Who uses a cluster, by its head's tables of jobs and actors: what counts, what does not, and what stays open."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future

import grpc
import pytest

from autoscaler.gcs import usage as module
from autoscaler.gcs.client import GcsClient
from autoscaler.gcs.errors import GcsError
from autoscaler.model import RayUsage
from controller.raycluster.model import timestamp
from tests.conformance.gcs_usage import usage
from tests.fakes.gcs import DEAD_ACTOR, FakeGcs


def refused(client: GcsClient) -> GcsError:
    answer: Future[RayUsage | GcsError] = Future()
    client.begin_usage(answer.set_result)
    error = answer.result(30)
    assert isinstance(error, GcsError)
    return error


def test_an_unused_head_is_asked_for_jobs_and_for_the_actors_of_each_living_state(
    head: FakeGcs, client: GcsClient
) -> None:
    found = usage(client)
    assert (found.user, found.last_end, found.taken_at) == ("", 0, 7.0)
    assert found.cost > 0
    assert head.calls == ["GetAllJobInfo"] + 4 * ["GetAllActorInfo"]


def test_actors_are_not_asked_for_while_a_driver_lives(head: FakeGcs, client: GcsClient) -> None:
    first, second = head.start_job(), head.start_job()
    assert usage(client).user == f"the driver of job {first.job_id.hex()} is connected"
    assert head.calls == ["GetAllJobInfo"]
    head.end_job(first)
    assert usage(client).user == f"the driver of job {second.job_id.hex()} is connected"


def test_the_end_of_the_last_driver_is_known_and_rays_own_do_not_count(head: FakeGcs, client: GcsClient) -> None:
    head.end_job(head.start_job(), at=1_700_000_200)
    head.end_job(head.start_job(), at=1_700_000_100)
    head.end_job(head.start_job("_ray_internal_dashboard"), at=1_700_000_300)
    head.start_job("_ray_internal_dashboard")
    found = usage(client)
    assert (found.user, found.last_end) == ("", 1_700_000_200)


@pytest.mark.parametrize("state", module.LIVING_STATES)
def test_an_actor_counts_in_each_state_in_which_it_lives_or_will(head: FakeGcs, client: GcsClient, state: int) -> None:
    job = head.start_job()
    head.start_actor(job, "cache", detached=True).state = state
    head.end_job(job)
    assert usage(client).user == "the detached actor cache of the namespace mine lives"


def test_an_actor_without_a_name_is_known_by_its_class(head: FakeGcs, client: GcsClient) -> None:
    job = head.start_job()
    head.end_job(job)
    head.start_actor(job, namespace="a\nb" + "x" * 100)
    assert usage(client).user == f"the actor Worker of the namespace a b{'x' * 57} lives"


def test_serve_counts_until_it_is_shut_down(head: FakeGcs, client: GcsClient) -> None:
    job = head.start_job()
    controller = head.start_actor(job, "SERVE_CONTROLLER_ACTOR", "serve", detached=True)
    head.end_job(job)
    assert "SERVE_CONTROLLER_ACTOR of the namespace serve" in usage(client).user
    controller.state = DEAD_ACTOR
    assert usage(client).user == ""


def test_rays_helpers_hide_no_other_actor(head: FakeGcs, client: GcsClient) -> None:
    job = head.start_job()
    head.end_job(job)
    for namespace in sorted(module.LEFT_BEHIND):
        head.start_actor(job, "helper", namespace, detached=True)
    assert usage(client).user == ""
    head.start_actor(job, "cache", detached=True)
    assert "cache" in usage(client).user


def test_more_helpers_than_are_listed_leave_it_open(
    head: FakeGcs, client: GcsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ACTORS", 3)
    for _ in range(3):
        head.start_actor(head.start_job("_ray_internal_dashboard"), "helper", "AutoscalingRequester", detached=True)
    error = refused(client)
    assert (error.kind, "3 actors or more" in error.message) == ("invalid", True)


def test_no_answer_and_no_message_are_errors(head: FakeGcs, client: GcsClient) -> None:
    head.error = grpc.StatusCode.UNIMPLEMENTED
    assert refused(client).kind == "invalid"
    head.error = None
    head.garbage = b"\xff\xff\xff"
    assert "not a GetAllJobInfoReply" in refused(client).message


def test_the_names_are_rays_own() -> None:
    """What they are compared with is a constant of the Ray that is installed, or stands in its source."""
    lines = (
        "from ray.dashboard.modules.job.common import JOB_ACTOR_NAME_TEMPLATE, SUPERVISOR_ACTOR_RAY_NAMESPACE",
        "from ray._raylet import RAY_INTERNAL_NAMESPACE_PREFIX, RAY_INTERNAL_DASHBOARD_NAMESPACE",
        "print(JOB_ACTOR_NAME_TEMPLATE.format(job_id=''), SUPERVISOR_ACTOR_RAY_NAMESPACE)",
        "print(RAY_INTERNAL_NAMESPACE_PREFIX, RAY_INTERNAL_DASHBOARD_NAMESPACE)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        module.SUBMITTED_PREFIX,
        module.SUBMITTED_NAMESPACE,
        module.INTERNAL_NAMESPACE,
        f"{module.INTERNAL_NAMESPACE}dashboard",
    ]


def test_an_end_that_no_calendar_has_is_the_last_one_that_has_four_digits(head: FakeGcs, client: GcsClient) -> None:
    """A status could not hold it, and each pass over the cluster would fail."""
    head.end_job(head.start_job(), at=2**53)
    assert usage(client).last_end == module.LATEST
    assert timestamp(module.LATEST) == "9999-12-31T23:59:59Z"
