"""Answers of Ray heads of any bytes: read or refused, and whatever was read leads to a plan, a status and a report."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given

from autoscaler.gcs.protos import autoscaler_pb2 as pb
from autoscaler.gcs.snapshot import Snapshot, is_news
from tests.unit.fuzz.answered import HEAD, WORKERS, read, told
from tests.unit.fuzz.engine import ODD, assert_no_exception_in, bounded, few, seeds

TEXTS = [text for text in ODD if isinstance(text, str)] + ["CPU", "GPU", "memory", "node:__internal_head__", "zone"]
AMOUNTS = (0.0, 1.0, -1.0, 0.1, 1e18, 1e300, float("inf"), float("nan"), 10_000.0)


def request(message: Any, random: Random) -> None:
    """A wish for resources, labels and distance."""
    for _ in range(random.choice((0, 1, 1, 3, 40))):
        message.resources_bundle[random.choice(TEXTS)[:600]] = random.choice(AMOUNTS)
    for _ in range(random.choice((0, 0, 1, 3, 40))):
        selector = message.label_selectors.add()
        for _ in range(random.choice((0, 1, 5))):
            values = random.choices(TEXTS, k=random.choice((0, 1, 3)))
            selector.label_constraints.add(
                label_key=random.choice(TEXTS), operator=random.choice((0, 1, 2, 99)), label_values=values
            )
    for _ in range(random.choice((0, 0, 1))):
        message.placement_constraints.add().anti_affinity.label_name = random.choice(TEXTS)


def reply(random: Random) -> Any:
    """An answer as a head might give it, with odd parts."""
    made = pb.GetClusterResourceStateReply()
    state = made.cluster_resource_state
    state.cluster_session_name = random.choice(TEXTS)
    names = [HEAD.name, *(w.name for w in WORKERS), "", "strange"]
    for number in range(random.choice((0, 1, 6, 60))):
        node = state.node_states.add(
            node_id=number.to_bytes(28, "big"),
            instance_id=random.choice(names),
            ray_node_type_name=random.choice(TEXTS),
            status=random.choice((0, 1, 2, 3, 4, 77)),
            idle_duration_ms=random.choice((0, -5, 10**6, 2**62)),
            node_ip_address=random.choice((*TEXTS, "10.0.1.1")),
        )
        for _ in range(random.choice((0, 1, 4, 300))):
            name, amount = random.choice(TEXTS), random.choice(AMOUNTS)
            node.total_resources[name] = amount
            node.available_resources[name] = random.choice((amount, *AMOUNTS))
            node.labels[random.choice(TEXTS)] = random.choice(TEXTS)
    for _ in range(random.choice((0, 1, 20, 300))):
        request(state.pending_resource_requests.add(count=random.choice((0, 1, -7, 10**6, 2**62))).request, random)
    for _ in range(random.choice((0, 1, 20))):
        details = random.choice(("a" * 32 + ":STRICT_SPREAD|PENDING", "a:PACK|", "|", random.choice(TEXTS)))
        gang = state.pending_gang_resource_requests.add(details=details)
        for _ in range(random.choice((0, 1, 3))):
            way = gang.bundle_selectors.add()
            for _ in range(random.choice((0, 1, 30))):
                request(way.resource_requests.add(), random)
    for _ in range(random.choice((0, 0, 1, 2))):
        request(state.cluster_resource_constraints.add().resource_requests.add(count=3).request, random)
    return made


def torn(data: bytes, random: Random) -> bytes:
    """The bytes, some of them changed, left out, doubled or of other lengths."""
    found = bytearray(data)
    for _ in range(random.choice((0, 0, 1, 3, 20))):
        at, size = random.randrange(len(found) + 1), random.choice((1, 2, 16, 400))
        kind = random.randrange(4)
        if kind == 0:
            del found[at : at + size]
        elif kind == 1:
            found[at:at] = found[at : at + size] * random.choice((1, 2, 30))
        elif kind == 2:
            found[at:at] = random.randbytes(size)
        elif at < len(found):
            found[at] = random.randrange(256)
    return bytes(found)


@few
@given(seeds)
def test_any_answer_is_refused_or_leads_to_a_plan(seed: int) -> None:
    random = Random(seed)
    data = torn(reply(random).SerializeToString(), random)
    with bounded("answers"):
        state = read(data)
        if state is None:
            return
        assert not is_news(Snapshot(state), Snapshot(state))
        texts = told(state)
    assert_no_exception_in(texts)


@few
@given(seeds)
def test_any_bytes_are_refused_or_read(seed: int) -> None:
    random = Random(seed)
    with bounded("bytes"):
        read(random.randbytes(random.choice((0, 1, 9, 300, 5_000))))
