"""What ``ray-operator simulate`` says of labels, priorities and types that cannot be launched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.main import main
from tests.support.builders import pod_config, raw_cluster, raw_spec


def worker(name: str, env: dict[str, str] | None = None, most: int = 3, **fields: Any) -> dict[str, Any]:
    config = pod_config()
    config["spec"]["containers"][0]["env"] = [{"name": key, "value": value} for key, value in (env or {}).items()]
    return {"name": name, "maxWorkers": most, "podConfig": config, **fields}


def cluster(*workers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    head = {"name": "head-node", "rayResources": {"CPU": 0}, "podConfig": pod_config("ray-head-")}
    return raw_cluster(raw_spec(podTypes=[head, *workers], **{"idleTimeoutMinutes": 1, **fields}))


def tasks(selector: dict[str, str] | None = None, count: int = 1, at: float = 0, **more: Any) -> dict[str, Any]:
    labels = {"labelSelector": selector} if selector else {}
    return {"at": at, "tasks": [{"resources": {"CPU": 1}, "count": count, "seconds": 30, **labels, **more}]}


@pytest.fixture
def simulate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Simulates, and gives the launches, and all that waits, never will run or is blocked, each as one line of text."""

    def run(obj: Any, *steps: dict[str, Any]) -> list[str]:
        (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(obj))
        (tmp_path / "demand.yaml").write_text(yaml.safe_dump({"steps": list(steps)}))
        code = main(["simulate", str(tmp_path / "cluster.yaml"), str(tmp_path / "demand.yaml"), "-o", "json"])
        answer = capsys.readouterr()
        if code:
            return answer.err.splitlines()
        shown = [e for e in json.loads(answer.out)["events"] if e["what"] not in {"join", "remove"}]
        return [f"{e['at']:g} {e['what']} {e['count']} {e['subject']}: {e['why']}" for e in shown]

    return run


SPOT, STEADY = (worker(name, {"RAY_NODE_MARKET_TYPE": name}) for name in ("spot", "steady"))
MARKET = "ray.io/market-type"


@pytest.mark.parametrize(
    ("selector", "launched"),
    [("spot", "spot"), ("!spot", "steady"), ("in(x, steady)", "steady"), ("!in(steady, x)", "spot")],
)
def test_a_label_that_ray_will_find_out_launches_the_type_that_has_it(
    simulate: Any, selector: str, launched: str
) -> None:
    """With none running, and with one of each."""
    wanted = tasks({MARKET: selector}, count=2)
    assert simulate(cluster(SPOT, STEADY), wanted) == [f"0 launch 2 {launched}: waiting work"]
    warm = [{**t, "minWorkers": 1} for t in (SPOT, STEADY)]
    assert f"60 launch 1 {launched}: waiting work" in simulate(cluster(*warm), {**wanted, "at": 60})


def test_labels_of_the_start_command_launch_the_type_that_has_them(simulate: Any) -> None:
    types = [worker("intel", {"FAMILY": "intel"}), worker("amd", {"FAMILY": "amd"})]
    start = ['ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6379 --labels="cpu-family=$FAMILY"']
    labelled = cluster(*types, workerStartRayCommands=start)
    assert simulate(labelled, tasks({"cpu-family": "amd"})) == ["0 launch 1 amd: waiting work"]


def test_fallbacks_bundles_and_requests_have_selectors_too(simulate: Any) -> None:
    of = cluster(SPOT, STEADY)
    fallback = [{"labelSelector": {MARKET: "steady"}}]
    assert simulate(of, tasks({MARKET: "gone"}, fallbackStrategy=fallback)) == ["0 launch 1 steady: waiting work"]
    bundles = {"strategy": "PACK", "bundles": [{"CPU": 1}] * 2, "bundleLabelSelector": [{MARKET: "steady"}, {}]}
    (first, *_) = simulate(of, {"at": 0, "placementGroups": [bundles]})
    assert first.startswith("0 launch") and "a placement group" in first
    request = {"resources": {"CPU": 1}, "labelSelector": {MARKET: "!spot"}}
    assert simulate(of, {"at": 0, "requestResources": [request]}) == ["0 launch 1 steady: request_resources"]


def test_a_label_that_nothing_declares_waits_for_a_declaration(simulate: Any) -> None:
    (line,) = simulate(cluster(SPOT, STEADY), tasks({"tier": "gold"}))
    assert line == ("0 wait 1 {CPU: 1} on tier: gold: no pod type declares the label tier; add it to podTypes[].labels")
    declared = {**SPOT, "labels": {"tier": "gold"}}
    assert simulate(cluster(declared, STEADY), tasks({"tier": "gold"})) == ["0 launch 1 spot: waiting work"]
    (line,) = simulate(cluster(SPOT, STEADY), tasks({MARKET: "reserved"}))
    assert line == "0 never 1 {CPU: 1} on ray.io/market-type: reserved: no pod type could ever hold it"


def test_a_blocked_type_yields_and_is_taken_back(simulate: Any) -> None:
    of = cluster({**SPOT, "priority": 10}, STEADY)
    steps = [tasks(), {**tasks(at=200), "blockedTypes": ["spot"]}, {**tasks(at=400), "blockedTypes": []}]
    assert simulate(of, *steps) == [
        "0 launch 1 spot: waiting work",
        "200 block 1 spot: QuotaExceeded",
        "200 launch 1 steady: waiting work",
        "400 unblock 1 spot: ",
        "400 launch 1 spot: waiting work",
    ]


def test_the_bound_that_holds_work_back_is_named(simulate: Any) -> None:
    of = cluster({**SPOT, "maxWorkers": 1}, maxWorkers=5)
    assert "maxWorkers of the pod type spot is 1" in simulate(of, tasks(count=2))[-1]
    of = cluster(SPOT, maxWorkers=2)
    assert "maxWorkers of the cluster is 2" in simulate(of, tasks(count=3))[-1]


def test_a_selector_that_ray_would_refuse_is_named(simulate: Any) -> None:
    for given in ("in(a", "IN(a)", "in( a , b )", "in()", "!", "!!a"):
        (line,) = simulate(cluster(SPOT), tasks({"zone": given}))
        assert line.endswith(
            f'demand.yaml: steps[0].tasks[0].labelSelector.zone: "{given}" is no selector; '
            "write VALUE, !VALUE, in(A, B) or !in(A, B)"
        )


@pytest.mark.parametrize("count", [1, 3])
def test_bundles_have_a_selector_each_or_none(simulate: Any, count: int) -> None:
    """As Ray says of another number."""
    bundles = {"strategy": "PACK", "bundles": [{"CPU": 1}] * 2, "bundleLabelSelector": [{MARKET: "steady"}] * count}
    (line,) = simulate(cluster(SPOT, STEADY), {"at": 0, "placementGroups": [bundles]})
    entries = "1 entry" if count == 1 else "3 entries"
    assert line.endswith(
        f"steps[0].placementGroups[0].bundleLabelSelector: has {entries} for 2 bundles; "
        "write one for each bundle, {} where any node will do"
    )


def test_a_label_that_a_type_declares_which_is_ruled_out_otherwise_is_not_called_undeclared(simulate: Any) -> None:
    declared = {**SPOT, "labels": {"zone": "a", "tier": "gold"}}
    (line,) = simulate(cluster(declared, STEADY), tasks({"zone": "a", "tier": "!gold"}))
    assert line == (
        "0 wait 1 {CPU: 1} on tier: !gold, zone: a: no pod type that could hold it declares the label zone; "
        "add it to podTypes[].labels"
    )
