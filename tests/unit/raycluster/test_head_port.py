"""The head's port where variables are set on conditions, by files, and in places that are never reached."""

from __future__ import annotations

from typing import Any

import pytest

from controller.raycluster.model import parse_spec
from controller.raycluster.validation import problems
from tests.support.builders import raw_spec

RAY = "ray start --head --port=$PORT"


def port_of(head: str | list[str], env: dict[str, Any] | None = None) -> int | None:
    """None: it is unknown, and the RayCluster refused for it."""
    spec = raw_spec(headStartRayCommands=[head] if isinstance(head, str) else head)
    container = spec["podTypes"][0]["podConfig"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in (env or {}).items() if name != "*"]
    container |= {"envFrom": [{"configMapRef": {"name": "more"}}]} if env and "*" in env else {}
    found = parse_spec(spec).known_gcs_port
    said = [str(p) for p in problems("example", spec)]
    assert bool(said) == (found is None), said
    assert all(p.startswith("spec.headStartRayCommands[") and ("write" in p or "give" in p) for p in said)
    return found


@pytest.mark.parametrize(
    ("head", "env", "port"),
    [
        # Joined by && and ||.
        (f'PORT=6379; [ -n "$ALT" ] && PORT=6380; {RAY}', {}, None),
        (f"PORT=6379; nc -z localhost 6379 && PORT=6380 || true; {RAY}", {}, None),
        (f"PORT=6379; nc -z localhost 6379 && export PORT=6380; {RAY}", {}, None),
        (f"PORT=6379; test -e /x && nc -z a 1 && PORT=6380; {RAY}", {}, None),
        (f"PORT=6379; nc -z a 1 || PORT=6380; {RAY}", {}, None),
        (f"PORT=6379; ! nc -z a 1 && PORT=6380; {RAY}", {}, None),
        (f'PORT=6379; [ -n "$ALT" ] && {{ PORT=6380; }}; {RAY}', {}, None),
        (f"[ -e /x ] && PORT=6380; {RAY}", {}, None),
        (f"PORT=6379; [ -e /x ] && : ${{ALT:=6380}}; PORT=$ALT; {RAY}", {}, None),
        (f"PORT=6379; nc -z a 1 && PORT=6380 || {RAY}", {}, None),
        (f"PORT=6379; PORT=6380 & {RAY}", {}, 6379),
        (f"PORT=6379; nc -z a 1 && eval PORT=6380; {RAY}", {}, None),
        (f"PORT=6379; (eval PORT=6380); {RAY}", {}, None),
        (f"PORT=6379; if nc -z a 1; then eval PORT=6380; fi; {RAY}", {}, None),
        ("nc -z a 1 && PORT=6380; ray start --head ${PORT:+--port=$PORT}", {}, None),
        ("nc -z a 1 && PORT=6380; ray start --head ${PORT:+--port $PORT}", {}, None),
        # In a shell of its own.
        (f"PORT=6379; PORT=6380 | cat; {RAY}", {}, 6379),
        (f"PORT=6379; true && PORT=6380 | cat; {RAY}", {}, 6379),
        (f"PORT=6379; eval PORT=6380 | cat; {RAY}", {}, 6379),
        # The same value either way, or no way to it.
        (f"PORT=6380; [ -e /x ] && PORT=6380; {RAY}", {}, 6380),
        (f"PORT=6380; if [ -e /x ]; then PORT=6380; fi; {RAY}", {}, 6380),
        (f"PORT=6380; false && PORT=6379; {RAY}", {}, 6380),
        (f"PORT=6380; true || PORT=6379; {RAY}", {}, 6380),
        (f'PORT=6379; [ "$MODE" = b ] && PORT=6380; {RAY}', {"MODE": "b"}, 6380),
        (f'PORT=6380; [ "$MODE" = b ] && PORT=6379; {RAY}', {"MODE": "a"}, 6380),
        (f"PORT=6380; [[ $MODE != b ]] || PORT=6379; {RAY}", {"MODE": "a"}, 6380),
        # Defaults.
        (f'[ -z "$PORT" ] && PORT=6380; {RAY}', {}, 6380),
        (f'[ -z "$PORT" ] && export PORT=6380; {RAY}', {}, 6380),
        (f'[ -n "$PORT" ] || PORT=6380; {RAY}', {}, 6380),
        (f'[ "$PORT" ] || PORT=6380; {RAY}', {}, 6380),
        (f"test -z $PORT && PORT=6380; {RAY}", {}, 6380),
        (f"[[ ! $PORT ]] && PORT=6380; {RAY}", {}, 6380),
        (f'! [ "$PORT" ] && PORT=6380; {RAY}', {}, 6380),
        (f": ${{PORT:=6380}}; {RAY}", {}, 6380),
        (f'[ -z "$PORT" ] && PORT=6380; {RAY}', {"PORT": "6390"}, 6390),
        (f'[ -n "$PORT" ] || PORT=6380; {RAY}', {"PORT": "6390"}, 6390),
        (f'[ -z "$PORT" ] && PORT=6380; {RAY}', {"*": ""}, None),
        (f'[ -z "$OTHER" ] && PORT=6380; {RAY}', {}, None),
        (f'[ -n "$PORT" ] && PORT=6380; {RAY}', {}, None),
        # What nobody asks, or what ray start itself waits for.
        (f"cd /app && PORT=6380; {RAY}", {}, 6380),
        (f"PORT=6379; mkdir -p /x && ulimit -n 65536 && export PORT=6380; {RAY}", {}, 6380),
        (f"PORT=6379; /prepare.sh && PORT=6380 && {RAY}", {}, 6380),
        (f"PORT=6379; /prepare.sh && PORT=6380 || exit 1; {RAY}", {}, 6380),
        (["PORT=6379", "/prepare.sh && PORT=6380", RAY], {}, 6380),
    ],
)
def test_a_variable_that_is_set_on_a_condition(head: str | list[str], env: dict[str, Any], port: int | None) -> None:
    assert port_of(head, env) == port


