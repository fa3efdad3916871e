"""The Ray heads of all clusters: their newest answers, and the requests to them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from autoscaler.gcs.client import Credentials, DrainReason, GcsClient
from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.kept import Kept
from autoscaler.gcs.poller import Poller
from autoscaler.gcs.snapshot import Snapshot
from autoscaler.model import ReportedState
from controller.objects.views import PodView
from controller.planning.observed import EXPIRED_SECONDS, RayView, UsageView
from controller.raycluster.model import Key

from .accepted import AcceptedDrains
from .addresses import Addresses
from .calls import HeadCalls
from .memory import room_for_answers
from .usages import Usages

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

    def usage(self, cluster: Key) -> UsageView | None:
        """What came of the last question who uses the cluster; None before the first answer of this head."""

    def ask_usage(self, cluster: Key) -> None:
        """Ask the head who uses the cluster, without waiting. The answer brings the cluster's next pass."""

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
        kept: Kept[tuple[Key, str]] = Kept(room_for_answers(), lambda key: key[0].namespace)
        self._poller: Poller[tuple[Key, str], GcsClient] = Poller(connect, self._news, clock, kept=kept)
        self._on_change = on_change
        self._calls = HeadCalls(on_change, clock)
        self._lock = threading.Lock()
        # Cluster -> uid and name of the head pod that is followed, what it was told last and when, and what it is to be
        # told while it is being told something: one report is under way at a time.
        self._followed: dict[Key, tuple[str, str]] = {}
        self._addresses = Addresses()
        self._told: dict[Key, tuple[ReportedState, float]] = {}
        self._untold: dict[Key, ReportedState | None] = {}
        self._accepted = AcceptedDrains(clock)
        self._usages = Usages(on_change, clock)

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
        address = _address(head.ip, port) if head and uid else ""
        with self._lock:
            self._addresses.note(cluster, address)
            before, _ = self._followed.pop(cluster, ("", ""))
            if head and uid:
                self._followed[cluster] = (uid, head.name)
            if uid != before:
                self._told.pop(cluster, None)
                self._accepted.forget(cluster)
                self._usages.forget(cluster)
        if before and uid != before:
            self._poller.forget((cluster, before))
            self._calls.forget(cluster)
        if head and uid:
            self._poller.watch((cluster, uid), address, self._credentials(cluster.namespace))
            # One that starts is asked often as well: what is submitted first must not wait for a backoff.
            self._poller.hint((cluster, uid), busy=busy or not head.ready)

    def view(self, cluster: Key) -> RayView | None:
        """See Heads."""
        uid, snapshot, other = self._answer(cluster)
        if snapshot is None or snapshot.state is None or other:
            return None
        return RayView(snapshot.state, uid, self._clock() - snapshot.state.taken_at)

    def silence(self, cluster: Key) -> float:
        """See Heads."""
        _, snapshot, other = self._answer(cluster)
        if other:
            return EXPIRED_SECONDS
        since = snapshot.failing_since if snapshot else None
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def usage(self, cluster: Key) -> UsageView | None:
        """See Heads."""
        return self._usages.view(cluster)

    def ask_usage(self, cluster: Key) -> None:
        """See Heads."""
        uid, client = self._connection(cluster)
        if client:
            self._usages.ask(cluster, uid, client.begin_usage)

    def _answer(self, cluster: Key) -> tuple[str, Snapshot | None, str]:
        """The uid of the cluster's head, what is known of it, and the pod that answers in its place; empty when it is
        the head that answers, or does not say who it is.
        """
        with self._lock:
            uid, name = self._followed.get(cluster, ("", ""))
            first = self._addresses.earlier(cluster)
            if first and self._followed.get(first, ("", ""))[1] == name:
                return uid, self._poller.latest((cluster, uid)), f"{name} of {first}"
        snapshot = self._poller.latest((cluster, uid)) if uid else None
        living = snapshot.state.living if snapshot and snapshot.state else ()
        theirs = next((n.instance_id for n in living if n.is_head), "")
        return uid, snapshot, "" if theirs == name else theirs

    def drain(self, cluster: Key, node_id: bytes, message: str, deadline: float | None = None) -> bool:
        """See Heads."""
        (_, client), view = self._connection(cluster), self.view(cluster)
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
            _, client = self._connection(cluster)
            try:
                if client and self.view(cluster):
                    client.report(report)
            except GcsError as error:
                log.debug("%s the head did not accept a report: %s", cluster.log_prefix, error)

    def _news(self, key: tuple[Key, str]) -> None:
        _, snapshot, other = self._answer(key[0])
        if other:
            log.warning("%s another head, pod %s, answers at the head's address", key[0].log_prefix, other)
        if snapshot and snapshot.error and snapshot.error.kind == "unauthenticated":
            log.warning(
                "%s the head requires other credentials, see --ray-credentials: %s", key[0].log_prefix, snapshot.error
            )
        self._on_change(key[0])

    def _connection(self, cluster: Key) -> tuple[str, GcsClient | None]:
        """The uid of the cluster's head, and the connection to it."""
        with self._lock:
            uid, _ = self._followed.get(cluster, ("", ""))
        return uid, self._poller.client((cluster, uid)) if uid else None


def _address(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
