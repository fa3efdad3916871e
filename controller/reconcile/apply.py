"""Carries a plan's actions out through the node provider and the API, and says what became of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import chain
from typing import Any

from autoscaler.provider import (
    Launch,
    Outcome,
    ProviderError,
)
from controller.heads.polled import Heads
from controller.kube.client import MERGE_PATCH, ApiError, Client, Request
from controller.kube.store import Store, Stores
from controller.objects.gang import PodGang
from controller.objects.hosts import Host
from controller.objects.labels import (
    COMPLETE_ANNOTATION,
    DRAIN_BY_ANNOTATION,
    DRAIN_LABEL_ANNOTATION,
    DRAIN_REASON_ANNOTATION,
    HEAD_IP_ANNOTATION,
    HEAD_UID_ANNOTATION,
)
from controller.objects.pod import build_pod
from controller.objects.protection import protecting
from controller.objects.template import PodTemplate
from controller.objects.views import PodView
from controller.planning.actions import (
    Action,
    CreateClaim,
    CreateGangObject,
    CreatePod,
    CreateService,
    DeleteCluster,
    DeleteGangObject,
    DeletePod,
    DrainPod,
    NoteComplete,
    PatchClaim,
    PatchService,
    ProtectPod,
    RetirePod,
    TellHead,
)
from controller.planning.reasons import Label
from controller.raycluster.model import ClusterSpec, Key, RayCluster

from .applied import Applied, Carried, with_gangs
from .claims import Claims
from .delete_cluster import delete_cluster
from .gang_objects import GangObjects
from .pod_provider import KubernetesNodeProvider, is_gone, node_of, typed
from .services import Services

log = logging.getLogger(__name__)


class Applier:
    """One for all clusters; safe to use from many threads. ``executor_of``: what runs the requests of a cluster."""

    def __init__(
        self,
        client: Client,
        stores: Stores,
        heads: Heads,
        executor_of: Callable[[Key], Executor],
        gang_objects: GangObjects,
    ) -> None:
        self._client = client
        self._pods: Store[PodView] = stores.pods
        self._services = Services(client, stores.services)
        self._clusters: Store[RayCluster] = stores.clusters
        self._claims = Claims(client, stores.claims)
        self._heads = heads
        self._executor_of = executor_of
        self._gang_objects = gang_objects

    def apply(self, cluster: RayCluster, spec: ClusterSpec, actions: Sequence[Action]) -> Applied:
        """Carry the actions out, what makes room first. One that is refused does not keep others from being tried."""
        wanted = {a.name: a for a in actions if isinstance(a, CreatePod)}
        executor = self._executor_of(cluster.key)
        provider = self._provider(cluster, spec, wanted, executor)
        singles = [a for a in actions if not isinstance(a, CreatePod | RetirePod | DrainPod)]
        results = list(executor.map(lambda a: self._single(cluster, spec, provider, a), singles))
        results, creates = with_gangs(results, wanted)
        drains = _by_worker([a for a in actions if isinstance(a, RetirePod | DrainPod)])
        # An announced end does not wait for the pods of a large cluster.
        results += self._drained(cluster, provider, executor, [d for d in drains if _is_announced(d)])
        outcomes = _launched(provider, creates)
        results += self._drained(cluster, provider, executor, [d for d in drains if not _is_announced(d)])
        results += [Carried(creates[o.launch.name], o.node is not None, o.error) for o in outcomes]
        return Applied(tuple(results))

    def _provider(
        self, cluster: RayCluster, spec: ClusterSpec, creates: Mapping[str, CreatePod], executor: Executor
    ) -> KubernetesNodeProvider:
        templates = _templates(cluster, spec, creates.values())

        def body_of(launch: Launch) -> bytes:
            return templates[_alike(creates[launch.name])].named(launch.name)

        return KubernetesNodeProvider(self._client, self._pods, cluster, body_of, executor)

    def _drained(
        self,
        cluster: RayCluster,
        provider: KubernetesNodeProvider,
        executor: Executor,
        workers: Sequence[Sequence[RetirePod | DrainPod]],
    ) -> Iterable[Carried]:
        return chain.from_iterable(executor.map(lambda d: self._drain_worker(cluster, provider, d), workers))

    def _drain_worker(
        self, cluster: RayCluster, provider: KubernetesNodeProvider, actions: Sequence[RetirePod | DrainPod]
    ) -> list[Carried]:
        """The pods of one worker. Of those that are to be idle the first at work keeps the ones after it."""
        results: list[Carried] = []
        for action in actions:
            refused = bool(results) and isinstance(action, RetirePod) and not results[-1].done
            results.append(Carried(action, False) if refused else self._drain(cluster, provider, action))
        return results

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
        noted = {
            DRAIN_BY_ANNOTATION: f"{action.deadline:.0f}",
            DRAIN_REASON_ANNOTATION: action.reason.text,
            DRAIN_LABEL_ANNOTATION: action.reason.label.value,
        }
        if not action.pod.drain_by:
            self._annotate(action.pod, noted)
        told = self._heads.drain(cluster.key, action.node_id, action.reason.text, action.deadline)
        if told and action.pod.drain_by not in (0, action.deadline):
            # A new deadline is noted once Ray knows it: a note alone would keep Ray from hearing of it.
            self._annotate(action.pod, noted)
        return told

    def _single(
        self, cluster: RayCluster, spec: ClusterSpec, provider: KubernetesNodeProvider, action: Action
    ) -> Carried:
        try:
            if isinstance(action, CreateService | PatchService):
                self._services.carry_out(cluster, spec, action)
            elif isinstance(action, CreateClaim | PatchClaim):
                self._claims.carry_out(cluster, spec, action)
            elif isinstance(action, CreateGangObject):
                self._gang_objects.create(cluster, action)
            elif isinstance(action, DeleteGangObject):
                self._gang_objects.delete(cluster, action)
            elif isinstance(action, DeletePod):
                provider.terminate(node_of(action.pod))
            elif isinstance(action, TellHead):
                head = {HEAD_IP_ANNOTATION: action.head.ip, HEAD_UID_ANNOTATION: action.head.uid}
                self._annotate(action.pod, head)
            elif isinstance(action, NoteComplete):
                self._annotate(action.pod, {COMPLETE_ANNOTATION: "true"})
            elif isinstance(action, DeleteCluster):
                delete_cluster(self._client, self._clusters, cluster.key, action)
            elif isinstance(action, ProtectPod):
                self._protect(spec, action)
        except ProviderError as error:
            return Carried(action, False, error)
        return Carried(action)

    def _protect(self, spec: ClusterSpec, action: ProtectPod) -> None:
        config = next((t.pod_config for t in spec.pod_types if t.name == action.pod.node_type), {})
        marks = protecting(config)
        self._annotate(action.pod, marks if action.protect else dict.fromkeys(marks))

    def _annotate(self, pod: PodView, annotations: Mapping[str, str | None]) -> None:
        # The uid makes the API server refuse (it is immutable) if another pod has the name by now.
        patch = {"metadata": {"uid": pod.uid, "annotations": annotations}}
        try:
            answer = self._client.send(Request("patch", "pods", *pod.key, body=patch, content_type=MERGE_PATCH))
        except ApiError as error:
            if error.status == 404 or (error.status in (409, 422) and is_gone(self._client, pod.key, pod.uid)):
                return
            raise typed(error) from error
        self._pods.written(PodView.from_object(answer))


def _launched(provider: KubernetesNodeProvider, creates: Mapping[str, CreatePod]) -> list[Outcome]:
    """The first host of a worker is there before its others: so a part of a worker can be told from the rest of one."""
    first = [a for a in creates.values() if a.host is None or a.host.index == 0]
    outcomes = list(provider.launch([Launch(a.name, a.pod_type.name) for a in first]))
    alone = {Host(a.host.slot, 0) for a in first if a.host}
    alone -= {a.host for o in outcomes if o.node and (a := creates[o.launch.name]).host}
    others = [a for a in creates.values() if a.host and a.host.index and Host(a.host.slot, 0) not in alone]
    return [*outcomes, *provider.launch([Launch(a.name, a.pod_type.name) for a in others])]


def _is_announced(worker: Sequence[RetirePod | DrainPod]) -> bool:
    return any(action.reason.label is Label.INTERRUPTED for action in worker)


def _by_worker(actions: Iterable[RetirePod | DrainPod]) -> list[list[RetirePod | DrainPod]]:
    found: dict[str, list[RetirePod | DrainPod]] = {}
    for action in actions:
        found.setdefault(action.pod.group or action.pod.name, []).append(action)
    return list(found.values())


# What the pods of a cluster may differ in beside their names: type, head or worker, attempt, the address of the head;
# and which host of which worker they are, and of which gang.
_Alike = tuple[str, bool, Host | None, PodGang | None, int, str, str]


def _alike(action: CreatePod) -> _Alike:
    ip, uid = (action.head.ip, action.head.uid) if action.head else ("", "")
    return action.pod_type.name, action.pod_type.is_head, action.host, action.gang, action.attempt, ip, uid


def _templates(cluster: RayCluster, spec: ClusterSpec, creates: Iterable[CreatePod]) -> dict[_Alike, PodTemplate]:
    found: dict[_Alike, PodTemplate] = {}
    for action in creates:
        if (alike := _alike(action)) not in found:
            *_, host, gang, attempt, ip, uid = alike
            more: dict[str, Any] = {"attempt": attempt, "head_ip": ip, "head_uid": uid, "host": host, "gang": gang}
            found[alike] = PodTemplate.of(build_pod(cluster, spec, action.pod_type, "", **more))
    return found