@pytest.mark.parametrize(
    ("head", "env", "port"),
    [
        (". /etc/ray.env && ray start --head --port=${RAY_PORT:-6379}", {}, None),
        ("PORT=6379; source /etc/ray.env; ray start --head --port=$PORT", {}, None),
        (f"PORT=6379; set -a; . /etc/ray.env; set +a; {RAY}", {}, None),
        (f"PORT=6379; [ -f /etc/ray.env ] && . /etc/ray.env; {RAY}", {}, None),
        (f"PORT=6379; if [ -f /x ]; then . /x; fi; {RAY}", {}, None),
        ([". /etc/ray.env", RAY], {"PORT": "6390"}, None),
        (f". /etc/ray.env; {RAY}", {"PORT": "6390"}, None),
        (f'. "$FILE"; {RAY}', {"PORT": "6390"}, None),
        (f"PORT=6379; eval $(cat /etc/ray.env); {RAY}", {}, None),
        (f'PORT=6379; eval "$(cat /etc/ray.env)"; {RAY}', {}, None),
        (f"PORT=6379; eval `cat /etc/ray.env`; {RAY}", {}, None),
        (f"PORT=6379; export $(grep -v '#' /etc/ray.env | xargs); {RAY}", {}, None),
        (f"PORT=6379; declare -x $(cat /etc/ray.env); {RAY}", {}, None),
        (f'PORT=6379; while read -r line; do export "$line"; done < /etc/ray.env; {RAY}', {}, None),
        (f'PORT=6379; while IFS== read -r k v; do export "$k=$v"; done < /etc/ray.env; {RAY}', {}, None),
        ("PORT=6379; . /x; bash -c 'ray start --head --port=$PORT'", {"PORT": "6390"}, None),
        ('. /x; bash -c "ray start --head --port=$PORT"', {"PORT": "6390"}, None),
        # What eval is told is known.
        (f"PORT=6379; eval PORT=6380; {RAY}", {}, 6380),
        (f"PORT=6379; eval 'export PORT=6380'; {RAY}", {}, 6380),
        (f'PORT=6379; export "PORT=6380"; {RAY}', {}, 6380),
        # Set later.
        (f". /etc/ray.env; PORT=6380; {RAY}", {}, 6380),
        (f". /etc/ray.env; export PORT=6380; {RAY}", {}, 6380),
        # Without a variable, or with files that set up a shell.
        (". /etc/ray.env && ray start --head --port=6380", {}, 6380),
        ("source /opt/venv/bin/activate && ray start --head --port=6380", {}, 6380),
        (f"source /opt/venv/bin/activate && {RAY}", {"PORT": "6380"}, 6380),
        (f'PORT=6380; . "$HOME"/venv/bin/activate; {RAY}', {}, 6380),
        (". ~/.bashrc; ray start --head --port=6380", {}, 6380),
        (f". ~/.bashrc; {RAY}", {"PORT": "6380"}, 6380),
        (f'eval "$(conda shell.bash hook)"; conda activate x; {RAY}', {"PORT": "6380"}, 6380),
        (f"export PATH=$(x)/bin:$PATH; {RAY}", {"PORT": "6380"}, 6380),
    ],
)
def test_a_variable_that_a_file_or_a_program_may_set(
    head: str | list[str], env: dict[str, Any], port: int | None
) -> None:
    assert port_of(head, env) == port


