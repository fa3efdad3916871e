"""Observe, plan, apply, report: one pass over one RayCluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from autoscaler.provider import (
    ConflictError,
    ForbiddenError,
    Launch,
    Node,
    Outcome,
    ProviderError,
    TransientError,
)

from .api import JSON_PATCH, MERGE_PATCH, Api, ApiError, path_of
from .events import NORMAL, WARNING, Events
from .model import PLURAL, ClusterSpec, Json, Key, RayCluster, parse_spec
from .plan import (
    Action,
    CreatePod,
    CreateService,
    DeletePod,
    Observed,
    PatchService,
    Plan,
    TellHead,
    make_plan,
    summarize,
)
from .pods import build_pod
from .provider import KubernetesNodeProvider, typed
from .service import build_service, service_name
from .status import ERROR, RECOVERY, REFUSED, RUNNING, gives_up_head, status_of, status_of_invalid
from .store import Store
from .validation import Problem, problems
from .views import HEAD_IP_ANNOTATION, HEAD_UID_ANNOTATION, PodView, ServiceView

log = logging.getLogger(__name__)

# A pass creates at most this many pods and then lets other clusters have their turn.
MAX_CREATES_PER_PASS = 100
# An answer to a write may bring news that the watch, being no newer, will not repeat.
LOOK_AFTER_WRITING_SECONDS = 1.0


@dataclass(frozen=True)
class Result:
    """How a pass ended: done, done and look again in some seconds, or to be retried with growing delays."""

    look_again_in: float | None = None
    retry: bool = False


DONE = Result()


@dataclass(frozen=True)
class Stores:
    """Everything the operator knows of the API server's content."""

    clusters: Store[RayCluster]
    pods: Store[PodView]
    services: Store[ServiceView]

    def synced(self) -> bool:
        """Every store holds a complete picture; before that nothing may be decided."""
        return all(s.synced.is_set() for s in (self.clusters, self.pods, self.services))


