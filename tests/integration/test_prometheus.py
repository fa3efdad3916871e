"""A real Prometheus scrapes a real operator: each query of the dashboard and of the alerts is answered with data."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import dashboard_panels
import pytest
import yaml

from autoscaler.model import Demand, Shape
from tests.support.apiserver import ApiServer
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT
from tests.support.prometheus import Prometheus, promtool

ALERTS = ROOT / "charts/ray/monitoring/alerts.yaml"
QUERIES = {f"{panel.title}: {query}": query for panel in dashboard_panels.panels() for query, _ in panel.queries}
RULES = {
    rule["alert"]: rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
# An alert is quiet as long as the comparison at its end is false: then it has no data. What it compares must have some.
COMPARISON = re.compile(r"\s[<>] [\d.]+$")

# What they share is made once.
pytestmark = pytest.mark.xdist_group("prometheus")


class Scene:
    """An operator at work on a cluster whose pods come and go, and Prometheus beside it."""

    def __init__(self, environment: Mapping[str, str], example: dict[str, Any], folder: Any) -> None:
        self.space = Namespace(ApiServer(environment["KUBECONFIG"]), f"prometheus-{uuid4().hex[:8]}")
        self.space.create()
        self.space.kubelet()
        self.operator = OperatorProcess(environment, self.space.name)
        lease = ("--leader-elect", "--lease-namespace", self.space.name)
        self.operator.start(None, "--metrics-address=127.0.0.1:0", *lease)
        job = {"job_name": "ray-operator", "static_configs": [{"targets": [self.address()]}]}
        self.prometheus = Prometheus(folder, job, rules=[ALERTS])
        self.example = example

    def address(self) -> str:
        """Where its metrics are."""
        lines = eventually(lambda: [line for line in self.operator.log().splitlines() if "at port" in line])
        return f"127.0.0.1:{lines[-1].rpartition(' ')[2]}"

    def work(self) -> None:
        """One cluster is wrong; the other's head asks for more than a quota lets it have, and it loses a worker."""
        wrong = copy.deepcopy(self.example)
        wrong["metadata"]["name"] = "wrong"
        wrong["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]["env"] = [{"name": "a b="}]
        self.space.make(wrong)
        self.example["spec"]["maxWorkers"] = self.example["spec"]["podTypes"][1]["maxWorkers"] = 10
        self.space.make(self.example)
        eventually(lambda: self.space.settled("example-cluster", 2))
        quota = {"metadata": {"name": "five"}, "spec": {"hard": {"pods": "5"}}}
        self.space.server.ask("POST", self.space.path("resourcequotas"), quota)
        (head,) = self.space.heads()
        head.demands = (Demand(Shape.of({"CPU": 1}), 2), Demand(Shape.of({"unicorn": 1}), 1))
        eventually(lambda: len(self.space.pods("worker")) == 4 and "quota" in self.operator.log())
        self.space.delete("pods", self.space.pods("worker")[0]["metadata"]["name"])

    def stop(self) -> None:
        """All of it ends."""
        self.prometheus.close()
        self.operator.stop()
        self.operator.close()
        self.space.stop()

    def numbers(self, query: str) -> list[float]:
        """What a query says now, without what is no number: a quantile of nothing."""
        values = (float(series["value"][1]) for series in self.prometheus.query(query))
        return [value for value in values if not math.isnan(value)]


@pytest.fixture(scope="module")
def scene(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    example = yaml.safe_load((ROOT / "manifests/example_cluster.yaml").read_text())
    scene = Scene(environment, copy.deepcopy(example), tmp_path_factory.mktemp("prometheus"))
    try:
        scene.work()
        yield scene
    finally:
        scene.stop()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_each_query_of_the_dashboard_answers(scene: Scene, query: str) -> None:
    asked = query.replace("$namespace", scene.space.name).replace("$raycluster", ".*")
    assert eventually(lambda: scene.numbers(asked.replace("$__rate_interval", "5m")))


# Of operators that share the clusters; this one has them alone.
SHARED = "RayOperatorPartWithoutLeader"


@pytest.mark.parametrize("alert", [name for name in RULES if name != SHARED])
def test_what_each_alert_looks_at_is_there(scene: Scene, alert: str) -> None:
    compared, found = COMPARISON.subn("", RULES[alert])
    assert found == 1
    assert eventually(lambda: scene.numbers(compared))


def test_the_alerts_are_evaluated_and_one_that_applies_is_pending(scene: Scene) -> None:
    """Work that no node could hold waits, but an operator is there and leads."""
    eventually(lambda: all(rule["health"] == "ok" for rule in scene.prometheus.rules()))
    eventually(lambda: "RayClusterDemandImpossible" in amiss(scene.prometheus))
    assert not {"RayOperatorDown", "RayOperatorNoLeader"} & amiss(scene.prometheus)


def amiss(prometheus: Prometheus) -> set[str]:
    """The alerts that tell something, or would if it lasted."""
    return {rule["name"] for rule in prometheus.rules() if rule["state"] != "inactive"}


def test_names_and_texts_follow_the_conventions_of_prometheus(scene: Scene) -> None:
    with urlopen(f"http://{scene.address()}/metrics") as answer:
        assert promtool("check", "metrics", stdin=answer.read().decode()) == ""


def test_the_alert_rules_are_right(tmp_path: Any) -> None:
    """In form, and each fires when it should, and not before."""
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(ROOT / "tests/monitoring/alerts_test.yaml"))
