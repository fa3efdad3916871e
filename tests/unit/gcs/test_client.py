"""The client: what it sends, what it never sends, and what becomes of every way a head can fail."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import threading
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from autoscaler.gcs import client as module
from autoscaler.gcs.client import Credentials, DrainReason, GcsClient
from autoscaler.gcs.errors import MAX_MESSAGE_CHARACTERS, GcsError
from autoscaler.gcs.protos import autoscaler_pb2
from autoscaler.gcs.reading import state_of
from autoscaler.model import Demand, NodeStatus, RayState, ReportedState, Shape
from tests.fakes.gcs import FakeGcs

NODE = b"n" * 28


def refused(client: GcsClient) -> GcsError:
    with pytest.raises(GcsError) as caught:
        client.state()
    return caught.value


def test_the_state_is_taken_when_asked(client: GcsClient) -> None:
    assert client.state().taken_at == 7.0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "unreachable"),
        (grpc.StatusCode.CANCELLED, "unreachable"),
        (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
        (grpc.StatusCode.PERMISSION_DENIED, "unauthenticated"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "timeout"),
        (grpc.StatusCode.INTERNAL, "invalid"),
        (grpc.StatusCode.UNIMPLEMENTED, "invalid"),
    ],
)
def test_errors_are_typed_and_fit_for_a_log(head: FakeGcs, client: GcsClient, code: grpc.StatusCode, kind: str) -> None:
    head.error = code
    error = refused(client)
    assert (error.kind, error.message) == (kind, "this head is not well")
    with pytest.raises(GcsError, match=kind):
        client.drain(NODE, reason=DrainReason.IDLE, message="")
    with pytest.raises(GcsError, match=kind):
        client.report(ReportedState())
    head.error = None
    assert client.state()


def test_nothing_listening_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = GcsClient(f"127.0.0.1:{unused.getsockname()[1]}")
        assert refused(client).kind == "unreachable"
        client.close()


def test_a_head_that_is_silent_is_a_timeout_and_its_next_call_a_new_connection(head: FakeGcs) -> None:
    client = GcsClient(head.address, call_seconds=2.0)
    head.hold = True
    assert refused(client).kind == "timeout"
    head.release()
    peers = len(set(head.peers))
    assert client.state()
    assert len(set(head.peers)) == peers + 1
    client.close()


@pytest.mark.parametrize("garbage", [b"\xff" * 50, b"\x0a\x7f"])
def test_garbage_is_invalid(head: FakeGcs, client: GcsClient, garbage: bytes) -> None:
    head.garbage = garbage
    assert refused(client).kind == "invalid"
    with pytest.raises(GcsError, match="invalid"):
        client.drain(NODE, reason=DrainReason.IDLE, message="")


def test_an_implausible_answer_is_invalid(head: FakeGcs, client: GcsClient) -> None:
    head.nodes["example-head"].node_id = b"short"
    assert refused(client).kind == "invalid"


def test_an_answer_beyond_grpcs_own_limit_arrives(head: FakeGcs, client: GcsClient) -> None:
    for number in range(50):
        head.add_node(f"pod-{number}", "worker-node", {"CPU": 1})
        head.nodes[f"pod-{number}"].node_activity.append("x" * 100_000)
    assert len(client.state().nodes) == 51


def test_an_answer_beyond_our_limit_is_invalid(
    head: FakeGcs, client: GcsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscaler.gcs.client.MAX_ANSWER_BYTES", 300_000)
    head.nodes["example-head"].node_activity.extend(["x" * 100_000] * 4)
    assert refused(client).kind == "invalid"


def test_a_head_that_is_back_is_answered_at_once(head: FakeGcs) -> None:
    """gRPC alone would wait longer and longer before it connects again."""
    client = GcsClient(head.address)
    port = int(head.address.rpartition(":")[2])
    head.close()
    for _ in range(3):
        assert refused(client).kind in ("unreachable", "timeout")
    again = FakeGcs(port=port)
    try:
        answers = (attempt(client) for _ in range(100))
        assert any(isinstance(answer, RayState) for answer in answers)
    finally:
        client.close()
        again.close()


def attempt(client: GcsClient) -> RayState | GcsError:
    try:
        return client.state()
    except GcsError as error:
        threading.Event().wait(0.05)
        return error


def test_the_state_is_asked_for_without_waiting(head: FakeGcs, client: GcsClient) -> None:
    answers: list[RayState | GcsError] = []
    arrived = threading.Event()

    def done(answer: RayState | GcsError) -> None:
        answers.append(answer)
        arrived.set()

    head.hold = True
    client.begin_state(done)
    assert answers == []
    head.release()
    assert arrived.wait(20)
    assert [type(answer) for answer in answers] == [RayState]


def test_closing_ends_calls_under_way_and_refuses_later_ones(head: FakeGcs, client: GcsClient) -> None:
    arrived = threading.Event()
    answers: list[RayState | GcsError] = []
    head.hold = True

    def done(answer: RayState | GcsError) -> None:
        answers.append(answer)
        arrived.set()

    client.begin_state(done)
    assert head.called.wait(20)
    client.close()
    assert arrived.wait(20)
    assert isinstance(answers[0], GcsError)
    assert answers[0].kind == "unreachable"
    assert refused(client).kind == "unreachable"


@pytest.mark.parametrize("node_id", [b"", b"x" * 27, b"x" * 56, "x" * 28, bytearray(28), None])
def test_a_node_id_that_would_end_the_head_is_never_sent(head: FakeGcs, client: GcsClient, node_id: Any) -> None:
    with pytest.raises(ValueError, match="node id"):
        client.drain(node_id, reason=DrainReason.IDLE, message="")
    assert (head.calls, head.killed_by) == ([], None)


@pytest.mark.parametrize("reason", [0, 1, 2, None, "IDLE"])
def test_a_drain_without_a_reason_is_never_sent(head: FakeGcs, client: GcsClient, reason: Any) -> None:
    with pytest.raises(ValueError, match="reason"):
        client.drain(NODE, reason=reason, message="")
    assert (head.calls, head.killed_by) == ([], None)


@pytest.mark.parametrize("deadline", [-1, float("nan"), float("inf"), 1e13])
def test_a_deadline_that_ray_refuses_is_never_sent(head: FakeGcs, client: GcsClient, deadline: float) -> None:
    with pytest.raises(ValueError, match="deadline"):
        client.drain(NODE, reason=DrainReason.PREEMPTION, message="", deadline=deadline)
    assert head.calls == []


def test_a_drain_says_why_and_until_when(head: FakeGcs, client: GcsClient) -> None:
    client.drain(NODE, reason=DrainReason.PREEMPTION, message="m" * 10_000, deadline=12.3456)
    assert head.drained == [(NODE, 2, 12_345)]


def test_a_refusal_is_bounded(head: FakeGcs, client: GcsClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.gcs.NO_LONGER_IDLE", "x" * 100_000)
    node_id = head.add_node("pod", "worker-node", {"CPU": 1}, status=NodeStatus.RUNNING)
    assert len(client.drain(node_id, reason=DrainReason.IDLE, message="").why) == MAX_MESSAGE_CHARACTERS


def test_a_fatal_call_ends_the_fake_as_it_ends_ray(head: FakeGcs, client: GcsClient) -> None:
    """So the tests that say "never sent" would notice."""
    with grpc.insecure_channel(head.address) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/ray.rpc.autoscaler.AutoscalerStateService/GetClusterResourceState"
        )
        request = autoscaler_pb2.GetClusterResourceStateRequest(last_seen_cluster_resource_state_version=99)
        with pytest.raises(grpc.RpcError):
            call(request.SerializeToString(), timeout=20)
    assert head.killed_by
    assert refused(client).kind in ("unreachable", "timeout")


def test_states_are_asked_for_with_no_version_seen(head: FakeGcs, client: GcsClient) -> None:
    for _ in range(5):
        client.state()
    assert head.seen_versions == [0] * 5


def test_report_versions_only_grow_even_where_the_clock_goes_back(head: FakeGcs) -> None:
    times = iter([50, 50, 10, 60])
    client = GcsClient(head.address, wall_ns=lambda: next(times))
    versions = []
    for _ in range(4):
        client.report(ReportedState())
        versions.append(head.reported.autoscaler_state_version)
    assert versions == [50, 51, 52, 60]
    client.close()


def test_a_report_says_infeasible_only_of_what_it_is_given(head: FakeGcs, client: GcsClient) -> None:
    client.report(ReportedState(launching=("a",)))
    assert not head.reported.infeasible_resource_requests
    client.report(ReportedState(infeasible=(Shape.of({"CPU": 99}),)))
    assert head.reported.infeasible_resource_requests[0].resources_bundle == {"CPU": 99.0}


def test_a_token_is_sent_and_the_wrong_one_refused() -> None:
    head = FakeGcs(token="secret")
    right, wrong, none = (GcsClient(head.address, c) for c in (Credentials("secret"), Credentials("guess"), None))
    assert right.state()
    assert head.metadata["authorization"] == "Bearer secret"
    assert refused(wrong).kind == refused(none).kind == "unauthenticated"
    for client in (right, wrong, none):
        client.close()
    head.close()


@pytest.mark.parametrize("token", ["", "two words", "line\n", "é"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        Credentials(token)
    assert not token or token not in str(caught.value)


def test_credentials_are_never_shown() -> None:
    assert repr(Credentials("secret", b"secret", b"secret", b"secret")) == "Credentials()"


@pytest.mark.parametrize("parts", [(b"a", None, None), (None, b"b", b"c"), (b"a", b"b", None)])
def test_tls_in_part_is_refused(parts: tuple[bytes | None, ...]) -> None:
    with pytest.raises(ValueError, match="TLS"):
        Credentials(None, *parts)


def certificate() -> tuple[bytes, bytes]:
    """A certificate for loopback that is its own authority, and its key: what Ray's guide makes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ray")])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return built.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


