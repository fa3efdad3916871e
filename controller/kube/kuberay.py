"""Reads the objects of another operator, KubeRay's, for converting them. Nothing of them is ever written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .client import ApiError, Client, HttpClient, Request

KINDS = {"rayclusters": "RayCluster", "rayjobs": "RayJob", "rayservices": "RayService", "raycronjobs": "RayCronJob"}
VERSIONS = ("v1", "v1alpha1")
DEFAULT_NAMESPACE = "default"


def read(context: str | None, namespace: str | None) -> Sequence[Mapping[str, Any]]:
    """KubeRay's objects of a namespace: None is the kubeconfig's own, empty all of them.

    Raises:
        kubernetes.config.ConfigException: there is no usable kubeconfig.
        ApiError: the API server refuses, or has no such kinds.
    """
    place = own_namespace(context) if namespace is None else namespace
    return read_all(HttpClient.from_environment(context), place)


def read_all(client: Client, namespace: str) -> Sequence[Mapping[str, Any]]:
    """The same, of this API server. ``namespace``: empty for all.

    Raises:
        ApiError: see ``read``.
    """
    found: list[Mapping[str, Any]] = []
    known = 0
    for plural, kind in KINDS.items():
        items = _list(client, plural, namespace)
        known += items is not None
        found += [{**item, "kind": kind} for item in items or ()]
    if not known:
        raise ApiError(404, "NotFound", "the cluster has none of KubeRay's kinds; is this the right context?")
    return found


def _list(client: Client, plural: str, namespace: str) -> Sequence[Mapping[str, Any]] | None:
    """The objects of one kind; None where the API server has no such kind."""
    for version in VERSIONS:
        try:
            answer = client.send(Request("list", plural, namespace, group=f"ray.io/{version}"))
        except ApiError as error:
            if error.status != 404:
                raise
            continue
        return [{**item, "apiVersion": f"ray.io/{version}"} for item in answer.get("items") or ()]
    return None


def own_namespace(context: str | None) -> str:
    """The namespace of a kubeconfig's context. None: the current context."""
    from kubernetes import config  # noqa: PLC0415 (it takes much memory, which the operator has no use for)

    contexts, active = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    chosen = next((c for c in contexts if c["name"] == context), active) if context else active
    return str(chosen["context"].get("namespace") or DEFAULT_NAMESPACE)
