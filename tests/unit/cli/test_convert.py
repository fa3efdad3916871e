"""What ``ray-operator convert`` makes of KubeRay's objects, and what it says about what it does not carry over."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from controller.cli.checks import check
from controller.cli.convert import parser, run
from controller.cli.kuberay import table
from controller.cli.kuberay.objects import convert, head_images, is_kuberay, opened
from controller.cli.kuberay.written import as_yaml
from controller.cli.manifests import read_documents
from controller.main import main
from controller.raycluster.model import API_VERSION

CORPUS = sorted((Path(__file__).parents[2] / "kuberay").glob("*.yaml"))
FIELDS = (Path(__file__).parents[2] / "kuberay/fields.txt").read_text().splitlines()[1:]
# Fields of the corpus that say what holds without them too, by the end of their path.
DEFAULTS = (
    "rayStartParams",
    "rayStartParams.dashboard-host",
    "rayStartParams.no-monitor",
    "networkPolicy.mode",
    "headGroupSpec.serviceType",
    "jobTemplate.suspend",
    "workerGroupSpecs[1].suspend",
    "workerGroupSpecs[0].minReplicas",
    "ports[0].name",
    "template.metadata",
    "template.spec.restartPolicy",
    "containers[0].ports",
    "containers[0].ports[0]",
)
HEAD = {"name": "ray-head", "image": "rayproject/ray:2.60.0", "resources": {"limits": {"cpu": "1", "memory": "2Gi"}}}


def kuberay(kind: str = "RayCluster", name: str = "old", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "ray.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def group(**fields: Any) -> dict[str, Any]:
    """A head group or a worker group."""
    given = {"rayStartParams": {}, "template": {"spec": {"containers": [HEAD]}}}
    return copy.deepcopy({**given, **fields})


def worker(name: str = "workers", **fields: Any) -> dict[str, Any]:
    return group(groupName=name, **fields)


def converted(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The documents that come out, as a YAML parser reads them."""
    outcome = convert(obj, {})
    assert outcome.problems == ()
    return [document for document in yaml.safe_load_all(as_yaml(outcome.documents)) if document]


def cluster(**spec: Any) -> dict[str, Any]:
    """The spec of the RayCluster that comes out of a RayCluster with this spec."""
    made: dict[str, Any] = converted(kuberay(**{"headGroupSpec": group(), **spec}))[0]["spec"]
    return made


def problems(obj: Mapping[str, Any]) -> list[str]:
    return [str(problem) for problem in convert(obj, {}).problems]


def text(obj: Mapping[str, Any]) -> str:
    """Everything that comes out, comments too, each on one line."""
    outcome = convert(obj, {})
    return as_yaml(outcome.documents).replace("\n", " ") + str(outcome.problems)


@cache
def corpus() -> tuple[dict[str, Any], ...]:
    return tuple(obj for path in CORPUS for obj in opened(read_documents(str(path))) if is_kuberay(obj))


def values(obj: Any, path: str) -> Iterator[Any]:
    """The values at a path such as ``spec.a[].b``."""
    name, _, rest = path.partition(".")
    inner = obj.get(name.removesuffix("[]")) if isinstance(obj, Mapping) else None
    for item in (inner or []) if name.endswith("[]") else [inner]:
        if item is not None:
            yield from values(item, rest) if rest else [item]