def test_mutual_tls() -> None:
    public, key = certificate()
    server = grpc.ssl_server_credentials([(key, public)], public, require_client_auth=True)
    head = FakeGcs(tls=server, token="secret")
    head.demands = (Demand(Shape.of({"CPU": 1}), 1),)
    good = GcsClient(head.address, Credentials("secret", public, public, key), call_seconds=20)
    stranger = GcsClient(head.address, Credentials("secret", public, *certificate()))
    plain = GcsClient(head.address, Credentials("secret"))
    assert good.state().demands == head.demands
    assert refused(stranger).kind in ("unreachable", "timeout")
    assert refused(plain).kind in ("unreachable", "timeout")
    for client in (good, stranger, plain):
        client.close()
    head.close()


def test_a_large_answer_is_read_beside_the_loop_that_serves_all_heads(head: FakeGcs, client: GcsClient) -> None:
    """Other heads' answers do not wait for it; and what it cost is there for the pace of the next question."""
    for number in range(2_000):
        head.add_node(f"worker-{number}", "worker-node", {"CPU": 1, "x" * 200: 1})
    threads: set[str] = set()

    def reading(answer: bytes, taken_at: float) -> RayState:
        threads.add(threading.current_thread().name)
        return state_of(answer, taken_at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "state_of", reading)
        state = client.state()
    assert len(state.nodes) == 2_001
    assert state.cost > 0
    assert {name.rsplit("_", 1)[0] for name in threads} == {"gcs-large"}
