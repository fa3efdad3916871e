"""Answers of Ray heads about jobs and actors: read or refused, and whatever was read leads to a plan and a status."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from hypothesis import given

from autoscaler.gcs import client as gcs
from autoscaler.gcs.errors import MAX_MESSAGE_CHARACTERS, GcsError
from autoscaler.gcs.protos import gcs_service
from autoscaler.gcs.reading import timed
from autoscaler.gcs.usage import ACTORS, JOBS, LEFT_BEHIND, MAX_ACTORS, usage_of
from autoscaler.model import RayState, RayUsage
from controller.planning.idle_record import IdleRecord
from controller.planning.observed import RayView, UsageView
from controller.planning.plan import make_plan
from controller.raycluster.model import parse_spec
from controller.status.autoscaler_log import overview
from controller.status.cluster_status import status_of
from tests.support.builders import NOW, cluster, head_pod, raw_spec, seen
from tests.unit.fuzz.engine import assert_no_exception_in, bounded, few, seeds
from tests.unit.fuzz.test_answers import TEXTS, torn

T = TypeVar("T")
NAMES = [
    *TEXTS,
    *sorted(LEFT_BEHIND)[:2],
    "_ray_internal_job_actor_raysubmit_1",
    "SUPERVISOR_ACTOR_RAY_NAMESPACE",
    "mine",
]
TIMES = (0, 1, 1_700_000_000_000, 2**53, 2**63, 2**64 - 1)
SIGNED = (0, -1, 1, 2**31 - 1, -(2**31))
# Nothing that comes of an answer is longer.
LONGEST = 1_000
RECORDS = (IdleRecord(), IdleRecord("Idle", "m", since=1, last_end=2, head="head-uid", session="s", generation=1))


def jobs(random: Random) -> Any:
    """An answer to GetAllJobInfo with odd parts."""
    made = gcs_service().GetAllJobInfoReply()
    made.status.code, made.status.message = random.choice((0, 0, 0, *SIGNED)), random.choice(TEXTS)
    for _ in range(random.choice((0, 1, 6, 2_000))):
        job = made.job_info_list.add(
            job_id=random.randbytes(random.choice((0, 4, 4, 900))),
            is_dead=random.random() < 0.8,
            start_time=random.choice(TIMES),
            end_time=random.choice(TIMES),
        )
        job.config.ray_namespace = random.choice((*NAMES, "_ray_internal_dashboard"))
    return made


def actors(random: Random) -> Any:
    """An answer to GetAllActorInfo with odd parts."""
    made = gcs_service().GetAllActorInfoReply()
    made.status.code, made.status.message = random.choice((0, 0, 0, 0, *SIGNED)), random.choice(TEXTS)
    for _ in range(random.choice((0, 1, 6, MAX_ACTORS, MAX_ACTORS + 1))):
        made.actor_table_data.add(
            actor_id=random.randbytes(random.choice((0, 16, 900))),
            state=random.choice((0, 1, 2, 3, 4, 77)),
            is_detached=random.random() < 0.5,
            name=random.choice(NAMES),
            class_name=random.choice(NAMES),
            ray_namespace=random.choice((*NAMES, *LEFT_BEHIND)) if random.random() < 0.5 else "_train_state_actor",
            start_time=random.choice(TIMES),
        )
    return made


def asked(random: Random) -> RayUsage | GcsError:
    """What the operator makes of the answers of one head."""
    kinds = {JOBS: jobs, ACTORS: actors}
    questions = itertools.count()

    async def ask(service: str, method: str, request: Any, reader: Callable[[bytes, float], T]) -> tuple[T, float]:
        assert next(questions) < 5, "the head is asked without end"
        data: bytes = kinds[service](random).SerializeToString()
        if random.random() < 0.1:
            data = random.randbytes(random.choice((0, 1, 9, 300, 5_000)))
        data = torn(data, random) if random.random() < 0.3 else data
        if len(data) > gcs.MAX_ANSWER_BYTES:
            raise GcsError("invalid", "Received message larger than max")
        return timed(data, lambda answer: reader(answer, 0.0))

    try:
        return asyncio.run(usage_of(ask, 0.0))
    except GcsError as error:
        return error


@few
@given(seeds)
def test_any_answer_about_jobs_and_actors_is_refused_or_leads_to_a_plan(seed: int) -> None:
    random = Random(seed)
    with bounded("usage"):
        outcome = asked(random)
        if isinstance(outcome, GcsError):
            assert outcome.kind == "invalid"
            assert len(str(outcome)) <= MAX_MESSAGE_CHARACTERS + 100
            view = UsageView(None, str(outcome), "head-uid", 1.0)
        else:
            assert len(outcome.user) <= LONGEST and outcome.user.isprintable() and outcome.cost >= 0
            view = UsageView(outcome, "", "head-uid", 1.0)
        action = random.choice(("Suspend", "Delete"))
        spec = raw_spec(0, idleTermination={"minutes": 0.1, "action": action})
        before = random.choice(RECORDS)
        of = cluster(spec, status={"idle": before.status} if before.state else {})
        head = head_pod(parse_spec(spec))
        looked = seen([head], of, ray=RayView(RayState("s", 0.0, ()), head.uid, 1.0), usage=view, now=NOW)
        plan = make_plan(looked)
        status = status_of(looked, plan)
        # As the next pass reads it.
        again = IdleRecord.of(status)
        assert plan.idle and (again.state, again.last_end) == (plan.idle.record.state, plan.idle.record.last_end)
        texts = [status, list(overview(looked, plan))]
    assert_no_exception_in(texts)
    assert max(map(len, strings(texts)), default=0) <= 4_096


def strings(value: Any) -> list[str]:
    """All texts in a value."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []
