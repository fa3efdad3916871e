"""Every odd value in every place of a RayCluster and of a head's answer, one at a time: nothing is left to chance."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from autoscaler.gcs.protos import autoscaler_pb2 as pb
from controller.objects.pod import build_pod, slot_name, unbuildable
from controller.planning.observed import Observed
from controller.planning.plan import make_plan
from controller.raycluster.model import parse_spec
from controller.raycluster.validation import problems
from controller.status.cluster_status import status_of, status_of_invalid
from tests.support.builders import NOW, cluster
from tests.unit.fuzz.answered import WORKERS, read, told
from tests.unit.fuzz.engine import ODD, as_sent, assert_no_exception_in, bounded
from tests.unit.fuzz.test_objects import SPECS

# Of a status; an object may have a megabyte and a half, and each change of it is sent to all that watch.
MAX_STATUS = 100_000
NUMBERS = (0, 1, -1, 99, 2**31 - 1, -(2**31), 2**62, 2**63 - 1)
AMOUNTS = (0.0, -1.0, 1e-9, 1e18, 1e300, float("inf"), float("-inf"), float("nan"))
TEXTS = [text for text in ODD if isinstance(text, str)]
# One in so many of all pairs of a place and a value; all of them in `make fuzz`.
EVERY = 1 if settings().max_examples > 100 else 10
BYTES = (b"", b"\xff" * 27, b"\0" * 28, b"x" * 29, b"x" * 5_000)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all parts of a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy with another part."""
    whole = copy.deepcopy(value)
    holder = whole
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = by
    return whole


def works_or_says_why(spec: Any) -> None:
    """What a pass makes of it: pods, a plan and a status, or sentences for its author."""
    of = cluster(spec)
    found = problems(of.name, spec)
    read = None if found else parse_spec(spec)
    found = found or (unbuildable(of, read) if read else ())
    if found or read is None:
        status = status_of_invalid(of, list(found), NOW)
    else:
        for pod_type in (read.head, *read.worker_types):
            json.dumps(build_pod(of, read, pod_type, slot_name(of, pod_type, 0)))
        observed = Observed(of, read, [], None, NOW)
        status = status_of(observed, make_plan(observed))
    assert_no_exception_in([status, [str(problem) for problem in found]])
    assert len(json.dumps(status)) < MAX_STATUS


@pytest.mark.parametrize("number", range(len(SPECS)))
def test_each_odd_value_in_each_place_of_a_spec(number: int) -> None:
    spec = SPECS[number]
    pairs = itertools.product(places(spec), ODD)
    for path, odd in itertools.islice(pairs, number, None, EVERY):
        with bounded(f"{odd!r:.40} at {path}"):
            try:
                works_or_says_why(as_sent(replaced(spec, path, odd)))
            except Exception as error:
                raise AssertionError(f"{odd!r:.60} at {path}") from error


def full_answer() -> Any:
    """An answer with something in each of its fields, and in each of theirs."""
    made = pb.GetClusterResourceStateReply()
    fill(made)
    state = made.cluster_resource_state
    state.node_states[0].node_id = b"\1" * 28
    state.node_states[0].instance_id = WORKERS[0].name
    return made


def fill(message: Any, depth: int = 0) -> None:
    """Give each field one value."""
    for field in message.DESCRIPTOR.fields:
        if depth > 6:
            return
        many = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            kind = field.message_type.fields_by_name["value"]
            if kind.message_type is None:
                getattr(message, field.name)["CPU"] = "1" if kind.type == kind.TYPE_STRING else 1
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            fill(inner.add() if many else inner, depth + 1)
            if not many:
                inner.SetInParent()
        elif many:
            getattr(message, field.name).append(plain(field))
        else:
            setattr(message, field.name, plain(field))


def plain(field: Any) -> Any:
    """A value as it should be."""
    if field.type == field.TYPE_STRING:
        return "CPU"
    return b"\1" * 28 if field.type == field.TYPE_BYTES else field.type == field.TYPE_BOOL or 1


def odd_ones(field: Any) -> Any:
    """Values that a field can have on the wire, and should not."""
    if field.type == field.TYPE_STRING:
        return TEXTS
    if field.type == field.TYPE_BYTES:
        return BYTES
    return AMOUNTS if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT) else NUMBERS


def odd_answers(whole: Any, message: Any, path: str = "") -> Iterator[tuple[str, bytes]]:
    """The whole message with one odd value in one place below this message."""
    for field, value in message.ListFields():
        where = f"{path}.{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            kind = field.message_type.fields_by_name["value"]
            for odd in odd_ones(kind):
                try:
                    value["CPU"] = odd
                except (ValueError, TypeError):
                    continue  # The wire cannot carry it.
                yield f"{where}[CPU] = {odd!r:.30}", whole.SerializeToString()
            value["CPU"] = "1" if kind.type == kind.TYPE_STRING else 1
            for text in TEXTS:
                value[text] = value["CPU"]
                yield f"{where}[{text!r:.30}]", whole.SerializeToString()
                del value[text]
        elif field.message_type is not None:
            inner = value[0] if hasattr(value, "add") else value
            yield from odd_answers(whole, inner, where)
            if hasattr(value, "add"):
                kept = inner.SerializeToString()
                value.extend([inner] * 300)
                yield f"{where} 300 times", whole.SerializeToString()
                del value[1:]
                inner.Clear()
                yield f"{where} empty", whole.SerializeToString()
                inner.ParseFromString(kept)
        else:
            yield from odd_values(whole, message, field, where)


def odd_values(whole: Any, message: Any, field: Any, where: str) -> Iterator[tuple[str, bytes]]:
    """The same for a field without parts."""
    many = hasattr(getattr(message, field.name), "append")
    for odd in odd_ones(field):
        try:
            if many:
                getattr(message, field.name)[0] = odd
            else:
                setattr(message, field.name, odd)
        except (ValueError, TypeError):
            continue  # The wire cannot carry it.
        yield f"{where} = {odd!r:.30}", whole.SerializeToString()
    if many:
        getattr(message, field.name)[0] = plain(field)
    else:
        setattr(message, field.name, plain(field))


def test_each_odd_value_in_each_place_of_an_answer() -> None:
    whole = full_answer()
    tried = refused = 0
    for where, data in odd_answers(whole, whole):
        tried += 1
        with bounded(where):
            state = read(data)
            if state is None:
                refused += 1
                continue
            status, lines = told(state)
        assert_no_exception_in([status, lines])
        assert len(json.dumps(status)) < MAX_STATUS, where
    # Most of an odd answer is of use all the same.
    assert tried > 300 and refused < tried / 10, (tried, refused)
