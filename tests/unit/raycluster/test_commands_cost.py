"""What reading the commands of a RayCluster costs: anybody may write them, and all clusters wait meanwhile."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from controller.raycluster.commands_size import MAX_CHARACTERS
from controller.raycluster.head_recovery import ray_version
from controller.raycluster.ray_resources import rays_name
from controller.raycluster.remembered import Remembered, weight
from controller.raycluster.shell import commands
from controller.raycluster.shell_scan import MAX_DEPTH, UnreadableError
from controller.raycluster.shell_words import MAX_EXPANDED, Variables
from controller.raycluster.start_commands import ray_starts
from controller.raycluster.start_options import variables_of
from controller.raycluster.validation import problems

# Of the CPU; each took several times that, and most of them for ever with a little more text.
SECONDS = 10.0


def spec(start: list[str], env: list[dict[str, str]] = [], limit: str = "cpu") -> dict[str, Any]:  # noqa: B006
    container = {"name": "ray", "image": "x", "env": env, "resources": {"limits": {limit: "1"}}}
    pods = {"spec": {"containers": [container]}}
    types = [{"name": name, "podConfig": pods} for name in ("head", "worker")]
    return {"headPodType": "head", "headStartRayCommands": start, "podTypes": types}


def nested(levels: int, before: str, after: str) -> str:
    return before * levels + "x" + after * levels


TEXTS = {
    "options of logging on many lines": "bash -c 'ray" + " --logging-level=a\\\n" * 27 + "'",
    "a long word behind a quote that does not close": f"ray start {'a' * 60_000}'",
    "defaults in quotes": "echo " + nested(21, '"${a:-', '}"'),
    "programs of eval that evaluate themselves": "a='" + 'eval "$a";' * 4 + '\'; eval "$a"',
    "options of export": f"export -{'x' * 40_000}!",
    "set-up of eval": "eval $(" + "conda/" * 15_000 + ")x",
    "JSON": f"ray start --head --resources=$x{'[' * 40_000}",
    "lines behind an operator": "a &&" + "\n" * 40_000 + "ray start --head",
    "starts": "ray start --head;" * 2_500,
    "starts in a program": f"bash -c '{'ray start --head;' * 2_500}'",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_command_takes_long(text: str) -> None:
    began = time.thread_time()
    problems("cluster", spec([text]))
    assert time.thread_time() - began < SECONDS


def test_no_name_of_a_device_takes_long() -> None:
    began = time.thread_time()
    assert not problems("cluster", spec(["ray start --head"], limit=f"a.com/gpu-ib1{'_a' * 26}.-a"))
    assert time.thread_time() - began < SECONDS


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("rayproject/ray:2.9.0", "2.9.0"),
        ("registry:5000/ray:nightly-2.10.0-py311@sha256:1.2.3", "2.10.0"),
        ("registry:1.2.3/ray", ""),
        ("ray@sha256:1.2.3", ""),
        (":1" * 100_000, ""),
        ("ray:" + "1" * 200_000, ""),
    ],
    ids=range(6),
)
def test_the_version_in_an_image_is_found_at_once(image: str, version: str) -> None:
    began = time.thread_time()
    assert ray_version(image) == version
    assert time.thread_time() - began < SECONDS


@pytest.mark.parametrize(
    ("device", "counts"), [("gpu-ib1_a-b__c", False), ("gpu-nic", False), ("gpu-a100", True), ("gpu-ib_1.a", False)]
)
def test_what_connects_a_gpu_is_none(device: str, counts: bool) -> None:
    assert (rays_name(f"a.com/{device}") == "GPU") is counts


def test_variables_that_double_stand_for_so_much_and_no_more() -> None:
    variables = Variables()
    ray_starts(["a=xx;" + "a=$a$a;" * 20 + "ray start --head --port=$a"], variables)
    assert "a" in variables.hidden
    env = [{"name": "A0", "value": "xx"}]
    env += [{"name": f"A{n}", "value": f"$(A{n - 1})" * 2} for n in range(1, 21)]
    variables = variables_of(spec([], env)["podTypes"][0]["podConfig"])
    assert max(map(len, variables.known.values())) < MAX_EXPANDED
    assert "A20" in variables.hidden


def test_variables_share_their_room_with_the_programs_that_see_them() -> None:
    variables = Variables()
    assert variables.of_programs().room is variables.room is variables.copy().room
    assert variables.room.has(MAX_EXPANDED) and not variables.room.has(1) and variables.room.has(0)


@pytest.mark.parametrize(
    "text",
    [nested(400, "${a:-", "}"), nested(400, "$(", ")"), nested(400, '"$(', ')"'), "(" * 4000 + "a;" * 4000, "{ " * 99],
    ids=["braces", "substitutions", "quotes", "subshells", "groups"],
)
def test_what_is_nested_too_deeply_cannot_be_read(text: str) -> None:
    with pytest.raises(UnreadableError, match=f"more than {MAX_DEPTH} brackets"):
        commands(text)
    assert not problems("cluster", spec([text]))


def test_what_is_nested_as_deeply_as_allowed_is_read() -> None:
    assert len(commands("echo " + nested(MAX_DEPTH, '"${a:-', '}"'))) == 1
    assert commands("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)[MAX_DEPTH].depth == MAX_DEPTH


@pytest.mark.parametrize(("levels", "vague"), [(1, False), (10, False), (300, True)])
def test_of_programs_in_programs_the_innermost_are_not_read(levels: int, vague: bool) -> None:
    text = "ray start --head"
    for level in range(levels):
        text = f"cat <<E{level} | bash\n{text}\nE{level}\n"
    (start,) = ray_starts([text], Variables())
    assert start.vague is vague


def kept_of(ask: Callable[[int], object], number: int) -> int:
    tracemalloc.start()
    try:
        for index in range(number):
            ask(index)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_kept_of_commands_is_bounded_in_bytes() -> None:
    assert kept_of(lambda index: commands(f"echo {index};{'a;' * 2_000}"), 8) < 10 * 2**20


def test_what_is_kept_of_variables_is_bounded_in_bytes() -> None:
    def read(index: int) -> None:
        env = [{"name": f"v{n}", "value": f"{index}"} for n in range(2_000)]
        ray_starts(["ray start --head"], variables_of(spec([], env)["podTypes"][0]["podConfig"]))

    assert kept_of(read, 12) < 10 * 2**20


def test_commands_of_which_there_is_too_much_are_refused() -> None:
    each = MAX_CHARACTERS // 2 - 20
    fits = spec(["ray start --head"]) | {"workerStartRayCommands": ["x" * each]}
    assert not problems("cluster", fits)
    more = fits | {"podTypes": [*fits["podTypes"], {**fits["podTypes"][1], "name": "another"}]}
    (problem,) = problems("cluster", more)
    assert f"at most {MAX_CHARACTERS} are read" in problem.message


def test_answers_are_remembered_while_there_is_room() -> None:
    asked: list[str] = []

    def find(text: str) -> tuple[str, ...]:
        asked.append(text)
        return (text.upper(),)

    remembered = Remembered(find, room=32 * 1_000)
    assert remembered.of("a") == remembered.of("a") == ("A",)
    remembered.of("b" * 5_000)
    remembered.of("b" * 5_000)
    assert asked == ["a", "b" * 5_000, "b" * 5_000]
    for number in range(100):
        remembered.of("a")
        remembered.of(f"{number}")
    remembered.of("0")
    assert (asked.count("a"), asked.count("0")) == (1, 2)


def test_what_is_weighed_counts_once_and_no_further_than_is_asked() -> None:
    text = "x" * 1_000
    assert 1_000 < weight([text], 10**6) < 2_000
    assert weight([text] * 3, 10**6) < 2_000
    assert weight([str(number) for number in range(1_000)], 10**6) > 100_000
    assert weight([str(number) for number in range(1_000)], 50_000) < 60_000
