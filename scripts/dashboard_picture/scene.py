"""The parts that run: an API server, two operators of which one leads, played Ray clusters, and a real Prometheus."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from burst.plane import control_plane
from elastic import ray_cluster

from tests.support.apiserver import ApiServer
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.prometheus import Prometheus

from .answers import SCRAPE_SECONDS
from .load import IDLE_MINUTES, Load

PLANE, NAMESPACE = "dash", "ml"
TYPES = ("small-worker", "large-worker", "spot-worker")
CLUSTERS = ("batch", "embeddings", "evaluation", "features", "finetuning", "search", "speech", "training")
MOST_WORKERS = 12
# All clusters together want more at times, and are refused.
MOST_PODS = 60
TICK_SECONDS = 0.25
Pod = dict[str, Any]


@contextmanager
def played(seconds: float, seed: int) -> Iterator[Prometheus]:
    """Prometheus, once it has seen so many seconds of work. Everything ends with the block."""
    with ExitStack() as ends, tempfile.TemporaryDirectory() as folder:
        plane = ends.enter_context(control_plane(PLANE))
        # An operator that ends shows its log.
        ends.enter_context(contextlib.redirect_stdout(io.StringIO()))
        scene = _Scene(plane.environment, ends)
        every = {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
        job = {"job_name": "ray-operator", **every, "static_configs": scene.targets()}
        prometheus = Prometheus(Path(folder), job)
        ends.callback(prometheus.close)
        scene.play(seconds, Load(seed))
        yield prometheus


class _Scene:
    """Operators that are up, and what happens to their clusters."""

    def __init__(self, environment: Mapping[str, str], ends: ExitStack) -> None:
        self._space = Namespace(ApiServer(environment["KUBECONFIG"]), NAMESPACE)
        self._space.create()
        quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": str(MOST_PODS)}}}
        self._space.server.ask("POST", self._space.path("resourcequotas"), quota)
        ends.callback(self._space.stop)
        self._space.kubelet(take_work=True, start_seconds=_start_seconds)
        self._operators = [OperatorProcess(environment, NAMESPACE) for _ in range(2)]
        for operator in self._operators:
            ends.callback(operator.close)
            ends.callback(operator.stop)
            _start(operator, 0)
            # The first one leads.
            eventually(lambda: " leads: " in self._operators[0].log())
        self._ports = [_port(operator) for operator in self._operators]

    def targets(self) -> list[dict[str, Any]]:
        """Where Prometheus finds the operators' metrics, and what it calls them."""
        return [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": f"ray-operator-{number}"}}
            for number, port in enumerate(self._ports)
        ]

    def play(self, seconds: float, load: Load) -> None:
        """Clusters work for so long, and things happen to them on the way."""
        for number, name in enumerate(CLUSTERS):
            self._space.make(_cluster(name, TYPES[number % len(TYPES)]))
        began = time.monotonic()
        happens: dict[float, Callable[[], object]] = {
            0.15: lambda: load.ask_for_the_impossible("training"),
            0.3: self._make_a_wrong_cluster,
            0.4: lambda: self._lose_head("search"),
            0.5: lambda: self._space.edit("features", ("suspend", True)),
            0.6: self._operators[0].stop,
            0.65: lambda: _start(self._operators[0], self._ports[0]),
            0.75: lambda: self._space.edit("features", ("suspend", False)),
        }
        while (gone := time.monotonic() - began) < seconds:
            for when in [part for part in happens if part * seconds <= gone]:
                happens.pop(when)()
            load.tick(self._space.heads(), gone)
            time.sleep(TICK_SECONDS)

    def _make_a_wrong_cluster(self) -> None:
        wrong = _cluster("wrong", TYPES[0])
        wrong["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]["env"] = [{"name": "a b="}]
        self._space.make(wrong)

    def _lose_head(self, cluster: str) -> None:
        (head,) = self._space.all("pods", f"ray-node-type=head,ray-cluster-name={cluster}")
        self._space.delete("pods", head["metadata"]["name"])


def _cluster(name: str, worker: str) -> dict[str, Any]:
    kind = {"name": worker, "minWorkers": 1, "maxWorkers": MOST_WORKERS, "rayResources": {"CPU": 1}}
    return ray_cluster(name, [kind], maxWorkers=MOST_WORKERS, idleTimeoutMinutes=IDLE_MINUTES)


def _start_seconds(pod: Pod) -> float:
    """How long container and Ray take to start, about as long as real ones on warm nodes; the same for the same pod."""
    return Random(pod["metadata"]["uid"]).lognormvariate(1.2, 0.5)


def _start(operator: OperatorProcess, port: int) -> None:
    operator.start(None, f"--metrics-address=127.0.0.1:{port}", "--leader-elect", f"--lease-namespace={NAMESPACE}")


def _port(operator: OperatorProcess) -> int:
    lines = eventually(lambda: [line for line in operator.log().splitlines() if "at port" in line])
    return int(lines[-1].rpartition(" ")[2])
