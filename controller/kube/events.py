"""Kubernetes Events about RayClusters: what ``kubectl describe`` shows below the status."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from controller.raycluster.model import API_VERSION, KIND, RayCluster, timestamp

from .client import MERGE_PATCH, ApiError, Client, Request

log = logging.getLogger(__name__)

COMPONENT = "ray-operator"
NORMAL, WARNING = "Normal", "Warning"
# The API server refuses longer ones.
_MAX_MESSAGE = 1024
# An Event's name has at most 253 characters: the cluster's, a dot and 16 of a digest.
MAX_NAME = 236
# Of so many Events the operator knows how often it has posted them; the API server forgets them after an hour.
_REMEMBERED = 5_000
# The same thing is said again, in the log as in Events, after this time at the earliest.
REPEAT_SECONDS = 10.0


class Events:
    """Posts Events: each thing once, and then counted. One that cannot be posted never holds up the work."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        # What was said (a digest) -> the Event's name, how often, and when last.
        self._said: OrderedDict[str, tuple[str, int, float]] = OrderedDict()

    def post(self, cluster: RayCluster, kind: str, reason: str, message: str, once: str = "") -> None:
        """Say one thing about a cluster, in the operator's log and as an Event.

        ``once``: what it is about, if it is said a single time in the cluster's life, whatever the message.
        """
        name, count = self._count(cluster, kind, reason, once or message, bool(once))
        if not count:
            return
        level = logging.WARNING if kind == WARNING else logging.INFO
        log.log(level, "%s %s", cluster.key.log_prefix, message)
        try:
            self._send(cluster, name, count, _body(cluster, name, (kind, reason, message), self._clock()))
        except ApiError as error:
            # Said before, by an earlier process: that is what ``once`` is for.
            if error.reason != "AlreadyExists":
                level = logging.WARNING if error.status == 403 else logging.DEBUG
                log.log(level, "%s could not post the event %s: %s", cluster.key.log_prefix, reason, error)
                if once and error.status not in (403, 404):
                    self._unsay(name)

    def _unsay(self, name: str) -> None:
        """What is posted once only is posted again: the first attempt failed."""
        with self._lock:
            self._said.pop(name.rpartition(".")[2], None)

    def _count(self, cluster: RayCluster, kind: str, reason: str, about: str, once: bool) -> tuple[str, int]:
        """The Event's name, and how often it has been said with this time; 0: do not say it."""
        now = self._clock()
        digest = hashlib.sha256("\0".join((cluster.uid, kind, reason, about)).encode()).hexdigest()[:16]
        with self._lock:
            name, count, last = self._said.pop(digest, ("", 0, 0.0))
            again = count == 0 or (not once and now - last >= REPEAT_SECONDS)
            # Counted Events get a name of their own process: what an earlier one counted is not known.
            name = name or f"{cluster.name[:MAX_NAME]}.{digest if once else uuid4().hex[:16]}"
            self._said[digest] = (name, count + 1, now) if again else (name, count, last)
            if len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
        return name, count + 1 if again else 0

    def _send(self, cluster: RayCluster, name: str, count: int, body: dict[str, Any]) -> None:
        if count > 1:
            news = {"count": count, "lastTimestamp": body["lastTimestamp"]}
            try:
                self._client.send(
                    Request("patch", "events", cluster.namespace, name, body=news, content_type=MERGE_PATCH)
                )
                return
            except ApiError as error:
                if error.status != 404:
                    raise
        self._client.send(Request("create", "events", cluster.namespace, body={**body, "count": count}))


def _body(cluster: RayCluster, name: str, news: tuple[str, str, str], now: float) -> dict[str, Any]:
    kind, reason, message = news
    stamp = timestamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": cluster.namespace},
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
