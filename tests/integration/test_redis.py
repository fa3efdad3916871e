"""The program of a head's container, with real Ray and a real Redis: what the head knows outlives it there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.objects.cleanup import build_cleanup
from controller.objects.pod import build_pod
from controller.raycluster.model import ClusterSpec, parse_spec
from tests.support.builders import UID, cluster, raw_spec
from tests.support.container import expanded
from tests.support.detached_counter import COUNTER
from tests.support.kube import eventually
from tests.support.ray_head import RAY, START_SECONDS
from tests.support.redis_server import PASSWORD, RedisServer

HEAD_IP, WORKER_IP = "127.0.0.3", "127.0.0.4"
PROGRAM = f"""
import sys, ray

ray.init(address=sys.argv[1], namespace="redis", log_to_driver=False)

{COUNTER}print("COUNT", ray.get(counter.next.remote(), timeout=170), flush=True)
"""


class Nodes:
    """Ray nodes on this machine, each a process group. A head runs the program of its container, with its variables."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        self.folder = folder
        self.redis = redis
        self.message = folder / "message"
        self._groups: list[subprocess.Popen[str]] = []
        with socket.create_server((HEAD_IP, 0)) as free:
            self.address = f"{HEAD_IP}:{free.getsockname()[1]}"

    def head(self, variables: Mapping[str, str] | None = None, **redis: object) -> subprocess.Popen[str]:
        """Start another head, whose container has an empty temporary directory. ``redis``: of the spec."""
        number = len(self._groups)
        start = f"ray start --head --port={self.address.rpartition(':')[2]} --node-ip-address={HEAD_IP} --num-cpus=0"
        start += f" --temp-dir={self.folder}/{number} --object-store-memory=80000000 --include-dashboard=false"
        spec = self._spec(redis, start)
        return self._run(build_pod(cluster(), spec, spec.head, "head")["spec"]["containers"][0], variables)

    def _spec(self, redis: Mapping[str, object], start: str = "ray start --head") -> ClusterSpec:
        secret = {"passwordSecret": {"name": "redis", "key": "password"}} if self.redis.password else {}
        recovery = {"address": self.redis.address, "tls": self.redis.tls, **secret, **redis}
        raw = raw_spec(headStartRayCommands=[start], headRecovery={"redis": recovery})
        raw["podTypes"][0]["podConfig"]["spec"]["containers"][0]["terminationMessagePath"] = str(self.message)
        return parse_spec(raw)

    def _run(self, container: Mapping[str, Any], variables: Mapping[str, str] | None) -> subprocess.Popen[str]:
        given = {v["name"]: v["value"] for v in container["env"] if "value" in v}
        command = [*container["command"][:-1], expanded(container["command"][-1])]
        return self._start(command, {**self.redis.variables, **given, **(variables or {})})

    def cleanup(self, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Run the Job that follows the cluster's end."""
        job = build_cleanup(cluster(), self._spec({}))
        assert job
        (container,) = job["spec"]["template"]["spec"]["containers"]
        return self._run(container, variables)

    def worker(self) -> None:
        """Start a node with one CPU."""
        command = [RAY, "start", "--block", f"--address={self.address}", f"--node-ip-address={WORKER_IP}"]
        wait = {"RAY_gcs_rpc_server_reconnect_timeout_s": "900"}
        self._start([*command, "--num-cpus=1", "--object-store-memory=80000000"], wait)

    def count(self) -> str:
        """The next number that an actor on the worker says."""
        command = [sys.executable, "-c", PROGRAM, self.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        assert "COUNT" in done.stdout, done.stderr
        return done.stdout.split("COUNT")[1].strip()

    def log(self, node: subprocess.Popen[str]) -> str:
        return (self.folder / f"{self._groups.index(node)}.log").read_text()

    def wait_for(self, node: subprocess.Popen[str], text: str) -> None:
        """Until a node has said something."""

        def said() -> bool:
            if node.poll() is not None:
                pytest.fail(f"it has ended:\n{self.log(node)}")
            return text in self.log(node)

        eventually(said, within=START_SECONDS)

    def runs(self, head: subprocess.Popen[str]) -> subprocess.Popen[str]:
        """Wait until Ray runs there, or in a head that follows, as in a pod: Ray gives up after half a minute without
        its raylet, and a busy machine may take that long.
        """
        eventually(lambda: head.poll() is not None or "Ray runtime started" in self.log(head), within=START_SECONDS)
        if head.poll() is None:
            return head
        assert "The current node timed out during startup" in self.log(head), self.log(head)
        self.end(head)
        return self.runs(self.head())

    def end(self, node: subprocess.Popen[str]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait(60)

    def end_all(self) -> None:
        for node in reversed(self._groups):
            self.end(node)

    def _start(self, command: list[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.folder), "RAY_USAGE_STATS_ENABLED": "0", **variables}
        with (self.folder / f"{len(self._groups)}.log").open("w") as log:
            node = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=log, stderr=log, text=True, start_new_session=True
            )
        self._groups.append(node)
        return node


@pytest.fixture
def folder() -> Iterator[Path]:
    # A short path: Ray puts sockets below it.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as path:
        (Path(path) / "redis").mkdir()
        yield Path(path)


@contextlib.contextmanager
def nodes_with(folder: Path, redis: RedisServer) -> Iterator[Nodes]:
    nodes = Nodes(folder, redis)
    try:
        yield nodes
    finally:
        nodes.end_all()
        redis.stop()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def nodes(request: pytest.FixtureRequest, folder: Path) -> Iterator[Nodes]:
    with nodes_with(folder, RedisServer(folder / "redis", password=PASSWORD, tls=request.param)) as made:
        yield made


def test_what_a_head_knows_outlives_it_and_an_outage_of_its_redis(folder: Path) -> None:
    with nodes_with(folder, RedisServer(folder / "redis", password=PASSWORD, tls=True)) as nodes:
        first = nodes.runs(nodes.head())
        nodes.worker()
        assert nodes.count() == "1"
        assert nodes.redis.keys(f"RAY{UID}@")
        nodes.end(first)
        nodes.redis.stop()
        second = nodes.head()
        nodes.wait_for(second, f"waiting for the Redis: spec.headRecovery.redis.address: {nodes.redis.address}")
        nodes.redis.start()
        nodes.runs(second)
        assert nodes.count() == "2"
        assert not [key for key in nodes.redis.keys("RAY") if "check" in key or not key.startswith(f"RAY{UID}@")]


def refusal(nodes: Nodes, head: subprocess.Popen[str]) -> str:
    """What a head that ends leaves as its message."""
    assert head.wait(60) == 1
    assert "ray start" not in nodes.log(head)
    assert PASSWORD not in nodes.log(head)
    return nodes.message.read_text()


def test_a_wrong_password_is_said_in_place_of_a_stack_trace(nodes: Nodes) -> None:
    said = refusal(nodes, nodes.head({"REDIS_PASSWORD": "wrong"}))
    assert said == (
        f"ray-operator: spec.headRecovery.redis.passwordSecret: {nodes.redis.address} refuses the password that the "
        "key password of the Secret redis has; correct the Secret"
    )


def test_a_user_that_may_not_write_rays_keys_is_named(nodes: Nodes) -> None:
    nodes.redis.ask("ACL", "SETUSER", "bob", "on", ">b", "~other*", "+@all")
    said = refusal(nodes, nodes.head({"REDIS_PASSWORD": "b"}, username="bob"))
    assert "spec.headRecovery.redis.username: the user bob" in said and "NOPERM" in said


@pytest.mark.parametrize("nodes", [True], indirect=True)
def test_a_certificate_that_is_not_trusted_is_said(nodes: Nodes) -> None:
    said = refusal(nodes, nodes.head({"RAY_REDIS_CA_CERT": ""}))
    assert "spec.headRecovery.redis.tls: the certificate of" in said and "RAY_REDIS_CA_CERT" in said


@pytest.mark.parametrize(("nodes", "tls"), [(True, False), (False, True)], indirect=["nodes"])
def test_tls_on_one_side_alone_is_said(nodes: Nodes, tls: bool) -> None:
    head = nodes.head({"RAY_REDIS_ADDRESS": f"{'rediss://' if tls else ''}{nodes.redis.address}"}, tls=tls)
    nodes.wait_for(head, f"set spec.headRecovery.redis.tls to {'false' if tls else 'true'}")


@pytest.mark.parametrize("nodes", [False], indirect=True)
def test_a_replica_is_waited_for_until_it_takes_writes(nodes: Nodes) -> None:
    nodes.redis.ask("REPLICAOF", "127.0.0.1", "1")
    head = nodes.head()
    nodes.wait_for(head, "is a read-only replica; give the address of the primary")
    nodes.redis.ask("REPLICAOF", "NO", "ONE")
    nodes.runs(head)


def test_the_keys_of_a_deleted_cluster_go_and_those_of_others_stay(nodes: Nodes) -> None:
    mine, others = f"RAY{UID}@", [f"RAY{UID}-2@KV", "RAYother@KV"]
    for key in (f"{mine}KV", f"{mine}NODE", *others):
        nodes.redis.ask("HSET", key, "a", "b")
    cleanup = nodes.cleanup()
    assert cleanup.wait(START_SECONDS) == 0, nodes.log(cleanup)
    assert nodes.redis.keys("RAY") == sorted(others)
    # A Job may be run twice.
    assert nodes.cleanup().wait(START_SECONDS) == 0


def test_a_cleanup_that_may_not_log_in_says_so_and_deletes_nothing(nodes: Nodes) -> None:
    nodes.redis.ask("HSET", f"RAY{UID}@KV", "a", "b")
    cleanup = nodes.cleanup({"REDIS_PASSWORD": "wrong"})
    assert cleanup.wait(START_SECONDS) == 1
    assert "spec.headRecovery.redis.passwordSecret" in nodes.message.read_text()
    assert nodes.redis.keys("RAY")
