#!/usr/bin/env python3
"""Writes the Grafana dashboard, charts/ray/monitoring/dashboard.json, from the panels below.

A test compares the file with this program's output, and every query with the metrics that there are.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "charts/ray/monitoring/dashboard.json"
WIDTH = 24
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8

# What the variables at the top of the dashboard choose. Both may be All.
CLUSTER = '{raycluster_namespace=~"$namespace",raycluster=~"$raycluster"}'

MISSING = f"""sum by (raycluster_namespace, raycluster) (
  ray_operator_desired_workers{CLUSTER} - ray_operator_ready_workers{CLUSTER}
)"""


@dataclass(frozen=True)
class Panel:
    """One panel: its title, what it tells, the unit, and for each line a query and what it is called."""

    title: str
    tells: str
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


def per_cluster(metric: str, *by: str) -> tuple[tuple[str, str], ...]:
    """A gauge of the chosen clusters, apart by other labels than the cluster, or by the cluster."""
    labels = by or ("raycluster_namespace", "raycluster")
    name = " ".join(f"{{{{{label}}}}}" for label in by) or "{{raycluster_namespace}}/{{raycluster}}"
    return ((f"sum by ({', '.join(labels)}) (ray_operator_{metric}{CLUSTER})", name),)


STATS = (
    Panel(
        "Leaders", "Operators that may write: one for each installation.", "none", (("sum(ray_operator_leader)", ""),)
    ),
    Panel("Clusters", "RayClusters that the operator knows.", "none", (("sum(ray_operator_clusters)", ""),)),
    Panel(
        "Not running",
        "Clusters in any phase but Running.",
        "none",
        (('sum(ray_operator_clusters{phase!="Running"})', ""),),
    ),
    Panel("Pods", "Heads and workers.", "none", ((f"sum(ray_operator_nodes{CLUSTER})", ""),)),
    Panel(
        "Waiting", "Tasks, actors and bundles that wait.", "none", ((f"sum(ray_operator_pending_demand{CLUSTER})", ""),)
    ),
    Panel(
        "Never possible",
        "Those of them that no node could ever hold.",
        "none",
        ((f"sum(ray_operator_infeasible_demand{CLUSTER})", ""),),
    ),
)
ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Ray clusters",
        (
            Panel("Nodes by state", "All types together.", "none", per_cluster("nodes", "state"), stacked=True),
            Panel("Nodes by type", "Whatever their state.", "none", per_cluster("nodes", "node_type"), stacked=True),
            Panel(
                "Workers missing",
                "Wanted workers that are not ready.",
                "none",
                ((MISSING, "{{raycluster_namespace}}/{{raycluster}}"),),
            ),
            Panel("Work that waits", "As the heads say.", "none", per_cluster("pending_demand")),
            Panel(
                "Clusters by phase",
                "RayClusters in each phase.",
                "none",
                (("sum by (phase) (ray_operator_clusters)", "{{phase}}"),),
                stacked=True,
            ),
            Panel(
                "Restarts",
                "How often each cluster lost its head, in all.",
                "none",
                per_cluster("cluster_restarts_total"),
            ),
            Panel("Heads that answer", "1: the head says what work waits.", "none", per_cluster("head_answers")),
        ),
    ),
    (
        "How long people wait",
        (
            Panel("From waiting work to a pod", "Creation of the pod.", "s", quantiles("demand_to_pod_seconds")),
            Panel("From a pod to its Ray node", "Image, start, join.", "s", quantiles("pod_to_ray_node_seconds")),
        ),
    ),
    (
        "What the operator does",
        (
            Panel("Pods created", "By what asked for them.", "ops", rates("launches_total", "reason"), stacked=True),
            Panel("Pods deleted", "By why.", "ops", rates("terminations_total", "reason"), stacked=True),
            Panel("Refused", "Actions not carried out.", "ops", rates("refused_actions_total", "reason")),
            Panel("Drains refused", "Workers that stay.", "ops", rates("drain_refusals_total", "reason")),
            Panel("Passes", "By how they ended.", "ops", rates("reconcile_duration_seconds_count", "outcome")),
            Panel("Duration of passes", "With all requests.", "s", quantiles("reconcile_duration_seconds")),
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
            Panel("Watch events", "Changes told.", "ops", rates("watch_events_total", "resource")),
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


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    numbers = itertools.count(1)
    panels, top = _stats(numbers), STAT_HEIGHT
    for title, row in ROWS:
        panels.append({**_place(next(numbers), "row", title, (0, top, WIDTH, 1)), "collapsed": False, "panels": []})
        top += 1
        columns = 3 if len(row) > 2 else len(row)
        width = WIDTH // columns
        for number, panel in enumerate(row):
            line, column = divmod(number, columns)
            place = (column * width, top + line * GRAPH_HEIGHT, width, GRAPH_HEIGHT)
            panels.append(_graph(next(numbers), panel, place))
        top += -(-len(row) // columns) * GRAPH_HEIGHT
    return {
        "uid": "ray-operator",
        "title": "Ray operator",
        "tags": ["ray", "kubernetes"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), *_variables()]},
        "panels": panels,
    }


def _stats(numbers: itertools.count[int]) -> list[dict[str, Any]]:
    width = WIDTH // len(STATS)
    return [
        {
            **_place(next(numbers), "stat", panel.title, (column * width, 0, width, STAT_HEIGHT)),
            **_content(panel),
            "fieldConfig": {"defaults": {"unit": panel.unit, "decimals": 0}, "overrides": []},
            "options": {"colorMode": "none", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}},
        }
        for column, panel in enumerate(STATS)
    ]


def _graph(number: int, panel: Panel, place: tuple[int, int, int, int]) -> dict[str, Any]:
    lines = {"lineWidth": 1, "fillOpacity": 20 if panel.stacked else 0, "showPoints": "never"}
    stacking = {"stacking": {"mode": "normal", "group": "A"}} if panel.stacked else {}
    return {
        **_place(number, "timeseries", panel.title, place),
        **_content(panel),
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {**lines, **stacking}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


def _place(number: int, kind: str, title: str, place: tuple[int, int, int, int]) -> dict[str, Any]:
    return {"id": number, "type": kind, "title": title, "gridPos": dict(zip("xywh", place, strict=True))}


def _content(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
        for number, (query, legend) in enumerate(panel.queries)
    ]
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {"description": panel.tells, "datasource": source, "targets": targets}


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variables() -> list[dict[str, Any]]:
    found = {
        "namespace": "label_values(ray_operator_cluster_phase, raycluster_namespace)",
        "raycluster": 'label_values(ray_operator_cluster_phase{raycluster_namespace=~"$namespace"}, raycluster)',
    }
    return [
        {
            "name": name,
            "type": "query",
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        }
        for name, query in found.items()
    ]


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n")


if __name__ == "__main__":
    main()
