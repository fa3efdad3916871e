"""List, watch, resume: against a scripted API server, with a clock and a patience that the test turns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controller.kube.client import ApiError, Request
from controller.kube.store import Store
from controller.kube.watch import Backoff, Watcher
from controller.objects.views import PodView
from controller.raycluster.model import Key, RayCluster
from tests.support.builders import raw_cluster, raw_pod, raw_spec

Answer = dict[str, Any] | ApiError | list[Any]
LOST = ApiError(0, "ConnectionLost", "reset by peer")


class Script:
    """Answers what the script says, one entry per request: a page, an error, or a stream of events and errors.

    It is its own clock and its own stop: streams last ten seconds unless an int says otherwise, and the end of the
    script is the end of the watcher.
    """

    def __init__(self, *answers: Answer, path: str = "/api/v1/namespaces/ray/pods") -> None:
        self.path = path
        self.patience: list[float] = []
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []
        self.delays: list[float] = []
        self.now = 0.0
        self.stop = Stop(self)

    def _next(self, request: Request) -> Answer:
        assert request.path == self.path
        self.asked.append(dict(request.query))
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, ApiError):
            raise answer
        return answer

    def send(self, request: Request) -> dict[str, Any]:
        page = self._next(request)
        assert isinstance(page, dict), "the watcher lists where the script has a stream"
        return page

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        assert read_seconds > int(request.query["timeoutSeconds"]), "the socket must outlive the watch"
        self.patience.append(read_seconds)
        events = self._next(request)
        assert isinstance(events, list), "the watcher watches where the script has a page"
        for event in [*events, *([] if any(isinstance(e, float) for e in events) else [10.0])]:
            if isinstance(event, ApiError):
                raise event
            if isinstance(event, float):
                self.now += event
            else:
                yield event


class Stop(threading.Event):
    """Waits without waiting."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._script.delays.append(timeout)
        return self.is_set()


def pod(name: str = "a", version: int = 5, **status: Any) -> dict[str, Any]:
    return raw_pod(status or None, name=name, namespace="ray", uid=f"uid-{name}", resourceVersion=str(version))


def page(*pods: dict[str, Any], version: int = 10, more: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(pods)}


def event(kind: str, obj: Any) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def bookmark(version: int) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def gone(kind: str) -> Answer:
    if kind == "status":
        return ApiError(410, "Expired", "too old")
    return [event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})]


class Run:
    """What came of a script."""

    def __init__(
        self,
        *answers: Answer,
        scope: str = "ray",
        selector: str = "",
        jitter: float = 0.0,
        wanted: Callable[[], bool] = lambda: True,
        sees: Callable[[Key], bool] = lambda cluster: True,
        without: str = "",
    ) -> None:
        # The objects that were read, each by its name.
        self.read: list[str] = []
        self.store: Store[PodView] = Store(lambda p: p.cluster, lambda key: None, [scope])
        self.api = Script(*answers)
        Watcher(
            self.api,
            "pods",
            scope,
            self.store,
            self._read,
            selector=selector,
            stop=self.api.stop,
            clock=lambda: self.api.now,
            jitter=lambda: jitter,
            wanted=wanted,
            sees=sees,
            without=without,
        ).run()

    def _read(self, obj: dict[str, Any]) -> PodView:
        self.read.append(obj["metadata"]["name"])
        return PodView.from_object(obj)

    @property
    def asked(self) -> list[str]:
        """For each request: "list", or the resourceVersion watched from."""
        return [q.get("resourceVersion", "list") for q in self.api.asked]

    def names(self) -> list[str]:
        found = (self.store.get(Key("ray", name)) for name in "abcd")
        return [p.name for p in found if p]


def test_it_lists_and_then_watches_from_there() -> None:
    run = Run(page(pod("a")), [event("ADDED", pod("b", 11)), event("DELETED", pod("a", 12))], [], selector="x=y")
    assert run.names() == ["b"]
    assert run.asked == ["list", "10", "12"]
    assert run.store.listed("ray")
    assert all(q["labelSelector"] == "x=y" for q in run.api.asked)
    assert run.api.asked[1]["allowWatchBookmarks"] == "true"
    assert run.api.delays == []