def places(node: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Each field and each entry of a list: what holds it, its key, its path."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        where = f"{path}[{key}]" if isinstance(node, list) else f"{path}.{key}"
        if value is not None:
            yield node, key, where
        if isinstance(value, dict | list):
            yield from places(value, where)


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_what_comes_out_is_valid(path: Path) -> None:
    objects = list(opened(read_documents(str(path))))
    images = head_images(objects)
    for obj in objects:
        if is_kuberay(obj):
            outcome = convert(obj, images)
            assert outcome.problems == ()
            for document in filter(None, yaml.safe_load_all(as_yaml(outcome.documents))):
                if document["kind"] == "RayCluster":
                    assert document["apiVersion"] == API_VERSION
                    assert check(document) == ()


@pytest.mark.parametrize("field", FIELDS)
def test_the_corpus_has_the_field(field: str) -> None:
    """Otherwise the test below says nothing about it."""
    kind, path = field.split(":")
    below = {"RayCluster": ("spec.rayClusterSpec", "spec.rayClusterConfig")}.get(kind, ())
    others = [path.replace("spec", prefix, 1) for prefix in below]
    assert any(list(values(obj, p)) for obj in corpus() for p in (path, *others) if obj["kind"] == kind or p != path)


@pytest.mark.parametrize("obj", corpus(), ids=lambda o: o["metadata"].get("name", "generated"))
def test_no_field_is_lost_silently(obj: dict[str, Any]) -> None:
    """Taking any field away, in templates too, changes the manifests or a comment in them."""
    subject = copy.deepcopy(obj)
    whole = text(subject)
    silent = []
    for holder, key, where in places({"metadata": subject["metadata"], "spec": subject["spec"]}):
        if where in (".metadata", ".spec"):
            continue
        kept = holder[key]
        before = list(holder.items()) if isinstance(holder, dict) else list(holder)
        del holder[key]
        if text(subject) == whole and kept not in ({}, []) and not where.endswith(DEFAULTS):
            silent.append(where)
        if isinstance(holder, dict):
            holder.clear()
            holder.update(before)
        else:
            holder[:] = before
    assert not silent, silent


def test_an_unknown_field_is_named() -> None:
    obj = kuberay(headGroupSpec=group(novelty=1), workerGroupSpecs=[worker(shade="blue")], future={"a": 1})
    said = text(obj)
    for field in ("spec.future", "spec.headGroupSpec.novelty", "spec.workerGroupSpecs[0].shade"):
        assert f"{field} (" in said
    assert "this version does not know the field" in said


def test_a_field_that_no_pod_has_is_left_out_and_named() -> None:
    misspelt = group(template={"spec": {"containers": [HEAD], "nodeSelecter": {"a": "b"}}})
    outcome = convert(kuberay(headGroupSpec=misspelt), {})
    assert outcome.problems == ()
    assert "# spec.nodeSelecter: left out" in as_yaml(outcome.documents)


@pytest.mark.parametrize(
    ("autoscaling", "fields", "bounds"),
    [
        (True, {"replicas": 3, "minReplicas": 1, "maxReplicas": 5}, (1, 5)),
        (True, {}, (0, 100_000)),
        (True, {"minReplicas": 1, "maxReplicas": 2, "numOfHosts": 4}, (1, 2)),
        (True, {"minReplicas": 1, "maxReplicas": 2, "suspend": True}, (0, 0)),
        (False, {"replicas": 3, "minReplicas": 1, "maxReplicas": 5}, (3, 3)),
        (False, {"minReplicas": 2, "maxReplicas": 5}, (2, 2)),
        (False, {"replicas": 9, "maxReplicas": 5}, (5, 5)),
        (False, {"replicas": 2, "numOfHosts": 4}, (2, 2)),
        (False, {"replicas": 2, "suspend": True}, (0, 0)),
    ],
)
def test_bounds(autoscaling: bool, fields: dict[str, Any], bounds: tuple[int, int]) -> None:
    spec = cluster(enableInTreeAutoscaling=autoscaling, workerGroupSpecs=[worker(**fields)])
    made = spec["podTypes"][1]
    assert (made["minWorkers"], made["maxWorkers"]) == bounds
    assert spec["maxWorkers"] == bounds[1]


def test_workers_of_several_hosts_stay_what_they_are() -> None:
    """Bounds are replicas there and workers here; one host is what is meant without the field."""
    groups = [worker("slice", numOfHosts=4), worker("alone", numOfHosts=1)]
    made = cluster(workerGroupSpecs=groups)["podTypes"]
    assert [pod_type.get("hosts") for pod_type in made] == [None, 4, None]


@pytest.mark.parametrize(
    ("options", "speed", "idle"),
    [
        ({}, 10_000, 1),
        ({"upscalingMode": "Default"}, 10_000, 1),
        ({"upscalingMode": "Aggressive", "idleTimeoutSeconds": 300}, 10_000, 5),
        ({"upscalingMode": "Conservative", "idleTimeoutSeconds": 90}, 1, 1.5),
        ({"idleTimeoutSeconds": 10}, 10_000, 0.1667),
    ],
)
def test_speed_and_idle_time_follow_kuberays_defaults(options: dict[str, Any], speed: float, idle: float) -> None:
    spec = cluster(enableInTreeAutoscaling=True, autoscalerOptions=options)
    assert (spec["upscalingSpeed"], spec["idleTimeoutMinutes"]) == (speed, idle)


@pytest.mark.parametrize(
    ("params", "resources"),
    [
        ({"num-cpus": "0"}, {"CPU": 0, "memory": 2 * 2**30}),
        ({"num-gpus": "2", "memory": "1000"}, {"GPU": 2, "memory": 1000}),
        ({"object-store-memory": "78643200"}, {"object_store_memory": 78643200, "memory": 2 * 2**30}),
        ({"resources": '\'{"a": 1, "b": 2}\''}, {"a": 1, "b": 2, "memory": 2 * 2**30}),
        ({"resources": '"{\\"a\\": 1}"'}, {"a": 1, "memory": 2 * 2**30}),
        ({"resources": '{"a": 1}'}, {"a": 1, "memory": 2 * 2**30}),
    ],
)
def test_resources_of_start_parameters(params: dict[str, str], resources: dict[str, int]) -> None:
    head = cluster(headGroupSpec=group(rayStartParams=params))["podTypes"][0]
    assert head["rayResources"] == resources


def test_ray_sees_of_a_node_what_it_sees_under_kuberay() -> None:
    """The CPU limit, where this operator would take the request, and the whole memory."""
    resources = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1500m", "memory": "4Gi"}}
    template = {"spec": {"containers": [{**HEAD, "resources": resources}]}}
    head = cluster(headGroupSpec=group(template=template))["podTypes"][0]
    assert head["rayResources"] == {"CPU": 2, "memory": 4 * 2**30}


@pytest.mark.parametrize(
    ("params", "flag"),
    [
        ({"dashboard-host": "127.0.0.1"}, "--dashboard-host=127.0.0.1"),
        ({"disable-usage-stats": "true"}, "--disable-usage-stats"),
        ({"include-dashboard": "false"}, "--include-dashboard=false"),
        ({"port": "6380"}, "--port=6380"),
        ({"node-ip-address": "$MY_POD_IP"}, "--node-ip-address=$MY_POD_IP"),
        ({"system-config": "'{\"a\":1}'"}, "--system-config='{\"a\":1}'"),
    ],
)
def test_other_start_parameters_become_flags(params: dict[str, str], flag: str) -> None:
    (command,) = cluster(headGroupSpec=group(rayStartParams=params))["headStartRayCommands"]
    assert flag in command.split()
    assert "--no-monitor" in command


def test_groups_that_start_alike_share_a_command_and_others_have_their_own() -> None:
    same = cluster(workerGroupSpecs=[worker("a"), worker("b")])["workerStartRayCommands"]
    assert same == ["ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6379 --metrics-export-port=8080"]
    spec = cluster(workerGroupSpecs=[worker("a"), worker("b", rayStartParams={"temp-dir": "/data"})])
    (shared,) = spec["workerStartRayCommands"]
    if table.writes("podTypes.startRayCommands"):
        assert [shared] == same
        assert [pod_type.get("startRayCommands") for pod_type in spec["podTypes"]] == [
            None,
            None,
            [f"{shared} --temp-dir=/data"],
        ]
    else:
        assert shared.count("ray start --block") == 2
        assert "'b') ulimit -n 65536; ray start --block --address=$RAY_HEAD_IP:6379 --metrics-export-port" in shared
        assert shared.count("--temp-dir=/data") == 1


@pytest.mark.parametrize(
    ("field", "given", "written"),
    [
        ("labels", {"labels": {"zone": "a"}, "rayStartParams": {"labels": "disk=ssd"}}, {"disk": "ssd", "zone": "a"}),
        ("priority", {"priority": 10}, 10),
        ("idleTimeoutMinutes", {"idleTimeoutSeconds": 90}, 1.5),
    ],
)
def test_a_field_that_this_version_has_is_written_and_another_named(
    field: str, given: dict[str, Any], written: object
) -> None:
    obj = kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(**given)], enableInTreeAutoscaling=True)
    made = converted(obj)[0]["spec"]["podTypes"][1]
    has = table.writes(f"podTypes.{field}")
    assert made.get(field) == (written if has else None)
    assert (table.INSTEAD[f"podTypes.{field}"][:40] in " ".join(text(obj).replace("#", "").split())) is not has


