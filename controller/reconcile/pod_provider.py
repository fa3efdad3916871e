"""The Kubernetes node provider: Ray nodes are pods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from autoscaler.provider import (
    ConflictError,
    ForbiddenError,
    InvalidNodeError,
    Launch,
    Node,
    NodeProvider,
    Outcome,
    ProviderError,
    QuotaExceededError,
    TransientError,
)
from controller.kube.client import METADATA_ONLY, ApiError, Client, Request
from controller.kube.store import Store
from controller.objects.views import PodView
from controller.raycluster.model import Json, Key, RayCluster

# After so many launches, no more are tried of a type of which all have failed.
_AT_A_TIME = 100


class KubernetesNodeProvider(NodeProvider):
    """The pods of one RayCluster.

    ``body_of`` answers the pod of a launch, as an object or as JSON. Launches run in parallel on ``executor``.
    """

    def __init__(
        self,
        client: Client,
        pods: Store[PodView],
        cluster: RayCluster,
        body_of: Callable[[Launch], Json | bytes],
        executor: Executor,
    ) -> None:
        self._client = client
        self._pods = pods
        self._cluster = cluster
        self._body_of = body_of
        self._executor = executor

    def nodes(self) -> Sequence[Node]:
        """See NodeProvider."""
        mine = (p for p in self._pods.of_cluster(self._cluster.key) if p.owner_uid == self._cluster.uid)
        return [node_of(p) for p in sorted(mine, key=lambda p: p.name) if not p.deleting]

    def launch(self, launches: Sequence[Launch]) -> Sequence[Outcome]:
        """See NodeProvider."""
        outcomes: list[Outcome] = []
        given_up: dict[str, ProviderError] = {}
        for first in range(0, len(launches), _AT_A_TIME):
            part = launches[first : first + _AT_A_TIME]
            tried = list(self._executor.map(self._launch, [x for x in part if x.node_type not in given_up]))
            made = iter(tried)
            outcomes += [Outcome(x, error=e) if (e := given_up.get(x.node_type)) else next(made) for x in part]
            given_up |= _refused_types(tried)
        return outcomes

    def _launch(self, launch: Launch) -> Outcome:
        # Nothing but the metadata of a pod that has just been made is news.
        body = self._body_of(launch)
        request = Request("create", "pods", self._cluster.namespace, body=body, accept=METADATA_ONLY)
        try:
            pod = PodView.from_object(self._client.send(request))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                return Outcome(launch, error=typed(error))
            return self._adopt(launch)
        self._pods.written(pod)
        return Outcome(launch, node=node_of(pod))

    def _adopt(self, launch: Launch) -> Outcome:
        """The name exists: from an earlier try of ours, whose answer was lost, or from another client."""
        try:
            found = self._client.send(Request("get", "pods", self._cluster.namespace, launch.name))
        except ApiError as error:
            # Gone in the meantime: the next pass asks for it again.
            return Outcome(launch, error=TransientError(str(error)) if error.status == 404 else typed(error))
        pod = PodView.from_object(found)
        if pod.owner_uid != self._cluster.uid or pod.cluster != self._cluster.key:
            return Outcome(launch, error=ConflictError(f"the pod name {launch.name} is taken by another owner's pod"))
        self._pods.written(pod)
        return Outcome(launch, node=node_of(pod))

    def terminate(self, node: Node) -> None:
        """See NodeProvider."""
        key = Key(self._cluster.namespace, node.name)
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": node.uid}}
        try:
            self._client.send(Request("delete", "pods", *key, body=body))
        except ApiError as error:
            if error.status != 404 and not (error.status == 409 and is_gone(self._client, key, node.uid)):
                raise typed(error) from error
        # Not the answer itself: of a pod that went at once it is an object without a resourceVersion.
        self._pods.removal_asked(key, node.uid)


def _refused_types(outcomes: Sequence[Outcome]) -> dict[str, ProviderError]:
    """The types of which none was launched, for a reason that holds for others of the type: a quota is used up, or the
    server is in distress.
    """
    spared = {o.launch.node_type for o in outcomes if o.node or isinstance(o.error, ConflictError)}
    return {o.launch.node_type: o.error for o in outcomes if o.error and o.launch.node_type not in spared}


def is_gone(client: Client, pod: Key, uid: str) -> bool:
    """Whether this incarnation of a pod does not exist, or is going. A conflict alone does not say so: an admission
    webhook may refuse with any code.

    Raises:
        ProviderError: the API server does not say.
    """
    try:
        metadata = client.send(Request("get", "pods", *pod))["metadata"]
    except ApiError as error:
        if error.status == 404:
            return True
        raise typed(error) from error
    return metadata["uid"] != uid or "deletionTimestamp" in metadata


def typed(error: ApiError) -> ProviderError:
    """An API server's refusal as the provider's typed error, with the server's own message."""
    text = error.message or str(error)
    if error.status == 403:
        return QuotaExceededError(text) if "exceeded quota" in text else ForbiddenError(text)
    if error.status in (400, 404, 422):
        return InvalidNodeError(text)
    # A 409 that is no AlreadyExists is a lost race, most often for the bookkeeping of a ResourceQuota.
    return TransientError(text)


def node_of(pod: PodView) -> Node:
    """The node that a pod is."""
    return Node(pod.name, pod.uid, pod.node_type)
