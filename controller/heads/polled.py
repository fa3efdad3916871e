"""The Ray heads of all clusters: their newest answers, and the requests to them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from autoscaler.gcs.client import Credentials, DrainReason, GcsClient
from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.poller import Poller
from autoscaler.model import RayState, ReportedState
from controller.objects.views import PodView
from controller.planning.observed import EXPIRED_SECONDS, RayView
from controller.raycluster.model import Key

from .accepted import AcceptedDrains
from .calls import HeadCalls

log = logging.getLogger(__name__)

# A head forgets nothing, but one that was replaced under the same pod must hear it again.
REPORT_AGAIN_SECONDS = 30.0


class Heads(Protocol):
    """What a reconciler needs of Ray heads."""

    def follow(self, cluster: Key, head: PodView | None, port: int, *, busy: bool) -> None:
        """Ask this head from now on, often while ``busy``; with no head, or one without an address, ask none."""

    def view(self, cluster: Key) -> RayView | None:
        """The newest answer of the cluster's head."""

    def silence(self, cluster: Key) -> float:
        """For how many seconds the cluster's head has failed to answer; 0 while it answers, or was never asked."""

    def drain(self, cluster: Key, node_id: bytes, message: str, deadline: float | None = None) -> bool:
        """Ask the head to let a node go: an idle one, or with a ``deadline`` (Unix seconds) also a busy one.

        False if it refuses, because the node has work, or does not answer within a moment. An answer that comes later
        brings the cluster's next pass, and is what the same question gets then.
        """

    def report(self, cluster: Key, report: ReportedState) -> None:
        """Send the head what ``ray status`` and the dashboard show of the autoscaler. Does not wait for the head."""


class PolledHeads:
    """Heads asked by one poller. ``on_change`` gets the cluster whose head has news.

    ``credentials``: what the heads of a namespace are shown.
    """

    def __init__(
        self,
        on_change: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[[str, Credentials | None], GcsClient] = GcsClient,
        credentials: Callable[[str], Credentials | None] = lambda namespace: None,
    ) -> None:
        self._clock = clock
        self._credentials = credentials
        self._poller: Poller[tuple[Key, str], GcsClient] = Poller(connect, self._news, clock)
        self._on_change = on_change
        self._calls = HeadCalls(on_change, clock)
        self._lock = threading.Lock()
        # Cluster -> uid and name of the head pod that is followed, what it was told last and when, and what it is to be
        # told while it is being told something: one report is under way at a time.
        self._followed: dict[Key, tuple[str, str]] = {}
        self._told: dict[Key, tuple[ReportedState, float]] = {}
        self._untold: dict[Key, ReportedState | None] = {}
        self._accepted = AcceptedDrains(clock)

    def start(self) -> None:
        """Begin to ask, from a thread of its own."""
        self._poller.start()

    def stop(self) -> None:
        """Stop asking."""
        self._poller.stop()
        self._calls.stop()

    def late(self) -> float:
        """Seconds by which the next question to a head, or its answer, is late."""
        return self._poller.late()

    def follow(self, cluster: Key, head: PodView | None, port: int, *, busy: bool) -> None:
        """See Heads."""
        uid = head.uid if head and head.ip else ""
        with self._lock:
            before, _ = self._followed.pop(cluster, ("", ""))
            if head and uid:
                self._followed[cluster] = (uid, head.name)
            if uid != before:
                self._told.pop(cluster, None)
                self._accepted.forget(cluster)
        if before and uid != before:
            self._poller.forget((cluster, before))
            self._calls.forget(cluster)
        if head and uid:
            host = f"[{head.ip}]" if ":" in head.ip else head.ip
            self._poller.watch((cluster, uid), f"{host}:{port}", self._credentials(cluster.namespace))
            # One that starts is asked often as well: what is submitted first must not wait for a backoff.
            self._poller.hint((cluster, uid), busy=busy or not head.ready)

    def view(self, cluster: Key) -> RayView | None:
        """See Heads."""
        key = self._key(cluster)
        snapshot = self._poller.latest(key) if key else None
        if key is None or snapshot is None or snapshot.state is None or self._foreign(cluster, snapshot.state):
            return None
        return RayView(snapshot.state, key[1], self._clock() - snapshot.state.taken_at)

    def silence(self, cluster: Key) -> float:
        """See Heads."""
        key = self._key(cluster)
        snapshot = self._poller.latest(key) if key else None
        if snapshot and snapshot.state and self._foreign(cluster, snapshot.state):
            return EXPIRED_SECONDS
        since = snapshot.failing_since if snapshot else None
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def _foreign(self, cluster: Key, state: RayState) -> str:
        """The pod that answers in place of this cluster's head; empty when it is the head, or does not say."""
        with self._lock:
            _, name = self._followed.get(cluster, ("", ""))
        theirs = next((n.instance_id for n in state.living if n.is_head), "")
        return theirs if theirs and theirs != name else ""

    def drain(self, cluster: Key, node_id: bytes, message: str, deadline: float | None = None) -> bool:
        """See Heads."""
        client, view = self._client(cluster), self.view(cluster)
        if client is None or view is None:
            return False
        if self._accepted.hides(cluster, (node_id, deadline), view.state.taken_at):
            return True
        reason = DrainReason.IDLE if deadline is None else DrainReason.PREEMPTION

        def ask() -> bool:
            try:
                answer = client.drain(node_id, reason=reason, message=message, deadline=deadline or 0)
            except (GcsError, ValueError) as error:
                log.warning("%s the head did not drain a node: %s", cluster.log_prefix, error)
                return False
            if answer.accepted:
                self._accepted.note(cluster, (node_id, deadline))
            else:
                log.info("%s the head keeps a node: %s", cluster.log_prefix, answer.why)
            return answer.accepted

        return self._calls.ask(cluster, (node_id, reason), ask)

    def report(self, cluster: Key, report: ReportedState) -> None:
        """See Heads."""
        now = self._clock()
        with self._lock:
            told, when = self._told.get(cluster, (None, 0.0))
            if cluster not in self._followed or (told == report and now - when < REPORT_AGAIN_SECONDS):
                return
            self._told[cluster] = (report, now)
            under_way = cluster in self._untold
            self._untold[cluster] = report
        if not under_way:
            self._calls.send(lambda: self._send_reports(cluster))

    def _send_reports(self, cluster: Key) -> None:
        """Send the newest report, until there is none that came while the one before was sent."""
        while True:
            with self._lock:
                report = self._untold.get(cluster)
                if report is None:
                    self._untold.pop(cluster, None)
                    return
                self._untold[cluster] = None
            client = self._client(cluster)
            try:
                if client and self.view(cluster):
                    client.report(report)
            except GcsError as error:
                log.debug("%s the head did not accept a report: %s", cluster.log_prefix, error)

    def _news(self, key: tuple[Key, str]) -> None:
        snapshot = self._poller.latest(key)
        if snapshot and snapshot.state and (theirs := self._foreign(key[0], snapshot.state)):
            log.warning("%s another head, pod %s, answers at the head's address", key[0].log_prefix, theirs)
        if snapshot and snapshot.error and snapshot.error.kind == "unauthenticated":
            log.warning(
                "%s the head requires other credentials, see --ray-credentials: %s", key[0].log_prefix, snapshot.error
            )
        self._on_change(key[0])

    def _key(self, cluster: Key) -> tuple[Key, str] | None:
        with self._lock:
            uid, _ = self._followed.get(cluster, ("", ""))
        return (cluster, uid) if uid else None

    def _client(self, cluster: Key) -> GcsClient | None:
        key = self._key(cluster)
        return self._poller.client(key) if key else None
