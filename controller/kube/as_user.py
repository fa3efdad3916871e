"""RayClusters as the user of a kubeconfig sees and changes them; every failure is a sentence with a remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from controller.raycluster.model import API_VERSION, PLURAL

from .access import by_kubeconfig, in_cluster
from .client import MERGE_PATCH, ApiError, Client, HttpClient, Request
from .kuberay import own_namespace

Json = Mapping[str, Any]


class UserError(Exception):
    """What was asked for cannot be had; the message says why and what to do."""


class AsUser:
    """RayClusters and their pods, with a user's rights. ``namespace``: the one of the kubeconfig's context."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    @classmethod
    def connect(cls, context: str | None) -> AsUser:
        """By the kubeconfig where there is one, else as the pod that this runs in.

        Raises:
            UserError: there is neither, or it cannot be used.
        """
        try:
            if _has_kubeconfig() or context:
                return cls(HttpClient(by_kubeconfig(context)), own_namespace(context))
            return cls(HttpClient(in_cluster()), "default")
        except Exception as error:
            # A kubeconfig is anybody's file: reading it may fail in any way.
            reason = " ".join(str(error).split()).rstrip(".")
            raise UserError(f"no usable kubeconfig: {reason}; set KUBECONFIG, or name a context by --context") from None

    def clusters(self, namespace: str) -> Sequence[Json]:
        """All RayClusters of a namespace, empty for all of them.

        Raises:
            UserError: they cannot be listed.
        """
        return self._send(Request("list", PLURAL, namespace)).get("items") or ()

    def cluster(self, namespace: str, name: str) -> Json:
        """One RayCluster.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        return self._send(Request("get", PLURAL, namespace, name))

    def pods(self, namespace: str, selector: str) -> Sequence[Json] | None:
        """Pods by their labels; None where the user may not list pods.

        Raises:
            UserError: the API server does not answer.
        """
        try:
            answer = self._client.send(Request("list", "pods", namespace, query={"labelSelector": selector}))
        except ApiError as error:
            if error.status == 403:
                return None
            raise _told(error, Request("list", "pods", namespace)) from None
        return answer.get("items") or ()

    def change(self, namespace: str, name: str, patch: Json) -> Json:
        """Merge a patch into a RayCluster.

        Raises:
            UserError: there is none, or it cannot be changed.
        """
        return self._send(Request("patch", PLURAL, namespace, name, body=patch, content_type=MERGE_PATCH))

    def _send(self, request: Request) -> dict[str, Any]:
        try:
            return self._client.send(request)
        except ApiError as error:
            raise _told(error, request) from None


def _has_kubeconfig() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or (Path.home() / ".kube/config").exists()


def _told(error: ApiError, request: Request) -> UserError:
    where = f"in the namespace {request.namespace}" if request.namespace else "in all namespaces"
    if error.status == 403:
        return UserError(
            f"the API server forbids it: {error.message}; ask for the right to {request.verb} "
            f"{request.resource}.{API_VERSION.partition('/')[0]} {where}"
        )
    if error.status == 404 and error.reason == "NotFound" and request.name:
        return UserError(f"there is no RayCluster {request.name} {where}; ray-operator status -A lists all")
    if error.status == 404:
        return UserError(
            f"the API server knows no RayClusters ({API_VERSION}); install their CustomResourceDefinition: "
            "kubectl apply -k manifests/crd"
        )
    if error.status == 401:
        return UserError("the API server does not accept the kubeconfig's credentials; log in again")
    return UserError(str(error))