def test_a_containers_command_runs_before_ray_starts() -> None:
    template = {"spec": {"containers": [{**HEAD, "command": ["echo 123"], "args": ["456"]}]}}
    head = cluster(headGroupSpec=group(template=template))["podTypes"][0]
    assert head["workerSetupCommands"] == ["echo 123 456"]
    assert "command" not in head["podConfig"]["spec"]["containers"][0]


def test_a_command_in_place_of_kuberays_becomes_the_start_command() -> None:
    program = ["/bin/bash", "-lc", "--", "echo head; $KUBERAY_GEN_RAY_START_CMD"]
    annotations = {"ray.io/overwrite-container-cmd": "true"}
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [{**HEAD, "command": program}]}}
    spec = cluster(headGroupSpec=group(template=template))
    (command,) = spec["headStartRayCommands"]
    assert command.startswith("echo head; ray start --head --port=6379 --no-monitor")
    assert "annotations" not in spec["podTypes"][0]["podConfig"].get("metadata", {})


def test_variables_of_kuberay_are_defined_where_they_are_used() -> None:
    waits = {"name": "wait", "image": "busybox:1.36", "command": ["sh", "-c", "ping $FQ_RAY_IP:$RAY_PORT"]}
    template = {"spec": {"initContainers": [waits], "containers": [HEAD]}}
    pod = cluster(workerGroupSpecs=[worker(template=template)])["podTypes"][1]["podConfig"]["spec"]
    variables = {variable["name"]: variable["value"] for variable in pod["initContainers"][0]["env"]}
    assert variables == {"FQ_RAY_IP": "old-ray-head", "RAY_IP": "old-ray-head", "RAY_PORT": "6379"}
    assert "env" not in pod["containers"][0]


