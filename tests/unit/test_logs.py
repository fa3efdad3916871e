"""How the log looks."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from controller.logs import (
    MAX_CHARACTERS,
    MAX_LINES,
    OWN,
    QUIET_SECONDS,
    HumanFormatter,
    JsonFormatter,
    Repeats,
    set_up,
    without_secrets,
)
from controller.raycluster.model import Key

PREFIX = Key("ray", "example").log_prefix
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"


class Log:
    """A logger with one handler, and what it wrote."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        handler.addFilter(Repeats(lambda: self.now))
        self.logger = logging.Logger("controller.test")
        self.logger.addHandler(handler)

    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def human() -> Log:
    return Log(HumanFormatter())


@pytest.fixture
def structured() -> Log:
    return Log(JsonFormatter())


def test_every_line_about_a_cluster_has_its_prefix(human: Log) -> None:
    """Whoever filters by it sees all of a message, and of a traceback."""
    human.logger.warning("%s the API server said:\n  quota\n  exceeded", PREFIX)
    try:
        raise RuntimeError("a defect")
    except RuntimeError:
        human.logger.exception("%s the pass failed", PREFIX)
    lines = human.lines()
    assert len(lines) > 6
    assert all("\tWARNING example,ray: " in line for line in lines[:3])
    assert all("\tERROR example,ray: " in line for line in lines[3:])
    assert lines[2].endswith("example,ray:   exceeded")


def test_other_lines_have_none(human: Log) -> None:
    human.logger.info("watching %s again", "pods")
    human.logger.info("an empty one follows")
    human.logger.info("")
    assert human.lines()[0].endswith("\tINFO watching pods again")
    assert human.lines()[2].endswith("\tINFO ")


def test_json_tells_cluster_and_namespace_apart_from_the_message(structured: Log) -> None:
    structured.logger.info("%s created %d pods", PREFIX, 3)
    structured.logger.info("stopping")
    about, other = structured.json()
    assert (about["cluster"], about["namespace"], about["message"]) == ("example", "ray", "created 3 pods")
    assert (about["level"], about["logger"]) == ("INFO", "controller.test")
    assert about["time"].endswith("+00:00")
    assert "cluster" not in other


def test_json_is_one_line_whatever_is_in_it(structured: Log) -> None:
    try:
        raise RuntimeError("line\nline")
    except RuntimeError:
        structured.logger.exception("%s \ud800 \x1b[31m", PREFIX)
    (entry,) = structured.json()
    assert "RuntimeError: line\nline" in entry["message"]


def test_a_line_that_comes_every_second_is_written_once_a_minute_with_a_count(human: Log) -> None:
    for second in range(125):
        human.now = float(second)
        human.logger.warning("%s no answer", PREFIX)
    texts = [line.partition("\t")[2] for line in human.lines()]
    assert texts == [
        "WARNING example,ray: no answer",
        "WARNING example,ray: no answer (59 more like this since)",
        "WARNING example,ray: no answer (59 more like this since)",
    ]


def test_lines_that_differ_are_all_written(human: Log) -> None:
    for name in ("a", "b"):
        human.logger.warning("%s no answer", Key("ray", name).log_prefix)
    human.logger.error("%s no answer", Key("ray", "a").log_prefix)
    assert len(human.lines()) == 3


def test_what_is_remembered_of_lines_is_bounded(human: Log) -> None:
    repeats = human.logger.handlers[0].filters[0]
    assert isinstance(repeats, Repeats)
    for number in range(5000):
        human.logger.info("line %d", number)
    assert len(repeats._written) == 1000
    human.now = QUIET_SECONDS + 1
    human.logger.info("line 4999")
    assert "like this" not in human.lines()[-1]


@pytest.mark.parametrize(
    "text",
    [
        f"token {TOKEN}",
        f"header Authorization: Bearer {TOKEN}",
        "header 'authorization': 'Bearer abcdefgh-secret-1234'",
        "Basic c2VjcmV0OnNlY3JldA==",
    ],
)
def test_secrets_are_left_out(human: Log, structured: Log, text: str) -> None:
    for log in (human, structured):
        log.logger.error("%s it said: %s", PREFIX, text)
        written = log.stream.getvalue()
        assert "[secret]" in written
        assert not {"secret-1234", "c2VjcmV0", "eyJhbGci", "c2lnbmF0dXJl"} & {
            part for part in ("secret-1234", "c2VjcmV0", "eyJhbGci", "c2lnbmF0dXJl") if part in written
        }


