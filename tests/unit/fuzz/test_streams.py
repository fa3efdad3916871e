"""Watch streams that end anywhere and come in pieces of any size."""

from __future__ import annotations

import json
import threading
from random import Random
from typing import Any

import pytest
from hypothesis import given
from kubernetes import client as kubernetes_client

from controller.kube.access import Configured
from controller.kube.client import HttpClient, Request
from controller.kube.store import Store
from controller.kube.watch import Watcher
from controller.kube.wire import Wire
from controller.objects.views import PodView
from tests.support.builders import raw_pod
from tests.unit.fuzz.engine import bounded, few, seeds

# How a stream ends: as it should, in the middle of a chunk, or with an error of the connection.
ENDS = ("complete", "cut", ConnectionResetError("reset"), TimeoutError("late"))
End = str | Exception
HEAD = b"HTTP/1.1 200 OK\r\n"
# Stands for a value of more levels than a parser of JSON reads.
DEEP = "nested"


class Connection:
    """The socket of a connection whose bytes come in pieces of any size. Its end is one of ENDS."""

    def __init__(self, data: bytes, random: Random, end: End = "cut") -> None:
        self._data, self._random, self._end = data, random, end

    def recv(self, size: int, /) -> bytes:
        step = self._random.choice((1, 7, 100, size))
        piece, self._data = self._data[:step], self._data[step:]
        if not piece and isinstance(self._end, Exception):
            raise self._end
        return piece

    def sendall(self, data: bytes, /) -> None:
        """Nothing."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def fileno(self) -> int:
        raise AssertionError("a connection is not used again")


def stream(data: bytes, random: Random, end: End) -> Wire:
    """An answer whose body comes in one chunk, and the end of the connection."""
    terminator = b"\r\n0\r\n\r\n" if end == "complete" else b""
    chunk = b"%x\r\n" % len(data) + data if data else b""
    if not data:
        terminator = terminator[2:]
    return Wire(Connection(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + terminator, random, end))


def as_json(value: Any) -> bytes:
    """As the server sends it."""
    return json.dumps(value).encode().replace(f'"{DEEP}"'.encode(), b"[" * 2_000 + b"]" * 2_000)


class Cut(HttpClient):
    """A server that holds some events, and whose streams are cut at the places given; then it is well.

    ``stop`` is set when all has been told.
    """

    def __init__(self, events: list[dict[str, Any]], cuts: list[int], random: Random) -> None:
        super().__init__(Configured(kubernetes_client.Configuration(host="http://127.0.0.1:1")))
        self.events, self.cuts, self.random, self.stop = events, cuts, random, _Stop()
        # The newest version that a client may have seen.
        self.shown = 9

    def _asked(self, request: Request, read_seconds: float) -> Wire:
        if request.verb == "list":
            known = [e["object"] for e in self.events if version_of(e) <= self.shown]
            page = as_json({"items": known, "metadata": {"resourceVersion": str(self.shown)}})
            head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(page)
            return Wire(Connection(head + page, self.random))
        since = int(request.query["resourceVersion"])
        left = [e for e in self.events if version_of(e) > since]
        data = b"".join(as_json(event) + b"\n" for event in left)
        if not self.cuts:
            if not left:
                self.stop.set()
            return stream(data, self.random, "complete")
        cut = self.cuts.pop()
        # Some streams end in the middle of a character, or in what is no JSON.
        shown = data[: cut % (len(data) + 1)]
        self.shown = max(self.shown, *map(version_of, left[: shown.count(b"\n") + 1]), self.shown)
        return stream(shown, self.random, self.random.choice(ENDS))


def version_of(event: dict[str, Any]) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


class _Stop(threading.Event):
    """Waits without waiting, and not without end."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        assert self.waits < 1_000, "the watcher makes no progress"
        return self.is_set()


def events(count: int) -> list[dict[str, Any]]:
    """New pods. The second one has a field that is nested deeply."""
    made = [
        ("ADDED", raw_pod(name=f"pod-{n}", uid=f"uid-{n}", namespace="ray", resourceVersion=str(10 + n)))
        for n in range(count)
    ]
    for _, pod in made:
        pod["spec"] = {"containers": [{"name": "ray-node"}]}
        pod["metadata"]["annotations"]["note"] = "名前\u2028"
    for _, pod in made[1:2]:
        pod["metadata"]["managedFields"] = DEEP
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
