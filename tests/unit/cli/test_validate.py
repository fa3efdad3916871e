"""What ``ray-operator validate`` prints and returns."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controller.main import main
from tests.support.builders import raw_cluster, raw_spec

BAD = raw_cluster(raw_spec(headPodType="haed-node"))


def write(folder: Path, *objects: dict[str, Any], name: str = "cluster.yaml") -> str:
    path = folder / name
    path.write_text("\n---\n".join(json.dumps(o) for o in objects))
    return str(path)


def test_a_good_file_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", write(tmp_path, raw_cluster())]) == 0
    assert capsys.readouterr() == ("", "1 RayCluster checked: nothing is wrong\n")


def test_a_problem_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, BAD)
    assert main(["validate", path]) == 1
    said = capsys.readouterr()
    remedy = "use one of head-node, worker-node"
    assert said.out == f"{path}: spec.headPodType: 'haed-node' is not the name of a pod type; {remedy}\n"
    assert said.err == "1 RayCluster checked: 1 problem\n"


def test_of_several_clusters_the_wrong_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = {**BAD, "metadata": {"name": "other"}}
    path = write(tmp_path, raw_cluster(), {"kind": "Service", "metadata": {"name": "s"}}, other)
    assert main(["validate", path]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{path}: RayCluster other: spec.headPodType: ")
    assert said.err == "2 RayClusters checked: 1 problem; skipped 1 Service\n"


def test_every_file_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1\n")
    empty = write(tmp_path, {"kind": "Service"}, name="empty.yaml")
    missing = str(tmp_path / "missing.yaml")
    assert main(["validate", missing, str(broken), empty, write(tmp_path, BAD)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{missing}: cannot be read: No such file or directory"
    assert lines[1].startswith(f"{broken}: is not YAML: line 2, column 1: ")
    assert lines[2] == f"{empty}: contains no RayCluster of cluster.ray.io/v1"
    assert "headPodType" in lines[3] and len(lines) == 4


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(BAD).encode())))
    assert main(["validate", "-"]) == 1
    assert capsys.readouterr().out.startswith("stdin: spec.headPodType: ")


def test_json_is_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, BAD, {"kind": "Service", "metadata": {"name": "s"}})
    assert main(["validate", "--output", "json", path]) == 1
    said = json.loads(capsys.readouterr().out)
    (problem,) = said["problems"]
    assert (problem["file"], problem["cluster"], problem["path"]) == (path, "example", "spec.headPodType")
    assert said["checked"] == ["example"]
    assert [n["message"] for n in said["notes"]] == ["skipped Service s"]


@pytest.mark.parametrize(
    ("terminal", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colour_is_for_terminals_that_want_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, no_color: str, coloured: bool
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("NO_COLOR", no_color)
    main(["validate", write(tmp_path, BAD)])
    assert ("\033[31m" in screen.getvalue()) is coloured


def test_what_is_skipped_is_counted_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = [{"kind": kind, "metadata": {"name": "x"}} for kind in ("Service", "Job", "Service")]
    assert main(["validate", write(tmp_path, raw_cluster(), *others)]) == 0
    assert capsys.readouterr().err == "1 RayCluster checked: nothing is wrong; skipped 1 Job, 2 Service\n"


def test_kuberays_objects_are_named_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is said about the file does not contradict the note about the object in it."""
    kinds = ("RayCluster", "RayJob")
    path = write(tmp_path, *({"apiVersion": "ray.io/v1", "kind": k, "metadata": {"name": "x"}} for k in kinds))
    assert main(["validate", path]) == 1
    said = capsys.readouterr()
    assert said.out == f"{path}: contains no RayCluster of cluster.ray.io/v1\n"
    for kind in kinds:
        assert f"{path}: note: skipped the {kind} x of KubeRay (ray.io/v1): ray-operator convert writes" in said.err


def test_a_spec_of_this_operator_under_kuberays_version_is_told_its_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, raw_cluster() | {"apiVersion": "ray.io/v1"})
    assert main(["validate", path]) == 1
    said = capsys.readouterr().err
    assert "whose spec is this operator's: set apiVersion to cluster.ray.io/v1" in said
    assert "convert" not in said


def test_fields_of_kuberay_are_named_with_what_to_do_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = raw_cluster()
    made["spec"] |= {"headGroupSpec": {}, "rayVersion": "2.60.0", "workers": 3, "heads": 1}
    path = write(tmp_path, made)
    assert main(["validate", path]) == 1
    said = capsys.readouterr().out
    assert said.count("let ray-operator convert rewrite the RayCluster") == 1
    assert f"{path}: spec.rayVersion: is no field; it is KubeRay's\n" in said
    # Which fields there are is no news the second time.
    assert said.count("the fields here are") <= 1


def test_a_head_that_is_too_small_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is made all the same, so the exit code is 0."""
    small = raw_cluster()
    limits = small["spec"]["podTypes"][0]["podConfig"]["spec"]["containers"][0]["resources"]
    limits["limits"]["memory"] = limits["requests"]["memory"] = "256Mi"
    path = write(tmp_path, small)
    assert main(["validate", path]) == 0
    said = capsys.readouterr()
    where = "spec.podTypes[0].podConfig.spec.containers[0].resources.limits.memory"
    assert said.err.startswith(f"{path}: warning: {where}: its memory limit is 256Mi, and a head")
    assert said.err.endswith("1 RayCluster checked: nothing is wrong, 1 warning\n")
    assert main(["validate", "-o", "json", path]) == 0
    assert [w["path"] for w in json.loads(capsys.readouterr().out)["warnings"]] == [where]


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        (
            "100m",
            "its memory limit is 100m, and a worker of Ray 2.60 takes 260M when idle; give it 512Mi or more; a number",
        ),
        ("8", "give it 512Mi or more; a number without a unit is bytes, and m a thousandth of one"),
        (8, "its memory limit is 8, and a worker"),
        ("128Mi", "its memory limit is 128Mi, and a worker of Ray 2.60 takes 260M when idle; give it 512Mi or more\n"),
        ("260M", ""),
        ("256Mi", ""),
        ("512Mi", ""),
    ],
)
def test_a_worker_that_is_too_small_is_a_warning_too(
    memory: str | int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = raw_cluster()
    limits = small["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]["resources"]
    limits["limits"]["memory"] = limits["requests"]["memory"] = memory
    path = write(tmp_path, small)
    assert main(["validate", path]) == 0
    err = capsys.readouterr().err
    where = "spec.podTypes[1].podConfig.spec.containers[0].resources.limits.memory"
    assert (f"{path}: warning: {where}: " in err) == bool(said)
    assert said in err


def test_several_missing_fields_are_each_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a RayCluster that has the fields of another operator's."""
    foreign = raw_cluster({"rayVersion": "2.60.0", "headGroupSpec": {}, "workerGroupSpecs": []})
    assert main(["validate", write(tmp_path, foreign)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(set(lines)) == 5
