"""What answers of heads take in memory, in a process of its own: protobuf's memory is none of Python's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.fakes.gcs import FakeGcs
from tests.support import hostile_answers
from tests.support.endless_head import EndlessHead

ROOT = Path(__file__).resolve().parents[3]
# What one answer may add while it is read: its parts' places, what the largest part unfolds to, and what is kept.
ONE_ANSWER_MIB = 40
# A process that polls such heads, from its start.
MANY_HEADS_MIB = 150
HEADS = 12
# The same where the heads give nothing that is read.
ENDLESS_MIB = 90


def python(program: str, *arguments: str) -> str:
    """What the program prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


READ_EACH = """
import gc, json
from pathlib import Path
from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.reading import state_of, timed
from autoscaler.gcs.usage import actors_of, jobs_of
from tests.support import hostile_answers
from tests.support.endless_head import EndlessHead

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

def added(data, reader):
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmHWM")
    try:
        timed(data, reader)
    except GcsError as error:
        assert error.kind == "invalid"
    return (kilobytes("VmHWM") - before) / 1024

found = {name: added(make(), lambda data: state_of(data, 0.0)) for name, make in hostile_answers.STATES.items()}
found |= {name: added(data, jobs_of) for name, data in hostile_answers.jobs().items()}
found |= {name: added(data, actors_of) for name, data in hostile_answers.actors().items()}
print(json.dumps(found))
"""


def test_no_answer_unfolds_to_much_more_than_it_is() -> None:
    added = json.loads(python(READ_EACH))
    assert len(added) > 20
    assert {name: round(mib) for name, mib in added.items() if mib > ONE_ANSWER_MIB} == {}


POLL_ALL = """
import sys, threading
from pathlib import Path
from autoscaler.gcs.client import GcsClient
from autoscaler.gcs.poller import Poller

seconds = float(sys.argv[1])
left = {address: 3 for address in sys.argv[2:]}
asked = threading.Event()

class Counting(GcsClient):
    def begin_state(self, done):
        def counted(answer):
            left[self._address] -= 1
            if max(left.values()) <= 0:
                asked.set()
            done(answer)
        super().begin_state(counted)

poller = Poller(lambda address, credentials: Counting(address, credentials, call_seconds=seconds), lambda key: None)
for address in left:
    poller.watch(address, address)
poller.start()
assert asked.wait(500), left
errors = [poller.latest(address).error for address in left]
assert all(error and error.kind in ("invalid", "timeout") for error in errors), errors
# The peak of the program: that of the process counts what it was before, a copy of the tests'.
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")))
"""


@pytest.fixture
def heads() -> Iterator[list[FakeGcs]]:
    heads = [FakeGcs() for _ in range(HEADS)]
    yield heads
    for head in heads:
        head.close()


def test_many_heads_that_give_such_answers_take_no_more_than_a_few(heads: list[FakeGcs]) -> None:
    """They are read a few at a time, and nothing is kept of one that was refused."""
    garbage = hostile_answers.STATES["empty nodes"]()
    for head in heads:
        head.garbage = garbage
    assert polled_mib(60, heads) < MANY_HEADS_MIB


def test_what_heads_send_unasked_waits_with_them() -> None:
    heads = [EndlessHead() for _ in range(HEADS)]
    try:
        assert polled_mib(2, heads) < ENDLESS_MIB
    finally:
        for head in heads:
            head.close()


def polled_mib(call_seconds: float, heads: Sequence[FakeGcs | EndlessHead]) -> float:
    """The most that a program has in memory which polls these heads."""
    return float(python(POLL_ALL, str(call_seconds), *(head.address for head in heads)))
