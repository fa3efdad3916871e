"""What the API server says to a pod that is only tried out: the check of a podConfig that no schema can make."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controller.kube.client import ApiError, Client, Request
from controller.objects.pod import build_pod, name_prefix
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec, Key, PodType, RayCluster
from controller.raycluster.problem import Problem
from controller.status.read import ClusterStatus

# Policies change without a change of the spec.
TRY_AGAIN_SECONDS = 60.0
# Refusals that say nothing about the pod: they are met, and reported, when one is made.
_NO_VERDICT = (
    "exceeded quota",
    "cannot create resource",
    "does not support dry run",
    "is being terminated",
    "unable to create new content",
)
# How an answer begins. The name in it was given to this trial alone.
_PREAMBLE = re.compile(r'(Pod|pods) "[^"]*" is (invalid|forbidden): ')
# What comes before the fields that the API server would leave out silently, were it not asked to be strict.
_STRICT = "strict decoding error: "


class Verdict(Enum):
    """What a trial proves."""

    ACCEPTED = "it can be made"
    INCONCLUSIVE = "nothing; making one will tell"
    REFUSED = "it is refused for what it is"
    UNKNOWN = "the API server could not say"


@dataclass(frozen=True)
class Trial:
    """The outcome for one pod type. ``message``: the API server's words."""

    verdict: Verdict
    message: str = ""


@dataclass(frozen=True)
class Findings:
    """What keeps a cluster's pods from being made. ``undecided``: why the API server could not say; empty if it did."""

    refused: tuple[Problem, ...] = ()
    undecided: str = ""


class DryRun:
    """Has the API server check pods of which there is none yet, before anything is touched for their sake.

    Called for one cluster from one thread at a time. ``on_ignored`` gets the cluster, the pod type and the fields of
    its podConfig that the API server does not know.
    """

    def __init__(
        self, client: Client, on_ignored: Callable[[RayCluster, str, str], None], clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._on_ignored = on_ignored
        self._clock = clock
        # Cluster -> its uid, and configuration hash -> when a pod of it was tried out, and what came of it.
        self._trials: dict[Key, tuple[str, dict[str, tuple[float, Trial]]]] = {}

    def check(self, cluster: RayCluster, spec: ClusterSpec, pods: Sequence[PodView]) -> Findings:
        """Try out each configuration that neither a pod nor an earlier trial proves."""
        if _is_accepted(cluster):
            return Findings()
        proven = {p.config_hash for p in pods}
        types = {spec.hash_of(t): t for t in (spec.head, *spec.worker_types)}
        trials = self._remembered(cluster, types)
        for config, pod_type in types.items():
            if config not in proven and config not in trials:
                trials[config] = (self._clock(), self._try(cluster, spec, pod_type))
        self._trials[cluster.key] = (cluster.uid, trials)
        found = [(pod_type, trials[config][1]) for config, pod_type in types.items() if config not in proven]
        undecided = [trial.message for _, trial in found if trial.verdict is Verdict.UNKNOWN]
        return Findings(_rejections(found), "".join(undecided[:1]))

    def forget(self, cluster: Key) -> None:
        """The cluster is gone."""
        self._trials.pop(cluster, None)

    def _remembered(self, cluster: RayCluster, configs: Container[str]) -> dict[str, tuple[float, Trial]]:
        """The trials of these configurations that still count. A later cluster of the same name starts afresh."""
        uid, trials = self._trials.get(cluster.key, ("", {}))
        now = self._clock()
        kept = {c: t for c, t in trials.items() if c in configs and not _outdated(*t, now)}
        return kept if uid == cluster.uid else {}

    def _try(self, cluster: RayCluster, spec: ClusterSpec, pod_type: PodType) -> Trial:
        """A field that the API server does not know keeps no pod from being made. It is reported, and tried without."""
        body = trial_pod(cluster, spec, pod_type)
        for unknown_fields in ("Strict", "Ignore"):
            query = {"dryRun": "All", "fieldValidation": unknown_fields}
            try:
                self._client.send(Request("create", "pods", cluster.namespace, query=query, body=body))
                break
            except ApiError as error:
                left_out = ignored(error)
                if not left_out:
                    return judge(error)
                self._on_ignored(cluster, pod_type.name, left_out)
        return Trial(Verdict.ACCEPTED)


def trial_pod(cluster: RayCluster, spec: ClusterSpec, pod_type: PodType) -> dict[str, Any]:
    """A pod of the type as it would be made, without a name of its own: it takes none that is in use."""
    pod = build_pod(cluster, spec, pod_type, "")
    del pod["metadata"]["name"]
    pod["metadata"]["generateName"] = f"{cluster.name}-{name_prefix(pod_type)}"
    return pod


def judge(error: ApiError) -> Trial:
    """What an answer that is no success means for the pod."""
    if any(words in error.message for words in _NO_VERDICT) or error.status == 404:
        return Trial(Verdict.INCONCLUSIVE, error.message)
    if error.status in (400, 403, 422):
        return Trial(Verdict.REFUSED, _PREAMBLE.sub("", error.message, count=1))
    return Trial(Verdict.UNKNOWN, str(error))


def ignored(error: ApiError) -> str:
    """Which fields of a pod the API server does not know, in its words; empty when it refused for another reason."""
    return error.message.partition(_STRICT)[2] if error.status == 400 else ""


def _rejections(trials: Sequence[tuple[PodType, Trial]]) -> tuple[Problem, ...]:
    """One problem per type that is refused."""
    return tuple(
        Problem(f"podConfig of the pod type {t.name}", f"the API server refuses its pods: {trial.message}")
        for t, trial in trials
        if trial.verdict is Verdict.REFUSED
    )


def _outdated(when: float, trial: Trial, now: float) -> bool:
    if trial.verdict is Verdict.REFUSED:
        return now - when >= TRY_AGAIN_SECONDS
    return trial.verdict is Verdict.UNKNOWN


def _is_accepted(cluster: RayCluster) -> bool:
    """Whether this very spec has been carried out before: what comes of its pods from now on is no reason to stop."""
    known = ClusterStatus.of(cluster.status)
    return known.observed_generation == cluster.generation and known.condition("SpecValid").met
