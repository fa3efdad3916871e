"""What the API server says to a pod that is only tried out: the check of a podConfig that no schema can make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controller.kube.client import ApiError
from controller.objects.pod import build_pod, name_prefix
from controller.raycluster.model import ClusterSpec, PodType, RayCluster
from controller.raycluster.validation import Problem

# Policies change without a change of the spec.
TRY_AGAIN_SECONDS = 60.0
# Refusals that say nothing about the pod: they are met, and told, when one is made.
_NO_VERDICT = (
    "exceeded quota",
    "cannot create resource",
    "does not support dry run",
    "is being terminated",
    "unable to create new content",
)
# How an answer begins. The name in it was given to this trial alone.
_PREAMBLE = re.compile(r'(Pod|pods) "[^"]*" is (invalid|forbidden): ')
# What comes before the fields that the API server would leave out without a word, were it not asked to be strict.
_STRICT = "strict decoding error: "


class Verdict(Enum):
    """What a trial proves."""

    GOOD = "it can be made"
    UNKNOWN = "nothing; making one will tell"
    BAD = "it is refused for what it is"
    LATER = "the API server could not say"


@dataclass(frozen=True)
class Trial:
    """The outcome for one pod type. ``message``: the API server's words."""

    verdict: Verdict
    message: str = ""


def trial_pod(cluster: RayCluster, spec: ClusterSpec, pod_type: PodType) -> dict[str, Any]:
    """A pod of the type as it would be made, without a name of its own: it takes nobody's."""
    pod = build_pod(cluster, spec, pod_type, "")
    del pod["metadata"]["name"]
    pod["metadata"]["generateName"] = f"{cluster.name}-{name_prefix(pod_type)}"
    return pod


def judge(error: ApiError) -> Trial:
    """What an answer that is no success means for the pod."""
    if any(words in error.message for words in _NO_VERDICT) or error.status == 404:
        return Trial(Verdict.UNKNOWN, error.message)
    if error.status in (400, 403, 422):
        return Trial(Verdict.BAD, _PREAMBLE.sub("", error.message, count=1))
    return Trial(Verdict.LATER, str(error))


def ignored(error: ApiError) -> str:
    """Which fields of a pod the API server does not know, in its words; empty when it refused for another reason."""
    return error.message.partition(_STRICT)[2] if error.status == 400 else ""


def rejections(trials: Sequence[tuple[PodType, Trial]]) -> tuple[Problem, ...]:
    """One problem per type that is refused."""
    return tuple(
        Problem(f"podConfig of the pod type {t.name}", f"the API server refuses its pods: {trial.message}")
        for t, trial in trials
        if trial.verdict is Verdict.BAD
    )
