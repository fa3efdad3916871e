"""The operator as its command starts it: what the flags reach, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.model import NodeStatus
from controller.main import main
from controller.objects.labels import HEAD, KIND_LABEL
from tests.fakes.gcs import FakeGcs
from tests.support.builders import NAME, NAMESPACE, raw_cluster, raw_spec
from tests.support.kube import eventually
from tests.unit.test_operator import Watched

DRAIN_BY = "cluster.ray.io/drain-by"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """What every connection to Kubernetes leads to."""
    made = Watched()
    monkeypatch.setattr("controller.run.HttpClient.from_environment", lambda *_: made)
    yield made
    made.over.set()


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    made = FakeGcs()
    yield made
    made.close()


def run(flags: list[str], look: Callable[[], object]) -> int:
    """Run the operator in this thread until ``look`` sees something true, then ask it to end. Returns its exit code."""
    seen: list[object] = []

    def end() -> None:
        try:
            seen.append(eventually(look, within=20))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    looking = threading.Thread(target=end)
    looking.start()
    try:
        return main(flags)
    finally:
        looking.join()
        for number, handler in before.items():
            signal.signal(number, handler)
        assert seen, "it was ended before anything was seen"


def play_kubelet(api: Watched, gcs: FakeGcs) -> None:
    """The head is the GCS of the test, and the worker knows it."""
    host, port = gcs.address.split(":")
    api.put("rayclusters", raw_cluster(raw_spec(1, headStartRayCommands=[f"ray start --head --port={port}"])))
    run([], lambda: len(api.names("pods")) == 2)
    head = next(p["metadata"]["name"] for p in api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == HEAD)
    gcs.nodes.clear()
    gcs.add_node(head, "head-node", {"CPU": 1}, head=True)
    for pod in list(api.of("pods")):
        status: dict[str, Any] = {
            "phase": "Running",
            "podIP": host,
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        api.put("pods", {**pod, "status": status})
    run([], lambda: "cluster.ray.io/head-uid" in worker(api)["metadata"]["annotations"])


def spec_of(api: Watched) -> dict[str, Any]:
    found: dict[str, Any] = api.objects["rayclusters", NAMESPACE, NAME]
    return found


def worker(api: Watched) -> dict[str, Any]:
    return next(p for p in api.of("pods") if p["metadata"]["labels"][KIND_LABEL] != HEAD)


@pytest.mark.parametrize(("flags", "seconds"), [([], 600), (["--drain-seconds", "60"], 60)])
def test_drain_seconds_are_how_long_a_busy_worker_has(
    api: Watched, gcs: FakeGcs, flags: list[str], seconds: float
) -> None:
    play_kubelet(api, gcs)
    gcs.add_node(worker(api)["metadata"]["name"], "worker-node", {"CPU": 1}, status=NodeStatus.RUNNING)
    found = spec_of(api)
    types = [found["spec"]["podTypes"][0], {**found["spec"]["podTypes"][1], "minWorkers": 0}]
    api.put("rayclusters", {**found, "spec": {**found["spec"], "podTypes": types, "maxWorkers": 0}})
    before = time.time()
    assert run(flags, lambda: gcs.drained) == 0
    noted = int(worker(api)["metadata"]["annotations"][DRAIN_BY])
    assert before + seconds - 1 <= noted <= time.time() + seconds
    assert gcs.drained[0][2] == noted * 1000


@pytest.mark.parametrize(("flags", "blocked"), [([], False), (["--unschedulable-grace-seconds", "5"], True)])
def test_the_unschedulable_grace_is_how_long_a_pod_may_wait_for_room(
    api: Watched, flags: list[str], blocked: bool
) -> None:
    """A pod has waited for ten seconds: with the default of thirty its type is not set aside yet."""
    api.put("rayclusters", raw_cluster(raw_spec(1)))
    assert run([], lambda: len(api.names("pods")) == 2) == 0
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 10))
    no_room = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    pod = worker(api)
    status = {"phase": "Pending", "conditions": [{**no_room, "lastTransitionTime": since}]}
    api.put("pods", {**pod, "status": status})
    waits = "no room"
    assert run(flags, lambda: waits in str(spec_of(api).get("status"))) == 0
    assert ("blockedTypes" in spec_of(api)["status"]) is blocked


@pytest.mark.parametrize(("flags", "blocked"), [([], True), (["--gated-grace-seconds", "60"], False)])
def test_the_gated_grace_is_how_long_a_pod_may_wait_for_its_gates(
    api: Watched, flags: list[str], blocked: bool
) -> None:
    """A pod has waited for ten seconds."""
    api.put("rayclusters", raw_cluster(raw_spec(1)))
    assert run([], lambda: len(api.names("pods")) == 2) == 0
    pod = worker(api)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 10))
    gates = {"schedulingGates": [{"name": "example.com/queue"}]}
    changed = {"metadata": {**pod["metadata"], "creationTimestamp": since}, "spec": {**pod["spec"], **gates}}
    waits = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}
    api.put("pods", {**pod, **changed, "status": {"phase": "Pending", "conditions": [waits]}})
    assert run(flags, lambda: "example.com/queue" in str(spec_of(api).get("status"))) == 0
    assert ("blockedTypes" in spec_of(api)["status"]) is blocked


def test_sigterm_ends_the_process_within_twenty_seconds_and_without_an_error(tmp_path: Path) -> None:
    """Also while no API server answers."""
    config = tmp_path / "config"
    config.write_text(
        yaml.safe_dump(
            {
                "current-context": "nowhere",
                "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}}],
                "users": [{"name": "anyone", "user": {}}],
                "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "anyone"}}],
            }
        )
    )
    command = [sys.executable, "-c", "from controller.main import main; raise SystemExit(main([]))"]
    environment = {**os.environ, "KUBECONFIG": str(config)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        log = iter(process.stdout.readline, "")
        try:
            assert any("ray-operator " in line for line in log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
        assert "Traceback" not in "".join(log)
