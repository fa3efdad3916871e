#!/usr/bin/env python3
"""Writes the Grafana dashboard, charts/ray/monitoring/dashboard.json, from dashboard_panels.

A test compares the file with this program's output, and every query with the metrics that there are.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from dashboard_panels import ROWS, STATS, Panel

FILE = Path(__file__).resolve().parent.parent / "charts/ray/monitoring/dashboard.json"
WIDTH = 24
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8


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
    return {"description": panel.description, "datasource": source, "targets": targets}


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