def test_workers_go_on_to_their_head_behind_a_file_of_variables() -> None:
    join = "source /etc/ray.env; ray start --address=$RAY_HEAD_IP:6379"
    spec = raw_spec(headStartRayCommands=["ray start --head --port=6380"], workerStartRayCommands=[join])
    (problem,) = problems("example", spec)
    assert "joins port 6379" in problem.message


A, B = "ray start --head --port=6399", "ray start --head --port=6400"


@pytest.mark.parametrize(
    ("head", "port"),
    [
        (f"if [ -e /x ]; then {A}; else {B}; fi", None),
        (f"case $X in a) {A};; *) {B};; esac", None),
        (f"{A} || {B}", None),
        (f"ray start --head || {B}", None),
        (f"[ -e /x ] && {A} || {B}", None),
        (f"if [ -e /x ]; then {A}; fi; if [ -e /y ]; then {B}; fi", None),
        (f"if [ -e /x ]; then {A} --block; exit; fi; {B}", None),
        (f"bash -c 'if [ -e /x ]; then {A}; else {B}; fi'", None),
        ([f"[ -e /x ] && {A}; true", B], None),
        (f"if [ -e /x ]; then {A}; else ray start --head --port=$(cat /x); fi", None),
        # One of them it is.
        (f"if [ -e /x ]; then {A}; else {A} --block; fi", 6399),
        (f"{A} || {A}", 6399),
        (f"if [ -e /x ]; then {A}; else ray start --address=x:6400; fi", 6399),
        (f"{B}; sleep 5; ray stop; {A}", 6399),
        ([B, "ray stop", A], 6399),
    ],
)
def test_heads_that_differ_in_their_port(head: str | list[str], port: int | None) -> None:
    assert port_of(head) == port


def test_ports_that_differ_are_named_with_a_remedy() -> None:
    (problem,) = problems("example", raw_spec(headStartRayCommands=["ray stop", f"{A} || {B}"]))
    assert problem.path == "spec.headStartRayCommands[1]"
    assert "of the head have --port=6399 and --port=6400, the workers have to know one" in problem.message
    assert problem.message.endswith("give each the same --port")


START = "ray start --head --port=6380"


