"""Kubernetes Events about RayClusters: what ``kubectl describe`` shows below the status."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from uuid import uuid4

from .api import Api, ApiError, path_of
from .model import API_VERSION, KIND, RayCluster

log = logging.getLogger(__name__)

COMPONENT = "ray-operator"
NORMAL, WARNING = "Normal", "Warning"
# The API server refuses longer ones.
_MAX_MESSAGE = 1024


class Events:
    """Posts Events. An Event that cannot be posted is logged and forgotten: it must never hold up the work."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._clock = clock

    def post(self, cluster: RayCluster, kind: str, reason: str, message: str) -> None:
        """Say one thing about a cluster, in the operator's log and as an Event."""
        level = logging.WARNING if kind == WARNING else logging.INFO
        log.log(level, "%s %s", cluster.key.log_prefix, message)
        stamp = datetime.fromtimestamp(self._clock(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{cluster.name}.{uuid4().hex[:16]}", "namespace": cluster.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": cluster.namespace,
                "name": cluster.name,
                "uid": cluster.uid,
            },
            "type": kind,
            "reason": reason,
            "message": message[:_MAX_MESSAGE],
            "source": {"component": COMPONENT},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            self._api.request("POST", path_of("events", cluster.namespace), body=body)
        except ApiError as error:
            log.debug("%s could not post the event %s: %s", cluster.key.log_prefix, reason, error)
