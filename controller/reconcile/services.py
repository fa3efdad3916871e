"""The Services of a cluster: the head's, and the one by which the hosts of a worker find each other."""

from __future__ import annotations

from typing import Any

from autoscaler.provider import ConflictError, ProviderError, TransientError
from controller.kube.client import JSON_PATCH, ApiError, Client, Request
from controller.kube.store import Store
from controller.objects.service import build_hosts_service, build_service
from controller.objects.views import ServiceView
from controller.planning.actions import CreateService, PatchService
from controller.raycluster.model import ClusterSpec, Key, RayCluster

from .pod_provider import typed

# What of a Service is put right where somebody has changed it.
_FIELDS = ("selector", "ports", "publishNotReadyAddresses")


class Services:
    """Makes them and puts them right. Safe to use from many threads."""

    def __init__(self, client: Client, services: Store[ServiceView]) -> None:
        self._client = client
        self._services = services

    def carry_out(self, cluster: RayCluster, spec: ClusterSpec, action: CreateService | PatchService) -> None:
        """Do what the action says.

        Raises:
            ProviderError: it could not be done.
        """
        if isinstance(action, CreateService):
            self._create(_body(cluster, spec, action), action.ip)
        else:
            self._patch(action.service, _body(cluster, spec, action)["spec"])

    def _create(self, body: dict[str, Any], ip: str) -> None:
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        try:
            answer = self._client.send(Request("create", "services", key.namespace, body=body))
        except ApiError as error:
            if error.reason == "AlreadyExists":
                raise self._taken(key) from error
            if ip and error.status == 422:
                # Another Service has the address by now.
                self._create({**body, "spec": {k: v for k, v in body["spec"].items() if k != "clusterIP"}}, "")
                return
            raise typed(error) from error
        self._services.written(ServiceView.from_object(answer))

    def _taken(self, key: Key) -> ProviderError:
        """The owner of the Service that has the name. The watch reports its deletion, which brings the next pass."""
        found = self._services.get(key)
        if found and found.deleting:
            return TransientError(f"the Service {key.name} from before this cluster is still being deleted")
        if found and found.owner_uid:
            return TransientError(f"the Service {key.name} belongs to an earlier cluster of this name and goes with it")
        return ConflictError(
            f"the Service {key.name} exists and is not this cluster's; delete it, or give the cluster another name"
        )

    def _patch(self, service: ServiceView, wanted: dict[str, Any]) -> None:
        # Replaces whole fields, and only in this incarnation of the Service.
        patch = [{"op": "test", "path": "/metadata/uid", "value": service.uid}]
        patch += [{"op": "add", "path": f"/spec/{name}", "value": wanted[name]} for name in _FIELDS if name in wanted]
        try:
            answer = self._client.send(Request("patch", "services", *service.key, body=patch, content_type=JSON_PATCH))
        except ApiError as error:
            if error.status == 404:
                return
            raise typed(error) from error
        self._services.written(ServiceView.from_object(answer))


def _body(cluster: RayCluster, spec: ClusterSpec, action: CreateService | PatchService) -> dict[str, Any]:
    if action.for_hosts:
        return build_hosts_service(cluster)
    return build_service(cluster, spec, action.ip if isinstance(action, CreateService) else "")
