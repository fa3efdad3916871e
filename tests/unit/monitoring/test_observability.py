"""What is measured, asked for by dashboard and alerts, and told in docs/observability.md is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dashboard
import dashboard_panels
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from controller.kube.holdings import Holdings
from controller.kube.store import Store, Stores
from controller.kube.workqueue import WorkQueue
from controller.monitoring.collectors import ClusterCollector, PartCollector, StateCollector
from controller.monitoring.health import Health
from controller.monitoring.metrics import Metrics
from controller.raycluster.model import Key

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/observability.md").read_text()
ALERTS = yaml.safe_load((ROOT / "charts/ray/monitoring/alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = list(dashboard_panels.panels())
# What the queries may ask for beside the operator's own: the process, as every Python program tells it.
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


@dataclass(frozen=True)
class Described:
    """A metric as the code has it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    def row(self) -> str:
        """As the page should tell it."""
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.kind} | {labels} | {self.text} |"

    def series(self) -> set[str]:
        """The names that queries may use."""
        ends = ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)
        return {self.name + end for end in ends}


def described() -> Iterator[Described]:
    """Every metric of the operator's own."""
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric._name + ("_total" if metric._type == "counter" else "")
            yield Described(name, str(metric._type), metric._labelnames, metric._documentation)
    stores = Stores(*(Store(lambda c: c.key, lambda _: None) for _ in range(3)))
    queue: WorkQueue[Key] = WorkQueue()
    registry = CollectorRegistry()
    registry.register(ClusterCollector(stores, lambda cluster: True, lambda _: None))
    registry.register(StateCollector(stores, queue, Health(), lambda: True))
    registry.register(PartCollector(Holdings()))
    for family in registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        yield Described(name, family.type, tuple(getattr(family, "_labelnames", ())), family.documentation)
    yield Described(
        "ray_operator_build_info", "gauge", ("version", "python_version"), "Always 1; the labels are versions."
    )


METRICS = list(described())


def asked(query: str) -> set[str]:
    """The metrics that a query names."""
    return set(re.findall(r"\b(?:ray_operator|process|python)_[a-z_]+", query))


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_every_metric_is_in_the_pages_table(metric: Described) -> None:
    assert metric.row() in PAGE.splitlines()


def test_the_pages_table_has_no_other_metrics() -> None:
    """What is asked for there in vain would be looked for at three in the morning."""
    rows = re.findall(r"^\| `(ray_operator_\w+)` \|", PAGE, re.M)
    assert sorted(rows) == sorted(m.name for m in METRICS)


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: p.title)
def test_the_dashboard_asks_for_metrics_that_there_are(panel: dashboard_panels.Panel) -> None:
    names = {name for metric in METRICS for name in metric.series()} | PROCESS
    assert panel.queries
    for query, _ in panel.queries:
        assert asked(query) and asked(query) <= names


def test_the_dashboard_in_the_chart_is_the_one_that_the_program_writes() -> None:
    """`scripts/dashboard.py` would change nothing."""
    assert json.loads(dashboard.FILE.read_text()) == dashboard.dashboard()


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_each_alert_asks_for_what_there_is_and_says_what_to_do(rule: dict[str, Any]) -> None:
    """Its runbook is a heading of the page, with something below it."""
    names = {name for metric in METRICS for name in metric.series()}
    assert asked(rule["expr"]) and asked(rule["expr"]) <= names
    assert rule["annotations"]["runbook_url"] == f"docs/observability.md#{rule['alert'].lower()}"
    assert re.search(rf"^### {rule['alert']}\n\n\S", PAGE, re.M)


def test_no_runbook_is_for_an_alert_that_is_not_there() -> None:
    headings = re.findall(r"^### (Ray(?:Operator|Cluster)\w+)$", PAGE, re.M)
    assert sorted(headings) == sorted(rule["alert"] for rule in RULES)
