"""Watch streams that end anywhere and come in pieces of any size."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import urllib3
from hypothesis import given
from kubernetes import client as kubernetes_client

from controller.kube.client import HttpClient, Request
from controller.kube.store import Store
from controller.kube.watch import Watcher
from controller.objects.views import PodView
from tests.support.builders import raw_pod
from tests.unit.fuzz.engine import bounded, few, seeds

ENDS = (None, urllib3.exceptions.ProtocolError("reset"), ConnectionResetError("reset"), TimeoutError("late"))


class Answer:
    """An HTTP answer whose body comes in pieces, and ends as it should or with an error."""

    def __init__(self, data: bytes, random: Random, end: Exception | None, status: int = 200) -> None:
        self.status, self.data, self.headers = status, data, {"Retry-After": "1"}
        self._random, self._end = random, end

    def stream(self, size: int, decode_content: bool) -> Iterator[bytes]:
        at = 0
        while at < len(self.data):
            step = self._random.choice((1, 7, 100, size))
            yield self.data[at : at + step]
            at += step
        if self._end:
            raise self._end

    def read(self) -> bytes:
        return self.data

    def close(self) -> None:
        """Nothing to let go of."""


class Cut(HttpClient):
    """A server that holds some events, and whose streams are cut at the places given; then it is well.

    ``stop`` is set when all has been told.
    """

    def __init__(self, events: list[dict[str, Any]], cuts: list[int], random: Random) -> None:
        super().__init__(kubernetes_client.Configuration(host="http://127.0.0.1:1"))
        self.events, self.cuts, self.random, self.stop = events, cuts, random, _Stop()
        # The newest version that a client may have seen.
        self.shown = 9

    def _exchange(self, request: Request, **options: Any) -> Any:
        if request.verb == "list":
            known = [e["object"] for e in self.events if version_of(e) <= self.shown]
            page = {"items": known, "metadata": {"resourceVersion": str(self.shown)}}
            return Answer(json.dumps(page).encode(), self.random, None)
        since = int(request.query["resourceVersion"])
        left = [e for e in self.events if version_of(e) > since]
        data = b"".join(json.dumps(event).encode() + b"\n" for event in left)
        if not self.cuts:
            if not left:
                self.stop.set()
            return Answer(data, self.random, None)
        cut = self.cuts.pop()
        # Some streams end in the middle of a character, or in what is no JSON.
        shown = data[: cut % (len(data) + 1)]
        self.shown = max(self.shown, *map(version_of, left[: shown.count(b"\n") + 1]), self.shown)
        return Answer(shown, self.random, self.random.choice(ENDS))


def version_of(event: dict[str, Any]) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


class _Stop(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def events(count: int) -> list[dict[str, Any]]:
    made = [
        ("ADDED", raw_pod(name=f"pod-{n}", uid=f"uid-{n}", namespace="ray", resourceVersion=str(10 + n)))
        for n in range(count)
    ]
    for _, pod in made:
        pod["spec"] = {"containers": [{"name": "ray-node"}]}
        pod["metadata"]["annotations"]["note"] = "名前\u2028"
    return [{"type": kind, "object": pod} for kind, pod in made]


def follow(cuts: list[int], random: Random, count: int = 3) -> set[str]:
    """The pods that a store holds after a watch whose streams were cut so."""
    client = Cut(events(count), cuts, random)
    store: Store[PodView] = Store(lambda p: p.cluster, lambda key: None, ("ray",))
    watcher = Watcher(client, "pods", "ray", store, PodView.from_object, stop=client.stop)
    watcher.run()
    assert store.listed("ray")
    return {pod.name for pod in store.all()}


WHOLE = sum(len(json.dumps(event)) + 1 for event in events(1))


@pytest.mark.parametrize("first", range(0, WHOLE, 400))
def test_a_stream_that_ends_at_any_byte_is_followed_to_its_end(first: int) -> None:
    """Every byte of an event, 400 a test."""
    for cut in range(first, min(first + 400, WHOLE + 1)):
        with bounded("cuts"):
            assert follow([cut], Random(cut), 1) == {"pod-0"}


@few
@given(seeds)
def test_streams_that_end_again_and_again_lose_nothing(seed: int) -> None:
    random = Random(seed)
    with bounded("streams"):
        cuts = [random.randrange(20_000) for _ in range(random.choice((1, 3, 9)))]
        assert follow(cuts, random) == {"pod-0", "pod-1", "pod-2"}
