"""Keeps a suspended Job beside each cluster that has keys in a Redis, and resumes it once the cluster is gone.

Whatever goes wrong here is said once and tried again: it holds up nothing else.
"""

from __future__ import annotations

import logging
from typing import Any

from controller.kube.client import JSON_PATCH, ApiError, Client, Request
from controller.kube.events import WARNING, Events
from controller.kube.store import Stores
from controller.objects.cleanup import CleanupView, build_cleanup
from controller.objects.labels import CLEANUP_ANNOTATION
from controller.planning.cleanup import due, is_missing, outdated
from controller.raycluster.model import PLURAL, ClusterSpec, Key, RayCluster

log = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 60.0


class Cleanups:
    """One for all clusters; safe to use from many threads, from one at a time for each cluster.

    Both methods return in how many seconds to look again, None when all is well.
    """

    def __init__(self, client: Client, stores: Stores, events: Events) -> None:
        self._client = client
        self._stores = stores
        self._events = events
        # Cluster -> the spec that its Job was built from last, and the Job. Building it costs as much as a pod.
        self._built: dict[Key, tuple[str, ClusterSpec, dict[str, Any] | None]] = {}
        # Job -> what was said of it.
        self._said: dict[Key, str] = {}

    def keep(self, cluster: RayCluster, spec: ClusterSpec) -> float | None:
        """Have the Job that the living cluster needs, and no other."""
        if (spec.recovery is None or spec.recovery.redis is None) and not self._stores.cleanups:
            return None
        if not self._stores.cleanups.listed(cluster.namespace):
            return None
        jobs = self._stores.cleanups.of_cluster(cluster.key)
        body = self._body(cluster, spec)
        token = body["metadata"]["annotations"][CLEANUP_ANNOTATION] if body else ""
        try:
            for job in outdated(jobs, cluster.uid, token):
                self._delete(job)
            if body and is_missing(jobs, cluster.uid, token):
                self._create(cluster, body)
        except ApiError as error:
            message = f"the keys in its Redis will stay when the cluster is deleted: {error.message}"
            self._events.post(cluster, WARNING, "CleanupFailed", message, once=message)
            return TRY_AGAIN_SECONDS
        return None

    def run(self, cluster: Key, living: str) -> float | None:
        """Resume the Jobs of earlier clusters of this name. ``living``: the uid of the one that exists."""
        if not self._stores.cleanups:
            return None
        jobs = self._stores.cleanups.of_cluster(cluster)
        if not any(job.waits and job.cluster_uid != living for job in jobs):
            return None
        again = None
        for job in due(jobs, living, self._stores.pods.of_cluster(cluster)):
            try:
                if self._is_gone(cluster, job.cluster_uid):
                    self._resume(job)
            except ApiError as error:
                again = TRY_AGAIN_SECONDS
                if self._said.get(job.key) != error.message:
                    self._said[job.key] = error.message
                    text = "%s the Job %s, which deletes the keys of a deleted cluster from its Redis, cannot run: %s"
                    log.warning(text, cluster.log_prefix, job.key.name, error)
        return again

    def forget(self, cluster: Key) -> None:
        """The cluster is gone."""
        self._built.pop(cluster, None)

    def _body(self, cluster: RayCluster, spec: ClusterSpec) -> dict[str, Any] | None:
        uid, known, body = self._built.get(cluster.key, ("", None, None))
        if uid != cluster.uid or known is not spec:
            body = build_cleanup(cluster, spec)
            self._built[cluster.key] = (cluster.uid, spec, body)
        return body

    def _is_gone(self, cluster: Key, uid: str) -> bool:
        """Asked before the keys go: a RayCluster that cannot be read is in no store, and its head goes on."""
        try:
            answer = self._client.send(Request("get", PLURAL, *cluster))
        except ApiError as error:
            if error.status == 404:
                return True
            raise
        return bool(answer["metadata"]["uid"] != uid)

    def _create(self, cluster: RayCluster, body: dict[str, Any]) -> None:
        answer = self._client.send(Request("create", "jobs", cluster.namespace, body=body))
        self._stores.cleanups.written(CleanupView.from_object(answer))

    def _delete(self, job: CleanupView) -> None:
        options = {"propagationPolicy": "Background", "preconditions": {"uid": job.uid}}
        try:
            self._client.send(Request("delete", "jobs", *job.key, body=options))
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        self._stores.cleanups.removal_asked(job.key, job.uid)

    def _resume(self, job: CleanupView) -> None:
        # In this incarnation of the Job alone.
        patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": job.uid}]
        patch += [{"op": "replace", "path": "/spec/suspend", "value": False}]
        try:
            answer = self._client.send(Request("patch", "jobs", *job.key, body=patch, content_type=JSON_PATCH))
        except ApiError as error:
            if error.status == 404:
                return
            raise
        self._said.pop(job.key, None)
        log.info("%s it is gone: the Job %s deletes its keys from its Redis", job.cluster.log_prefix, job.key.name)
        self._stores.cleanups.written(CleanupView.from_object(answer))
