"""The panels of the Grafana dashboard: titles, descriptions and queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# What the variables at the top of the dashboard choose. Both may be All.
CHOSEN = 'raycluster_namespace=~"$namespace",raycluster=~"$raycluster"'
CLUSTER = f"{{{CHOSEN}}}"
LABELS = ("raycluster_namespace", "raycluster")


def once(value: str, *by: str) -> str:
    """Values of clusters, apart by other labels too: one of each, also while the lead changes.

    Prometheus knows the last values of who led for a scrape or two more, beside the first of who leads now.
    """
    return f"max by ({', '.join((*LABELS, *by))}) ({value})"


MISSING = once(f"ray_operator_desired_workers{CLUSTER} - ray_operator_ready_workers{CLUSTER}")
NODES = once(f"ray_operator_nodes{CLUSTER}", "node_type", "state")
PHASE = once(f"ray_operator_cluster_phase{CLUSTER}", "phase")
# A cluster that no pass has seen yet has no phase, and would have no name in the legend.
PHASES = f'label_replace(sum by (phase) ({PHASE}), "phase", "new", "phase", "")'


@dataclass(frozen=True)
class Panel:
    """One panel: its title and description, the unit, and for each line a query and its legend."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    stacked: bool = False


def quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Median and 95th percentile of a histogram, apart by a label if one is given."""
    group, name = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    rate = f"sum by ({group}) (rate(ray_operator_{metric}_bucket[$__rate_interval]))"
    return tuple((f"histogram_quantile({q}, {rate})", f"{name}{word}") for q, word in ((0.5, "median"), (0.95, "p95")))


def rates(metric: str, *by: str, where: str = "") -> tuple[tuple[str, str], ...]:
    """A counter per second, apart by labels."""
    name = " ".join(f"{{{{{label}}}}}" for label in by)
    return ((f"sum by ({', '.join(by)}) (rate(ray_operator_{metric}{where}[$__rate_interval]))", name),)


def per_cluster(value: str) -> tuple[tuple[str, str], ...]:
    """A value of each of the chosen clusters."""
    return ((value, "{{raycluster_namespace}}/{{raycluster}}"),)


def nodes(by: str) -> tuple[tuple[str, str], ...]:
    """Nodes of the chosen clusters together, apart by a label."""
    return ((f"sum by ({by}) ({NODES})", f"{{{{{by}}}}}"),)


def counted(what: str) -> str:
    """How many clusters have a phase such as ``what``."""
    return f"count({once(f'ray_operator_cluster_phase{{{what}{CHOSEN}}}')}) or vector(0)"


STATS = (
    Panel(
        "Leaders",
        "Operators that may write: one for each installation, or as many as there are shards.",
        "none",
        (("sum(ray_operator_leader)", ""),),
    ),
    Panel("Clusters", "RayClusters that the operator knows.", "none", ((counted(""), ""),)),
    Panel(
        "Not running",
        "Clusters in any phase but Running.",
        "none",
        ((counted('phase!="Running",'), ""),),
    ),
    Panel("Pods", "Heads and workers.", "none", ((f"sum({NODES})", ""),)),
    Panel(
        "Waiting",
        "Tasks, actors and bundles that wait.",
        "none",
        ((f"sum({once(f'ray_operator_pending_demand{CLUSTER}')})", ""),),
    ),
    Panel(
        "Infeasible",
        "Those of them that fit no node.",
        "none",
        ((f"sum({once(f'ray_operator_infeasible_demand{CLUSTER}')})", ""),),
    ),
)
ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Ray clusters",
        (
            Panel("Nodes by state", "All types together.", "none", nodes("state"), stacked=True),
            Panel("Nodes by type", "Whatever their state.", "none", nodes("node_type"), stacked=True),
            Panel(
                "Workers missing",
                "Wanted workers that are not ready.",
                "none",
                per_cluster(MISSING),
            ),
            Panel(
                "Work that waits",
                "As the heads report it.",
                "none",
                per_cluster(once(f"ray_operator_pending_demand{CLUSTER}")),
            ),
            Panel(
                "Clusters by phase",
                "RayClusters in each phase.",
                "none",
                ((PHASES, "{{phase}}"),),
                stacked=True,
            ),
            Panel(
                "Restarts",
                "How often each cluster lost its head, in all.",
                "none",
                per_cluster(once(f"ray_operator_cluster_restarts_total{CLUSTER}")),
            ),
            Panel(
                "Heads that answer",
                "1: the head reports its demand.",
                "none",
                per_cluster(once(f"ray_operator_head_answers{CLUSTER}")),
            ),
        ),
    ),
    (
        "Latency",
        (
            Panel("From waiting work to a pod", "Creation of the pod.", "s", quantiles("demand_to_pod_seconds")),
            Panel("From a pod to its Ray node", "Image, start, join.", "s", quantiles("pod_to_ray_node_seconds")),
        ),
    ),
    (
        "What the operator does",
        (
            Panel("Pods created", "By reason.", "ops", rates("launches_total", "reason"), stacked=True),
            Panel("Pods deleted", "By reason.", "ops", rates("terminations_total", "reason"), stacked=True),
            Panel("Refused", "Actions not carried out.", "ops", rates("refused_actions_total", "reason")),
            Panel("Drains refused", "Workers that stay.", "ops", rates("drain_refusals_total", "reason")),
            Panel("Reconciles", "By how they ended.", "ops", rates("reconcile_duration_seconds_count", "outcome")),
            Panel("Duration of reconciles", "With all requests.", "s", quantiles("reconcile_duration_seconds")),
            Panel("Duration of decisions", "Planning alone.", "s", quantiles("autoscaler_pass_duration_seconds")),
            Panel("Wait in the queue", "Until a worker is free.", "s", quantiles("queue_wait_seconds")),
            Panel(
                "Queue",
                "Clusters that wait, and retries a second.",
                "none",
                (
                    ("sum(ray_operator_queue_depth)", "waiting"),
                    ("sum(rate(ray_operator_queue_retries_total[$__rate_interval]))", "retries"),
                ),
            ),
        ),
    ),
    (
        "Kubernetes API and Ray heads",
        (
            Panel("API requests", "By verb and resource.", "reqps", rates("api_requests_total", "verb", "resource")),
            Panel("API errors", "By code.", "reqps", rates("api_requests_total", "code", where='{code!="2xx"}')),
            Panel(
                "Duration of API requests", "Without watches.", "s", quantiles("api_request_duration_seconds", "verb")
            ),
            Panel(
                "Watches that ended", "error: not in order.", "ops", rates("watch_restarts_total", "resource", "reason")
            ),
            Panel("Lag of watches", "Behind own writes.", "s", quantiles("watch_lag_seconds", "resource")),
            Panel("Watch events", "Changes reported.", "ops", rates("watch_events_total", "resource")),
            Panel(
                "Calls to Ray heads",
                "By method and outcome.",
                "ops",
                rates("gcs_call_duration_seconds_count", "method", "outcome"),
            ),
            Panel("Duration of calls to heads", "Any outcome.", "s", quantiles("gcs_call_duration_seconds", "method")),
        ),
    ),
    (
        "The process",
        (
            Panel("Leader", "1: leads, 0: stands by.", "none", (("ray_operator_leader", "{{instance}}"),)),
            Panel(
                "Changes of the lead",
                "And renewals that failed, per hour.",
                "none",
                (
                    ("sum(increase(ray_operator_leader_changes_total[1h]))", "changes"),
                    ("sum(increase(ray_operator_lease_renewal_failures_total[1h]))", "failed renewals"),
                ),
            ),
            Panel(
                "Memory",
                "Resident.",
                "bytes",
                (("process_resident_memory_bytes and on (instance) ray_operator_build_info", "{{instance}}"),),
            ),
            Panel(
                "CPU",
                "Cores.",
                "none",
                (
                    (
                        "rate(process_cpu_seconds_total[$__rate_interval]) and on (instance) ray_operator_build_info",
                        "{{instance}}",
                    ),
                ),
            ),
            Panel(
                "Objects known",
                "Sizes of the caches.",
                "none",
                (("max by (resource) (ray_operator_cache_objects)", "{{resource}}"),),
            ),
            Panel(
                "Loops",
                "Seconds since the slowest of each replica turned.",
                "s",
                (("max by (instance) (ray_operator_loop_age_seconds)", "{{instance}}"),),
            ),
        ),
    ),
)


def panels() -> Iterator[Panel]:
    """All of them, from top to bottom."""
    yield from STATS
    for _, row in ROWS:
        yield from row