@pytest.fixture
def loggers() -> Iterator[None]:
    """Every logger that setting up touches is afterwards as it was."""
    touched = [logging.getLogger(name) for name in ("", "urllib3", *OWN)]
    before = [(logger.handlers[:], logger.level) for logger in touched]
    yield
    for logger, (handlers, level) in zip(touched, before, strict=True):
        logger.handlers[:], logger.level = handlers, level


def written(level: str, *said: tuple[str, int, str]) -> list[str]:
    """What of these lines (logger, level, text) is written at a level."""
    stream = io.StringIO()
    set_up(level, "json", stream)
    for name, how, text in said:
        logging.getLogger(name).log(how, text)
    return [json.loads(line)["message"] for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("loggers")
def test_the_log_is_set_up_as_asked_for() -> None:
    said = ("controller.x", logging.INFO, "quiet"), ("controller.x", logging.WARNING, "loud")
    assert written("warning", *said, ("urllib3", logging.WARNING, "chatter")) == ["loud"]


@pytest.mark.usefixtures("loggers")
def test_debug_lines_of_other_packages_are_never_logged() -> None:
    """asyncio and grpc tell of their event loops at DEBUG, which is not what somebody asks for who debugs Ray."""
    others = [("asyncio", logging.DEBUG, "Using selector"), ("grpc._cython.cygrpc", logging.INFO, "Loaded loop")]
    own = [("controller.x", logging.DEBUG, "asked"), ("autoscaler.x", logging.DEBUG, "answered")]
    defect = ("asyncio", logging.WARNING, "a defect")
    assert written("debug", *others, *own, defect) == ["asked", "answered", "a defect"]
    assert written("error", ("asyncio", logging.WARNING, "a defect"), ("controller.x", logging.WARNING, "late")) == []


@pytest.mark.parametrize(
    "text",
    ["eyJ" * 400_000, "eyJ-" * 300_000, "bearer" + " " * 1_000_000, "a." * 500_000, "Bearer eyJ" * 100_000],
    ids=["one run", "dashes", "spaces", "dots", "both"],
)
def test_a_hostile_message_costs_time_in_proportion_to_its_length(text: str) -> None:
    """Measured as CPU time of this thread, against a bound that a quadratic search passes a thousand times over."""
    started = time.thread_time()
    without_secrets(text)
    assert time.thread_time() - started < 2.0


def test_a_long_message_is_cut_and_nothing_of_a_token_at_the_cut_stays(human: Log, structured: Log) -> None:
    for log in (human, structured):
        log.logger.warning("%s %s", "x " * (MAX_CHARACTERS // 2 - 10), TOKEN * 10)
        written = log.stream.getvalue()
        assert len(written) < MAX_CHARACTERS + 200
        assert "[cut]" in written
        assert "eyJ" not in written


def test_a_traceback_of_any_length_is_cut(human: Log) -> None:
    try:
        raise ValueError("x y" * MAX_CHARACTERS)
    except ValueError:
        human.logger.exception("the pass failed")
    assert len(human.stream.getvalue()) < 3 * MAX_CHARACTERS


def test_a_terminal_is_not_moved_by_what_names_contain(human: Log) -> None:
    human.logger.warning("bad value \x1b[2J\x1b[1;1H\r\x85\u202e and\nmore")
    written = human.stream.getvalue()
    assert not {"\x1b", "\r", "\x85", "\u202e"} & set(written)
    assert "\\x1b[2J" in written
    assert len(written.splitlines()) == 2


def test_what_is_remembered_of_lines_is_bounded_in_bytes() -> None:
    repeats = Repeats()
    for number in range(MAX_LINES + 10):
        repeats.filter(logging.LogRecord("controller.x", logging.INFO, "", 0, f"{number} " + "x" * 10_000, (), None))
    assert len(repeats._written) == MAX_LINES
    assert sum(len(line) for line in repeats._written) <= 16 * MAX_LINES
