"""A Ray container's own command: what KubeRay's variables are in it, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.cli.checks import check

from .test_convert import HEAD, converted, group, kuberay, worker

OVERWRITE = {"ray.io/overwrite-container-cmd": "true"}
SHELL = ["/bin/bash", "-c"]
START = "ray start --address=$RAY_HEAD_IP:6379 --metrics-export-port=8080"
SERVICE = "old-ray-head"


def of_worker(annotations: dict[str, str] | None = None, params: dict[str, str] | None = None, **fields: Any) -> Any:
    """The RayCluster's spec, and the Ray container of the worker that has these fields."""
    container = {**HEAD, **fields}
    template = {"metadata": {"annotations": annotations or {}}, "spec": {"containers": [container]}}
    groups = [worker(template=template, rayStartParams=params or {})]
    made = converted(kuberay(headGroupSpec=group(), workerGroupSpecs=groups))[0]
    assert check(made) == ()
    return made["spec"], made["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("env", [])}


@pytest.mark.parametrize(
    ("annotations", "fields", "command", "env"),
    [
        pytest.param(
            {},
            {"command": SHELL, "args": ["ray start --address=$RAY_IP:$RAY_PORT --block"]},
            "ray start --address=$RAY_IP:$RAY_PORT --block",
            {"RAY_IP": SERVICE, "RAY_PORT": "6379"},
            id="starts Ray",
        ),
        pytest.param(
            OVERWRITE,
            {"command": SHELL, "args": ["ray start --address=${FQ_RAY_IP}:6379 --block"]},
            "ray start --address=${FQ_RAY_IP}:6379 --block",
            {"FQ_RAY_IP": SERVICE, "KUBERAY_GEN_RAY_START_CMD": f"{START} --block".replace("$RAY_HEAD_IP", SERVICE)},
            id="in place of KubeRay's",
        ),
        pytest.param(
            {},
            {"command": ["ray start --address=$(RAY_IP):$(RAY_PORT) --block"]},
            "ray start --address=${RAY_IP}:${RAY_PORT} --block",
            {"RAY_IP": SERVICE, "RAY_PORT": "6379"},
            id="as Kubernetes writes variables",
        ),
        pytest.param(
            {},
            {"command": SHELL, "args": ["sleep 1; $KUBERAY_GEN_RAY_START_CMD"]},
            f"sleep 1; {START} --block",
            {},
            id="runs KubeRay's start command",
        ),
        pytest.param(
            {},
            {"command": [*SHELL, "exec ${KUBERAY_GEN_RAY_START_CMD}"]},
            f"exec {START} --block",
            {},
            id="becomes KubeRay's start command",
        ),
    ],
)
def test_a_command_that_starts_ray_has_its_variables(
    annotations: dict[str, str], fields: dict[str, Any], command: str, env: dict[str, str]
) -> None:
    spec, container = of_worker(annotations, **fields)
    assert spec["workerStartRayCommands"] == [command]
    assert "workerSetupCommands" not in spec["podTypes"][1]
    assert variables(container) == env


@pytest.mark.parametrize(
    ("fields", "command", "env"),
    [
        pytest.param(
            {"command": [*SHELL, "until ray health-check --address $FQ_RAY_IP:6379; do sleep 5; done"]},
            "/bin/bash -c 'until ray health-check --address $FQ_RAY_IP:6379; do sleep 5; done'",
            {"FQ_RAY_IP": SERVICE},
            id="waits for the head",
        ),
        pytest.param(
            {"command": ["echo"], "args": ["$RAY_ADDRESS"]},
            "echo $RAY_ADDRESS",
            {"RAY_ADDRESS": f"{SERVICE}:6379"},
            id="words",
        ),
        pytest.param(
            {"command": ["echo $(RAY_PORT) $(MINE) $(date) $$(date)"], "env": [{"name": "MINE", "value": "a"}]},
            "echo ${RAY_PORT} ${MINE} $(date) $(date)",
            {"MINE": "a", "RAY_PORT": "6379"},
            id="as Kubernetes writes variables",
        ),
        pytest.param(
            {"command": ['echo "$KUBERAY_GEN_RAY_START_CMD"']},
            'echo "$KUBERAY_GEN_RAY_START_CMD"',
            {"KUBERAY_GEN_RAY_START_CMD": f"{START} --block".replace("$RAY_HEAD_IP", SERVICE)},
            id="prints KubeRay's start command",
        ),
        pytest.param(
            {"command": ["echo $RAY_IP"], "env": [{"name": "RAY_IP", "value": "mine"}]},
            "echo $RAY_IP",
            {"RAY_IP": "mine"},
            id="its own variable",
        ),
    ],
)
def test_a_command_before_ray_has_its_variables(fields: dict[str, Any], command: str, env: dict[str, str]) -> None:
    spec, container = of_worker(**fields)
    assert spec["podTypes"][1]["workerSetupCommands"] == [command]
    assert spec["workerStartRayCommands"] == [f"ulimit -n 65536; {START}"]
    assert variables(container) == env


def test_start_parameters_have_their_variables() -> None:
    spec, container = of_worker(params={"node-name": "$RAY_CLUSTER_NAME"})
    assert "--node-name=$RAY_CLUSTER_NAME" in spec["workerStartRayCommands"][0]
    assert variables(container) == {"RAY_CLUSTER_NAME": "old"}
