"""``status``, ``suspend`` and ``resume`` with a Kubernetes played by the test: what is shown, and what is changed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from controller.cli.cluster_text import ago, details, table
from controller.cli.commands import run_command
from controller.cli.status import changes, text
from controller.main import main
from controller.planning.idle_record import DECIDED, IdleRecord
from controller.raycluster.model import timestamp
from tests.support.builders import NOW, raw_spec

Json = Mapping[str, Any]


def cluster(name: str, status: Json | None = None, namespace: str = "ray", **spec: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-of-{name}",
        "resourceVersion": "1",
        "creationTimestamp": timestamp(NOW - 6000),
    }
    return {"metadata": metadata, "spec": raw_spec(**spec), "status": status or {}}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    since = timestamp(NOW)
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def pod(name: str, owner: str, node_type: str = "worker-node") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "ray",
            "uid": name,
            "resourceVersion": "1",
            "labels": {"ray-cluster-name": owner, "ray-user-node-type": node_type},
            "ownerReferences": [{"kind": "RayCluster", "uid": f"uid-of-{owner}", "controller": True}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


WELL = {
    "phase": "Running",
    "readyWorkers": 2,
    "desiredWorkers": 2,
    "conditions": [condition("Ready", "True"), condition("Autoscaling", "True", "HeadAnswers")],
}
ASLEEP = {
    "phase": "Suspended",
    "conditions": [condition("Ready", "False", "Suspended", "spec.suspend is true"), condition("Autoscaling", "False")],
}
BUSY = {
    "phase": "Updating",
    "readyWorkers": 1,
    "desiredWorkers": 3,
    "autoscalerRetries": 4,
    "pendingDemand": [{"resources": {"CPU": 1}, "count": 7}],
    "infeasibleDemand": [{"resources": {"GPU": 1}, "count": 2}],
    "blockedTypes": [{"name": "gpu", "reason": "QuotaExceeded", "message": "quota: small", "since": timestamp(NOW)}],
    "lastDecision": {"time": timestamp(NOW), "message": "created 1 pod"},
    "conditions": [condition("Ready", "False", "NotReady", "1 of 2 workers are ready")],
}


class Played:
    """A Kubernetes with some RayClusters. ``failure``: what each request fails with."""

    def __init__(self, *clusters: dict[str, Any], pods: Sequence[Json] | None = (), failure: str = "") -> None:
        self.namespace = "ray"
        self.changed: list[tuple[str, Json]] = []
        self._clusters = {c["metadata"]["name"]: c for c in clusters}
        self._pods = pods
        self._failure = failure

    def clusters(self, namespace: str) -> Sequence[Json]:
        self._fail()
        return [c for c in self._clusters.values() if namespace in ("", c["metadata"]["namespace"])]

    def cluster(self, namespace: str, name: str) -> Json:
        self._fail()
        return self._clusters[name]

    def pods(self, namespace: str, selector: str) -> Sequence[Json] | None:
        return self._pods

    def change(self, namespace: str, name: str, patch: Json) -> Json:
        self.changed.append((f"{namespace}/{name}", patch))
        self._clusters[name]["spec"].update(patch.get("spec", {}))
        return self._clusters[name]

    def _fail(self) -> None:
        if self._failure:
            raise RuntimeError(self._failure)


def test_the_table_has_a_line_for_each_cluster_and_those_that_need_attention_first() -> None:
    pods = [pod("head", "well", "head-node"), pod("a", "well"), pod("b", "well"), pod("alone", "gone")]
    shown = table(
        [cluster("well", WELL), cluster("asleep", ASLEEP), cluster("busy", BUSY), cluster("fresh")],
        pods,
        NOW,
        with_namespace=False,
    )
    assert shown == (
        "NAME     PHASE       WORKERS   NODES     DEMAND                        HEAD        RESTARTS   AGE    WHY\n"
        "busy     Updating    1 of 3    none      7 waiting, 2 never possible   no answer   4          100m   "
        "1 of 2 workers are ready\n"
        "asleep   Suspended   0 of 0    none      none                          asleep      0          100m   "
        "spec.suspend is true\n"
        "fresh    new         0 of 0    none      none                          no answer   0          100m\n"
        "well     Running     2 of 2    3 ready   none                          answers     0          100m"
    )


def test_one_cluster_is_shown_with_all_that_its_status_says() -> None:
    shown = details(cluster("busy", BUSY), [pod("a", "busy")], NOW)
    for line in (
        "cluster    ray/busy",
        "workers    1 of 3 ready",
        "  1 worker-node ready",
        "  7 x {'CPU': 1}",
        "  2 x {'GPU': 1}",
        f"  gpu: QuotaExceeded since {timestamp(NOW)}: quota: small",
        f"  Ready False: NotReady, 1 of 2 workers are ready (since {timestamp(NOW)})",
        f"  {timestamp(NOW)}  created 1 pod",
    ):
        assert line in shown.splitlines()


def test_a_user_who_may_not_list_pods_sees_the_rest() -> None:
    assert " ?  " in table([cluster("well", WELL)], None, NOW, with_namespace=True)
    assert "not known: you may not list pods" in details(cluster("well", WELL), None, NOW)


@pytest.mark.parametrize("status", [{"head": 7, "lastDecision": [], "blockedTypes": {}, "pendingDemand": [1]}, BUSY])
def test_a_status_is_shown_without_control_characters(status: dict[str, Any]) -> None:
    odd = {**status, "conditions": [condition("Ready", "False", "Odd", "red \x1b[31m and\nmore")]}
    for shown in (details(cluster("odd", odd), (), NOW), table([cluster("odd", odd)], (), NOW, with_namespace=False)):
        assert "\x1b" not in shown
        assert "red" in shown


@pytest.mark.parametrize(("seconds", "told"), [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h")])
def test_ages(seconds: float, told: str) -> None:
    assert ago(seconds) == told
    assert ago(3 * 86400) == "3d"


def test_a_namespace_without_clusters_is_named() -> None:
    assert text(Played(), "ray", [], NOW) == "there is no RayCluster in the namespace ray; -A shows all namespaces"
    assert text(Played(), "", [], NOW) == "there is no RayCluster in this Kubernetes cluster"


def test_watching_shows_what_is_new() -> None:
    waits: list[float] = []
    answers = itertools.chain(["a", "a", "b"], itertools.repeat("b"))
    assert list(islice(changes(lambda: next(answers), waits.append), 2)) == ["a", "b"]
    assert waits == [2.0, 2.0]


def test_suspend_and_resume_change_the_spec_once(capsys: pytest.CaptureFixture[str]) -> None:
    kubernetes = Played(cluster("a"), cluster("b", suspend=True))
    assert run_command("suspend", ["a", "b"], connect=lambda _: kubernetes) == 0
    assert kubernetes.changed == [("ray/a", {"spec": {"suspend": True}})]
    said = capsys.readouterr().out
    assert "ray/a is being suspended" in said and "ray/b is suspended already" in said
    assert run_command("resume", ["-n", "ray", "a"], connect=lambda _: kubernetes) == 0
    assert run_command("resume", ["a"], connect=lambda _: kubernetes) == 0
    assert kubernetes.changed[1:] == [("ray/a", {"spec": {"suspend": False}})]
    said = capsys.readouterr().out
    assert "ray/a is being resumed" in said and "ray/a is not suspended" in said


def asleep(**metadata: Any) -> dict[str, Any]:
    """A cluster that was suspended because nothing used it, and is as it was then unless said otherwise."""
    record = IdleRecord(DECIDED, "nothing used it", 1, generation=3, decided_at=2, action="Suspend")
    made = cluster("a", {"phase": "Suspended", "idle": record.status}, idleTermination={"minutes": 1})
    return {**made, "metadata": {**made["metadata"], "generation": 3, **metadata}}


def test_resume_of_an_idle_cluster_leaves_its_spec_alone(capsys: pytest.CaptureFixture[str]) -> None:
    kubernetes = Played(asleep())
    assert run_command("resume", ["a"], connect=lambda _: kubernetes) == 0
    ((name, change),) = kubernetes.changed
    assert (name, list(change)) == ("ray/a", ["metadata"])
    (annotation,) = change["metadata"]["annotations"].items()
    assert annotation[0] == "cluster.ray.io/resumed-at" and annotation[1].endswith("Z")
    assert "ray/a is being resumed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "overridden", [{"generation": 4}, {"annotations": {"cluster.ray.io/resumed-at": "now"}}], ids=["edited", "resumed"]
)
def test_one_that_is_on_its_way_back_is_not_resumed_again(
    overridden: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    kubernetes = Played(asleep(**overridden))
    assert run_command("resume", ["a"], connect=lambda _: kubernetes) == 0
    assert (kubernetes.changed, capsys.readouterr().out) == ([], "ray/a is not suspended\n")


def test_whether_a_cluster_is_used_is_shown() -> None:
    assert "use        nothing used it" in details(asleep(), [], NOW)
    busy = {"idle": {"state": "InUse", "message": "the driver of job 01 is connected"}}
    assert "use        in use: the driver of job 01 is connected" in details(cluster("a", busy), [], NOW)
    assert "use  " not in details(cluster("a"), [], NOW)


@pytest.mark.parametrize("command", ["status", "suspend", "resume"])
def test_what_fails_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(command, ["a"], connect=lambda _: Played(failure="no\nanswer")) == 1
    assert capsys.readouterr() == ("", f"ray-operator {command}: no answer\n")


def test_names_and_all_namespaces_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command("status", ["a", "-A"], connect=lambda _: Played())
    assert end.value.code == 2
    assert "name a namespace by -n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kubeconfig", "why"),
    [(None, "no usable kubeconfig"), ("not: [yaml", "no usable kubeconfig"), ("{}", "no usable kubeconfig")],
)
def test_a_kubeconfig_that_is_none_is_named(
    kubeconfig: str | None,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    if kubeconfig is not None:
        (tmp_path / "config").write_text(kubeconfig)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert main(["status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"ray-operator status: {why}") and said.count("\n") == 1


def test_the_plugin_without_a_command_starts_no_operator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/kubectl-ray_operator"])
    assert main() == 2
    assert "status" in capsys.readouterr().out
