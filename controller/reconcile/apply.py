"""Carries a plan's actions out through the node provider and the API, and says what became of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from autoscaler.provider import (
    ConflictError,
    ForbiddenError,
    Launch,
    ProviderError,
    TransientError,
)
from controller.heads.polled import Heads
from controller.kube.client import JSON_PATCH, MERGE_PATCH, ApiError, Client, Request
from controller.kube.store import Store, Stores
from controller.objects.labels import (
    DRAIN_BY_ANNOTATION,
    DRAIN_LABEL_ANNOTATION,
    DRAIN_REASON_ANNOTATION,
    HEAD_IP_ANNOTATION,
    HEAD_UID_ANNOTATION,
)
from controller.objects.pod import build_pod
from controller.objects.service import build_service, service_name
from controller.objects.template import PodTemplate
from controller.objects.views import PodView, ServiceView
from controller.planning.actions import (
    Action,
    CreateClaim,
    CreatePod,
    CreateService,
    DeletePod,
    DrainPod,
    PatchClaim,
    PatchService,
    RetirePod,
    TellHead,
)
from controller.planning.blocked_types import LASTING
from controller.raycluster.model import ClusterSpec, Key, RayCluster

from .claims import Claims
from .pod_provider import KubernetesNodeProvider, is_gone, node_of, typed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Carried:
    """What became of one action. Not ``done`` without an ``error``: Ray keeps the node for now."""

    action: Action
    done: bool = True
    error: ProviderError | None = None


@dataclass(frozen=True)
class Applied:
    """What became of a plan's actions, in the order of the plan's kinds."""

    results: tuple[Carried, ...]

    @property
    def done(self) -> tuple[Action, ...]:
        """What was carried out."""
        return tuple(r.action for r in self.results if r.done)

    @property
    def errors(self) -> tuple[ProviderError, ...]:
        """What is to be tried again soon, one error per message; those a person must act on first."""
        return tuple(_distinct([r.error for r in self.results if r.error and not _is_lasting(r)]))

    @property
    def refusals(self) -> list[str]:
        """What a person must see to, in the API server's words."""
        return [str(e) for e in self.errors if not isinstance(e, TransientError)]

    @property
    def waits(self) -> list[str]:
        """What passes by itself, in the API server's words."""
        return [str(e) for e in self.errors if isinstance(e, TransientError)]

    @property
    def removed(self) -> frozenset[str]:
        """The uids of the pods that are being deleted on purpose."""
        return frozenset(a.pod.uid for a in self.done if isinstance(a, DeletePod | RetirePod))

    @property
    def launched(self) -> frozenset[str]:
        """The types of which a pod was made."""
        return frozenset(a.pod_type.name for a in self.done if isinstance(a, CreatePod))

    @property
    def refused(self) -> dict[str, ProviderError]:
        """Type -> why a pod of it was not made, and why the next one will not be either."""
        lasting = ((r.action, r.error) for r in self.results if _is_lasting(r))
        return {a.pod_type.name: error for a, error in lasting if isinstance(a, CreatePod) and error}

    @property
    def taken(self) -> frozenset[str]:
        """Pod names that belong to other owners."""
        conflicts = (r.action for r in self.results if isinstance(r.error, ConflictError))
        return frozenset(a.name for a in conflicts if isinstance(a, CreatePod))


def _is_lasting(result: Carried) -> bool:
    """A pod was refused for what the next one of its type would be refused for as well."""
    return isinstance(result.action, CreatePod) and isinstance(result.error, LASTING)


