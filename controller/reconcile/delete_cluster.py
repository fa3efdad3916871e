"""Deletes a RayCluster that nothing uses. What was made for it goes with it, by its owner references."""

from __future__ import annotations

from controller.kube.client import ApiError, Client, Request
from controller.kube.store import Store
from controller.planning.actions import DeleteCluster
from controller.raycluster.model import PLURAL, Key, RayCluster

from .pod_provider import typed


def delete_cluster(client: Client, clusters: Store[RayCluster], key: Key, action: DeleteCluster) -> None:
    """Delete it if it is still as it was seen: neither a later one of its name nor one that was edited meanwhile.

    Raises:
        ProviderError: it is still there.
    """
    seen = {"uid": action.uid, "resourceVersion": str(action.resource_version)}
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": seen, "propagationPolicy": "Background"}
    try:
        client.send(Request("delete", PLURAL, *key, body=body))
    except ApiError as error:
        if error.status != 404:
            raise typed(error) from error
    clusters.removal_asked(key, action.uid)
