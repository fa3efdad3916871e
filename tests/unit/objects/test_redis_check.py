"""What a head's container says of a Redis that Ray cannot use. A socket of the test's answers as a Redis does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from controller.objects import redis_check
from controller.objects.entrypoint import head_script
from controller.objects.redis_check import Asked, wait
from controller.raycluster.model import parse_spec
from tests.support.builders import raw_spec
from tests.support.container import Container

OK = "+OK"


class Redis:
    """Answers each command with the next of ``answers``, on one connection after another; closes it at None."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.answers: list[str | None] = []
        self.asked: list[list[str]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                while count := lines.readline():
                    words = [lines.read(int(lines.readline()[1:]) + 2)[:-2].decode() for _ in range(int(count[1:]))]
                    self.asked.append(words)
                    answer = self.answers.pop(0) if self.answers else OK
                    if answer is None:
                        break
                    connection.sendall(f"{answer}\r\n".encode())


@pytest.fixture
def redis() -> Iterator[Redis]:
    made = Redis()
    yield made
    made.close()


class Times:
    """A clock that goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wrong(self, variables: Mapping[str, str], *who: str, seconds: float = 0.0) -> str:
        return wait(Asked(variables, *who), seconds, self.said.append, lambda: self.now, self.sleep)


def given(redis: Redis, password: str = "") -> dict[str, str]:
    found = {"RAY_REDIS_ADDRESS": redis.address, "RAY_external_storage_namespace": "u-1"}
    return found | ({"REDIS_PASSWORD": password} if password else {})


@pytest.mark.parametrize(
    ("who", "password", "asked"),
    [
        ((), "", []),
        (("", "redis", "password"), "it's", [["AUTH", "it's"]]),
        (("bob", "redis", "password"), "ü", [["AUTH", "bob", "ü"]]),
    ],
)
def test_a_redis_that_can_be_used_is_written_to_and_left_as_it_was(
    redis: Redis, who: Sequence[str], password: str, asked: list[list[str]]
) -> None:
    assert Times().wrong(given(redis, password), *who) == ""
    key = "RAYu-1@ray-operator-check"
    assert redis.asked == [*asked, ["HSET", key, "a", "b"], ["DEL", key]]


@pytest.mark.parametrize(
    ("answers", "field", "words"),
    [
        (["-WRONGPASS invalid username-password pair"], "passwordSecret", "key pass of the Secret redis has; correct"),
        (["-ERR AUTH <password> called without any password configured"], "passwordSecret", "remove passwordSecret"),
        ([OK, "-NOAUTH Authentication required."], "passwordSecret", "name the Secret"),
        ([OK, "-NOPERM this user has no permissions"], "username", "the user bob"),
        ([OK, "-DENIED Redis is running in protected mode"], "address", "give it a password"),
    ],
)
def test_what_somebody_has_to_change_is_said_at_once(
    redis: Redis, answers: list[str | None], field: str, words: str
) -> None:
    redis.answers = answers
    times = Times()
    wrong = times.wrong(given(redis, "s3cret"), "bob", "redis", "pass", seconds=30.0)
    assert wrong.startswith(f"spec.headRecovery.redis.{field}: ")
    assert words in wrong and redis.address in wrong and "s3cret" not in wrong
    assert (times.now, times.said) == (0.0, [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("-LOADING Redis is loading the dataset in memory", "takes no writes (LOADING"),
        ("-OOM command not allowed", "takes no writes (OOM"),
        ("-MISCONF Redis is configured to save", "takes no writes (MISCONF"),
        ("-READONLY You can't write against a read only replica.", "give the address of the primary"),
        ("-ERR max number of clients reached", "max number of clients"),
        (None, "set spec.headRecovery.redis.tls to true"),
    ],
)
def test_what_may_pass_is_waited_for(redis: Redis, answer: str | None, words: str) -> None:
    redis.answers = [answer] * 3
    times = Times()
    assert times.wrong(given(redis), seconds=30.0) == ""
    # The same reason again is no news.
    assert len(times.said) == 1 and words in times.said[0]
    redis.answers = [answer] * 99
    wrong = times.wrong(given(redis), seconds=30.0)
    assert words in wrong and wrong.endswith("(tried for 30 s)")
    assert times.now == 33.0


@pytest.mark.parametrize("answer", ["-ERR unknown command 'HSET'", "-MOVED 1 10.0.0.1:6379", "$-1", "nonsense"])
def test_what_is_not_understood_is_left_to_ray(redis: Redis, answer: str) -> None:
    redis.answers = [answer]
    assert Times().wrong(given(redis)) == ""


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert f"{address} cannot be reached (Connection refused)" in Times().wrong({"RAY_REDIS_ADDRESS": address})
    assert "no-such.invalid has no address" in Times().wrong({"RAY_REDIS_ADDRESS": "no-such.invalid:6379"})


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("r:1", (False, "r", 1)),
        ("redis://r:1", (False, "r", 1)),
        ("rediss://r.ns.svc:6380", (True, "r.ns.svc", 6380)),
        ("[fd00::1]:6379,other:1", (False, "fd00::1", 6379)),
    ],
)
def test_addresses_are_read_as_ray_reads_them(address: str, read: tuple[bool, str, int]) -> None:
    asked = Asked({"RAY_REDIS_ADDRESS": address})
    assert (asked.tls, asked.host, asked.port) == read


def head(**container: str) -> str:
    """The head's program; what it is about comes from the container's variables."""
    secret = {"name": "redis", "key": "pass"}
    spec = raw_spec(headRecovery={"redis": {"address": "r:1", "passwordSecret": secret}})
    spec["podTypes"][0]["setupCommands"] = ["true"]
    spec["podTypes"][0]["podConfig"]["spec"]["containers"][0].update(container)
    return head_script(parse_spec(spec))


def run(container: Container, script: str, variables: Mapping[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        env={**container.environment(), **variables},
        cwd=container.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_head_ends_with_the_message_before_ray_starts(container: Container, redis: Redis) -> None:
    redis.answers = ["-WRONGPASS no"]
    file = container.directory / "message"
    code, said = run(container, head(terminationMessagePath=str(file)), given(redis, "s3cret"))
    assert code == 1
    assert container.asked() == []
    message = file.read_text()
    assert message.startswith("ray-operator: spec.headRecovery.redis.passwordSecret: ")
    assert message in said and "s3cret" not in said and "failed" not in said


def test_a_head_whose_redis_is_well_starts_ray(container: Container, redis: Redis) -> None:
    # What lies in the folder does not stand in for Python's own modules.
    (container.directory / "socket.py").write_text("raise SystemExit(78)")
    code, said = run(container, head(), given(redis, "s3cret"))
    assert code == 0 and "spec.headRecovery" not in said
    assert [words[0] for words in redis.asked] == ["AUTH", "HSET", "DEL"]
    assert "ray start" in container.asked()[-1]


@pytest.mark.parametrize("python", ["exit 1", "exit 127"])
def test_a_python_that_cannot_run_the_look_keeps_nothing_from_starting(container: Container, python: str) -> None:
    (container.directory / "python3").write_text(f"#!/bin/bash\n{python}\n")
    (container.directory / "python3").chmod(0o755)
    assert run(container, head(), {"RAY_REDIS_ADDRESS": "127.0.0.1:1"})[0] == 0
    assert "ray start" in container.asked()[-1]


def test_start_commands_that_say_more_of_the_redis_are_not_second_guessed() -> None:
    recovery = {"redis": {"address": "r:1"}}
    told = raw_spec(headRecovery=recovery, headStartRayCommands=["export RAY_REDIS_CA_CERT=/a; ray start --head"])
    assert redis_check.FIELD in head_script(parse_spec(raw_spec(headRecovery=recovery)))
    assert redis_check.FIELD not in head_script(parse_spec(told))
    assert redis_check.FIELD not in head_script(parse_spec(raw_spec()))


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    program = Path(redis_check.__file__).read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, "0", os.devnull, "", "", ""],
        env={"RAY_REDIS_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == redis_check.REFUSED
    assert "cannot be reached" in done.stderr