@pytest.mark.parametrize(
    ("head", "port"),
    [
        # Written to a file, or for another program.
        ([f"tee /tmp/a.sh <<'X'\n{START}\nX\nbash /tmp/a.sh"], 6380),
        ([f"cat <<X | tee /tmp/a.sh\n{START}\nX\nbash /tmp/a.sh"], 6380),
        ([f"cat <<X | bash\n{START}\nX"], 6380),
        ([f"cat <<X | sudo tee /tmp/a.sh > /dev/null\n{START}\nX", "bash /tmp/a.sh"], 6380),
        ([f"python - <<X\nimport os\nos.system('{START}')\nX"], 6380),
        ([f"bash <<< '{START}'"], 6380),
        ([f'bash -s <<< "{START}"'], 6380),
        ([f"cat > /tmp/a.sh <<< '{START}'; sh /tmp/a.sh"], 6380),
        ([f"printf '{START}' | bash"], 6380),
        ([f"printf '{START}\\n' | bash"], 6380),
        ([f"echo '{START}' | sh -x"], 6380),
        ([f"echo {START} | bash"], 6380),
        ([f"echo '{START}' > a.sh; chmod +x a.sh; ./a.sh"], 6380),
        ([f"echo '#!/bin/bash' > a.sh; echo '{START}' >> a.sh; bash a.sh"], 6380),
        ([f"echo '{START}' > /tmp/a.sh", "bash -x /tmp/a.sh"], 6380),
        ([f"printf '%s\\n' '{START}' | tee /tmp/a.sh; bash /tmp/a.sh"], 6380),
        ([f"cat > /etc/s.conf <<X\n[program:ray]\ncommand={START} --block\nX\nsupervisord -c /etc/s.conf"], 6380),
        # Said, and not run.
        ([f"{START}; echo 'ray start --head --port=1' > /tmp/log"], 6380),
        (["echo 'ray start --head --port=1' > /tmp/log; cat /tmp/log"], 6379),
        (["echo 'ray start --head --port=1' | tee /tmp/log", START], 6380),
        (["cat <<X\nray start --head --port=1\nX\n/start.sh --port=6380"], 6380),
        # Functions.
        ([f"{START}\nold() {{ ray start --head --port=1111; }}"], 6380),
        ([f"old() {{ ray start --head --port=1111; }}\n{START}"], 6380),
        ([f"old()\n{{\n  ray start --head --port=1111\n}}\n{START}"], 6380),
        (["function old { ray start --head --port=1111; }", START], 6380),
        (["old() { ray start --head --port=1111; }; echo old", START], 6380),
        (["f() { ray start --head --port=6380; }", "f"], 6380),
        (["f()\n{\n  ray start --head --port=6380\n}\nf"], 6380),
        (["function f() { ray start --head --port=6380; }; f"], 6380),
        (["f() { ray start --head --port=6380; }; export -f f; bash -c f"], 6380),
        (["g() { ray start --head --port=6380; }; f() { g; }; f"], 6380),
        (["f() { f; ray start --head --port=6380; }; f; f"], 6380),
        (["setport() { PORT=6380; }; PORT=6379; setport; ray start --head --port=$PORT"], None),
        (["PORT=6379; setport() { export PORT=6380; }; setport", "ray start --head --port=$PORT"], None),
        (["PORT=6380; setport() { PORT=1; }; ray start --head --port=$PORT"], 6380),
        (["setport() { read PORT; }; PORT=6379; setport; ray start --head --port=$PORT"], None),
        (["f() { . /etc/ray.env; }; PORT=6379; f; ray start --head --port=$PORT"], None),
        (["PORT=6379; f() { ray start --head --port=$PORT; }; PORT=6380; f"], 6380),
        (["f() { ray start --head --port=$PORT; }; PORT=6380; f"], 6380),
        # A line's end behind an operator.
        ("PORT=6379; nc -z a 1 &&\nPORT=6380; ray start --head --port=$PORT", None),
        (f"cd /app &&\n  # the head\n  {START}", 6380),
    ],
)
def test_the_start_that_runs_is_found(head: str | list[str], port: int | None) -> None:
    assert port_of(head) == port
