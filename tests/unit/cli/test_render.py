"""What ``ray-operator render`` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.manifests import NO_UID
from controller.main import main
from tests.support.builders import raw_cluster, raw_spec


def render(folder: Path, obj: dict[str, Any], *options: str) -> int:
    path = folder / "cluster.yaml"
    path.write_text(json.dumps(obj))
    return main(["render", str(path), *options])


def test_service_head_and_minimum_workers_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(tmp_path, raw_cluster()) == 0
    objects = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [o["kind"] for o in objects] == ["Service", "Pod", "Pod", "Pod"]
    assert [o["metadata"]["labels"].get("ray-node-type") for o in objects[1:]] == ["head", "worker", "worker"]
    assert {o["metadata"]["ownerReferences"][0]["uid"] for o in objects} == {NO_UID}
    assert len({o["metadata"]["name"] for o in objects}) == 4


def test_programs_are_printed_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(tmp_path, raw_cluster())
    assert "\n      _ro_run() {\n" in capsys.readouterr().out


def test_json_is_a_list_that_kubectl_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(tmp_path, raw_cluster(), "--output", "json")
    printed = json.loads(capsys.readouterr().out)
    assert (printed["apiVersion"], printed["kind"], len(printed["items"])) == ("v1", "List", 4)


def test_the_namespace_is_the_manifests_then_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def namespaces(obj: dict[str, Any], *options: str) -> set[str]:
        render(tmp_path, obj, "-o", "json", *options)
        return {o["metadata"]["namespace"] for o in json.loads(capsys.readouterr().out)["items"]}

    without = raw_cluster()
    del without["metadata"]["namespace"]
    assert namespaces(without) == {"default"}
    assert namespaces(without, "-n", "other") == {"other"}
    assert namespaces(raw_cluster(), "-n", "other") == {"ray"}


def test_a_known_uid_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(tmp_path, raw_cluster(uid="cluster-uid"))
    said = capsys.readouterr().out
    assert "uid: cluster-uid" in said and NO_UID not in said


def test_a_cluster_that_cannot_run_is_not_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(tmp_path, raw_cluster(raw_spec(headPodType="nobody"))) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "cluster.yaml: spec.headPodType: 'nobody'" in printed.err


def test_a_file_without_a_ray_cluster_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(tmp_path, {"kind": "Service"}) == 1
    assert "contains no RayCluster of cluster.ray.io/v1" in capsys.readouterr().err
    assert main(["render", str(tmp_path / "nothing.yaml")]) == 1
    assert "nothing.yaml: cannot be read" in capsys.readouterr().err


def test_of_several_clusters_the_wrong_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "several.yaml"
    wrong = {**raw_cluster(raw_spec(headPodType="nobody")), "metadata": {"name": "other"}}
    path.write_text("\n---\n".join(json.dumps(o) for o in (raw_cluster(), wrong)))
    assert main(["render", str(path)]) == 1
    assert f"{path}: RayCluster other: spec.headPodType: 'nobody'" in capsys.readouterr().err


def test_kuberays_cluster_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(tmp_path, {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "x"}}) == 1
    assert "note: skipped the RayCluster x of KubeRay" in capsys.readouterr().err


def test_a_namespace_that_is_none_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        render(tmp_path, raw_cluster(), "-n", "Bad NS")
    assert ended.value.code == 2
    assert "'Bad NS' is not the name of a namespace; use at most 63 of" in capsys.readouterr().err


def test_all_pods_of_a_worker_of_several_hosts_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = raw_spec()
    spec["podTypes"][1] |= {"hosts": 3}
    render(tmp_path, raw_cluster(spec))
    objects = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [o["kind"] for o in objects] == ["Service", "Service", *["Pod"] * 7]
    hosts = [o["metadata"]["labels"].get("cluster.ray.io/host") for o in objects[2:]]
    assert hosts == [None, "0", "1", "2", "0", "1", "2"]


GANG = {
    "labels": {"group": "$(GANG_NAME)"},
    "podSpec": {"schedulerName": "theirs"},
    "objects": [
        {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "spec": {"minMember": "$(GANG_SIZE)"}}
    ],
}


def test_a_comment_shows_what_a_gang_looks_like(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(tmp_path, raw_cluster(raw_spec(gang=GANG)))
    printed = capsys.readouterr().out
    assert [o["kind"] for o in yaml.safe_load_all(printed)] == ["Service", "Pod", "Pod", "Pod"]
    comment = printed[printed.index("# An example: what is made for a placement group that needs two new workers") :]
    lines = comment.splitlines()
    assert all(line.startswith("#") for line in lines) and len(lines) < 150
    group, pod = yaml.safe_load_all("\n".join(line[2:] for line in lines[lines.index("# ---") :]))
    assert (group["kind"], group["spec"]) == ("PodGroup", {"minMember": 2})
    assert pod["metadata"]["labels"]["group"] == group["metadata"]["name"]
    assert pod["spec"]["schedulerName"] == "theirs"


def test_there_is_no_such_comment_without_gangs_or_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(tmp_path, raw_cluster())
    assert "An example" not in capsys.readouterr().out
    render(tmp_path, raw_cluster(raw_spec(gang=GANG)), "-o", "json")
    assert len(json.loads(capsys.readouterr().out)["items"]) == 4


def test_workers_of_several_hosts_are_printed_with_their_gangs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = raw_spec(workers=1, gang=GANG)
    raw["podTypes"][1]["hosts"] = 2
    render(tmp_path, raw_cluster(raw), "-o", "json")
    made = json.loads(capsys.readouterr().out)["items"]
    (group,) = (o for o in made if o["kind"] == "PodGroup")
    assert group["spec"] == {"minMember": 2}
    named = [o["metadata"]["labels"]["group"] for o in made if "group" in o["metadata"]["labels"]]
    assert named == [group["metadata"]["name"]] * 2