def test_nothing_in_a_pod_belongs_to_kuberay() -> None:
    """Its operator would take a pod with its labels for one of its own."""
    metadata = {"labels": {"ray.io/cluster": "old", "app": "a"}}
    spread = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    constraints = [{**spread, "labelSelector": {"matchLabels": {"ray.io/group": "workers"}}}]
    template = {"metadata": metadata, "spec": {"containers": [HEAD], "topologySpreadConstraints": constraints}}
    config = cluster(workerGroupSpecs=[worker(template=template)])["podTypes"][1]["podConfig"]
    assert config["metadata"]["labels"] == {"app": "a"}
    selector = config["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    assert selector == {"matchLabels": {"ray-user-node-type": "workers"}}
    assert "ray.io/" not in json.dumps(config).replace("cluster.ray.io/", "")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("old", "old"),
        ("a.b", "a-b"),
        ("1st", "ray-1st"),
        ("a" * 60, "a" * 45 + "-11ee39"),
    ],
)
def test_names(given: str, name: str) -> None:
    made = converted(kuberay(name=given, headGroupSpec=group()))[0]
    assert made["metadata"]["name"] == name


def test_a_job_submits_to_its_cluster() -> None:
    spec = {"rayClusterSpec": {"headGroupSpec": group()}, "entrypoint": "python a.py 'x y'"}
    more = {"runtimeEnvYAML": "env_vars: {A: it's}", "metadata": {"k": "v"}, "entrypointNumCpus": 2, "suspend": True}
    made = converted(kuberay("RayJob", "train", **spec, **more))
    assert [document["kind"] for document in made] == ["RayCluster", "Job"]
    job = made[1]["spec"]
    assert job["suspend"] is True
    container = job["template"]["spec"]["containers"][0]
    assert container["image"] == HEAD["image"]
    assert {"name": "RAY_DASHBOARD_ADDRESS", "value": "train-ray-head:8265"} in container["env"]
    script = container["command"][2]
    assert """--runtime-env-json '{"env_vars": {"A": "it'"'"'s"}}'""" in script
    assert "--entrypoint-num-cpus 2 -- python a.py 'x y'\n" in script


