"""Reports to users about their clusters: the status, and Events for what changes in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from controller.kube.client import JSON_PATCH, ApiError, Client, Request
from controller.kube.events import NORMAL, WARNING, Events
from controller.kube.store import Store, sharing_spec
from controller.planning.actions import Action, summarize
from controller.planning.idle_record import DECIDED, IdleRecord
from controller.planning.observed import Observed
from controller.planning.plan import Announcement, Plan
from controller.raycluster.model import PLURAL, Json, Key, RayCluster
from controller.raycluster.problem import Problem
from controller.status.autoscaler_log import heading, overview
from controller.status.cluster_status import status_of_invalid
from controller.status.head import CLAIM, HEAD_WAITS
from controller.status.parts import REFUSED
from controller.status.read import RECOVERY, RUNNING, SUSPENDED, SUSPENDING, ClusterStatus
from controller.wording import counted

log = logging.getLogger(__name__)

# The legacy operator logged its block this often; this one only when it differs.
LOG_SECONDS = 5.0
DEMAND_FIELDS = ("pendingDemand", "infeasibleDemand")
# How often a status is written in which nothing but the counts of waiting work differs: they change all the time.
DEMAND_SECONDS = 5.0
# How often one in which nothing but numbers differs, those of pods and those in messages: of a hundred workers that
# become ready within a second, not each is worth a write.
PROGRESS_SECONDS = 1.0
_NUMBER = re.compile(r"\d+")
# Of what there is to note about a spec, so much is posted as Events.
MAX_NOTES = 10


class Reporter:
    """Writes statuses that differ, and posts each Event once."""

    def __init__(self, client: Client, clusters: Store[RayCluster], events: Events, clock: Callable[[], float]) -> None:
        self._client = client
        self._clusters = clusters
        self._events = events
        self._clock = clock
        # Cluster -> when its status was written last, seconds since the epoch.
        self._written: dict[Key, float] = {}
        # Cluster -> what was logged of its autoscaling last, and when.
        self._logged: dict[Key, tuple[tuple[str, ...], float]] = {}

    def announce(self, cluster: RayCluster, actions: Sequence[Action]) -> None:
        """One Event for each kind of thing done."""
        for reason, message in summarize(actions):
            self._events.post(cluster, NORMAL, reason, message)

    def announce_changes(self, cluster: RayCluster, announcements: Sequence[Announcement]) -> None:
        """What a change of the spec leads to, once per change and before it happens."""
        for told in announcements:
            once = f"{cluster.generation}/{told.about}"
            self._events.post(cluster, NORMAL, told.reason, told.message, once)

    def reject(self, cluster: RayCluster, wrong: Sequence[Problem], reason: str = "Invalid") -> None:
        """Say why a spec cannot be run."""
        status = status_of_invalid(cluster, wrong, self._clock(), reason)
        message = ClusterStatus.of(status).condition("SpecValid").message
        known = ClusterStatus.of(cluster.status).condition("SpecValid").message
        if self.report(cluster, status) and message != known:
            self._events.post(cluster, WARNING, "SpecInvalid", message)

    def tell_notes(self, cluster: RayCluster, notes: Sequence[Problem]) -> None:
        """What a valid spec makes of itself that its author may not expect: each note once per change of the spec."""
        for note in notes[:MAX_NOTES]:
            once = f"{cluster.generation}/{note.path}/{note.message}"
            self._events.post(cluster, NORMAL, "SpecNote", str(note), once)
        if len(notes) > MAX_NOTES:
            more = f"{len(notes) - MAX_NOTES} more notes about the spec; ray-operator validate prints all of them"
            self._events.post(cluster, NORMAL, "SpecNote", more, f"{cluster.generation}/more")

    def tell_ignored(self, cluster: RayCluster, type_name: str, fields: str) -> None:
        """Say which fields of a podConfig have no effect."""
        message = f"the podConfig of the pod type {type_name} has fields that Kubernetes leaves out: {fields}"
        self._events.post(cluster, WARNING, "UnknownField", message, once=message)

    def report_soon(self, cluster: RayCluster, status: dict[str, Any]) -> float | None:
        """Write a status that differs, unless it is too early for what differs in it: then in how many seconds."""
        age = self._clock() - self._written.get(cluster.key, 0.0)
        if age < DEMAND_SECONDS and status != cluster.status:
            early = holds_for(cluster.status, status) - age
            if early > 0:
                return early
        self.report(cluster, status)
        return None

    def forget(self, cluster: Key) -> None:
        """The cluster is gone."""
        self._written.pop(cluster, None)
        self._logged.pop(cluster, None)

    def log_autoscaling(self, seen: Observed, plan: Plan) -> None:
        """The block that starts with "Autoscaler status", when it says something new, every few seconds at most.

        It begins with the head's first answer: the other lines cover what happens before.
        """
        now = self._clock()
        before, when = self._logged.get(seen.cluster.key, ((), 0.0))
        if (seen.ray is None and not before) or now - when < LOG_SECONDS:
            return
        lines = overview(seen, plan)
        if lines == before:
            return
        self._logged[seen.cluster.key] = (lines, now)
        log.info("%s %s", seen.cluster.key.log_prefix, "\n".join((heading(now), *lines)))

    def report(self, cluster: RayCluster, status: dict[str, Any]) -> RayCluster | None:
        """Write a status that differs. None: the cluster has changed meanwhile, and the watch brings it again."""
        if status == cluster.status:
            return cluster
        # With its resourceVersion the patch meets the very object that the status was computed from: never a
        # later cluster of this name, never another operator's count, and the answer never hides an edited spec.
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": str(cluster.resource_version)},
            {"op": "add", "path": "/status", "value": status},
        ]
        request = Request("patch", PLURAL, *cluster.key, "status", body=patch, content_type=JSON_PATCH)
        try:
            answer = self._client.send(request)
        except ApiError as error:
            # A conflict is most often about the version; a webhook, which may refuse with any code, is tried again.
            if error.status == 404 or (error.status == 409 and "has been modified" in error.message):
                return None
            raise
        written = sharing_spec(RayCluster.from_object(answer), self._clusters)
        self._clusters.written(written)
        self._written[cluster.key] = self._clock()
        before, after = ClusterStatus.of(cluster.status), ClusterStatus.of(status)
        self._tell_phase(cluster, before, after)
        if lost := _lost_store(before, after):
            self._events.post(cluster, WARNING, "StoreLost", lost)
        self._tell_suspension(cluster, before, after)
        if why := _withdrawn(cluster, status):
            self._events.post(cluster, NORMAL, "IdleTerminationWithdrawn", why)
        self._tell_refusal(cluster, before, after)
        self._tell_blocks(cluster, before, status)
        return written

    def _tell_phase(self, cluster: RayCluster, before: ClusterStatus, after: ClusterStatus) -> None:
        recovers = bool(cluster.spec.get("headRecovery"))
        if after.restarts > before.restarts:
            why = after.condition("HeadReady").message
            what = "another one takes its place, workers stay" if recovers else "restarting the cluster"
            message = f"the head is lost; {what} (restart {after.restarts}): {why}"
            self._events.post(cluster, WARNING, "HeadLost", message)
        elif after.phase == RUNNING != before.phase:
            workers = counted(after.ready_workers, "worker")
            self._events.post(cluster, NORMAL, "Running", f"the head and {workers} are ready")
        self._tell_waiting(cluster, before, after)

    def _tell_waiting(self, cluster: RayCluster, before: ClusterStatus, after: ClusterStatus) -> None:
        """What keeps a head from being made, which a user may have to end."""
        head = after.condition("HeadReady")
        if head.reason in HEAD_WAITS and head.message != before.condition("HeadReady").message:
            kind = WARNING if head.reason == CLAIM else NORMAL
            self._events.post(cluster, kind, head.reason, head.message)
        elif head.met and before.phase == RECOVERY != after.phase and cluster.spec.get("headRecovery"):
            workers = counted(after.ready_workers, "worker is", "workers are")
            message = f"a new head has taken over; {workers} ready"
            self._events.post(cluster, NORMAL, "HeadRecovered", message)

    def _tell_suspension(self, cluster: RayCluster, before: ClusterStatus, after: ClusterStatus) -> None:
        if after.phase == SUSPENDED != before.phase:
            message = f"all pods of the cluster are gone: {after.condition('Suspended').message}"
            self._events.post(cluster, NORMAL, "Suspended", message)
        elif before.phase in (SUSPENDED, SUSPENDING) and after.phase not in (SUSPENDED, SUSPENDING):
            self._events.post(cluster, NORMAL, "Resumed", "the cluster is no longer suspended; its pods are created")

    def _tell_refusal(self, cluster: RayCluster, before: ClusterStatus, after: ClusterStatus) -> None:
        ready = after.condition("Ready")
        if ready.reason == REFUSED and ready.message != before.condition("Ready").message:
            self._events.post(cluster, WARNING, REFUSED, ready.message)

    def _tell_blocks(self, cluster: RayCluster, before: ClusterStatus, status: dict[str, Any]) -> None:
        for block in status.get("blockedTypes") or ():
            if (block["name"], block["reason"]) not in before.blocked:
                message = f"pods of type {block['name']} cannot be launched now: {block['message']}"
                self._events.post(cluster, WARNING, block["reason"], message)


def _lost_store(before: ClusterStatus, after: ClusterStatus) -> str:
    """That a head has begun anew which should have gone on; empty when none has."""
    if not before.session or after.session in ("", before.session):
        return ""
    return (
        f"the new head found nothing in its store: Ray has begun the session {after.session}, and the session "
        f"{before.session} is lost, with its actors, placement groups, jobs and workers"
    )


def _withdrawn(cluster: RayCluster, status: Json) -> str:
    """Why a cluster is not suspended or deleted after all; a change of the spec needs no explanation."""
    before, after = IdleRecord.current(cluster), IdleRecord.of(status)
    return after.message if before.state == DECIDED and after.state not in ("", DECIDED) else ""


def holds_for(before: Json, after: Json) -> float:
    """For how many seconds a status that was written is good enough, given the one that would follow it."""
    if _decisive(before) != _decisive(after):
        return 0.0
    return DEMAND_SECONDS if _without_demand(before) == _without_demand(after) else PROGRESS_SECONDS


def _without_demand(status: Json) -> dict[str, Any]:
    """The status without what of it changes with every answer of the head."""
    kept = {name: value for name, value in status.items() if name not in DEMAND_FIELDS}
    return {**kept, "conditions": [c for c in _objects(status, "conditions") if c.get("type") != "DemandMet"]}


def _decisive(status: Json) -> dict[str, Any]:
    """The status without the numbers that change with every pod."""
    kept = {name: value for name, value in _without_demand(status).items() if name != "readyWorkers"}
    types = [{k: v for k, v in t.items() if k not in ("pods", "ready")} for t in _objects(kept, "podTypes")]
    told = [{**c, "message": _NUMBER.sub("", str(c.get("message")))} for c in _objects(kept, "conditions")]
    return {**kept, "podTypes": types, "conditions": told}


def _objects(status: Json, field: str) -> list[dict[str, Any]]:
    # Anyone may have written the status that is compared with.
    found = status.get(field)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
