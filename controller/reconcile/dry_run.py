"""What the API server says to a pod that is only tried out: the check of a podConfig that no schema can make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from controller.kube.client import ApiError, Client, Request
from controller.objects.pod import build_pod, name_prefix, trial_gang, trial_host
from controller.objects.pod_status import ray_container
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec, Json, Key, PodType, RayCluster
from controller.raycluster.problem import Problem
from controller.raycluster.ray_resources import leaves_open, node_resources
from controller.status.read import ClusterStatus

# Policies change without a change of the spec.
TRY_AGAIN_SECONDS = 60.0
# What a LimitRange gives to new pods changes rarely, and each question costs a request per type.
RENEWED_SECONDS = 3600.0
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
    INCONCLUSIVE = "nothing; only a create shows it"
    REFUSED = "it is refused for what it is"
    UNKNOWN = "the API server could not say"


@dataclass(frozen=True)
class Trial:
    """The outcome for one pod type. ``message``: the API server's words. ``resources``: those of Ray's container as it
    would be made, None when that is not known. ``at``: seconds since the epoch.
    """

    verdict: Verdict
    message: str = ""
    resources: Json | None = None
    at: float = 0.0


@dataclass(frozen=True)
class Findings:
    """What keeps a cluster's pods from being made. ``undecided``: why the API server could not say; empty if it did.

    ``resources``: type -> what the API server gives its Ray container, of types that leave it open.
    """

    refused: tuple[Problem, ...] = ()
    undecided: str = ""
    resources: Mapping[str, Json] = field(default_factory=dict)


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
        # Cluster -> its uid, and configuration hash -> what came of the trial of a pod of it.
        self._trials: dict[Key, tuple[str, dict[str, Trial]]] = {}

    def check(self, cluster: RayCluster, spec: ClusterSpec, pods: Sequence[PodView]) -> Findings:
        """Try out each configuration that neither a pod nor an earlier trial proves, or that leaves open how large its
        nodes are.

        Where the API server cannot say so of one, the others are left to the next pass: each may take half a minute of
        a thread that other clusters wait for.
        """
        types = {spec.hash_of(t): t for t in (spec.head, *spec.worker_types)}
        proven = types.keys() if _is_accepted(cluster) else types.keys() & {p.config_hash for p in pods}
        sought = {config for config, pod_type in types.items() if leaves_open(pod_type)}
        before = self._of(cluster)
        trials = {config: before[config] for config in types if config in before}
        doubt: Trial | None = None
        for config, pod_type in types.items():
            if config in proven and config not in sought:
                continue
            last = trials.get(config)
            if last is None or _outdated(last, self._clock(), proven=config in proven, sought=config in sought):
                last = (last or doubt) if doubt else self._tried(cluster, spec, pod_type, last)
                doubt = replace(last, resources=None) if last.verdict is Verdict.UNKNOWN else doubt
            trials[config] = last
        self._trials[cluster.key] = (cluster.uid, trials)
        found = [(types[config], trial) for config, trial in trials.items() if config not in proven]
        undecided = [trial.message for _, trial in found if trial.verdict is Verdict.UNKNOWN]
        resources = {types[c].name: t.resources for c, t in trials.items() if c in sought and t.resources}
        return Findings(_rejections(found), "".join(undecided[:1]), resources)

    def forget(self, cluster: Key) -> None:
        """The cluster is gone."""
        self._trials.pop(cluster, None)

    def _of(self, cluster: RayCluster) -> Mapping[str, Trial]:
        """A later cluster of the same name starts afresh."""
        uid, trials = self._trials.get(cluster.key, ("", {}))
        return trials if uid == cluster.uid else {}

    def _tried(self, cluster: RayCluster, spec: ClusterSpec, pod_type: PodType, last: Trial | None) -> Trial:
        """What was found out about the resources stays true until something else is."""
        trial = replace(self._try(cluster, spec, pod_type), at=self._clock())
        return replace(trial, resources=last.resources) if last and trial.resources is None else trial

    def _try(self, cluster: RayCluster, spec: ClusterSpec, pod_type: PodType) -> Trial:
        """A field that the API server does not know keeps no pod from being made. It is reported, and tried without."""
        body = trial_pod(cluster, spec, pod_type)
        for unknown_fields in ("Strict", "Ignore"):
            query = {"dryRun": "All", "fieldValidation": unknown_fields}
            try:
                made = self._client.send(Request("create", "pods", cluster.namespace, query=query, body=body))
                return Trial(Verdict.ACCEPTED, resources=_resources_of(made))
            except ApiError as error:
                left_out = ignored(error)
                if not left_out:
                    return judge(error)
                self._on_ignored(cluster, pod_type.name, left_out)
        return Trial(Verdict.ACCEPTED)


def trial_pod(cluster: RayCluster, spec: ClusterSpec, pod_type: PodType) -> dict[str, Any]:
    """A pod of the type as it would be made, without a name of its own: it takes none that is in use."""
    pod = build_pod(cluster, spec, pod_type, "", host=trial_host(pod_type), gang=trial_gang(spec, pod_type))
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


def _resources_of(pod: Json) -> Json | None:
    """Those of the Ray container, wherever webhooks have put others."""
    spec = pod.get("spec") or {}
    containers = spec.get("containers") or ()
    name = ray_container(containers)
    ray = [c for c in containers if c.get("name") == name]
    return node_resources({**spec, "containers": ray}) if ray else None


def _outdated(trial: Trial, now: float, *, proven: bool, sought: bool) -> bool:
    """``proven``: only the resources are asked for. ``sought``: they are."""
    if trial.verdict is Verdict.UNKNOWN and not proven:
        return True
    lasting = trial.verdict in (Verdict.ACCEPTED, Verdict.INCONCLUSIVE)
    if lasting and not sought:
        return False
    return now - trial.at >= (RENEWED_SECONDS if lasting else TRY_AGAIN_SECONDS)


def _is_accepted(cluster: RayCluster) -> bool:
    """Whether this very spec has been carried out before: what comes of its pods from now on is no reason to stop."""
    known = ClusterStatus.of(cluster.status)
    return known.observed_generation == cluster.generation and known.condition("SpecValid").met