def test_a_job_on_a_cluster_beside_it_uses_the_image_of_its_head() -> None:
    obj = kuberay("RayJob", "train", clusterSelector={"ray.io/cluster": "shared"}, entrypoint="true")
    job = convert(obj, {"shared": "registry.example.com/ray:1"}).documents
    assert len(job) == 1
    assert "registry.example.com/ray:1" in as_yaml(job)


def test_a_service_is_a_cluster_its_config_and_what_deploys_it() -> None:
    obj = kuberay("RayService", "model", rayClusterConfig={"headGroupSpec": group()}, serveConfigV2="applications: []")
    made = {document["kind"]: document for document in converted(obj)}
    assert list(made) == ["RayCluster", "Service", "ConfigMap", "Job"]
    assert made["ConfigMap"]["data"] == {"serve.yaml": "applications: []"}
    assert made["Service"]["spec"]["selector"] == {"cluster.ray.io/component": "model-ray-head"}


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (kuberay(), ["spec.headGroupSpec: is missing; a Ray cluster needs a head"]),
        (
            kuberay(headGroupSpec=group(template={"spec": {"containers": []}})),
            ["spec.headGroupSpec.template.spec.containers: is missing; the first container runs Ray"],
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs={"a": 1}),
            ["spec.workerGroupSpecs: {\"a\": 1} is not a list; begin each entry with '-'"],
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(replicas="many")]),
            ["spec.workerGroupSpecs[0].replicas: many is not a whole number of 0 or more; write one, 3 for example"],
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(minReplicas=3, maxReplicas=1)]),
            ["spec.workerGroupSpecs[0].minReplicas: 3 is more than maxReplicas 1; lower it or raise maxReplicas"],
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(), worker()]),
            [
                f"spec.workerGroupSpecs[{n}].groupName: 'workers' is used more than once; give each group its own name"
                for n in (0, 1)
            ],
        ),
        (
            kuberay(headGroupSpec=group(), enableInTreeAutoscaling=True, autoscalerOptions={"upscalingMode": "X"}),
            [
                "spec.autoscalerOptions.upscalingMode: X is none of Default, Aggressive, Conservative; use one of them",
            ],
        ),
        (
            kuberay("RayJob", entrypoint="true"),
            ["spec.rayClusterSpec: is missing; give a cluster, or name one by clusterSelector: ray.io/cluster: NAME"],
        ),
        (
            kuberay("RayJob", rayClusterSpec={"headGroupSpec": group()}),
            ["spec.entrypoint: is missing; write the command to run, python program.py for example"],
        ),
        (
            kuberay("RayService", rayClusterConfig={"headGroupSpec": group()}, serveConfigV2="- a"),
            ["spec.serveConfigV2: - a is not a mapping; write applications: and what follows"],
        ),
    ],
)
def test_a_mistake_is_named_with_field_value_and_remedy(obj: dict[str, Any], said: list[str]) -> None:
    assert problems(obj) == said


def test_a_wrong_quantity_is_reported_at_its_place() -> None:
    resources = {"limits": {"memory": "2 gigs"}}
    wrong = group(template={"spec": {"containers": [{**HEAD, "resources": resources}]}})
    (said,) = problems(kuberay(headGroupSpec=wrong))
    assert "2 gigs" in said
    assert said.startswith("spec.headGroupSpec.template.spec.containers[0].resources.limits.memory: ")


def test_files_lists_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text(json.dumps(kuberay(name="first", headGroupSpec=group())))
    listed = {"apiVersion": "v1", "kind": "List", "items": [kuberay(name="second", headGroupSpec=group())]}
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(listed).encode())))
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdout", printed)
    assert main(["convert", str(tmp_path / "a.yaml"), "-"]) == 0
    assert [d["metadata"]["name"] for d in yaml.safe_load_all(printed.getvalue())] == ["first", "second"]


