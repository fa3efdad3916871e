"""What the operator makes of a head's answer: a state or a refusal, and of the state a plan, a status and a report."""

from __future__ import annotations

from typing import Any

from autoscaler.gcs import client as gcs
from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.protos import autoscaler_pb2 as pb
from autoscaler.gcs.reading import state_of, timed
from autoscaler.gcs.report import fill_report
from autoscaler.model import RayState
from controller.planning.matching import matched
from controller.planning.observed import RayView
from controller.planning.plan import make_plan
from controller.raycluster.model import parse_spec
from controller.status.autoscaler_log import overview
from controller.status.cluster_status import report_of, status_of
from tests.support.builders import NOW, cluster, head_pod, raw_spec, seen, worker_pod

RAW = raw_spec(workers=0)
SPEC = parse_spec(RAW)
HEAD = head_pod(SPEC)
WORKERS = [worker_pod(SPEC, number) for number in range(5)]


def read(data: bytes) -> RayState | None:
    """What the operator makes of an answer; None when it refuses it."""
    if len(data) > gcs.MAX_ANSWER_BYTES:
        return None
    try:
        return timed(data, lambda answer: state_of(answer, 0.0))[0]
    except GcsError as error:
        assert error.kind == "invalid"
        return None


def told(state: RayState) -> tuple[dict[str, Any], list[str]]:
    """The status and the log's lines about a cluster whose head says this; the report to the head can be written."""
    ray, _ = matched(RayView(state, HEAD.uid, 0.0), WORKERS, NOW)
    of = seen([HEAD, *WORKERS], cluster(RAW), ray=ray)
    plan = make_plan(of)
    message = pb.ReportAutoscalingStateRequest()
    fill_report(message.autoscaling_state, report_of(ray, plan), 1)
    message.SerializeToString()
    return status_of(of, plan), list(overview(of, plan))
