"""What ``ray-operator simulate`` says: the operator's own planner over simulated pods and work."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import guide
import pytest
import yaml

from controller.main import main
from tests.support.builders import pod_config, raw_cluster, raw_spec

ROOT = Path(__file__).resolve().parents[3]


def worker(name: str, least: int = 0, most: int = 10, **resources: int) -> dict[str, Any]:
    return {
        "name": name,
        "minWorkers": least,
        "maxWorkers": most,
        "rayResources": resources or {"CPU": 1},
        "podConfig": pod_config(),
    }


def cluster(*workers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    head = {"name": "head-node", "rayResources": {"CPU": 0}, "podConfig": pod_config("ray-head-")}
    return raw_cluster(raw_spec(podTypes=[head, *workers], **{"idleTimeoutMinutes": 1, **fields}))


def simulate(folder: Path, obj: Any, demand: Any, *options: str) -> int:
    (folder / "cluster.yaml").write_text(yaml.safe_dump(obj))
    (folder / "demand.yaml").write_text(yaml.safe_dump(demand))
    return main(["simulate", str(folder / "cluster.yaml"), str(folder / "demand.yaml"), *options])


def tasks(count: int, seconds: float | None = 60, at: float = 0, **more: Any) -> dict[str, Any]:
    ends = {} if seconds is None else {"seconds": seconds}
    return {"at": at, "tasks": [{"resources": {"CPU": 1}, "count": count, **ends, **more}]}


@pytest.fixture
def happen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Simulates, and gives each happening as one line of text."""

    def run(obj: Any, *steps: dict[str, Any], **more: Any) -> list[str]:
        assert simulate(tmp_path, obj, {"steps": list(steps), **more}, "-o", "json") == 0
        events = json.loads(capsys.readouterr().out)["events"]
        return [f"{e['at']:g} {e['what']} {e['count']} {e['subject']}: {e['workers']}" for e in events]

    return run


def test_tasks_bring_workers_which_go_after_the_idle_timeout(happen: Any) -> None:
    assert happen(cluster(worker("w")), tasks(3, at=5), podSeconds=20) == [
        "5 launch 3 w: 3",
        "25 join 3 w: 3",
        "145 remove 3 w: 0",
    ]


def test_workers_of_the_heads_type_are_shown_and_the_head_is_not(happen: Any) -> None:
    of = cluster()
    of["spec"]["podTypes"][0] |= {"rayResources": {"CPU": 1}, "maxWorkers": 3}
    assert happen(of, tasks(3), podSeconds=20) == [
        "0 launch 2 head-node: 2",
        "20 join 2 head-node: 2",
        "140 remove 2 head-node: 0",
    ]


def test_what_the_bounds_hold_back_waits_and_gets_its_turn(happen: Any) -> None:
    assert happen(cluster(worker("w", most=1)), tasks(2)) == [
        "0 launch 1 w: 1",
        "0 wait 1 {CPU: 1}: 1",
        "10 join 1 w: 1",
        "190 remove 1 w: 0",
    ]


def test_speed_holds_back_tasks_until_some_have_joined(happen: Any) -> None:
    lines = happen(cluster(worker("w", most=100), maxWorkers=100), tasks(20))
    launches = [line for line in lines if " launch " in line]
    assert launches == ["0 launch 5 w: 5", "10 launch 5 w: 10", "20 launch 10 w: 20"]


@pytest.mark.parametrize(
    ("strategy", "launched"), [("PACK", 1), ("SPREAD", 1), ("STRICT_PACK", 1), ("STRICT_SPREAD", 2)]
)
def test_placement_groups_are_held_and_let_go(happen: Any, strategy: str, launched: int) -> None:
    group = {"strategy": strategy, "bundles": [{"CPU": 1}, {"CPU": 1}], "seconds": 30}
    assert happen(cluster(worker("w", CPU=2)), {"at": 0, "placementGroups": [group]}) == [
        f"0 launch {launched} w: {launched}",
        f"10 join {launched} w: {launched}",
        f"100 remove {launched} w: 0",
    ]


def test_what_asks_for_the_head_runs_there(happen: Any) -> None:
    """node:__internal_head__ keeps an actor on the head; the rest of its placement group may need a launch."""
    pinned = {"node:__internal_head__": 0.001}
    group = {"strategy": "PACK", "bundles": [pinned, {"CPU": 1}], "seconds": 30}
    assert happen(cluster(worker("w")), {"at": 0, "tasks": [{"resources": pinned, "count": 3}]}) == []
    assert happen(cluster(worker("w")), {"at": 0, "placementGroups": [group]})[0] == "0 launch 1 w: 1"