def test_other_objects_are_carried_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": {"ray.io/node-type": "head"}},
    }
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(service) + "\n---\n" + json.dumps(kuberay(headGroupSpec=group())))
    assert main(["convert", str(path)]) == 0
    out, err = capsys.readouterr()
    assert next(iter(yaml.safe_load_all(out)))["spec"]["selector"] == {"ray-node-type": "head"}
    assert err == f"{path}: note: Service s is carried over\n"


@pytest.mark.parametrize("own", [[], ["gcs"], ["metrics"]])
def test_monitors_of_pods_find_the_port_of_metrics(own: list[str]) -> None:
    ports = [{"name": name, "containerPort": 9090} for name in own]
    template = {"spec": {"containers": [{**HEAD, "ports": ports}]}}
    spec = cluster(headGroupSpec=group(template=template), workerGroupSpecs=[worker(template=template)])
    added = [] if "metrics" in own else [{"name": "metrics", "containerPort": 8080}]
    for pod_type in spec["podTypes"]:
        assert pod_type["podConfig"]["spec"]["containers"][0]["ports"] == [*ports, *added]


def test_what_a_submitter_with_a_command_of_its_own_does_not_use_is_named() -> None:
    container = {"name": "s", "image": "a", "command": ["ray", "job", "submit", "--", "python", "b.py"]}
    more = {"entrypoint": "python a.py", "runtimeEnvYAML": "pip: [a]", "entrypointNumCpus": 1, "metadata": {"a": "b"}}
    template = {"submitterPodTemplate": {"spec": {"containers": [container]}}}
    said = text(kuberay("RayJob", "train", rayClusterSpec={"headGroupSpec": group()}, **more, **template))
    for name in more:
        assert f"# spec.{name} (" in said
    assert "not used, as in KubeRay: the container of submitterPodTemplate" in " ".join(said.replace("#", "").split())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("kind: Pod\napiVersion: v1\n", "contains no RayCluster, RayJob, RayCronJob or RayService of ray.io/v1"),
        ("a: [", "is not YAML: line "),
    ],
)
def test_a_file_without_kuberays_objects(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)
    assert main(["convert", str(path)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"{path}: {said}")) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to convert; name a file, - for standard input, or use --from-cluster"),
        (["--from-cluster", "a.yaml"], "--from-cluster and files exclude each other; leave one of them out"),
        (["a.yaml", "-n", "b"], "-n, -A and --context belong to --from-cluster"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_from_cluster_converts_what_is_there_but_not_the_clusters_of_its_jobs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    owned = kuberay(name="train-abcde", headGroupSpec=group())
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "train"}]
    own = kuberay(name="free", headGroupSpec=group())
    own["metadata"] |= {"uid": "1", "resourceVersion": "2", "managedFields": [{"manager": "kubectl"}]}
    asked = []

    def read(context: str | None, namespace: str | None) -> list[dict[str, Any]]:
        asked.append((context, namespace))
        return [owned, own]

    arguments = parser().parse_args(["--from-cluster", "-A"])
    arguments.read_kuberay = read
    assert run(arguments) == 0
    (made,) = yaml.safe_load_all(capsys.readouterr().out)
    assert made["metadata"] == {"name": "free"}
    assert asked == [(None, "")]


def test_the_example_of_the_page_is_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs/migration-kuberay.md").read_text().partition("## An example")[2]
    given, printed = (page.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("text", "yaml"))
    (tmp_path / "raycluster.yaml").write_text(given)
    assert main(["convert", str(tmp_path / "raycluster.yaml")]) == 0
    assert capsys.readouterr().out == f"---\n{printed}"


def test_a_cluster_that_cannot_be_reached_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def read(context: str | None, namespace: str | None) -> list[dict[str, Any]]:
        raise OSError("no\nroute")

    arguments = parser().parse_args(["--from-cluster"])
    arguments.read_kuberay = read
    assert run(arguments) == 1
    assert capsys.readouterr() == ("", "cluster: no route\n")
