"""What can go wrong between the operator and its API server, as faults for the proxy."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from .apiserver import Answer, Request
from .proxy import Cut, Event, Fault, Frozen, Proxy, Stream

# A dropped event without a successor is late by this much, and comes after younger ones.
LATE_SECONDS = 0.4


class KillAfterWrite(Fault):
    """The operator is killed when the server has carried out its n-th write, before or after it learns of that.

    ``kill`` ends the process; ``restart`` starts another one. Needs a proxy whose writes are serial.
    """

    def __init__(
        self, proxy: Proxy, number: int, *, answered: bool, kill: Callable[[], object], restart: Callable[[], None]
    ) -> None:
        self._proxy = proxy
        self._left = number
        self._kill = kill
        self._restart = restart
        self._answered = answered
        self.killed = threading.Event()

    def answered(self, request: Request, answer: Answer) -> Answer:
        """See Fault."""
        self._left -= request.writes and answer.done
        if self._due(request) and not self._answered:
            self._strike()
        return answer

    def forwarded(self, request: Request, answer: Answer) -> None:
        """See Fault."""
        if self._due(request):
            self._strike()

    def _due(self, request: Request) -> bool:
        return self._left == 0 and request.writes and not self.killed.is_set()

    def _strike(self) -> None:
        self.killed.set()
        self._kill()
        # What the dead process still had on its way must not arrive.
        self._proxy.cut()
        self._restart()
        raise Cut


class DropEvent(Fault):
    """The n-th event of a resource's watches is lost, until the next one about the same object.

    Without a next one it comes late, which stands for the watch that is made anew.
    """

    def __init__(self, resource: str, number: int) -> None:
        self._resource = resource
        self._left = number
        self._held: tuple[Stream, Event, str] | None = None
        self._lock = threading.Lock()
        self.dropped = ""
        self.struck = threading.Event()

    def event(self, stream: Stream, event: Event) -> list[Event]:
        """See Fault."""
        told = json.loads(event)
        if stream.request.resource != self._resource or told["type"] == "BOOKMARK":
            return [event]
        uid = told["object"]["metadata"]["uid"]
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._held = (stream, event, uid)
                threading.Timer(LATE_SECONDS, self._deliver).start()
                self.dropped = told["type"]
                self.struck.set()
                return []
            if self._held and self._held[2] == uid:
                self._held = None
        return [event]

    def _deliver(self) -> None:
        with self._lock:
            held, self._held = self._held, None
        if held:
            try:
                held[0].send(held[1])
            except (Cut, Frozen, OSError):
                return


class Recorder(Fault):
    """Nothing goes wrong; counts the events of each resource."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()

    def event(self, stream: Stream, event: Event) -> list[Event]:
        """See Fault."""
        self.told[stream.request.resource] += json.loads(event)["type"] != "BOOKMARK"
        return [event]


class HoldEvents(Fault):
    """The watches of a resource stand still until released; then everything comes, in order."""

    def __init__(self, *resources: str) -> None:
        self._resources = resources
        self._open = threading.Event()

    def event(self, stream: Stream, event: Event) -> list[Event]:
        """See Fault."""
        if stream.request.resource in self._resources:
            self._open.wait(240)
        return [event]

    def release(self) -> None:
        """Let everything through."""
        self._open.set()


class Refuse(Fault):
    """The next ``times`` requests that are ``wanted`` get an answer of the fault's own, or an end (Cut, Frozen).

    With ``carried_out`` the server has done what it was asked, and only the answer is false.
    """

    def __init__(
        self,
        answer: Answer | type[Exception],
        wanted: Callable[[Request], bool] = lambda request: True,
        times: int = 1,
        *,
        carried_out: bool = False,
    ) -> None:
        self._answer = answer
        self._wanted = wanted
        self._left = times
        self._carried_out = carried_out
        self._lock = threading.Lock()
        self.used = 0

    def before(self, request: Request) -> Answer | None:
        """See Fault."""
        return self._use() if not self._carried_out and self._hits(request) else None

    def answered(self, request: Request, answer: Answer) -> Answer:
        """See Fault."""
        return self._use() if self._carried_out and self._hits(request) else answer

    def _hits(self, request: Request) -> bool:
        with self._lock:
            hit = self._left > 0 and self._wanted(request)
            self._left -= hit
            self.used += hit
        return hit

    def _use(self) -> Answer:
        if isinstance(self._answer, Answer):
            return self._answer
        raise self._answer


class Replay(Fault):
    """The next lists of a resource answer what ``remember`` saw: a server that has lost its way."""

    def __init__(self, resource: str, times: int) -> None:
        self._resource = resource
        self._left = times
        self._old: Answer | None = None
        self.used = 0

    def remember(self, server: Any, target: str) -> None:
        """Take down the present as the past to come."""
        self._old = server.send(Request.parse("GET", target))

    def answered(self, request: Request, answer: Answer) -> Answer:
        """See Fault."""
        if self._old and request.verb == "list" and request.resource == self._resource and self._left:
            self._left -= 1
            self.used += 1
            return self._old
        return answer


def status(code: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """A refusal as the API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code} | {"reason": reason}
    given = {"Content-Type": "application/json", **(headers or {})}
    return Answer(code, json.dumps({**body, "message": message}).encode(), given)


def error_event(code: int, reason: str, message: str) -> Event:
    """The event with which the API server ends a watch that it cannot go on with."""
    return json.dumps({"type": "ERROR", "object": json.loads(status(code, reason, message).body)}).encode()
