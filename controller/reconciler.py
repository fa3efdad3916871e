"""Observe, plan, apply, report: one pass over one RayCluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from autoscaler.provider import (
    ConflictError,
    ForbiddenError,
    Launch,
    Outcome,
    ProviderError,
    TransientError,
)

from .api import JSON_PATCH, MERGE_PATCH, Api, ApiError, path_of
from .events import Events
from .heads import Heads
from .model import PLURAL, ClusterSpec, Json, Key, RayCluster, parse_spec
from .observer import Observer
from .plan import (
    Action,
    CreatePod,
    CreateService,
    DeletePod,
    Observed,
    PatchService,
    Plan,
    RetirePod,
    TellHead,
)
from .pods import build_pod, unbuildable
from .provider import KubernetesNodeProvider, node_of, typed
from .reporter import Reporter
from .service import build_service, service_name
from .status import gives_up_head, report_of, status_of
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

    def listed(self, namespace: str) -> bool:
        """The picture of a namespace is complete; before that nothing may be decided there."""
        return all(s.listed(namespace) for s in (self.clusters, self.pods, self.services))


class Reconciler:
    """Brings RayClusters to their desired state. ``reconcile`` is called for one key at a time per cluster."""

    def __init__(
        self,
        api: Api,
        stores: Stores,
        events: Events,
        heads: Heads,
        executor: Executor,
        *,
        clock: Callable[[], float] = time.time,
        observer: Observer | None = None,
    ) -> None:
        self._api = api
        self._stores = stores
        self._reporter = Reporter(api, stores.clusters, events, clock)
        self._heads = heads
        self._executor = executor
        self._clock = clock
        self._observer = observer or Observer()
        # Cluster -> pod names that turned out to belong to somebody else.
        self._taken: dict[Key, set[str]] = {}
        # Cluster -> the spec it had when it was read last, and what was read.
        self._read: dict[Key, tuple[Json, ClusterSpec | tuple[Problem, ...]]] = {}

    def reconcile(self, key: Key) -> Result:
        """One pass. Raises only what is a defect; the caller logs it and retries with backoff."""
        cluster = self._stores.clusters.get(key)
        if cluster is None or cluster.deleting:
            # Everything made for it is owned by it: the garbage collector does the rest.
            self.let_go(key)
            return DONE
        spec = self._spec_of(cluster)
        if isinstance(spec, tuple):
            self._reporter.reject(cluster, spec)
            return DONE
        seen = self._observe(cluster, spec)
        plan = self._observer.plan(seen)
        if gives_up_head(seen, plan):
            # Written before anything is done about it: a loss is counted once, whenever this process dies.
            written = self._reporter.report(cluster, status_of(seen, plan))
            if written is None:
                return DONE
            cluster, seen = written, replace(seen, cluster=written)
        if any(isinstance(a, CreatePod | CreateService) for a in plan.actions) and not self._still_there(cluster):
            return Result(retry=True)
        self._heads.follow(key, plan.head, seen.spec.gcs_port, busy=_expects_nodes(plan))
        actions, more = _bounded(plan.actions)
        refusals = self._apply(cluster, seen.spec, actions)
        if seen.ray:
            self._heads.report(key, report_of(seen.ray, plan))
        status = status_of(seen, plan, [str(r) for r in refusals])
        put_off = self._reporter.report_soon(cluster, status)
        if refusals:
            return Result(retry=True)
        return Result(self._look_again_in(plan, more, put_off))

    def _still_there(self, cluster: RayCluster) -> bool:
        """Asked before anything is made: that its pods go may be told before it is told that the cluster has gone."""
        try:
            now = RayCluster.from_object(self._api.request("GET", path_of(PLURAL, *cluster.key)))
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return now.uid == cluster.uid and not now.deleting

    def let_go(self, key: Key) -> None:
        """Ask the cluster's head no more, and forget what was found out about the cluster."""
        self._heads.follow(key, None, 0, busy=False)
        self._reporter.forget(key)
        self._observer.forget(key)
        self._taken.pop(key, None)
        self._read.pop(key, None)

    def _look_again_in(self, plan: Plan, more: bool, put_off: float | None) -> float | None:
        if more:
            return 0.0
        waits = [LOOK_AFTER_WRITING_SECONDS] if plan.actions else []
        waits += [put_off] if put_off is not None else []
        if plan.look_again_at is not None:
            waits.append(max(0.0, plan.look_again_at - self._clock()))
        return min(waits, default=None)

    def _spec_of(self, cluster: RayCluster) -> ClusterSpec | tuple[Problem, ...]:
        """The spec, or what is wrong with it. Checked when it changes: most passes are about pods and waiting work."""
        raw, found = self._read.get(cluster.key, (None, ()))
        if raw is None or raw != cluster.spec:
            found = problems(cluster.name, cluster.spec)
            if not found:
                spec = parse_spec(cluster.spec)
                found = unbuildable(cluster, spec) or spec
            self._read[cluster.key] = (cluster.spec, found)
        return found

    def _observe(self, cluster: RayCluster, spec: ClusterSpec) -> Observed:
        pods = [p for p in self._stores.pods.of_cluster(cluster.key) if p.owner_uid == cluster.uid]
        return Observed(
            cluster=cluster,
            spec=spec,
            pods=sorted(pods, key=lambda p: p.name),
            service=self._stores.services.get(Key(cluster.namespace, service_name(cluster))),
            now=self._clock(),
            taken=frozenset(self._taken.get(cluster.key, ())),
            ray=self._heads.view(cluster.key),
        )

    def _apply(self, cluster: RayCluster, spec: ClusterSpec, actions: list[Action]) -> list[ProviderError]:
        """Carry the actions out. One that is refused does not keep the others from being tried."""
        creates = {a.name: a for a in actions if isinstance(a, CreatePod)}
        provider = self._provider(cluster, spec, creates)
        singles = [a for a in actions if not isinstance(a, CreatePod | RetirePod)]
        results = list(self._executor.map(lambda a: self._single(cluster, spec, provider, a), singles))
        refused = [r for r in results if r]
        outcomes = provider.launch([Launch(a.name, a.pod_type.name) for a in creates.values()])
        retirements = [a for a in actions if isinstance(a, RetirePod)]
        agreed = self._executor.map(lambda a: self._retire(cluster, provider, a), retirements)
        # Told afterwards: what the API server or Ray refuses again and again is not told again and again.
        done: list[Action] = [a for a, error in zip(singles, results, strict=True) if not error]
        done += [a for a, yes in zip(retirements, agreed, strict=True) if yes]
        done += [creates[o.launch.name] for o in outcomes if o.node]
        self._reporter.announce(cluster, done)
        for outcome in outcomes:
            refused += self._launched(cluster, outcome)
        self._observer.applied(cluster, done, refused)
        return _distinct(refused)

    def _provider(
        self, cluster: RayCluster, spec: ClusterSpec, creates: Mapping[str, CreatePod]
    ) -> KubernetesNodeProvider:
        def body_of(launch: Launch) -> dict[str, Any]:
            action = creates[launch.name]
            ip, uid = (action.head.ip, action.head.uid) if action.head else ("", "")
            return build_pod(
                cluster, spec, action.pod_type, action.name, attempt=action.attempt, head_ip=ip, head_uid=uid
            )

        return KubernetesNodeProvider(self._api, self._stores.pods, cluster, body_of, self._executor)

    def _launched(self, cluster: RayCluster, outcome: Outcome) -> list[ProviderError]:
        if isinstance(outcome.error, ConflictError):
            self._taken.setdefault(cluster.key, set()).add(outcome.launch.name)
        return [outcome.error] if outcome.error else []

    def _retire(self, cluster: RayCluster, provider: KubernetesNodeProvider, action: RetirePod) -> bool:
        """Delete the pod if Ray agrees. Whether it did: a pod whose delete failed then ends with its raylet."""
        if not self._heads.drain(cluster.key, action.node_id, action.reason):
            return False
        try:
            provider.terminate(node_of(action.pod))
        except ProviderError as error:
            log.warning("%s the pod of a drained worker was not deleted: %s", cluster.key.log_prefix, error)
        return True

    def _single(
        self, cluster: RayCluster, spec: ClusterSpec, provider: KubernetesNodeProvider, action: Action
    ) -> ProviderError | None:
        try:
            if isinstance(action, CreateService):
                self._create_service(cluster, spec)
            elif isinstance(action, PatchService):
                self._patch_service(cluster, spec, action.service)
            elif isinstance(action, DeletePod):
                provider.terminate(node_of(action.pod))
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


def _expects_nodes(plan: Plan) -> bool:
    """Something is on its way up or down, so that the head's next answers matter."""
    return any(isinstance(a, CreatePod | RetirePod) for a in plan.actions) or not all(p.ready for p in plan.workers)


def _bounded(actions: tuple[Action, ...]) -> tuple[list[Action], bool]:
    """The actions of this pass, and whether some were left for the next one."""
    creates = [a for a in actions if isinstance(a, CreatePod)]
    others = [a for a in actions if not isinstance(a, CreatePod)]
    return others + creates[:MAX_CREATES_PER_PASS], len(creates) > MAX_CREATES_PER_PASS


def _distinct(errors: list[ProviderError]) -> list[ProviderError]:
    """One error per message; those a person must act on first."""
    by_text = {str(e): e for e in errors}
    return sorted(by_text.values(), key=lambda e: (isinstance(e, TransientError), not isinstance(e, ForbiddenError)))
