"""Suspending and resuming a RayCluster against a real API server; the tests play the kubelet."""

from __future__ import annotations

from typing import Any

from tests.support.kube import Kube, eventually, names
from tests.support.operator import OperatorProcess
from tests.support.raycluster import NAME, condition, running


def set_suspend(kube: Kube, value: bool) -> None:
    kube.run("patch", "raycluster", NAME, "--type=merge", "-p", f'{{"spec":{{"suspend":{str(value).lower()}}}}}')


def gone(kube: Kube) -> None:
    eventually(lambda: kube.list("pods", "ray-cluster-name") == [])
    kube.run("wait", f"raycluster/{NAME}", "--for=condition=Suspended", "--timeout=60s")


def test_suspend_and_resume_with_the_operator_restarted_in_between(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """All pods go, the Service stays, a new operator leaves it so; then everything is back and no restart counted."""
    kube.apply(example)
    before = {p["metadata"]["uid"] for p in running(kube)}
    address = kube.get("service", f"{NAME}-ray-head")["spec"]["clusterIP"]
    set_suspend(kube, True)
    gone(kube)
    assert kube.run("get", "rayclusters").splitlines()[1].split()[1:4] == ["Suspended", "0", "0"]
    version = kube.get("raycluster", NAME)["metadata"]["resourceVersion"]
    operator.kill()
    operator.start()
    second = {**example, "metadata": {"name": "second"}}
    kube.apply(second)
    eventually(lambda: len(kube.list("pods", "ray-cluster-name=second")) == 3)
    assert names(kube.list("pods", f"ray-cluster-name={NAME}")) == []
    assert kube.get("raycluster", NAME)["metadata"]["resourceVersion"] == version
    kube.run("delete", "raycluster", "second", "--timeout=10s")
    eventually(lambda: kube.list("pods", "ray-cluster-name=second") == [])
    set_suspend(kube, False)
    assert not before & {p["metadata"]["uid"] for p in running(kube)}
    assert kube.get("service", f"{NAME}-ray-head")["spec"]["clusterIP"] == address
    assert kube.get("raycluster", NAME)["status"]["autoscalerRetries"] == 0
    assert condition(kube, "Suspended")["reason"] == "Resumed"


def test_suspend_while_the_first_pods_start(kube: Kube, operator: OperatorProcess, example: dict[str, Any]) -> None:
    """No container has ever run: nothing is waited for."""
    kube.apply(example)
    eventually(lambda: len(kube.list("pods", "ray-cluster-name")) == 3)
    set_suspend(kube, True)
    gone(kube)
    set_suspend(kube, False)
    running(kube)


def test_a_cluster_that_is_made_suspended_waits_without_pods(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    example["spec"]["suspend"] = True
    kube.apply(example)
    gone(kube)
    eventually(lambda: kube.list("services", "ray-cluster-name"))
    assert "Suspended" in {e["reason"] for e in kube.list("events")}
    set_suspend(kube, False)
    running(kube)
