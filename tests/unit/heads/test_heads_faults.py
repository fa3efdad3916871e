"""A GCS that is gone, broken, silent or forgetful: nobody is removed meanwhile, and all goes on once it is well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from autoscaler.gcs.client import GcsClient
from autoscaler.model import PendingInstance, ReportedState
from controller.heads.polled import PolledHeads
from controller.planning.actions import CreatePod, DeletePod, DrainPod, RetirePod
from controller.planning.observed import EXPIRED_SECONDS, FRESH_SECONDS
from controller.planning.plan import make_plan
from controller.raycluster.model import Key, parse_spec
from tests.fakes.gcs import FakeGcs
from tests.support.builders import NAME, NAMESPACE, cluster, head_pod, raw_spec, seen, worker_pod
from tests.support.kube import eventually

KEY = Key(NAMESPACE, NAME)
OF = cluster(raw_spec(workers=0))
SPEC = parse_spec(OF.spec)
WORKER = worker_pod(SPEC)


class Scene:
    """A cluster with one worker that has idled for long, its head, and the operator's eyes on it."""

    def __init__(self) -> None:
        self.gcs = FakeGcs(name=head_pod(SPEC).name)
        self.gcs.add_node(WORKER.name, WORKER.node_type, {"CPU": 1}, idle_seconds=400)
        self.later = 0.0
        self.heads = PolledHeads(
            lambda key: None,
            clock=self.clock,
            connect=lambda address, credentials: GcsClient(address, credentials, clock=self.clock),
        )
        host, port = self.gcs.address.split(":")
        self.head = head_pod(SPEC, ip=host)
        self.heads.start()
        self.heads.follow(KEY, self.head, int(port), busy=True)

    def clock(self) -> float:
        """Real time, and what the test has added to it."""
        return time.monotonic() + self.later

    def actions(self) -> set[type]:
        """What the operator would do about pods now."""
        shown = seen(
            [self.head, WORKER], OF, ray=self.heads.view(KEY), silence=self.heads.silence(KEY), now=time.time()
        )
        return {type(a) for a in make_plan(shown).actions} & {CreatePod, DeletePod, DrainPod, RetirePod}

    def close(self) -> None:
        """End all of it."""
        self.heads.stop()
        self.gcs.close()

    def vanish(self) -> None:
        """Nothing listens there any more."""
        self.gcs.close()

    def come_back(self) -> None:
        """At the same address."""
        port = int(self.gcs.address.split(":")[1])
        nodes, self.gcs = self.gcs.nodes, FakeGcs(port=port, name=head_pod(SPEC).name)
        self.gcs.nodes = nodes

    def fall_silent(self) -> None:
        """It takes calls, and answers none."""
        self.gcs.hold = True

    def speak(self) -> None:
        """Calls are answered again."""
        self.gcs.release()

    def babble(self) -> None:
        """What it answers is no message."""
        self.gcs.garbage = b"\xff\xff\xff"

    def fail(self, code: grpc.StatusCode) -> None:
        """Every call is an error."""
        self.gcs.error = code

    def recover(self) -> None:
        """Neither errors nor garbage."""
        self.gcs.error = self.gcs.garbage = None

    def forget(self) -> None:
        """A GCS that was started again knows no node but its own."""
        self.known = self.gcs.nodes.pop(WORKER.name)

    def remember(self) -> None:
        """The worker has found it again."""
        self.gcs.nodes[WORKER.name] = self.known


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


FAULTS: dict[str, tuple[Callable[[Scene], None], Callable[[Scene], None]]] = {
    "gone": (Scene.vanish, Scene.come_back),
    "silent": (Scene.fall_silent, Scene.speak),
    "garbage": (Scene.babble, Scene.recover),
    "unavailable": (lambda scene: scene.fail(grpc.StatusCode.UNAVAILABLE), Scene.recover),
    "internal error": (lambda scene: scene.fail(grpc.StatusCode.INTERNAL), Scene.recover),
    "other credentials": (lambda scene: scene.fail(grpc.StatusCode.UNAUTHENTICATED), Scene.recover),
    "forgetful": (Scene.forget, Scene.remember),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_worker_is_removed_without_a_good_answer(scene: Scene, fault: str) -> None:
    """The idle worker would go; it stays while the fault lasts, however long, and goes afterwards."""
    begin, end = FAULTS[fault]
    eventually(lambda: scene.actions() == {RetirePod})
    begin(scene)
    # Answers that were under way may still be good; what comes after them is not.
    eventually(lambda: scene.heads.silence(KEY) > 0 or fault == "forgetful")
    for later in (FRESH_SECONDS, EXPIRED_SECONDS):
        scene.later += later
        eventually(lambda: not scene.actions())
    end(scene)
    eventually(lambda: scene.actions() == {RetirePod})


def test_a_head_of_another_cluster_at_a_reused_address_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    """The pod that answers says which one it is. Its demand launches nothing, and its nodes are not drained."""
    scene = Scene()
    try:
        eventually(lambda: scene.heads.view(KEY))
        assert scene.actions() == {RetirePod}
        scene.gcs.rename_head("another-head-abcde")
        eventually(lambda: scene.heads.view(KEY) is None)
        assert scene.actions() == set()
        assert scene.heads.silence(KEY) > 0
        assert not scene.heads.drain(KEY, b"x" * 28, "idle")
        assert scene.gcs.drained == []
        eventually(lambda: "another head, pod another-head-abcde, answers at the head's address" in caplog.text)
    finally:
        scene.close()


def test_a_report_waits_for_nothing_and_the_newest_is_sent_last() -> None:
    scene = Scene()
    try:
        eventually(lambda: scene.heads.view(KEY))
        for name in ("first", "second", "third"):
            scene.heads.report(KEY, ReportedState(pending=(PendingInstance(name, "worker-node", "Pending"),)))
        eventually(lambda: [p.instance_id for p in scene.gcs.reported.pending_instances] == ["third"])
    finally:
        scene.close()


def test_of_two_heads_of_one_name_at_one_address_the_first_is_believed() -> None:
    """A pod of another namespace may get any name and, on the network of its machine, any head's address."""
    scene = Scene()
    other = Key("another", NAME)
    try:
        eventually(lambda: scene.heads.view(KEY))
        host, port = scene.gcs.address.split(":")
        scene.heads.follow(other, head_pod(SPEC, ip=host, uid="other-uid"), int(port), busy=True)
        eventually(lambda: scene.heads.silence(other))
        asked = len(scene.gcs.calls)
        eventually(lambda: len(scene.gcs.calls) > asked + 5)
        assert scene.heads.view(other) is None and scene.heads.view(KEY)
        assert not scene.heads.drain(other, b"1" * 28, "idle")
        assert scene.gcs.drained == []
        scene.heads.follow(KEY, None, 0, busy=False)
        scene.heads.follow(other, head_pod(SPEC, ip=host, uid="other-uid"), int(port), busy=True)
        eventually(lambda: scene.heads.view(other))
    finally:
        scene.close()
