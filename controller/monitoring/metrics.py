"""What the operator counts and times: names, labels and buckets of everything that is pushed while it works.

Names and units follow https://prometheus.io/docs/practices/naming/. No label here grows with the number of clusters:
metrics per cluster are read from the stores when it is asked for, see ``collector``.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# One series more per counter and histogram, which no query here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Seconds. Requests and passes end in milliseconds, or at the connection's limits of 5 and 30 s.
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# How long a person waits: from work to pods, from pods to Ray nodes.
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # The first touches nothing but /proc/self; the second says how often Python collects garbage.
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._build_info()
        self.reconcile_seconds = self._histogram(
            "reconcile_duration_seconds",
            "Passes over one cluster, by how they ended: done, again (looks again at a set time), retry (something was "
            "refused), failed (an error).",
            ["outcome"],
        )
        # What has not happened yet is exported as 0, here and with every other label that is known beforehand.
        for outcome in ("done", "again", "retry", "failed"):
            self.reconcile_seconds.labels(outcome)
        self.plan_seconds = self._histogram(
            "autoscaler_pass_duration_seconds", "Deciding what a cluster needs: planning and packing, without any I/O."
        )
        self.queue_wait_seconds = self._histogram(
            "queue_wait_seconds", "From the moment a cluster was due until a worker took it up."
        )
        self.queue_retries = self._counter("queue_retries_total", "Passes that were put back with a growing delay.")
        self._requests()
        self._watches()
        self._heads()
        self._nodes()
        self._leadership()

    def _build_info(self) -> None:
        labels = ["version", "python_version"]
        info = Gauge("ray_operator_build_info", "Always 1; the labels are versions.", labels, registry=self.registry)
        info.labels(version("ray-kubernetes-operator"), platform.python_version()).set(1)

    def _requests(self) -> None:
        self.api_requests = self._counter(
            "api_requests_total",
            "Requests to the Kubernetes API. code: 2xx, or the status of a refusal, or none when no answer came.",
            ["verb", "resource", "code"],
        )
        self.api_seconds = self._histogram(
            "api_request_duration_seconds",
            "Requests to the Kubernetes API until their answer; watches are not among them.",
            ["verb", "resource"],
        )

    def _watches(self) -> None:
        self.watch_restarts = self._counter(
            "watch_restarts_total",
            "Watches that ended. reason: ended (by the server, in time), gone (410: listed again), error.",
            ["resource", "reason"],
        )
        self.set_aside = self._counter(
            "objects_set_aside_total",
            "Objects that could not be read; each is read again when it changes.",
            ["resource"],
        )
        self.watch_events = self._counter("watch_events_total", "Changes that watches reported.", ["resource"])
        self.watch_lag_seconds = self._histogram(
            "watch_lag_seconds", "From the answer to a write of the operator until the watch reported it.", ["resource"]
        )

    def _heads(self) -> None:
        self.gcs_seconds = self._histogram(
            "gcs_call_duration_seconds",
            "Calls to Ray heads. method: state, report, drain. outcome: ok, or unreachable, unauthenticated, timeout, "
            "invalid.",
            ["method", "outcome"],
        )
        self.drain_refusals = self._counter(
            "drain_refusals_total",
            "Workers that were to be drained and were not: busy (Ray says so), or why the call failed.",
            ["reason"],
        )
        for method in ("state", "report", "drain"):
            self.gcs_seconds.labels(method, "ok")
        self.drain_refusals.labels("busy")

    def _nodes(self) -> None:
        self.launches = self._counter("launches_total", "Pods created, by what asked for them.", ["reason"])
        self.terminations = self._counter("terminations_total", "Pods deleted, by why.", ["reason"])
        self.refusals = self._counter(
            "refused_actions_total", "Actions that the API server did not carry out, by what it said.", ["reason"]
        )
        self.demand_to_pod_seconds = self._histogram(
            "demand_to_pod_seconds",
            "From the first answer of a head that showed waiting work until a pod for it was created.",
            buckets=SLOW,
        )
        self.pod_to_node_seconds = self._histogram(
            "pod_to_ray_node_seconds",
            "From the creation of a pod until its head named it among the Ray nodes.",
            buckets=SLOW,
        )

    def _leadership(self) -> None:
        self.leader_changes = self._counter("leader_changes_total", "Times that this process took the lead or lost it.")
        self.part_changes = self._counter(
            "part_changes_total", "Parts of all clusters that this process took or lost, where several operators share."
        )
        self.lease_failures = self._counter(
            "lease_renewal_failures_total", "Attempts to take or renew the lease that failed."
        )

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"ray_operator_{name}", text, labels or [], registry=self.registry)

    def _histogram(
        self, name: str, text: str, labels: list[str] | None = None, buckets: tuple[float, ...] = FAST
    ) -> Histogram:
        return Histogram(f"ray_operator_{name}", text, labels or [], registry=self.registry, buckets=buckets)
