"""What start commands say, as render and validate show it: ports, resources, labels, however they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.main import main
from controller.planning.node_types import declared_labels, declared_resources
from controller.raycluster.model import parse_spec
from tests.support.builders import raw_cluster, raw_spec


def spec_with(head: list[str] | None = None, worker: list[str] | None = None, **env: Any) -> dict[str, Any]:
    """``env``: of both types; a string, or a source."""
    spec = raw_spec()
    spec |= {"headStartRayCommands": head} if head else {}
    spec |= {"workerStartRayCommands": worker} if worker else {}
    for pod_type in spec["podTypes"]:
        pod_type["podConfig"]["spec"]["containers"][0]["env"] = [
            {"name": name, "value": given} if isinstance(given, str) else {"name": name, "valueFrom": given}
            for name, given in env.items()
        ]
    return spec


def run(command: str, spec: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(raw_cluster(spec)))
    code = main([command, str(file)])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("head", "env", "port"),
    [
        (["ray start --head"], {}, 6379),
        (["ray start --head --port=6380"], {}, 6380),
        (["ray start --head --port 6380"], {}, 6380),
        (["ray start --head --port='6380' --no-monitor"], {}, 6380),
        (['ray start --head --port "6380" --no-monitor'], {}, 6380),
        (["ray start --head '--port=6380'"], {}, 6380),
        (["ray start --head --port=63\\80"], {}, 6380),
        (["ray start --head --port=1 --port=6380"], {}, 6380),
        (["ray start --head \\\n  --port=6380 \\\n  --no-monitor"], {}, 6380),
        (["ray start --head --dashboard-port=8266 --port=6380"], {}, 6380),
        (["ray start --head # --port=1"], {}, 6379),
        (["ray start --head --port=6380 > /tmp/port 2>&1"], {}, 6380),
        # Another program's.
        (["echo starting on --port 1234; ray start --head --port=6380"], {}, 6380),
        (["echo 'ray start --head --port=1'", "ray start --head --port=6380"], {}, 6380),
        (["redis-server --port 1 & ray start --head"], {}, 6379),
        (["ray start --head; serve start --port 1"], {}, 6379),
        (["ray start --head && python -m http.server --port=1"], {}, 6379),
        # Variables.
        (["PORT=6380; ray start --head --port=$PORT --no-monitor"], {}, 6380),
        (["export PORT=6380 && ray start --head --port=$PORT"], {}, 6380),
        (["PORT=6380", 'ray start --head --port="${PORT}"'], {}, 6380),
        (["ray start --head --port=${RAY_PORT:-6380} --no-monitor"], {}, 6380),
        (["ray start --head --port=${RAY_PORT:-6380}"], {"RAY_PORT": "6390"}, 6390),
        (["ray start --head --port=${RAY_PORT:-6380}"], {"RAY_PORT": ""}, 6380),
        (["ray start --head --port=$RAY_PORT"], {"RAY_PORT": "6390"}, 6390),
        (["ray start --head --port=$RAY_PORT"], {"BASE": "63", "RAY_PORT": "$(BASE)90"}, 6390),
        (["ray start --head $OPTIONS"], {"OPTIONS": "--no-monitor --port=6390"}, 6390),
        # In brackets and in other shells.
        (["(ulimit -n 65536; ray start --head --port=6380)"], {}, 6380),
        (["bash -lc 'ray start --head --port=6380'"], {}, 6380),
        (['sh -c "ray start --head --port=$RAY_PORT"'], {"RAY_PORT": "6390"}, 6390),
        (["exec nohup /opt/bin/ray start --head --port=6380"], {}, 6380),
        (["if true; then ray start --head --port=6380; fi"], {}, 6380),
        (["/start.sh --port 6380"], {}, 6380),
        (["/start.sh --port='6380'"], {}, 6380),
        (["/start.sh --port $RAY_PORT"], {"RAY_PORT": "6390"}, 6390),
        (["env PORT=1 ray start --head --port=6380"], {}, 6380),
        (["sudo -E env PATH=$PATH ray start --head --port=6380"], {}, 6380),
        (["PORT=1 ray start --head --port=$RAY_PORT"], {"RAY_PORT": "6390"}, 6390),
        (["python -m ray.scripts.scripts start --head --port=6380"], {}, 6380),
        (["python3 /lib/ray/scripts/scripts.py start --head --port=6380"], {}, 6380),
        (["ray --logging-level=debug start --head --port=6380"], {}, 6380),
        (["ray --logging-level debug start --head --port=6380"], {}, 6380),
        (["$(which ray) start --head --port=6380"], {}, 6380),
        (["$RAY start --head --port=6380"], {"RAY": "/opt/ray/bin/ray"}, 6380),
        (['"$CONDA_PREFIX"/bin/ray start --head --port=6380'], {}, 6380),
        (["ray start --head --port=6380 || ray start --head --port=6380"], {}, 6380),
        (["until ray start --head --port=6380; do sleep 5; done"], {}, 6380),
        (["if [ $ROLE = head ]; then ray start --head --port=6380; else ray start --address=x:1; fi"], {}, 6380),
        (["case $ROLE in head) ray start --head --port=6380;; *) ray start --address=x:1;; esac"], {}, 6380),
        (["function go { ray start --head --port=6380; }", "go"], {}, 6380),
        (["go() { ray start --head --port=6380; }; go"], {}, 6380),
        # Quotes in quotes.
        (['bash -c "ray start --head --resources=\'{\\"a\\": 1}\' --port=6380"'], {}, 6380),
        (["bash -c 'ray start --head --port='$RAY_PORT"], {"RAY_PORT": "6390"}, 6390),
        (['bash -c "ray start --head --port=\\$RAY_PORT"'], {"RAY_PORT": "6390"}, 6390),
        (["export PORT=6380; bash -c 'ray start --head --port=$PORT'"], {}, 6380),
        (['PORT=6380; bash -c "ray start --head --port=$PORT"'], {}, 6380),
        (["eval 'ray start --head --port=6380'"], {}, 6380),
        (["ray start --head --port=$'6380'"], {}, 6380),
        # Here-documents.
        (["cat > /tmp/x <<EOF\n--port=1\nEOF\nray start --head --port=6380"], {}, 6380),
        (["cat <<'EOF'\nray start --head --port=1\nEOF\nray start --head --port=6380"], {}, 6380),
        (["bash <<'EOF'\nray start --head --port=6380\nEOF"], {}, 6380),
        (["cat > /tmp/ray.sh <<-EOF\n\tray start --head --port=6380\n\tEOF", "bash /tmp/ray.sh"], {}, 6380),
        # More of variables.
        (["ray start --head --port=${RAY_PORT:-'6380'}"], {}, 6380),
        (["ray start --head --port=${RAY_PORT:-${BASE}80}"], {"BASE": "63"}, 6380),
        ([": ${PORT:=6380}; ray start --head --port=$PORT"], {}, 6380),
        (["ray start --head --port=${RAY_PORT:?}"], {"RAY_PORT": "6390"}, 6390),
        (["ray start --head --port=${RAY_PORT:+6380}"], {"RAY_PORT": "1"}, 6380),
        (["ray start --head ${RAY_PORT:+--port=$RAY_PORT}"], {"RAY_PORT": "6390"}, 6390),
        (["PORT=63; PORT+=80; ray start --head --port=$PORT"], {}, 6380),
    ],
)
def test_the_heads_port_is_what_a_shell_makes_of_the_command(
    head: list[str], env: dict[str, Any], port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The head's probe, the workers' wait and their default start command have it."""
    code, out, _ = run("render", spec_with(head, **env), tmp_path, capsys)
    assert code == 0
    _, head_pod, worker, *_ = yaml.safe_load_all(out)
    assert head_pod["spec"]["containers"][0]["readinessProbe"]["tcpSocket"]["port"] == port
    program = worker["spec"]["containers"][0]["command"][-1]
    assert f"port={port}" in program
    assert f":{port}" in program