def test_a_group_for_one_node_is_tried_on_each_of_many(happen: Any) -> None:
    """As many as Python nests calls, and more."""
    group = {"strategy": "STRICT_PACK", "bundles": [{"CPU": 1}, {"CPU": 1}]}
    of = cluster(worker("w", 1100, 1100), worker("big", most=1, CPU=2), maxWorkers=1101)
    assert happen(of, {"at": 20, "placementGroups": [group]})[-2:] == ["20 launch 1 big: 1101", "30 join 1 big: 1101"]


@pytest.mark.parametrize(("action", "what"), [("Suspend", "suspend"), ("Delete", "delete")])
def test_a_cluster_that_nothing_uses_is_suspended_or_deleted(happen: Any, action: str, what: str) -> None:
    """From when its last work is over; nothing is launched afterwards."""
    of = cluster(worker("w", least=1), idleTermination={"minutes": 10, "action": action})
    lines = happen(of, {"at": 30, "tasks": [{"resources": {"CPU": 1}, "seconds": 70}]})
    assert lines == [
        "0 launch 1 w: 1",
        "10 join 1 w: 1",
        f"700 {what} 1 the cluster: 1",
        "700 remove 1 w: 0",
    ]


def test_a_gated_type_gives_way_to_the_next_and_its_pod_keeps_its_place_until_that_has_joined(happen: Any) -> None:
    steps = [{"at": 0, "gatedTypes": ["queued"]}, tasks(1, at=1, seconds=600)]
    assert happen(cluster(worker("queued"), worker("other")), *steps) == [
        "1 launch 1 queued: 1",
        "6 block 1 queued: 1",
        "6 launch 1 other: 2",
        "16 join 1 other: 2",
        "26 remove 1 queued: 1",
        "56 unblock 1 queued: 1",
        "676 remove 1 other: 0",
    ]


def test_a_pod_whose_gate_opens_first_serves(happen: Any) -> None:
    steps = [{"at": 0, "gatedTypes": ["queued"]}, tasks(1, at=1), {"at": 4, "gatedTypes": []}]
    assert happen(cluster(worker("queued"), worker("other")), *steps) == [
        "1 launch 1 queued: 1",
        "14 join 1 queued: 1",
        "134 remove 1 queued: 0",
    ]


def test_types_that_are_all_gated_wait_side_by_side_and_no_pod_is_made_twice(happen: Any) -> None:
    steps = [{"at": 0, "gatedTypes": ["queued", "other"]}, tasks(1), {"at": 3600, "gatedTypes": ["queued"]}]
    assert happen(cluster(worker("queued"), worker("other")), *steps)[:9] == [
        "0 launch 1 queued: 1",
        "5 block 1 queued: 1",
        "5 launch 1 other: 2",
        "10 block 1 other: 2",
        "10 wait 1 {CPU: 1}: 2",
        "3600 unblock 1 other: 2",
        "3610 join 1 other: 2",
        "3620 remove 1 queued: 1",
        "3650 unblock 1 queued: 1",
    ]


def test_tasks_that_ask_for_nothing_run_on_the_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demand = {"steps": [{"at": 0, "tasks": [{"resources": {}, "count": 50}]}]}
    assert simulate(tmp_path, cluster(worker("w")), demand) == 0
    (*_, last) = capsys.readouterr().out.splitlines()
    assert last == "0 launched, 0 removed, at most 0 workers at once, 0 left; 0.0 worker-minutes"


def test_what_one_moment_brings_is_one_line_however_many_passes_it_takes(happen: Any) -> None:
    assert happen(cluster(worker("w", most=250), maxWorkers=250, upscalingSpeed=1000), tasks(250)) == [
        "0 launch 250 w: 250",
        "10 join 250 w: 250",
        "130 remove 250 w: 0",
    ]


def test_equal_bundles_are_counted_and_bytes_are_whole_numbers(happen: Any) -> None:
    bundles = [{"CPU": 1, "memory": 2**31}, {"CPU": 0.5}, {"CPU": 1, "memory": 2**31}]
    group = {"strategy": "STRICT_SPREAD", "bundles": bundles}
    of = cluster(worker("w", most=2, CPU=1, memory=2**31))
    assert "0 wait 1 STRICT_SPREAD of 2 x {CPU: 1, memory: 2147483648}, 1 x {CPU: 0.5}: 0" in happen(
        of, {"at": 0, "placementGroups": [group]}
    )


