"""Mistakes in KubeRay's manifests: each is one message, with the field as the user wrote it, its value and a remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controller.cli.convert import parser, run
from controller.main import main

from .test_convert import HEAD, converted, group, kuberay, problems, worker

CLUSTER = {"headGroupSpec": group()}


def job(**fields: Any) -> dict[str, Any]:
    """A RayJob with these fields of its spec."""
    return kuberay("RayJob", **{"rayClusterSpec": CLUSTER, "entrypoint": "true", **fields})


def service(config: str) -> dict[str, Any]:
    """A RayService with this Serve config."""
    return kuberay("RayService", rayClusterConfig=CLUSTER, serveConfigV2=config)


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (job(runtimeEnvYAML="hello"), "spec.runtimeEnvYAML: hello is not a mapping; write pip: [emoji]"),
        (job(runtimeEnvYAML="[a]"), "spec.runtimeEnvYAML: [a] is not a mapping; write pip: [emoji]"),
        (job(runtimeEnvYAML="a: 1\n---\nb: 2"), "spec.runtimeEnvYAML: has 2 documents; write pip: [emoji]"),
        (job(runtimeEnvYAML="a: ["), "spec.runtimeEnvYAML: is not YAML: line "),
        (job(runtimeEnvYAML="a: \x07"), "spec.runtimeEnvYAML: is not YAML: "),
        (job(runtimeEnvYAML="[" * 5000), "spec.runtimeEnvYAML: is not YAML: "),
        (service("x: ["), "spec.serveConfigV2: is not YAML: line "),
        (service("hello"), "spec.serveConfigV2: hello is not a mapping; write applications: and what follows"),
        (service("# nothing"), "spec.serveConfigV2: # nothing is not a mapping; write applications: and what follows"),
    ],
)
def test_a_text_that_is_yaml_itself(obj: dict[str, Any], said: str) -> None:
    (found,) = problems(obj)
    assert found.startswith(said)
    assert "<unicode" not in found and "\n" not in found


@pytest.mark.parametrize("text", ["# nothing", "env_vars: {SINCE: 2020-13-45}"])
def test_a_text_that_is_yaml_and_looks_strange(text: str) -> None:
    (script,) = converted(job(runtimeEnvYAML=text))[1]["spec"]["template"]["spec"]["containers"][0]["command"][2:]
    assert ('{"env_vars": {"SINCE": "2020-13-45"}}' in script) is ("SINCE" in text)


HEAD_PARAMS, WORKER_PARAMS = "spec.headGroupSpec.rayStartParams", "spec.workerGroupSpecs[0].rayStartParams"
WHOLE = "is not a whole number from 0 to 100000000000000; write one"
AMOUNT = "is not a number from 0 to 100000000000000; write one"
JSON = "is not a JSON object; write for example"


def params(is_head: bool = True, **given: str) -> dict[str, Any]:
    """A RayCluster with these rayStartParams; _ stands for - in their names."""
    start = {name.replace("_", "-"): value for name, value in given.items()}
    one = group(rayStartParams=start) if is_head else group()
    other = worker() if is_head else worker(rayStartParams=start)
    return kuberay(headGroupSpec=one, workerGroupSpecs=[other])


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (
            params(port="99999"),
            f"{HEAD_PARAMS}.port: 99999 is not a number from 1 to 65535; write one, 6379 for example",
        ),
        (params(port="0"), f"{HEAD_PARAMS}.port: 0 is not a number from 1 to 65535; write one, 6379 for example"),
        (params(port="gcs"), f"{HEAD_PARAMS}.port: gcs is not a number from 1 to 65535; write one, 6379 for example"),
        (params(port="$PORT"), f"{HEAD_PARAMS}.port: '--port=$PORT': the workers have to know the head's port"),
        (
            params(metrics_export_port="x"),
            f"{HEAD_PARAMS}.metrics-export-port: x is not a number from 0 to 65535; write one, 8080 for example",
        ),
        (params(False, num_cpus="-1"), f"{WORKER_PARAMS}.num-cpus: -1 {WHOLE}"),
        (params(False, num_gpus="1.5"), f"{WORKER_PARAMS}.num-gpus: 1.5 {WHOLE}"),
        (params(num_cpus="four"), f"{HEAD_PARAMS}.num-cpus: four {WHOLE}"),
        (params(num_cpus="500m"), f"{HEAD_PARAMS}.num-cpus: 500m {WHOLE}"),
        (params(memory="1e999"), f"{HEAD_PARAMS}.memory: 1e999 {WHOLE}"),
        (params(resources='{"a": Infinity}'), f"{HEAD_PARAMS}.resources: Infinity, the amount of a, {AMOUNT}"),
        (params(resources='{"a": 1e999}'), f"{HEAD_PARAMS}.resources: Infinity, the amount of a, {AMOUNT}"),
        (params(resources='{"a": NaN}'), f"{HEAD_PARAMS}.resources: NaN, the amount of a, {AMOUNT}"),
        (params(resources='{"a": -1}'), f"{HEAD_PARAMS}.resources: -1, the amount of a, {AMOUNT}"),
        (params(resources='{"a": true}'), f"{HEAD_PARAMS}.resources: true, the amount of a, {AMOUNT}"),
        (params(resources='{"a": 1e30}'), f"{HEAD_PARAMS}.resources: 1e+30, the amount of a, {AMOUNT}"),
        (params(resources='{"node:a": 1}'), f"{HEAD_PARAMS}.resources: 'node:a' is a name that Ray keeps for itself"),
        (params(resources="[" * 5000), f"{HEAD_PARAMS}.resources: [[[["),
        (params(resources="gpu"), f"{HEAD_PARAMS}.resources: gpu {JSON}"),
        (job(entrypointResources='{"a": Infinity}'), f"spec.entrypointResources: Infinity, the amount of a, {AMOUNT}"),
        (job(entrypointResources="hello"), f"spec.entrypointResources: hello {JSON}"),
        (job(entrypointResources="[1]"), f"spec.entrypointResources: [1] {JSON}"),
        (job(entrypointNumGpus=-1), "spec.entrypointNumGpus: -1 is not a number of 0 or more; write one"),
        (
            kuberay(headGroupSpec=group(resources={"cpu": "-1"})),
            "spec.headGroupSpec.resources.cpu: -1 is not an amount from 0 to 100000000000000; write one",
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker("gpu group")]),
            "spec.workerGroupSpecs[0].groupName: gpu group cannot be a label value; use at most 63 letters, digits",
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(minReplicas="²")]),
            "spec.workerGroupSpecs[0].minReplicas: ² is not a whole number of 0 or more; write one, 3 for example",
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(idleTimeoutSeconds=10**18)]),
            "spec.workerGroupSpecs[0].idleTimeoutSeconds: 1000000000000000000 is more than 31536000; write a smaller",
        ),
        (
            kuberay(
                headGroupSpec=group(),
                enableInTreeAutoscaling=True,
                autoscalerOptions={"idleTimeoutSeconds": 10**9},
            ),
            "spec.autoscalerOptions.idleTimeoutSeconds: 1000000000 is more than 31536000; write a smaller number",
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(maxReplicas=2**31)]),
            "spec.workerGroupSpecs[0].maxReplicas: 2147483648 is more than 2147483647; write a smaller number",
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(numOfHosts=5000)]),
            "spec.workerGroupSpecs[0].numOfHosts: 5000 is not a number from 1 to 1000",
        ),
        (
            kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(labels={"a": "b c"})]),
            "spec.workerGroupSpecs[0].labels",
        ),
        (
            kuberay(
                headGroupSpec=group(template={"spec": {"containers": [{**HEAD, "ports": [{"containerPort": 0}]}]}})
            ),
            "spec.headGroupSpec.template.spec.containers[0].ports[0].containerPort: 0 is not a number from 1 to 65535",
        ),
        (
            kuberay(headGroupSpec=group(template={"spec": {"containers": [{**HEAD, "image": ""}]}})),
            "spec.headGroupSpec.template.spec.containers[0].image: is missing; every container needs an image",
        ),
        (
            job(
                rayClusterSpec={
                    "headGroupSpec": group(),
                    "workerGroupSpecs": [worker(rayStartParams={"num-cpus": "x"})],
                }
            ),
            f"spec.rayClusterSpec.workerGroupSpecs[0].rayStartParams.num-cpus: x {WHOLE}",
        ),
        (
            job(rayClusterSpec={"headGroupSpec": group(template={"spec": {"containers": [{"name": "a"}]}})}),
            "spec.rayClusterSpec.headGroupSpec.template.spec.containers[0].image: is missing; every container needs",
        ),
        (kuberay(labels={"a": 1}), "spec.headGroupSpec: is missing; a Ray cluster needs a head"),
        (kuberay(headGroupSpecs=group()), "spec.headGroupSpecs: is no field; did you mean headGroupSpec?"),
        (kuberay("RayService"), "spec.rayClusterConfig: is missing; Serve runs on a Ray cluster"),
        (
            kuberay("RayService", rayClusterSpec=CLUSTER),
            "spec.rayClusterSpec: is no field; did you mean rayClusterConfig?",
        ),
        (
            kuberay("RayJob", rayClusterConfig=CLUSTER, entrypoint="true"),
            "spec.rayClusterConfig: is no field; did you mean rayClusterSpec?",
        ),
        (
            kuberay("RayCronJob", schedule="0 3 * * *"),
            "spec.jobTemplate: is missing; write the fields of a RayJob's spec",
        ),
        (
            {**kuberay(headGroupSpec=group()), "metadata": {"name": "a", "labels": {"b": {"c": "d"}}}},
            'metadata.labels.b: {"c": "d"} is not a string; write one',
        ),
        ({**kuberay(headGroupSpec=group()), "metadata": "a"}, "metadata: a is not a mapping; write key: value"),
    ],
)
def test_a_mistake_is_one_message_at_the_users_own_place(obj: dict[str, Any], said: str) -> None:
    (found,) = problems(obj)
    assert found.startswith(said)
    assert "podTypes" not in found and "podConfig" not in found


def test_a_port_that_a_variable_of_the_pod_says_is_fine() -> None:
    """The port is known without running a shell."""
    container = {**HEAD, "env": [{"name": "PORT", "value": "6380"}]}
    head = group(rayStartParams={"port": "$PORT"}, template={"spec": {"containers": [container]}})
    (command,) = converted(kuberay(headGroupSpec=head))[0]["spec"]["headStartRayCommands"]
    assert "--port=$PORT" in command


def test_resources_of_a_program_are_json() -> None:
    """In quotes or not."""
    for text in ('{"disk": 0.5}', '"{\\"disk\\": 0.5}"'):
        pod = converted(job(entrypointResources=text))[1]["spec"]["template"]["spec"]
        assert """--entrypoint-resources '{"disk": 0.5}'""" in pod["containers"][0]["command"][2]


NONE = "contains no RayCluster, RayJob, RayCronJob or RayService of ray.io/v1; "


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "name a file that has one"),
        ("kind: Pod\napiVersion: v1\n", "name a file that has one"),
        ("[]", "the file has a list: a manifest is a mapping; write --- between several"),
        (
            '[{"apiVersion": "ray.io/v1", "kind": "RayCluster"}]',
            "the file has a list: a manifest is a mapping; write ---",
        ),
        ("hello", "the file has something that is not a Kubernetes object: it has no kind"),
        ("a: 1", "the file has something that is not a Kubernetes object: it has no kind"),
        (
            "{apiVersion: ray.io/v1beta1, kind: RayCluster, metadata: {name: a}}",
            "RayCluster a has the apiVersion ray.io/v1beta1: set it to ray.io/v1",
        ),
        ("{apiVersion: v1, kind: RayJob}", "RayJob has the apiVersion v1: set it to ray.io/v1"),
        ("{kind: RayService}", "RayService has no apiVersion: set it to ray.io/v1"),
        ("{apiVersion: [a], kind: RayService}", 'RayService has the apiVersion ["a"]: set it to ray.io/v1'),
        (
            "{apiVersion: ray.io/v1, kind: RayCluser, metadata: {name: a}}",
            "RayCluser a is of a kind that is not converted: RayCluster, RayJob, RayService, RayCronJob are",
        ),
        ("{apiVersion: ray.io/v1, kind: [a], metadata: b}", '["a"] is of a kind that is not converted'),
        (
            "{apiVersion: cluster.ray.io/v1, kind: RayCluster, metadata: {name: a}}",
            "RayCluster a is one of this operator already, there is nothing to convert: ray-operator validate reads it",
        ),
    ],
)
def test_a_file_without_kuberays_objects_says_what_it_has(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)
    assert main(["convert", str(path)]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith(f"{path}: {NONE}{said}")


def test_an_object_that_is_carried_over_and_may_have_been_meant_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    other = {**kuberay(name="b", headGroupSpec=group()), "apiVersion": "ray.io/v1beta1"}
    path.write_text("\n---\n".join(map(json.dumps, (kuberay(headGroupSpec=group()), other, []))))
    assert main(["convert", str(path)]) == 0
    carried, skipped = capsys.readouterr().err.splitlines()
    reason = "RayCluster b has the apiVersion ray.io/v1beta1: set it to ray.io/v1"
    assert carried == f"{path}: note: RayCluster b is carried over as it is; {reason}"
    assert skipped.startswith(f"{path}: note: skipped a list: a manifest is a mapping; write --- between several")


def test_a_cluster_without_kuberays_objects(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = parser().parse_args(["--from-cluster"])
    arguments.read_kuberay = lambda _context, _namespace: []
    assert run(arguments) == 1
    assert capsys.readouterr().err == f"cluster: {NONE}name another namespace, or -A for all\n"
