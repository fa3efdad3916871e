"""Who uses a Ray cluster: drivers, jobs and actors that live, by the tables of its GCS.

``ray.rpc.JobInfoGcsService`` and ``ray.rpc.ActorInfoGcsService``, of Ray 2.60. A GCS goes on to list jobs that are
over, with when they ended. It is never told an id of a job or an actor: it may end itself over one that is none.

A Ray Client connection is a driver on the head, which lives for 30 seconds longer than a client that vanishes. A job of
``ray job submit`` is an actor that lives as long as its program runs, and it needs no driver.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from autoscaler.model import RayUsage

from .errors import GcsError
from .parts import read_in_parts
from .protos import gcs_service

T = TypeVar("T")

JOBS, ACTORS = "ray.rpc.JobInfoGcsService", "ray.rpc.ActorInfoGcsService"
# Actors of one state that a head is asked for at a time.
MAX_ACTORS = 1_000
MAX_NAME = 60
# Seconds since the epoch: the last second that has four digits for its year. A head may name any time.
LATEST = 253_402_300_799
# Numbers of ray.rpc.ActorTableData.ActorState in which an actor lives or will: ALIVE, RESTARTING, PENDING_CREATION,
# DEPENDENCIES_UNREADY.
LIVING_STATES = (2, 3, 1, 0)
# Ray's own drivers are in such namespaces: the one of the dashboard stays once a job was submitted.
INTERNAL_NAMESPACE = "_ray_internal_"
# Where Ray's libraries leave detached actors that outlive the job that made them, and do nothing by themselves.
LEFT_BEHIND = frozenset(
    {
        "_dataset_stats_actor",
        "_dataset_stats_summary_actor",
        "_train_state_actor",
        "ActorLocationTracker",
        "AutoscalingCoordinator",
        "AutoscalingRequester",
        "DataUsageCollectionActor",
        "llm_batch_telemetry",
        "llm_serve_telemetry",
        "ray_data_shuffle_disk",
    }
)
# Where the actors are that run what was submitted.
SUBMITTED_NAMESPACE, SUBMITTED_PREFIX = "SUPERVISOR_ACTOR_RAY_NAMESPACE", "_ray_internal_job_actor_"


class Ask(Protocol):
    """Sends a request to a method of a service."""

    def __call__(
        self, service: str, method: str, request: Any, reader: Callable[[bytes, float], T], /
    ) -> Awaitable[tuple[T, float]]:
        """What ``reader`` makes of the answer and of when it was asked for, and the seconds of CPU it took.

        Raises:
            GcsError: no answer, or none that makes sense.
        """


async def usage_of(ask: Ask, taken_at: float) -> RayUsage:
    """Who uses the cluster. Actors are asked for only where no driver lives.

    Raises:
        GcsError: no answer, or one that leaves open whether somebody does.
    """
    # Without the first field the GCS reads its key-value store for each job, without the second it asks each driver.
    messages = gcs_service()
    every_job = messages.GetAllJobInfoRequest(skip_submission_job_info_field=True, skip_is_running_tasks_field=True)
    (user, last_end), cost = await ask(JOBS, "GetAllJobInfo", every_job, jobs_of)
    for state in () if user else LIVING_STATES:
        request = messages.GetAllActorInfoRequest(limit=MAX_ACTORS)
        request.filters.state = state
        user, more = await ask(ACTORS, "GetAllActorInfo", request, actors_of)
        cost += more
        if user:
            break
    return RayUsage(taken_at, user, last_end, cost)


def jobs_of(answer: bytes, asked_at: float = 0.0) -> tuple[str, int]:
    """A driver that lives, in words, and when the last one ended."""
    last_end, first = 0, None
    for job in _successful(gcs_service().GetAllJobInfoReply, answer).job_info_list:
        if job.config.ray_namespace.startswith(INTERNAL_NAMESPACE):
            continue
        if job.is_dead:
            last_end = max(last_end, job.end_time // 1000)
            continue
        # The one that began first: the same as long as it lives.
        order = (job.start_time, job.job_id[:MAX_NAME])
        first = order if first is None else min(first, order)
    last_end = min(last_end, LATEST)
    return ("" if first is None else f"the driver of job {first[1].hex()[:MAX_NAME]} is connected"), last_end


def actors_of(answer: bytes, asked_at: float = 0.0) -> str:
    """An actor that lives and is no helper of Ray's, in words."""
    actors = _successful(gcs_service().GetAllActorInfoReply, answer).actor_table_data
    # A head that knows no filter lists the dead as well.
    users = (a for a in actors if a.state in LIVING_STATES and not _is_left_behind(a))
    if user := min(users, key=lambda a: (a.start_time, a.actor_id), default=None):
        return _actor_words(user)
    if len(actors) >= MAX_ACTORS:
        raise GcsError("invalid", f"{MAX_ACTORS} actors or more live there, and the first of them are Ray's own")
    return ""


def _is_left_behind(actor: Any) -> bool:
    namespace = actor.ray_namespace
    return namespace in LEFT_BEHIND or namespace.startswith(INTERNAL_NAMESPACE)


def _actor_words(actor: Any) -> str:
    if actor.ray_namespace == SUBMITTED_NAMESPACE and actor.name.startswith(SUBMITTED_PREFIX):
        return f"the submitted job {_short(actor.name.removeprefix(SUBMITTED_PREFIX))} runs"
    what = "the detached actor" if actor.is_detached else "the actor"
    name = _short(actor.name or actor.class_name or actor.actor_id.hex())
    return f"{what} {name} of the namespace {_short(actor.ray_namespace)} lives"


def _short(name: str) -> str:
    """A name for a message: anybody may have chosen it."""
    return "".join(c if c.isprintable() else " " for c in name[:MAX_NAME])


def _successful(message: Any, answer: bytes) -> Any:
    reply = read_in_parts(message, answer)
    if reply.status.code:
        raise GcsError("invalid", reply.status.message or f"the status {reply.status.code}")
    return reply