def test_requested_resources_stay_until_they_are_taken_back(happen: Any) -> None:
    ask = {"at": 0, "requestResources": [{"resources": {"CPU": 1}, "count": 2}]}
    assert happen(cluster(worker("w")), ask, {"at": 500, "requestResources": []}) == [
        "0 launch 2 w: 2",
        "10 join 2 w: 2",
        "500 remove 2 w: 0",
    ]


def test_labels_and_custom_resources_choose_the_type(happen: Any) -> None:
    types = worker("a"), worker("b", CPU=1, gadget=1)
    lines = happen(
        cluster(*types),
        tasks(1, None, labelSelector={"ray.io/node-group": "a"}),
        {"at": 100, "tasks": [{"resources": {"gadget": 1}}]},
        {"at": 200, "tasks": [{"resources": {"GPU": 1}}]},
    )
    assert lines == [
        "0 launch 1 a: 1",
        "10 join 1 a: 1",
        "100 launch 1 b: 2",
        "110 join 1 b: 2",
        "200 never 1 {GPU: 1}: 2",
    ]


def step(**fields: Any) -> dict[str, Any]:
    """A demand file of one step."""
    return {"steps": [{"at": 0, **fields}]}


def task(resources: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A demand file of one task."""
    return step(tasks=[{"resources": resources, **fields}])


@pytest.mark.parametrize(
    ("resources", "question"),
    [
        ({"cpu": 1}, "; did you mean CPU?"),
        ({"CPUs": 1}, "; did you mean CPU?"),
        ({"nvidia.com/gpu": 1}, "; did you mean GPU?"),
        ({"cpu": 1, "gpu": 1}, "; did you mean CPU and GPU?"),
        ({"Memory": 1}, "; did you mean memory?"),
        ({"google.com/tpu": 1}, "; did you mean TPU?"),
        ({"fastdisk": 1}, "; did you mean fastDisk?"),
        ({"CPU": 1000}, ""),
        ({"wholly-else": 1}, ""),
    ],
)
def test_a_name_that_is_nearly_rays_is_asked_about(
    resources: Any, question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path, cluster(worker("w", fastDisk=1)), task(resources), "-o", "json") == 0
    (never,) = json.loads(capsys.readouterr().out)["events"]
    assert never["why"] == f"no pod type could ever hold it{question}"


def test_parts_of_one_and_of_what_ray_divides_are_launched(happen: Any) -> None:
    of = cluster(worker("w", GPU=1, CPU=4))
    for resources in ({"GPU": 0.5}, {"GPU": 1.0}, {"CPU": 1.5}):
        assert "launch 1 w" in happen(of, task(resources)["steps"][0])[0]


def table(folder: Path, capsys: pytest.CaptureFixture[str], *steps: dict[str, Any]) -> list[str]:
    """The lines of the table, without its titles and summary."""
    assert simulate(folder, cluster(worker("w")), {"steps": list(steps)}) == 0
    return capsys.readouterr().out.splitlines()[1:-2]


def test_many_kinds_of_work_with_one_reason_take_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [{"resources": {"CPU": 2 + number}, "count": 3} for number in range(200)]
    lines = table(tmp_path, capsys, {"at": 0, "tasks": kinds})
    assert len(lines) == 20
    assert lines[18].split()[:5] == ["0s", "never", "3", "{CPU:", "20}"]
    assert " ".join(lines[19].split()) == "0s never 543 181 others; -o json shows them no pod type could ever hold it 0"


def test_as_many_kinds_as_fit_have_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = table(tmp_path, capsys, {"at": 0, "tasks": [{"resources": {"CPU": 2 + number}} for number in range(20)]})
    assert len(lines) == 20 and "others" not in "".join(lines)


@pytest.mark.parametrize(
    "step",
    [
        {"placementGroups": [{"strategy": "PACK", "bundles": [{"CPU": 1, f"kind-{n}": 1} for n in range(60)]}]},
        {"tasks": [{"resources": {"CPU": 1}, "labelSelector": {"zone": f"in({', '.join(map(str, range(150)))})"}}]},
        {"tasks": [{"resources": {"x" * 300: 1}}]},
    ],
    ids=["bundles", "values", "name"],
)
def test_no_line_is_wider_than_a_wide_terminal(
    step: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = table(tmp_path, capsys, {"at": 0, **step})
    assert len(line) < 220 and " … " in line


def test_what_is_null_in_the_demand_is_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table(tmp_path, capsys, {"at": 0, "tasks": None, "placementGroups": None, "requestResources": None}) == []


def test_minimum_workers_stay_and_the_end_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demand = {"steps": [tasks(2, at=100)]}
    assert simulate(tmp_path, cluster(worker("w", 1)), demand) == 0
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "TIME WHAT COUNT OF WHY WORKERS",
        "0s launch 1 w minWorkers 1",
        "10s join 1 w - 1",
        "100s launch 1 w waiting work 2",
        "110s join 1 w - 2",
        "220s remove 1 w it has been idle for 1 minute 1",
        "",
        "2 launched, 1 removed, at most 2 workers at once, 1 left; 5.7 worker-minutes",
    ]
    assert simulate(tmp_path, cluster(worker("w", 1)), demand, "--until", "50", "-o", "json") == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert summary == {
        "launched": 1,
        "removed": 0,
        "peakWorkers": 1,
        "workersLeft": 1,
        "stillWaiting": 0,
        "workerSeconds": 10.0,
    }


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ({"steps": [{"at": 0, "task": []}]}, "demand.yaml: steps[0].task: is no field; did you mean tasks?"),
        ({"steps": []}, "demand.yaml: steps: is empty; at least 1 is needed"),
        ({"step": []}, "demand.yaml: step: is no field; did you mean steps?"),
        ({"steps": [{"at": -1}]}, "demand.yaml: steps[0].at: -1 is less than 0"),
        ({"steps": [{"at": "0"}]}, 'demand.yaml: steps[0].at: "0" is not a number'),
        (
            {"steps": [{"at": 0, "tasks": [{"count": 1}]}]},
            "demand.yaml: steps[0].tasks[0].resources: is missing",
        ),
        (
            {"steps": [{"at": 0, "placementGroups": [{"strategy": "PAKC", "bundles": [{"CPU": 1}]}]}]},
            'steps[0].placementGroups[0].strategy: "PAKC" is none of PACK, SPREAD, STRICT_PACK, STRICT_SPREAD',
        ),
        (
            {"steps": [{"at": 0, "placementGroups": [{"strategy": "PACK", "bundles": [{"CPU": 1}, {}]}]}]},
            "steps[0].placementGroups[0].bundles[1]: asks for nothing",
        ),
        (
            {"steps": [{"at": 0, "placementGroups": [{"strategy": "PACK", "bundles": [{"CPU": 0}]}]}]},
            "steps[0].placementGroups[0].bundles[0]: asks for nothing",
        ),
        ([], "demand.yaml: is no demand file"),
        (
            step(blockedTypes=["nope"]),
            "steps[0].blockedTypes[0]: 'nope' is not the name of a pod type; use head-node or w",
        ),
        (
            step(gatedTypes=["w", "nope"]),
            "steps[0].gatedTypes[1]: 'nope' is not the name of a pod type; use head-node or w",
        ),
        (step(blockedTypes=[None]), "steps[0].blockedTypes[0]: null is not a text"),
        (task({"GPU": 1.5}), "steps[0].tasks[0].resources.GPU: 1.5 is more than 1 and not whole"),
        (task({"TPU": 2.5}), "steps[0].tasks[0].resources.TPU: 2.5 is more than 1 and not whole"),
        (task({"memory": "1Gi"}), 'tasks[0].resources.memory: "1Gi" is not a number; write 1073741824'),
        (task({"CPU": "2"}), 'tasks[0].resources.CPU: "2" is not a number; take the quotes away: 2'),
        (task({"CPU": None}), "tasks[0].resources.CPU: null is not a number"),
        (task({"CPU": float("nan")}), "tasks[0].resources.CPU: .nan is no number"),
        (task({"CPU": 1}, labelSelector={"x": None}), "tasks[0].labelSelector.x: null is no selector; write VALUE"),
        (task({"CPU": 1}, labelSelector={"x": True}), "tasks[0].labelSelector.x: true is no selector; write VALUE"),
        (task({"CPU": 1}, fallbackStrategy=[{"labelSelector": {"x": None}}]), "labelSelector.x: null is no selector"),
        (task({"CPU": 1}, fallbackStrategy=[None]), "fallbackStrategy[0]: null is not a mapping"),
        (step(tasks=[None]), "steps[0].tasks[0]: null is not a mapping"),
        (step(placementGroups=[{"strategy": "PACK", "bundles": [None]}]), "bundles[0]: null is not a mapping"),
        (step(placementGroups=[{"strategy": "PACK", "bundles": [{"CPU": None}]}]), "bundles[0].CPU: null is not a"),
        (
            step(
                placementGroups=[
                    {"strategy": "PACK", "bundles": [{"CPU": 1}], "bundleLabelSelector": [{"x": None}]},
                ]
            ),
            "bundleLabelSelector[0].x: null is no selector",
        ),
        (step(requestResources=[{"resources": {"CPU": None}}]), "requestResources[0].resources.CPU: null is not a"),
    ],
)
def test_a_typo_in_the_demand_gets_one_clear_message(
    demand: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path, cluster(worker("w")), demand) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err
    assert "Traceback" not in printed.err


def test_a_wrong_or_missing_cluster_gets_one_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demand = {"steps": [tasks(1)]}
    wrong = cluster(worker("w"), headPodType="nobody")
    assert simulate(tmp_path, wrong, demand) == 1
    assert "cluster.yaml: spec.headPodType: 'nobody'" in capsys.readouterr().err
    assert simulate(tmp_path, {"kind": "Service"}, demand) == 1
    assert "cluster.yaml: contains no RayCluster of cluster.ray.io/v1; one is needed" in capsys.readouterr().err
    kuberay = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "x"}}
    assert simulate(tmp_path, kuberay, demand) == 1
    assert "note: skipped the RayCluster x of KubeRay" in capsys.readouterr().err
    assert main(["simulate", str(tmp_path / "none.yaml"), str(tmp_path / "demand.yaml")]) == 1
    assert "none.yaml: cannot be read" in capsys.readouterr().err
    assert main(["simulate", "-", "-"]) == 1
    assert "both files" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["autoscaling", "spot", "gpus-by-type", "tpu-slices", "gang-scheduling"])
def test_what_the_guides_show_is_what_is_printed(page: str) -> None:
    """Their console blocks that need no Kubernetes."""
    commands = guide.parse((ROOT / f"docs/{page}.md").read_text())
    shown = [c for c in commands if c.text.startswith("ray-operator simulate")]
    assert shown
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    for command in shown:
        guide.Runner(ROOT, environment, print).run(command)


GROUP = {"strategy": "STRICT_SPREAD", "bundles": [{"CPU": 1}] * 4}
TEMPLATE = {"labels": {"group": "$(GANG_NAME)"}, "objects": [{"apiVersion": "a.b/v1", "kind": "PodGroup"}]}


@pytest.mark.parametrize(
    ("fields", "steps", "gangs"),
    [
        ({"gang": TEMPLATE}, [{"at": 0, "placementGroups": [GROUP]}], ["4: 1 of 4"]),
        ({"gang": TEMPLATE}, [{"at": 0, "placementGroups": [{**GROUP, "count": 2}]}], ["8: 2 of 4"]),
        ({"gang": TEMPLATE}, [{"at": 0, "placementGroups": [GROUP, GROUP]}], ["8: 2 of 4"]),
        ({"gang": TEMPLATE}, [{"at": t, "placementGroups": [GROUP]} for t in (0, 1)], ["4: 1 of 4", "4: 1 of 4"]),
        (
            {"gang": TEMPLATE},
            [{"at": 0, "placementGroups": [GROUP, {**GROUP, "bundles": [{"CPU": 1}] * 2}]}],
            ["4: 1 of 4", "2: 1 of 2"],
        ),
        ({"gang": TEMPLATE}, [tasks(2)], ["2: 0 of 0"]),
        ({}, [{"at": 0, "placementGroups": [GROUP]}], ["4: 0 of 0"]),
    ],
)
def test_launches_that_a_scheduler_places_together_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: Any, steps: Any, gangs: list[str]
) -> None:
    assert simulate(tmp_path, cluster(worker("w", most=20), **fields), {"steps": steps}, "-o", "json") == 0
    events = json.loads(capsys.readouterr().out)["events"]
    assert [f"{e['count']}: {e['gangs']} of {e['pods']}" for e in events if e["what"] == "launch"] == gangs


def test_a_worker_of_several_hosts_is_a_gang_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    obj = cluster({**worker("w", least=2), "hosts": 2}, gang=TEMPLATE)
    assert simulate(tmp_path, obj, {"steps": [tasks(1)]}) == 0
    assert "minWorkers, 2 gangs of 2 pods" in capsys.readouterr().out


@pytest.mark.parametrize("until", ["-5", "0", "nan", "inf", "soon"])
def test_a_time_that_never_comes_is_wrong_usage(until: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", f"--until={until}", "cluster.yaml", "demand.yaml"])
    assert ended.value.code == 2
    assert f"'{until}' is not a number of seconds above 0" in capsys.readouterr().err
