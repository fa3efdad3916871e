"""Large messages in parts: what repeats is found and counted in the bytes first, and parsed one message at a time.

Protobuf unfolds a message as a whole, and two bytes of an empty message take up to 700 in memory. Here an answer takes
its own size, a place for each of its parts, and what one part unfolds to.

The encoding: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.message_factory import GetMessageClass

# The fields that are read in parts, by the full name of their message. All else is parsed as a whole.
REPEATED = {
    "ray.rpc.autoscaler.ClusterResourceState": (
        "node_states",
        "pending_resource_requests",
        "pending_gang_resource_requests",
        "cluster_resource_constraints",
    ),
    "ray.rpc.autoscaler.GangResourceRequest": ("requests", "bundle_selectors"),
    "ray.rpc.autoscaler.BundleSelector": ("resource_requests",),
    "ray.rpc.autoscaler.ClusterResourceConstraint": ("resource_requests",),
    "ray.rpc.GetAllJobInfoReply": ("job_info_list",),
    "ray.rpc.GetAllActorInfoReply": ("actor_table_data",),
}
SINGLE = {"ray.rpc.autoscaler.GetClusterResourceStateReply": ("cluster_resource_state",)}
# Fields of one message that is read in parts. A state may have 20,000 nodes, and 10,000 shapes and groups.
MAX_FIELDS = 50_000
# What is parsed as a whole: a node, a shape, a bundle, a job, an actor. It unfolds to a hundred times that at most.
MAX_WHOLE_BYTES = 256 * 2**10

# Types of values on the wire, and how many bytes there are of those of fixed size.
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}
_VARINT_BYTES = 10
Span = tuple[int, int]


class MalformedError(ValueError):
    """These bytes are no such message, or one that is too large to be real."""


class _Part(NamedTuple):
    """A field that holds messages."""

    name: str
    kind: Any
    repeated: bool


class Messages:
    """The messages of a repeated field. Each is read anew whenever it is asked for."""

    def __init__(self, kind: Any, data: bytes, spans: list[Span]) -> None:
        self._kind = kind
        self._data = data
        self._spans = spans

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> Any:
        return read_in_parts(self._kind, self._data, self._spans[index])

    def __iter__(self) -> Iterator[Any]:
        before, message = None, None
        for begin, end in self._spans:
            # Bundles of a group are mostly alike.
            if before is None or self._data[begin:end] != before:
                before = self._data[begin:end]
                message = read_in_parts(self._kind, before)
            yield message


class InParts:
    """A message whose fields are read as those of a parsed one are, and cannot be set."""

    def __init__(self, kind: Any, data: bytes, span: Span) -> None:
        parts, known = _fields_of(kind.DESCRIPTOR)
        spans: dict[int, list[Span]] = {number: [] for number in parts}
        rest: list[bytes] = []
        try:
            for number, begin, value, end in _fields(data, span):
                if number in parts:
                    spans[number].append((value, end))
                elif number in known:
                    rest.append(data[begin:end])
        except MalformedError as error:
            raise MalformedError(f"not a {kind.DESCRIPTOR.name}: {error}") from None
        self._rest = _parsed(kind, b"".join(rest))
        self._parts = {part.name: _part(part, data, spans[number]) for number, part in parts.items()}

    def __getattr__(self, name: str) -> Any:
        parts: dict[str, Any] = self.__dict__["_parts"]
        return parts[name] if name in parts else getattr(self._rest, name)


def read_in_parts(kind: Any, data: bytes, span: Span | None = None) -> Any:
    """A message of this generated class, or what reads like one.

    Raises:
        MalformedError: it is none. Parts may also raise it when they are read.
    """
    span = span or (0, len(data))
    if _fields_of(kind.DESCRIPTOR)[0]:
        return InParts(kind, data, span)
    return _parsed(kind, data[slice(*span)])


def _part(part: _Part, data: bytes, spans: list[Span]) -> Any:
    if part.repeated:
        return Messages(part.kind, data, spans)
    if len(spans) > 1:
        raise MalformedError(f"{part.name} stands {len(spans)} times in it")
    return read_in_parts(part.kind, data, spans[0] if spans else (0, 0))


def _parsed(kind: Any, data: bytes) -> Any:
    if len(data) > MAX_WHOLE_BYTES:
        raise MalformedError(f"a {kind.DESCRIPTOR.name} of {len(data)} bytes")
    try:
        return kind.FromString(data)
    except Exception as error:  # google.protobuf.message.DecodeError is a ValueError in some releases only
        raise MalformedError(f"not a {kind.DESCRIPTOR.name}: {error}") from None


@cache
def _fields_of(descriptor: Any) -> tuple[dict[int, _Part], frozenset[int]]:
    """The fields that are read in parts, by number, and the numbers of all."""
    parts: dict[int, _Part] = {}
    for fields, repeated in ((REPEATED, True), (SINGLE, False)):
        for name in fields.get(descriptor.full_name, ()):
            field = descriptor.fields_by_name[name]
            parts[field.number] = _Part(name, GetMessageClass(field.message_type), repeated)
    return parts, frozenset(descriptor.fields_by_number)


def _fields(data: bytes, span: Span) -> Iterator[tuple[int, int, int, int]]:
    """Number, where the field begins, where its value begins, and where it ends."""
    at, end = span
    left = MAX_FIELDS
    while at < end:
        begin = at
        tag, at = _varint(data, at)
        wire_type = tag & 7
        if wire_type == _BYTES:
            size, value = _varint(data, at)
            at = value + size
        else:
            value, at = at, _end(data, at, wire_type)
        left -= 1
        if at > end:
            raise MalformedError("it is cut off")
        if left < 0:
            raise MalformedError(f"more than {MAX_FIELDS} parts")
        yield tag >> 3, begin, value, at


def _end(data: bytes, at: int, wire_type: int) -> int:
    """Where a number ends."""
    if wire_type == _VARINT:
        return _varint(data, at)[1]
    if wire_type in _FIXED:
        return at + _FIXED[wire_type]
    # Groups, which only schemas of proto2 have.
    raise MalformedError(f"a field of wire type {wire_type}")


def _varint(data: bytes, at: int) -> Span:
    """The number that begins here, and where it ends."""
    number = shift = 0
    for byte in data[at : at + _VARINT_BYTES]:
        at += 1
        if byte < 128:
            return number | byte << shift, at
        number |= (byte & 127) << shift
        shift += 7
    raise MalformedError("it is cut off")