def test_a_long_list_comes_in_pages() -> None:
    run = Run(page(pod("a"), more="more"), page(pod("b"), version=11), [])
    assert run.names() == ["a", "b"]
    assert [q.get("continue") for q in run.api.asked] == [None, "more", None]
    assert run.asked[-1] == "11"


def test_a_half_read_list_is_not_taken_for_the_whole() -> None:
    run = Run(page(pod("a"), more="more"), LOST)
    assert not run.store.listed("ray")
    assert run.names() == []


def test_a_page_token_that_expires_starts_the_list_over() -> None:
    expired = ApiError(410, "Expired", "the provided continue parameter is too old")
    run = Run(page(pod("a"), more="more"), expired, page(pod("b")), [])
    assert run.names() == ["b"]
    assert [q.get("continue") for q in run.api.asked] == [None, "more", None, None]


def test_a_watch_that_the_server_ends_goes_on_from_the_last_event_at_once() -> None:
    run = Run(page(), [event("ADDED", pod("a", 11))], [event("MODIFIED", pod("a", 13))], [])
    assert run.asked == ["list", "10", "11", "13"]
    assert run.api.delays == []


def test_a_bookmark_moves_the_place_to_resume_from() -> None:
    assert Run(page(), [bookmark(40)], []).asked == ["list", "10", "40"]


def test_a_quiet_watch_is_resumed_where_it_began() -> None:
    run = Run(page(), [], [])
    assert (run.asked, run.api.delays) == (["list", "10", "10"], [])


def test_a_lost_connection_is_resumed_after_a_delay_that_grows() -> None:
    broken: Answer = [event("ADDED", pod("a", 11)), LOST]
    run = Run(page(), broken, LOST, ApiError(503, "", "down"), ApiError(429, "", "slow"), LOST, [])
    assert run.asked == ["list", "10", "11", "11", "11", "11", "11"]
    assert run.api.delays == [1, 2, 4, 8, 8]


def test_after_a_good_event_delays_start_small_again() -> None:
    assert Run(page(), LOST, LOST, [bookmark(11), LOST], []).api.delays == [1, 2, 1]


def test_a_server_that_is_down_is_asked_less_than_once_in_four_seconds_in_the_long_run() -> None:
    run = Run(*[LOST] * 20)
    assert set(run.api.delays[3:]) == {8}


@pytest.mark.parametrize("kind", ["status", "event"])
def test_a_version_that_is_too_old_leads_to_a_new_list_at_once(kind: str) -> None:
    run = Run(page(pod("a")), [bookmark(11)], gone(kind), page(pod("b", 20), version=20), [])
    assert run.asked == ["list", "10", "11", "list", "20"]
    assert run.names() == ["b"]
    assert run.api.delays == []


@pytest.mark.parametrize("kind", ["status", "event"])
def test_lists_whose_version_is_always_too_old_are_no_hot_loop(kind: str) -> None:
    stale: Answer = page(version=11)
    run = Run(page(), [bookmark(11)], gone(kind), stale, gone(kind), stale, gone(kind), stale, gone(kind))
    assert run.api.delays == [1, 2, 4]


def test_a_list_that_works_before_a_watch_that_does_not_is_no_hot_loop_either() -> None:
    refused = ApiError(403, "Forbidden", "no watch")
    run = Run(page(), refused, page(), refused, page(), refused)
    assert run.asked == ["list", "10"] * 3
    assert run.api.delays == [1, 2, 4]


def test_a_right_that_is_not_needed_is_asked_for_once_a_minute() -> None:
    refused, lost = ApiError(403, "Forbidden", "no list"), ApiError(0, "NoAnswer", "nobody there")
    run = Run(refused, refused, lost, refused, page(), [bookmark(11)], [], without="it goes without")
    assert run.api.delays == [60, 60, 4, 60]


@pytest.mark.parametrize(
    "garbage",
    [
        event("ERROR", {"code": 500, "message": "etcd"}),
        event("ADDED", None),
        event("ADDED", {"metadata": {}}),
        event("ADDED", {"metadata": {"resourceVersion": "new"}}),
        event("ADDED", []),
        {},
        ApiError(0, "NotJson", "not JSON"),
    ],
)
def test_garbage_leads_to_a_new_list_after_a_delay(garbage: Any) -> None:
    run = Run(page(), [garbage], page(pod("b")), [])
    assert run.asked == ["list", "10", "list", "10"]
    assert run.names() == ["b"]
    assert run.api.delays == [1]


