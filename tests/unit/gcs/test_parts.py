"""Messages in parts: they read as whole ones do, and what is no such message or too much of one is refused."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given

from autoscaler.gcs import parts
from autoscaler.gcs.convert import ImplausibleAnswerError, ray_state
from autoscaler.gcs.parts import MalformedError, read_in_parts
from autoscaler.gcs.protos import autoscaler_pb2 as pb
from autoscaler.gcs.protos import gcs_service
from autoscaler.model import RayState
from tests.support.hostile_answers import field, nested, varint
from tests.unit.fuzz.engine import few, seeds
from tests.unit.fuzz.test_answers import reply

REPLY = pb.GetClusterResourceStateReply


def state(of: Any) -> RayState | str:
    try:
        return ray_state(of.cluster_resource_state, 0.0)
    except ImplausibleAnswerError as error:
        return str(error)


@few
@given(seeds)
def test_an_answer_says_in_parts_what_it_says_as_a_whole(seed: int) -> None:
    data = reply(Random(seed)).SerializeToString()
    try:
        found = state(read_in_parts(REPLY, data))
    except MalformedError as error:
        # A shape of many long texts.
        assert re.fullmatch(r"a \w+ of \d{6,} bytes", str(error))
        return
    assert found == state(REPLY.FromString(data))


def test_parts_are_counted_read_by_place_and_in_order() -> None:
    jobs = gcs_service().GetAllJobInfoReply()
    for number in (1, 2, 2, 2, 3):
        jobs.job_info_list.add(job_id=bytes([number]), end_time=number)
    jobs.status.message = "well"
    found = read_in_parts(gcs_service().GetAllJobInfoReply, jobs.SerializeToString())
    assert [job.end_time for job in found.job_info_list] == [1, 2, 2, 2, 3]
    assert (len(found.job_info_list), found.job_info_list[4].job_id) == (5, b"\3")
    assert (found.status.message, found.status.code) == ("well", 0)


def test_an_answer_without_anything_is_one_without_nodes() -> None:
    assert state(read_in_parts(REPLY, b"")) == state(REPLY())


def test_fields_of_later_versions_are_left_out() -> None:
    made = REPLY()
    made.cluster_resource_state.node_states.add(node_id=b"n" * 28, instance_id="a", status=1)
    made.cluster_resource_state.cluster_session_name = "s" * 200
    later = [varint(99 << 3) + varint(2**63), varint(99 << 3 | 1) + b"8" * 8, varint(99 << 3 | 5) + b"4" * 4]
    inner = b"".join(later) + made.cluster_resource_state.SerializeToString() + field(99, b"x" * 300)
    assert state(read_in_parts(REPLY, nested(REPLY, "cluster_resource_state", inner))) == state(made)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x0a", "cut off"),
        (b"\x0a\x7f", "cut off"),
        (b"\x0a\x02\x1a\x05", "cut off"),
        (b"\x0a\x02\x08\xff\x01", "cut off"),
        (b"\xff" * 50, "cut off"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0a\0\x0a\0", "2 times"),
        (b"\x0a\x04\x3a\x02\xff\xff", "not a ClusterResourceState"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        read_in_parts(REPLY, data)


def test_more_parts_than_a_message_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_FIELDS", 3)
    made = REPLY()
    for _ in range(3):
        made.cluster_resource_state.node_states.add()
    assert len(read_in_parts(REPLY, made.SerializeToString()).cluster_resource_state.node_states) == 3
    made.cluster_resource_state.cluster_session_name = "a fourth field"
    with pytest.raises(MalformedError, match="more than 3 parts"):
        read_in_parts(REPLY, made.SerializeToString())


def test_a_part_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_WHOLE_BYTES", 100)
    made = REPLY()
    for number in range(20):
        made.cluster_resource_state.node_states.add(node_id=bytes([number]) * 28)
    read = read_in_parts(REPLY, made.SerializeToString()).cluster_resource_state.node_states
    assert [node.node_id[0] for node in read] == list(range(20))
    made.cluster_resource_state.node_states[7].instance_id = "x" * 80
    with pytest.raises(MalformedError, match="a NodeState of 112 bytes"):
        list(read_in_parts(REPLY, made.SerializeToString()).cluster_resource_state.node_states)