class Applier:
    """One for all clusters; safe to use from many threads. ``executor_of``: what runs the requests of a cluster."""

    def __init__(self, client: Client, stores: Stores, heads: Heads, executor_of: Callable[[Key], Executor]) -> None:
        self._client = client
        self._pods: Store[PodView] = stores.pods
        self._services: Store[ServiceView] = stores.services
        self._claims = Claims(client, stores.claims)
        self._heads = heads
        self._executor_of = executor_of

    def apply(self, cluster: RayCluster, spec: ClusterSpec, actions: Sequence[Action]) -> Applied:
        """Carry the actions out, what makes room first. One that is refused does not keep others from being tried."""
        creates = {a.name: a for a in actions if isinstance(a, CreatePod)}
        executor = self._executor_of(cluster.key)
        provider = self._provider(cluster, spec, creates, executor)
        singles = [a for a in actions if not isinstance(a, CreatePod | RetirePod | DrainPod)]
        results = list(executor.map(lambda a: self._single(cluster, spec, provider, a), singles))
        outcomes = provider.launch([Launch(a.name, a.pod_type.name) for a in creates.values()])
        drains = [a for a in actions if isinstance(a, RetirePod | DrainPod)]
        results += executor.map(lambda a: self._drain(cluster, provider, a), drains)
        results += [Carried(creates[o.launch.name], o.node is not None, o.error) for o in outcomes]
        return Applied(tuple(results))

    def _provider(
        self, cluster: RayCluster, spec: ClusterSpec, creates: Mapping[str, CreatePod], executor: Executor
    ) -> KubernetesNodeProvider:
        templates = _templates(cluster, spec, creates.values())

        def body_of(launch: Launch) -> bytes:
            return templates[_alike(creates[launch.name])].named(launch.name)

        return KubernetesNodeProvider(self._client, self._pods, cluster, body_of, executor)

    def _drain(self, cluster: RayCluster, provider: KubernetesNodeProvider, action: RetirePod | DrainPod) -> Carried:
        """Done if Ray agreed. A retired pod whose delete failed then ends with its raylet."""
        if isinstance(action, DrainPod):
            try:
                return Carried(action, self._let_finish(cluster, action))
            except ProviderError as error:
                return Carried(action, False, error)
        if not self._heads.drain(cluster.key, action.node_id, action.reason.text):
            return Carried(action, False)
        try:
            provider.terminate(node_of(action.pod))
        except ProviderError as error:
            log.warning("%s pod %s: %s", cluster.key.log_prefix, action.pod.name, error)
        return Carried(action)

    def _let_finish(self, cluster: RayCluster, action: DrainPod) -> bool:
        if not action.pod.drain_by:
            noted = {
                DRAIN_BY_ANNOTATION: f"{action.deadline:.0f}",
                DRAIN_REASON_ANNOTATION: action.reason.text,
                DRAIN_LABEL_ANNOTATION: action.reason.label.value,
            }
            self._annotate(action.pod, noted)
        return self._heads.drain(cluster.key, action.node_id, action.reason.text, action.deadline)

    def _single(
        self, cluster: RayCluster, spec: ClusterSpec, provider: KubernetesNodeProvider, action: Action
    ) -> Carried:
        try:
            if isinstance(action, CreateService):
                self._create_service(cluster, spec, action.ip)
            elif isinstance(action, PatchService):
                self._patch_service(cluster, spec, action.service)
            elif isinstance(action, CreateClaim | PatchClaim):
                self._claims.carry_out(cluster, spec, action)
            elif isinstance(action, DeletePod):
                provider.terminate(node_of(action.pod))
            elif isinstance(action, TellHead):
                head = {HEAD_IP_ANNOTATION: action.head.ip, HEAD_UID_ANNOTATION: action.head.uid}
                self._annotate(action.pod, head)
        except ProviderError as error:
            return Carried(action, False, error)
        return Carried(action)

    def _create_service(self, cluster: RayCluster, spec: ClusterSpec, ip: str) -> None:
        body = build_service(cluster, spec, ip)
        try:
            answer = self._client.send(Request("create", "services", cluster.namespace, body=body))
        except ApiError as error:
            if error.reason == "AlreadyExists":
                raise self._service_taken(cluster) from error
            if ip and error.status == 422:
                # Another Service has the address by now.
                self._create_service(cluster, spec, "")
                return
            raise typed(error) from error
        self._services.written(ServiceView.from_object(answer))

    def _service_taken(self, cluster: RayCluster) -> ProviderError:
        """The owner of the Service that has the name. The watch reports its deletion, which brings the next pass."""
        name = service_name(cluster)
        found = self._services.get(Key(cluster.namespace, name))
        if found and found.deleting:
            return TransientError(f"the Service {name} from before this cluster is still being deleted")
        if found and found.owner_uid:
            return TransientError(f"the Service {name} belongs to an earlier cluster of this name and goes with it")
        return ConflictError(
            f"the Service {name} exists and is not this cluster's; delete it, or give the cluster another name"
        )

    def _patch_service(self, cluster: RayCluster, spec: ClusterSpec, service: ServiceView) -> None:
        wanted = build_service(cluster, spec)["spec"]
        # Replaces whole fields, and only in this incarnation of the Service.
        patch = [{"op": "test", "path": "/metadata/uid", "value": service.uid}]
        patch += [{"op": "add", "path": f"/spec/{name}", "value": wanted[name]} for name in ("selector", "ports")]
        try:
            answer = self._client.send(Request("patch", "services", *service.key, body=patch, content_type=JSON_PATCH))
        except ApiError as error:
            if error.status == 404:
                return
            raise typed(error) from error
        self._services.written(ServiceView.from_object(answer))

    def _annotate(self, pod: PodView, annotations: Mapping[str, str]) -> None:
        # The uid makes the API server refuse (it is immutable) if another pod has the name by now.
        patch = {"metadata": {"uid": pod.uid, "annotations": annotations}}
        try:
            answer = self._client.send(Request("patch", "pods", *pod.key, body=patch, content_type=MERGE_PATCH))
        except ApiError as error:
            if error.status == 404 or (error.status in (409, 422) and is_gone(self._client, pod.key, pod.uid)):
                return
            raise typed(error) from error
        self._pods.written(PodView.from_object(answer))


# What the pods of a cluster may differ in beside their names: type, head or worker, attempt, the address of the head.
_Alike = tuple[str, bool, int, str, str]


def _alike(action: CreatePod) -> _Alike:
    ip, uid = (action.head.ip, action.head.uid) if action.head else ("", "")
    return action.pod_type.name, action.pod_type.is_head, action.attempt, ip, uid


def _templates(cluster: RayCluster, spec: ClusterSpec, creates: Iterable[CreatePod]) -> dict[_Alike, PodTemplate]:
    found: dict[_Alike, PodTemplate] = {}
    for action in creates:
        if (alike := _alike(action)) not in found:
            *_, attempt, ip, uid = alike
            pod = build_pod(cluster, spec, action.pod_type, "", attempt=attempt, head_ip=ip, head_uid=uid)
            found[alike] = PodTemplate.of(pod)
    return found


def _distinct(errors: Sequence[ProviderError]) -> list[ProviderError]:
    by_text = {str(e): e for e in errors}
    return sorted(by_text.values(), key=lambda e: (isinstance(e, TransientError), not isinstance(e, ForbiddenError)))