class Reconciler:
    """Brings RayClusters to their desired state. ``reconcile`` is called for one key at a time per cluster."""

    def __init__(
        self,
        api: Api,
        stores: Stores,
        events: Events,
        executor: Executor,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._stores = stores
        self._events = events
        self._executor = executor
        self._clock = clock
        # Cluster uid -> pod names that turned out to belong to somebody else.
        self._taken: dict[str, set[str]] = {}

    def reconcile(self, key: Key) -> Result:
        """One pass. Raises only what is a defect; the caller logs it and retries with backoff."""
        cluster = self._stores.clusters.get(key)
        if cluster is None or cluster.deleting:
            # Everything made for it is owned by it: the garbage collector does the rest.
            return DONE
        wrong = problems(cluster.name, cluster.spec)
        if wrong:
            return self._reject(cluster, wrong)
        seen = self._observe(cluster)
        plan = make_plan(seen)
        if gives_up_head(seen, plan):
            # Written before anything is done about it: a loss is counted once, whenever this process dies.
            written = self._report(cluster, status_of(seen, plan))
            if written is None:
                return DONE
            cluster, seen = written, replace(seen, cluster=written)
        actions, more = _bounded(plan.actions)
        refusals = self._apply(cluster, seen.spec, actions)
        status = status_of(seen, plan, [str(r) for r in refusals])
        self._report(cluster, status)
        if refusals:
            return Result(retry=True)
        return Result(self._look_again_in(plan, more))

    def _look_again_in(self, plan: Plan, more: bool) -> float | None:
        if more:
            return 0.0
        waits = [LOOK_AFTER_WRITING_SECONDS] if plan.actions else []
        if plan.look_again_at is not None:
            waits.append(max(0.0, plan.look_again_at - self._clock()))
        return min(waits, default=None)

    def _observe(self, cluster: RayCluster) -> Observed:
        pods = [p for p in self._stores.pods.of_cluster(cluster.key) if p.owner_uid == cluster.uid]
        return Observed(
            cluster=cluster,
            spec=parse_spec(cluster.spec),
            pods=sorted(pods, key=lambda p: p.name),
            service=self._stores.services.get(Key(cluster.namespace, service_name(cluster))),
            now=self._clock(),
            taken=frozenset(self._taken.get(cluster.uid, ())),
        )

    def _reject(self, cluster: RayCluster, wrong: tuple[Problem, ...]) -> Result:
        status = status_of_invalid(cluster, wrong, self._clock())
        message = status["conditions"][0]["message"]
        known = _condition(cluster.status, "SpecValid").get("message")
        if self._report(cluster, status) and message != known:
            self._events.post(cluster, WARNING, "SpecInvalid", message)
        return DONE

    def _announce(self, cluster: RayCluster, actions: Iterable[Action]) -> None:
        for reason, message in summarize(list(actions)):
            self._events.post(cluster, NORMAL, reason, message)

    def _apply(self, cluster: RayCluster, spec: ClusterSpec, actions: list[Action]) -> list[ProviderError]:
        """Carry the actions out. One that is refused does not keep the others from being tried."""
        provider = self._provider(cluster, spec, actions)
        singles = [a for a in actions if not isinstance(a, CreatePod)]
        self._announce(cluster, singles)
        refused = [r for r in self._executor.map(lambda a: self._single(cluster, spec, provider, a), singles) if r]
        creates = {a.name: a for a in actions if isinstance(a, CreatePod)}
        outcomes = provider.launch([Launch(a.name, a.pod_type.name) for a in creates.values()])
        # Told afterwards: what the API server refuses again and again is told as a refusal, once.
        self._announce(cluster, [creates[o.launch.name] for o in outcomes if o.node])
        for outcome in outcomes:
            refused += self._launched(cluster, outcome)
        return _distinct(refused)

    def _provider(self, cluster: RayCluster, spec: ClusterSpec, actions: list[Action]) -> KubernetesNodeProvider:
        creates = {a.name: a for a in actions if isinstance(a, CreatePod)}

        def body_of(launch: Launch) -> dict[str, Any]:
            action = creates[launch.name]
            ip, uid = (action.head.ip, action.head.uid) if action.head else ("", "")
            return build_pod(
                cluster, spec, action.pod_type, action.name, attempt=action.attempt, head_ip=ip, head_uid=uid
            )

        return KubernetesNodeProvider(self._api, self._stores.pods, cluster, body_of, self._executor)

    def _launched(self, cluster: RayCluster, outcome: Outcome) -> list[ProviderError]:
        if isinstance(outcome.error, ConflictError):
            self._taken.setdefault(cluster.uid, set()).add(outcome.launch.name)
        return [outcome.error] if outcome.error else []

    def _single(
        self, cluster: RayCluster, spec: ClusterSpec, provider: KubernetesNodeProvider, action: Action
    ) -> ProviderError | None:
        try:
            if isinstance(action, CreateService):
                self._create_service(cluster, spec)
            elif isinstance(action, PatchService):
                self._patch_service(cluster, spec, action.service)
            elif isinstance(action, DeletePod):
                provider.terminate(Node(action.pod.name, action.pod.uid, action.pod.node_type))
            elif isinstance(action, TellHead):
                self._tell_head(action)
        except ProviderError as error:
            return error
        return None

    def _create_service(self, cluster: RayCluster, spec: ClusterSpec) -> None:
        body = build_service(cluster, spec)
        try:
            answer = self._api.request("POST", path_of("services", cluster.namespace), body=body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                taken = f"the Service {service_name(cluster)} exists and is not this cluster's; delete or rename it"
                raise ConflictError(taken) from error
            raise typed(error) from error
        self._stores.services.written(ServiceView.from_object(answer))

    def _patch_service(self, cluster: RayCluster, spec: ClusterSpec, service: ServiceView) -> None:
        wanted = build_service(cluster, spec)["spec"]
        # Replaces whole fields, and only in this incarnation of the Service.
        patch = [{"op": "test", "path": "/metadata/uid", "value": service.uid}]
        patch += [{"op": "add", "path": f"/spec/{name}", "value": wanted[name]} for name in ("selector", "ports")]
        try:
            answer = self._api.request("PATCH", path_of("services", *service.key), body=patch, content_type=JSON_PATCH)
        except ApiError as error:
            if error.status == 404:
                return
            raise typed(error) from error
        self._stores.services.written(ServiceView.from_object(answer))

    def _tell_head(self, action: TellHead) -> None:
        annotations = {HEAD_IP_ANNOTATION: action.head.ip, HEAD_UID_ANNOTATION: action.head.uid}
        # The uid makes the API server refuse (it is immutable) if another pod has the name by now.
        patch = {"metadata": {"uid": action.pod.uid, "annotations": annotations}}
        try:
            answer = self._api.request("PATCH", path_of("pods", *action.pod.key), body=patch, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status in (404, 409, 422):
                return
            raise typed(error) from error
        self._stores.pods.written(PodView.from_object(answer))

    def _report(self, cluster: RayCluster, status: dict[str, Any]) -> RayCluster | None:
        """Write a status that differs. None: the cluster has changed meanwhile, and the watch brings it again."""
        if status == cluster.status:
            return cluster
        # With its resourceVersion the patch meets the very object that the status was computed from: never a
        # later cluster of this name, never another operator's count, and the answer never hides an edited spec.
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": str(cluster.resource_version)},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = path_of(PLURAL, *cluster.key, subresource="status")
        try:
            answer = self._api.request("PATCH", path, body=patch, content_type=JSON_PATCH)
        except ApiError as error:
            if error.status in (404, 409):
                return None
            raise
        written = RayCluster.from_object(answer)
        self._stores.clusters.written(written)
        self._tell_phase(cluster, status)
        self._tell_refusal(cluster, status)
        return written

    def _tell_phase(self, cluster: RayCluster, status: dict[str, Any]) -> None:
        phase = status["phase"]
        if phase == cluster.status.get("phase") or phase == ERROR:
            return
        if phase == RUNNING:
            workers = status["readyWorkers"]
            self._events.post(cluster, NORMAL, "Running", f"the head and {workers} workers are ready")
        elif phase == RECOVERY:
            count = status["autoscalerRetries"]
            self._events.post(
                cluster, WARNING, "HeadLost", f"the head is lost; restarting the cluster (restart {count})"
            )

    def _tell_refusal(self, cluster: RayCluster, status: dict[str, Any]) -> None:
        ready = _condition(status, "Ready")
        if ready.get("reason") == REFUSED and ready["message"] != _condition(cluster.status, "Ready").get("message"):
            self._events.post(cluster, WARNING, REFUSED, ready["message"])


def _condition(status: Json, kind: str) -> Json:
    """The condition of a type, empty when the status has none."""
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def _bounded(actions: tuple[Action, ...]) -> tuple[list[Action], bool]:
    """The actions of this pass, and whether some were left for the next one."""
    creates = [a for a in actions if isinstance(a, CreatePod)]
    others = [a for a in actions if not isinstance(a, CreatePod)]
    return others + creates[:MAX_CREATES_PER_PASS], len(creates) > MAX_CREATES_PER_PASS


def _distinct(errors: list[ProviderError]) -> list[ProviderError]:
    """One error per message; those a person must act on first."""
    by_text = {str(e): e for e in errors}
    return sorted(by_text.values(), key=lambda e: (isinstance(e, TransientError), not isinstance(e, ForbiddenError)))
