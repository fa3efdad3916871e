"""Answers of heads that mean harm: each within the bytes that one may have, and much larger once it is read."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable
from typing import Any

from autoscaler.gcs.client import MAX_ANSWER_BYTES
from autoscaler.gcs.parts import MAX_WHOLE_BYTES
from autoscaler.gcs.protos import autoscaler_pb2 as pb
from autoscaler.gcs.protos import gcs_service

STATE = pb.GetClusterResourceStateReply
# Room for the heads of the messages around.
BYTES = MAX_ANSWER_BYTES - 400


def varint(number: int) -> bytes:
    """A number on the wire."""
    more = b""
    while number > 127:
        more += bytes([number & 127 | 128])
        number >>= 7
    return more + bytes([number])


def field(number: int, value: bytes) -> bytes:
    """A field that holds bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def nested(kind: Any, path: str, value: bytes) -> bytes:
    """A message of this kind with the fields' bytes in the message at the path."""
    if not path:
        return value
    name, _, rest = path.partition(".")
    found = kind.DESCRIPTOR.fields_by_name[name]
    inner = found.message_type._concrete_class
    return field(found.number, nested(inner, rest, value))


def repeated(kind: Any, path: str, value: bytes = b"") -> bytes:
    """As many fields as fit, of the name that the path ends with."""
    outer, _, name = path.rpartition(".")
    inner = kind
    for step in filter(None, outer.split(".")):
        inner = inner.DESCRIPTOR.fields_by_name[step].message_type._concrete_class
    one = field(inner.DESCRIPTOR.fields_by_name[name].number, value)
    return nested(kind, outer, one * (BYTES // len(one)))


def joined(parts: Iterable[bytes]) -> bytes:
    """As many of them as fit."""
    sizes = 0
    found = []
    for part in parts:
        sizes += len(part)
        if sizes > BYTES:
            break
        found.append(part)
    return b"".join(found)


def empty_maps(kind: Any) -> bytes:
    """An entry without key and value in each map or message of such a message."""
    return b"".join(field(f.number, b"") for f in kind.fields if f.message_type is not None and f.number < 16)


def nodes_of(name: str, entries: int, value: bytes = b"") -> bytes:
    """10,000 nodes with entries in one map whose keys are all different."""
    number = pb.NodeState.DESCRIPTOR.fields_by_name[name].number
    keys = itertools.count(10**5)
    nodes = (
        field(1, node.to_bytes(28, "big"))
        + field(2, b"%x" % node)
        + b"".join(field(number, field(1, b"%x" % next(keys)) + value) for _ in range(entries))
        for node in range(10_000)
    )
    return nested(STATE, "cluster_resource_state", joined(field(3, node) for node in nodes))


def large_parts() -> bytes:
    """Demands as large as one may be, of nothing but empty messages."""
    selectors = nested(pb.ResourceRequestByCount, "request", b"\x1a\0" * (MAX_WHOLE_BYTES // 2 - 20))
    return repeated(STATE, "cluster_resource_state.pending_resource_requests", selectors)


def shapes_of(count: int, names: int) -> bytes:
    """Demand of so many shapes with names that are all different."""
    made = STATE()
    for number in range(count):
        request = made.cluster_resource_state.pending_resource_requests.add(count=1).request
        for name in range(names):
            request.resources_bundle["%x" % (number * names + name)] = number + name / 7
    data: bytes = made.SerializeToString()
    return data


def within_groups() -> bytes:
    """An unknown group in a group, and so on."""
    depth = BYTES // 2
    return varint(15 << 3 | 3) * depth + varint(15 << 3 | 4) * depth


_IN = "cluster_resource_state."
_NODE = pb.NodeState.DESCRIPTOR
STATES: dict[str, Callable[[], bytes]] = {
    "empty demands": lambda: repeated(STATE, _IN + "pending_resource_requests"),
    "empty nodes": lambda: repeated(STATE, _IN + "node_states"),
    "nodes of empty maps": lambda: repeated(STATE, _IN + "node_states", empty_maps(_NODE)),
    "one node, empty texts": lambda: repeated(STATE, _IN + "node_states.node_activity"),
    "one node, empty entries": lambda: repeated(STATE, _IN + "node_states.total_resources"),
    "nodes of 50 labels": lambda: nodes_of("labels", 50),
    "nodes of 30 resources": lambda: nodes_of("total_resources", 30, b"\x11" + struct.pack("<d", 1000.5)),
    "empty gangs": lambda: repeated(STATE, _IN + "pending_gang_resource_requests"),
    "a gang of empty bundles": lambda: repeated(STATE, _IN + "pending_gang_resource_requests.requests"),
    "a gang of empty maps": lambda: repeated(STATE, _IN + "pending_gang_resource_requests.requests", b"\x0a\0"),
    "a gang of empty ways": lambda: repeated(STATE, _IN + "pending_gang_resource_requests.bundle_selectors"),
    "empty constraints": lambda: repeated(STATE, _IN + "cluster_resource_constraints.resource_requests"),
    "a demand of empty selectors": lambda: repeated(STATE, _IN + "pending_resource_requests.request.label_selectors"),
    "demands as large as may be": large_parts,
    "shapes of 30 names": lambda: shapes_of(9_000, 30),
    "unknown fields": lambda: nested(STATE, _IN[:-1], field(500, b"") * (BYTES // 4)),
    "unknown groups": lambda: (varint(15 << 3 | 3) + varint(15 << 3 | 4)) * (BYTES // 2),
    "groups in groups": within_groups,
}


def jobs() -> dict[str, bytes]:
    """Answers about jobs."""
    kind = gcs_service().GetAllJobInfoReply
    job = kind.DESCRIPTOR.fields_by_name["job_info_list"].message_type
    return {
        "empty jobs": repeated(kind, "job_info_list"),
        "jobs of empty messages": repeated(kind, "job_info_list", empty_maps(job)),
        "one job, empty entries": repeated(kind, "job_info_list.config.metadata"),
    }


def actors() -> dict[str, bytes]:
    """Answers about actors."""
    kind = gcs_service().GetAllActorInfoReply
    actor = kind.DESCRIPTOR.fields_by_name["actor_table_data"].message_type
    return {
        "empty actors": repeated(kind, "actor_table_data"),
        "actors of empty messages": repeated(kind, "actor_table_data", empty_maps(actor)),
        "one actor, empty entries": repeated(kind, "actor_table_data.required_resources"),
    }
