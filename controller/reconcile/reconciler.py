"""Observe, plan, apply, report: one pass over one RayCluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from controller.heads.polled import Heads
from controller.kube.client import ApiError, Client, Request
from controller.kube.events import Events
from controller.kube.store import Stores
from controller.objects.claim import ClaimView, claim_name
from controller.objects.hosts import hosts_service_name
from controller.objects.labels import HEAD
from controller.objects.service import service_name
from controller.objects.views import PodView
from controller.planning.actions import CreateClaim, CreateGangObject, CreatePod, CreateService
from controller.planning.blocked_types import LaunchHistory, next_end
from controller.planning.idle_record import is_put_to_sleep
from controller.planning.matching import matched
from controller.planning.missing import missing_since
from controller.planning.observed import Observed, Settings
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import PLURAL, ClusterSpec, Key, RayCluster
from controller.raycluster.notes import notes
from controller.status.cluster_status import gives_up_head, report_of, status_of, status_of_untried

from .applied import Applied
from .apply import Applier
from .cleanups import Cleanups
from .dry_run import TRY_AGAIN_SECONDS, DryRun, Findings
from .gang_objects import GangObjects
from .hooks import Hooks
from .known import Known
from .reporter import Reporter

# An answer to a write may bring news that the watch, being no newer, will not repeat.
LOOK_AFTER_WRITING_SECONDS = 1.0
UNTRIED = "nothing is changed before the API server can say whether it takes the pods"


@dataclass(frozen=True)
class Result:
    """How a pass ended: done, done and look again in some seconds, or to be retried with growing delays."""

    look_again_in: float | None = None
    retry: bool = False

    def or_in(self, seconds: float | None) -> Result:
        """The same, and look again in so many seconds at the latest."""
        soonest = min((s for s in (self.look_again_in, seconds) if s is not None), default=None)
        return replace(self, look_again_in=soonest)


DONE = Result()


class Reconciler:
    """Brings RayClusters to their desired state. ``reconcile`` is called for one key at a time per cluster."""

    def __init__(
        self,
        client: Client,
        stores: Stores,
        events: Events,
        heads: Heads,
        executor_of: Callable[[Key], Executor],
        *,
        settings: Settings | None = None,
        hooks: Hooks | None = None,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._stores = stores
        self._gang_objects = GangObjects(client, events, clock)
        self._applier = Applier(client, stores, heads, executor_of, self._gang_objects)
        self._reporter = Reporter(client, stores.clusters, events, clock)
        self._cleanups = Cleanups(client, stores, events)
        self._dry_run = DryRun(client, self._reporter.tell_ignored, clock)
        self._heads = heads
        self._settings = settings or Settings()
        self._clock = clock
        self._stopwatch = stopwatch
        self._hooks = hooks or Hooks()
        # By uid: a later cluster of the same name starts afresh.
        self._known: dict[Key, tuple[str, Known]] = {}

    def reconcile(self, key: Key) -> Result:
        """One pass. Raises only what is a defect; the caller logs it and retries with backoff."""
        cluster = self._stores.clusters.get(key)
        again = self._cleanups.run(key, cluster.uid if cluster else "")
        if cluster is None or cluster.deleting:
            # Everything else made for it is owned by it: the garbage collector does the rest.
            self.let_go(key)
            return Result(again)
        result = self._living(cluster)
        return result if again is None else result.or_in(again)

    def _living(self, cluster: RayCluster) -> Result:
        """A pass over a cluster that is there."""
        known = self._knowledge(cluster)
        spec = known.spec_of(cluster, self._settings.gang_objects)
        if isinstance(spec, tuple):
            self._reporter.reject(cluster, spec)
            return DONE
        pods = self._pods_of(cluster)
        # A suspended cluster costs no requests; what its pods are worth shows when it is resumed.
        rests = spec.suspend or (not pods and is_put_to_sleep(cluster))
        findings = Findings() if rests else self._dry_run.check(cluster, spec, pods)
        sized = known.with_resources(spec, findings.resources)
        return self._hindered(cluster, findings) or self._act(cluster, sized, known, pods)

    def let_go(self, key: Key) -> None:
        """Ask the cluster's head no more, and forget what was found out about the cluster."""
        self._heads.follow(key, None, 0, busy=False)
        self._reporter.forget(key)
        self._dry_run.forget(key)
        self._cleanups.forget(key)
        self._gang_objects.forget(key)
        self._hooks.forget(key)
        self._known.pop(key, None)

    def _knowledge(self, cluster: RayCluster) -> Known:
        uid, known = self._known.get(cluster.key, ("", Known()))
        if uid != cluster.uid:
            known = Known()
            self._known[cluster.key] = (cluster.uid, known)
        return known

    def _hindered(self, cluster: RayCluster, findings: Findings) -> Result | None:
        """Why this pass ends before anything is touched, as the status says it; None when it goes on."""
        if findings.refused:
            self._reporter.reject(cluster, findings.refused, "PodRejected")
            return Result(look_again_in=TRY_AGAIN_SECONDS)
        if findings.undecided:
            message = f"{UNTRIED}: {findings.undecided}"
            self._reporter.report(cluster, status_of_untried(cluster, message, self._clock()))
            return Result(retry=True)
        return None

    def _act(self, cluster: RayCluster, spec: ClusterSpec, known: Known, pods: list[PodView]) -> Result:
        now = self._clock()
        known.times = known.times.seen(pods, now)
        known.look_at(pods)
        pods = known.times.shown(pods)
        known.history = known.history.seen(pods, spec.current_hashes, now, self._settings.graces)
        seen = self._observe(cluster, spec, known, pods)
        plan = self._plan(seen)
        if gives_up_head(seen, plan):
            # Written before anything is done about it: a loss is counted once, whenever this process dies.
            written = self._reporter.report(cluster, status_of(seen, plan))
            if written is None:
                return DONE
            cluster, seen = written, replace(seen, cluster=written)
        if _must_ask(plan, known):
            if not self._still_there(cluster):
                return Result(retry=True)
            known.doubtful = False
        self._heads.follow(cluster.key, plan.head, spec.gcs_port, busy=plan.expects_nodes)
        self._reporter.announce_changes(cluster, plan.announcements)
        if plan.idle and plan.idle.ask:
            self._heads.ask_usage(cluster.key)
        if known.noted != cluster.generation:
            self._reporter.tell_notes(cluster, notes(spec))
            known.noted = cluster.generation
        again = self._cleanups.keep(cluster, spec)
        applied = self._applier.apply(cluster, spec, plan.actions)
        known.taken |= applied.taken
        known.pods = len(pods) + sum(isinstance(action, CreatePod) for action in applied.done)
        known.history = known.history.after(applied, self._clock())
        self._reporter.announce(cluster, applied.done)
        self._hooks.applied(cluster, applied.done, [*applied.errors, *applied.refused.values()])
        seen = replace(seen, blocks=known.history.active(self._clock()))
        result = self._report(seen, plan, applied)
        return result if again is None else result.or_in(again)

    def _plan(self, seen: Observed) -> Plan:
        started = self._stopwatch()
        plan = make_plan(seen)
        self._hooks.planned(seen, plan, self._stopwatch() - started)
        return plan

    def _still_there(self, cluster: RayCluster) -> bool:
        try:
            now = RayCluster.from_object(self._client.send(Request("get", PLURAL, *cluster.key)))
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return now.uid == cluster.uid and not now.deleting

    def _report(self, seen: Observed, plan: Plan, applied: Applied) -> Result:
        if seen.ray:
            self._heads.report(seen.cluster.key, report_of(seen.ray, plan))
        status = status_of(seen, plan, applied.refusals, applied.waits, applied.done)
        self._hooks.reported(seen.cluster, status)
        put_off = self._reporter.report_soon(seen.cluster, status)
        self._reporter.log_autoscaling(seen, plan)
        # A type that cannot be launched is looked at when its block is over; the queue sees to all else.
        # What is due all the same is not put off by the retries' backoff: an idle timeout, a drain's deadline.
        retry = bool(applied.errors)
        return Result(self._look_again_in(seen, plan, put_off, retry=retry), retry)

    def _look_again_in(self, seen: Observed, plan: Plan, put_off: float | None, *, retry: bool) -> float | None:
        # The rest at once, behind the other clusters that wait for their turn.
        if plan.put_off and plan.actions and not retry:
            return 0.0
        now = self._clock()
        waits = [LOOK_AFTER_WRITING_SECONDS] if plan.actions and not retry else []
        waits += [put_off] if put_off is not None else []
        # The plan knows of the blocks before it was carried out.
        dues = (plan.look_again_at, next_end(seen.blocks))
        waits += [max(0.0, due - now) for due in dues if due is not None]
        # A head that stays silent brings no news of the moment when its last answer counts for nothing.
        waits += [seen.ray.expires_in] if seen.ray and seen.silence else []
        return min(waits, default=None)

    def _pods_of(self, cluster: RayCluster) -> list[PodView]:
        pods = (p for p in self._stores.pods.of_cluster(cluster.key) if p.owner_uid == cluster.uid)
        return sorted(pods, key=lambda p: p.name)

    def _earlier_heads(self, cluster: RayCluster) -> list[str]:
        """Heads that an earlier cluster of this name has left behind, with kubectl delete --cascade=orphan."""
        pods = self._stores.pods.of_cluster(cluster.key)
        return sorted(p.name for p in pods if not p.owner_uid and p.config_hash and p.kind == HEAD and p.live)

    def _observe(self, cluster: RayCluster, spec: ClusterSpec, known: Known, pods: list[PodView]) -> Observed:
        now = self._clock()
        answer = self._heads.view(cluster.key)
        if spec.suspend or is_put_to_sleep(cluster):
            known.history = LaunchHistory()
        ray, doubt_until = (None, None) if answer is None or answer.expired else matched(answer, pods, now)
        known.missing = missing_since(known.missing, pods, ray, now)
        return Observed(
            cluster=cluster,
            spec=spec,
            pods=pods,
            service=self._stores.services.get(Key(cluster.namespace, service_name(cluster))),
            now=now,
            earlier_heads=self._earlier_heads(cluster),
            taken=known.taken,
            ray=ray,
            doubt_until=doubt_until,
            silence=self._heads.silence(cluster.key),
            blocks=known.history.active(now),
            settings=self._settings,
            claims_listed=self._stores.claims.listed(cluster.namespace),
            claim=self._claim_of(cluster, spec),
            missing=known.missing,
            hosts_service=self._stores.services.get(Key(cluster.namespace, hosts_service_name(cluster))),
            usage=self._heads.usage(cluster.key),
            nodes=self._stores.nodes.of(p.node for p in pods),
            gang_objects=self._gang_objects.known(cluster, spec),
        )

    def _claim_of(self, cluster: RayCluster, spec: ClusterSpec) -> ClaimView | None:
        """The claim of the head's store that the operator makes, whoever owns it by now."""
        storage = spec.recovery.storage if spec.recovery else None
        if storage is None or storage.claim_name:
            return None
        return self._stores.claims.get(Key(cluster.namespace, claim_name(cluster, storage)))


def _must_ask(plan: Plan, known: Known) -> bool:
    """Whether the cluster may be gone that things are made for. Watches may report the deletion of what belongs to it
    before its own. Pods are made more often than they go: waiting work need not wait for an answer.
    """
    pods = any(isinstance(a, CreatePod) for a in plan.actions)
    others = any(isinstance(a, CreateClaim | CreateGangObject | CreateService) for a in plan.actions)
    return others or (pods and known.doubtful)