@pytest.mark.parametrize("bad", [{}, {"metadata": {}}, page(version="x")])  # type: ignore[arg-type]
def test_a_list_that_makes_no_sense_is_asked_for_again_and_deletes_nothing(bad: Any) -> None:
    run = Run(bad, page(pod("a")), [])
    assert run.names() == ["a"]
    assert run.api.delays == [1]


def test_an_object_that_cannot_be_read_is_set_aside_and_affects_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """In a list and as an event; it is read again when it changes, and the watch goes on where it is."""
    bad = {"metadata": {"name": "c", "namespace": "ray", "resourceVersion": "12"}}
    readable = pod("c", 14)
    events = [event("MODIFIED", bad), event("ADDED", pod("b", 13)), event("MODIFIED", readable)]
    run = Run(page(pod("a"), bad), events, [])
    assert run.asked == ["list", "10", "14"]
    assert run.names() == ["a", "b", "c"]
    assert "set aside pods ray/c" in caplog.text


def test_an_object_in_a_version_that_is_held_is_not_read_again(caplog: pytest.LogCaptureFixture) -> None:
    """The watch goes on behind it all the same; a later version and a deletion are read."""
    unreadable = {"metadata": {"name": "a", "namespace": "ray", "resourceVersion": "12"}}
    events = [event("MODIFIED", pod("a", 12)), event("ADDED", unreadable), event("MODIFIED", unreadable)]
    run = Run(page(pod("a")), [*events, event("ADDED", pod("b", 13))], [event("DELETED", pod("b", 13))], [])
    assert run.asked == ["list", "10", "13", "13"]
    assert run.names() == ["a"]
    assert "set aside" not in caplog.text


def test_a_gate_that_the_answer_to_the_create_does_not_show_is_read_from_the_watch() -> None:
    """The version is the same, and no later one comes while the gate is shut."""
    gated = pod("a")
    gated["spec"] = {**gated["spec"], "schedulingGates": [{"name": "example.com/queue"}]}
    run = Run(page({"metadata": gated["metadata"]}), [event("ADDED", gated)], [])
    assert [p.stuck for p in run.store.all()] == ["SchedulingGated"]


def test_a_list_of_the_past_is_refused_until_there_is_a_newer_one() -> None:
    """It would bring back what is gone, and hide what is there."""
    run = Run(page(), [event("ADDED", pod("a", 30))], gone("status"), page(pod("b"), version=20), page(version=31), [])
    assert run.asked == ["list", "10", "30", "list", "list", "31"]
    assert run.names() == []
    assert run.api.delays == [1]


def test_a_version_that_a_server_has_not_reached_leads_to_a_new_list() -> None:
    too_large = ApiError(504, "Timeout", "Too large resource version: 30, current: 20")
    run = Run(page(), [bookmark(30)], too_large, page(version=31), [])
    assert run.asked == ["list", "10", "30", "list", "31"]
    assert run.api.delays == [1]


@pytest.mark.parametrize(("asked", "waited"), [(5.0, 5.0), (0.5, 1.0), (86_400.0, 60.0)])
def test_a_server_that_asks_to_be_left_alone_is_left_alone_for_a_minute_at_most(asked: float, waited: float) -> None:
    assert Run(page(), ApiError(429, "TooManyRequests", "slow", asked), []).api.delays == [waited]


def test_pods_do_not_go_because_something_says_that_there_is_no_such_resource() -> None:
    assert Run(page(pod("a")), ApiError(404, "NotFound", "page not found"), page(pod("a")), []).names() == ["a"]
    assert Run(page(pod("a")), ApiError(404, "NotFound", "x"), ApiError(404, "NotFound", "x")).names() == ["a"]