@pytest.mark.parametrize(
    ("head", "env"),
    [
        (["ray start --head --port=$PORT"], {}),
        (["ray start --head --port $PORT"], {}),
        (["ray start --head --port=$(cat /etc/port)"], {}),
        (["ray start --head --port=`cat /etc/port`"], {}),
        (["ray start --head --port=$((6000 + 380))"], {}),
        (["read PORT; ray start --head --port=$PORT"], {"PORT": "6390"}),
        (["[ -e /x ] || PORT=1; ray start --head --port=$PORT"], {"PORT": "6390"}),
        (["ray start --head --port=${PORT:-6380}"], {"PORT": {"configMapKeyRef": {"name": "a", "key": "b"}}}),
        (["for PORT in 1 2; do ray start --head --port=$PORT; done"], {"PORT": "6390"}),
        (["PORT=6380; bash -c 'ray start --head --port=$PORT'"], {}),
        (["ray start --head --port=${PORT/x/}"], {"PORT": "6390"}),
        (["ray start --head --port=${#PORT}"], {"PORT": "6390"}),
        (["let PORT=1; ray start --head --port=$PORT"], {"PORT": "6390"}),
        (["bash <<'EOF'\nray start --head --port=$(cat /x)\nEOF"], {}),
        (["ray start --head --port=0"], {}),
        (["ray start --head --port=redis"], {}),
    ],
)
def test_a_port_that_only_a_running_shell_knows_is_named_with_a_remedy(
    head: list[str], env: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run("validate", spec_with(head, **env), tmp_path, capsys)
    assert code == 1
    assert "spec.headStartRayCommands[0]: '--port" in out
    assert "write" in out
    assert "number" in out


@pytest.mark.parametrize("options", ["$OPTIONS", '"$@"', "$(cat /etc/ray-options)", "--block $MORE"])
def test_a_port_among_options_that_are_not_known_is_said(
    options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("validate", spec_with([f"ray start --head {options}"]), tmp_path, capsys)
    assert code == 0
    assert "spec.headStartRayCommands: only a running shell knows all options of ray start" in err
    assert "the head's port is taken to be 6379; write --port=6379 out" in err
    _, _, err = run("validate", spec_with([f"ray start --head --port=6380 {options}"]), tmp_path, capsys)
    assert "all options" not in err


def test_workers_that_join_another_port_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = ["ray stop", "ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6379"]
    code, out, _ = run("validate", spec_with(["ray start --head --port=6380"], commands), tmp_path, capsys)
    assert code == 1
    assert "spec.workerStartRayCommands[1]: joins port 6379" in out
    assert "--address=$RAY_HEAD_IP:6380" in out


JOIN = "ray start --address=$RAY_HEAD_IP:6379"


@pytest.mark.parametrize(
    ("command", "env", "expected"),
    [
        (f"{JOIN} --num-cpus=8", {}, {"CPU": 8}),
        (f"{JOIN} --num-cpus 8 --num-gpus 2", {}, {"CPU": 8, "GPU": 2}),
        (f"{JOIN} --memory=2000000000 --object-store-memory=1000", {}, {"memory": 2e9, "object_store_memory": 1000}),
        (f"{JOIN} --resources='{{\"disk\": 2}}'", {}, {"disk": 2, "CPU": 1}),
        (f'{JOIN} --resources="{{\\"disk\\": 0.5}}"', {}, {"disk": 0.5}),
        (f"{JOIN} --num-cpus=$CPUS", {"CPUS": "8"}, {"CPU": 8}),
        (f"{JOIN} --num-cpus=$(nproc)", {}, {"CPU": 1}),
        (f"{JOIN} --resources='disk'", {}, {"CPU": 1}),
        (f'{JOIN} --resources {{\\"disk\\":2}}', {}, {"disk": 2}),
        (f"{JOIN} --resources=\"{{'disk': 2}}\"", {}, {"CPU": 1}),
        (f"{JOIN} --resources=$'{{\"disk\": 2}}'", {}, {"disk": 2}),
        (f'bash -c "{JOIN} --resources=\'{{\\"disk\\": 2}}\'"', {}, {"disk": 2}),
        (f'bash -c \'{JOIN} --resources="{{\\"disk\\": 2}}"\'', {}, {"disk": 2}),
        (f'{JOIN} --resources="$EXTRA"', {"EXTRA": '{"disk": 2}'}, {"disk": 2}),
        # What is known of it counts.
        (f'{JOIN} --resources="{{\\"disk\\": 2, \\"x\\": $N}}"', {}, {"disk": 2}),
        (f'{JOIN} --resources="{{\\"x\\": $N, \\"disk\\": 2}}"', {}, {"disk": 2}),
        (f'{JOIN} --resources="{{\\"$NAME\\": 1, \\"disk\\": 2}}"', {}, {"disk": 2}),
        (f'{JOIN} --resources="{{\\"disk\\": 2, $MORE}}"', {}, {"disk": 2}),
        (f"if [ $X ]; then {JOIN} --num-cpus=8; else ray start --head --num-cpus=1; fi", {}, {"CPU": 8}),
    ],
)
def test_resources_in_the_start_command_count(command: str, env: dict[str, Any], expected: dict[str, float]) -> None:
    """For the autoscaler, and in the variable through which Ray is told."""
    spec = parse_spec(spec_with(None, [command], **env))
    found = declared_resources(spec, spec.worker_types[0])
    assert {name: found[name] / 10000 for name in expected} == expected


def test_ray_resources_win_over_the_start_command_and_the_difference_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_with(None, [f"{JOIN} --num-cpus=8 --resources='{{\"disk\": 2}}'"])
    spec["podTypes"][1]["rayResources"] = {"CPU": 4, "disk": 2}
    code, out, err = run("render", spec, tmp_path, capsys)
    assert code == 0
    env = list(yaml.safe_load_all(out))[2]["spec"]["containers"][0]["env"]
    told = json.loads(next(v["value"] for v in env if v["name"] == "RAY_OVERRIDE_RESOURCES"))
    assert (told["CPU"], told["disk"]) == (4, 2)
    (line,) = [line for line in err.splitlines() if "rayResources" in line]
    assert "spec.podTypes[1].rayResources.CPU: 4 counts, and not the 8 of --num-cpus" in line


def test_an_amount_that_only_a_running_shell_knows_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("validate", spec_with(None, [f"{JOIN} --num-cpus=$(nproc)"]), tmp_path, capsys)
    assert code == 0
    assert "spec.workerStartRayCommands: only a running shell knows the value of --num-cpus" in err


@pytest.mark.parametrize(
    ("command", "env", "labels"),
    [
        (f'{JOIN} --labels="cpu-family=intel,zone=a"', {}, {"cpu-family": "intel", "zone": "a"}),
        (f'{JOIN} --labels="cpu-family=$FAMILY"', {"FAMILY": "amd"}, {"cpu-family": "amd"}),
        (f'{JOIN} --labels=\'{{"a": "b"}}\'', {}, {"a": "b"}),
        (JOIN, {"RAY_NODE_MARKET_TYPE": "spot"}, {"ray.io/market-type": "spot"}),
        (JOIN, {"RAY_OVERRIDE_LABELS": '{"a": "c"}'}, {"a": "c"}),
        (f'{JOIN} --labels="a=$(hostname)"', {}, {}),
        (f'{JOIN} --labels="a=$(hostname),b=c"', {}, {"b": "c"}),
        (f'{JOIN} --labels="b=c,$MORE"', {}, {"b": "c"}),
    ],
)
def test_labels_in_the_start_command_count(command: str, env: dict[str, Any], labels: dict[str, str]) -> None:
    spec = parse_spec(spec_with(None, [command], **env))
    assert declared_labels(spec, spec.worker_types[0]) == {"ray.io/node-group": "worker-node", **labels}


@pytest.mark.parametrize(
    ("address", "joins"),
    [
        ("$RAY_HEAD_IP:6380", True),
        ("${RAY_HEAD_IP}:6380", True),
        ('"$RAY_HEAD_IP":6380', True),
        ("[$RAY_HEAD_IP]:6380", True),
        ("'['$RAY_HEAD_IP']':6380", True),
        ("$RAY_HEAD_IP:$PORT", True),
        ("[$RAY_HEAD_HOST]:6380", True),
        ("$RAY_HEAD_HOST:6379", False),
        ("$RAY_HEAD_IP:${NONE:-6380}", True),
        ("[$RAY_HEAD_IP]:6379", False),
        ("$RAY_HEAD_IP:6379", False),
    ],
)
def test_the_heads_port_in_every_form_of_its_address(
    address: str, joins: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_with(["ray start --head --port=6380"], [f"ray start --address={address}"], PORT="6380")
    code, out, _ = run("validate", spec, tmp_path, capsys)
    assert (code == 0) == joins, out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ray start --head --autoscaling-config=~/ray_bootstrap_config.yaml", True),
        ("ray start --head $OPTIONS", True),
        ("ray start --head --autoscaling-config=a || ray start --head", True),
        ("echo no --autoscaling-config here; ray start --head", False),
        ("ray start --head # --autoscaling-config=x", False),
    ],
)
def test_an_autoscaling_config_without_an_effect_is_said(
    command: str, said: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_with(["ray stop", command], OPTIONS="--autoscaling-config=/x --dashboard-host=0.0.0.0")
    _, _, err = run("validate", spec, tmp_path, capsys)
    note = "spec.headStartRayCommands[1]: --autoscaling-config has no effect: the operator scales the cluster"
    assert err.count(note) == said