def test_the_clusters_go_with_their_definition_and_come_back_with_it() -> None:
    store: Store[RayCluster] = Store(lambda c: c.key, lambda key: None, ["ray"])
    cluster = raw_cluster(raw_spec())
    cluster["metadata"] |= {"uid": "uid-c", "resourceVersion": "5"}
    key = RayCluster.from_object(cluster).key
    missing = ApiError(404, "NotFound", "page not found")
    for answers, known in (((page(cluster), missing, missing), False), ((page(cluster), []), True)):
        api = Script(*answers, path=f"/apis/cluster.ray.io/v1/namespaces/{key.namespace}/rayclusters")
        Watcher(api, "rayclusters", key.namespace, store, RayCluster.from_object, stop=api.stop).run()
        assert (store.get(key) is not None) is known


def test_a_watch_ends_within_a_minute_even_if_no_peer_ends_it() -> None:
    """A server that is gone behind a proxy that is not: only the time it takes tells."""
    for jitter in (0.0, 1.0):
        run = Run(page(), [], jitter=jitter)
        assert run.api.patience[0] <= 40


def test_a_stream_that_ends_at_once_is_no_hot_loop() -> None:
    run = Run(page(), [0.5], [0.5], [])
    assert run.asked == ["list", "10", "10", "10"]
    assert run.api.delays == [1, 2]


def test_a_short_stream_with_an_event_is_fine() -> None:
    assert Run(page(), [bookmark(11), 0.1], []).api.delays == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ApiError(404, "NotFound", "page not found"), "install its CustomResourceDefinition"),
        (ApiError(403, "Forbidden", "no list"), "the operator's role lacks list or watch"),
        (ApiError(0, "NoAnswer", "https://x does not answer"), "cannot watch pods in namespace ray"),
    ],
)
def test_a_standing_problem_is_reported_once_and_so_is_its_end(
    error: ApiError, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        Run(error, error, error, page(), [bookmark(11)], [])
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]
    assert words in caplog.messages[0]
    assert caplog.messages[1] == "watching pods in namespace ray again"


def test_a_stop_ends_a_watch_that_is_full_of_events() -> None:
    run = Run(page(), [event("ADDED", pod("a", 11)), event("ADDED", pod("b", 12))])
    assert run.names() == ["a"]


def test_delays_are_shortened_by_up_to_a_quarter() -> None:
    slow, quick = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    delays: Callable[[Backoff], list[float]] = lambda backoff: [backoff.delay() for _ in range(5)]  # noqa: E731
    assert delays(slow) == [1, 2, 4, 8, 8]
    assert delays(quick) == [0.75, 1.5, 3, 6, 6]
    slow.reset()
    assert slow.delay() == 1


def test_what_nothing_needs_yet_is_not_asked_for() -> None:
    """No request, and so no right, before something needs the resource; then it is listed."""
    looks = iter([False, False, True])
    run = Run(page(pod("a")), [], wanted=lambda: next(looks))
    assert (run.asked, run.names(), run.api.delays) == (["list", "10"], ["a"], [1.0, 1.0])


def labelled(name: str, version: int, cluster: str) -> dict[str, Any]:
    """A pod of another cluster."""
    found = pod(name, version)
    found["metadata"]["labels"] = {**found["metadata"]["labels"], "ray-cluster-name": cluster}
    return found


def is_mine(cluster: Key) -> bool:
    """A process that manages some clusters alone."""
    return cluster.name == "mine"


def test_objects_of_clusters_that_are_not_seen_are_neither_read_nor_kept() -> None:
    """In a list as in a watch; and the place in the stream moves on all the same."""
    news = [event(kind, labelled("c", version, "other")) for kind, version in (("ADDED", 11), ("DELETED", 12))]
    listed = page(labelled("a", 1, "mine"), labelled("b", 2, "other"))
    run = Run(listed, [*news, event("ADDED", labelled("d", 13, "mine"))], [], sees=is_mine)
    assert (run.names(), run.read) == (["a", "d"], ["a", "d"])
    assert run.asked[2] == "13"


def test_a_list_says_nothing_of_clusters_that_it_does_not_cover() -> None:
    """Another watch has brought them, whose sight reaches further by now."""
    run = Run(page(labelled("a", 1, "mine")), [])
    run.store.replace([], 20, "ray", lambda cluster: cluster.name == "other")
    assert run.names() == ["a"]


def test_a_pod_whose_label_takes_it_out_of_sight_is_known_no_more() -> None:
    run = Run(page(labelled("a", 1, "mine")), [event("MODIFIED", labelled("a", 11, "other"))], [], sees=is_mine)
    assert run.names() == []
