"""List, watch, resume: one watcher keeps one resource of one scope flowing into a store.

Every way a stream can end leads back to a good state:

======================================  ==================================================
the server ends it (timeout)            watch on from the last resourceVersion, at once
the connection breaks, 5xx, 429         watch on from there, after a growing delay
nothing comes, not even its end         the same, within a minute
410 Gone, as status or as ERROR event   list again; the second time in a row after a growing delay
"Too large resource version"            list again, after a growing delay
any other ERROR event, a malformed one  list again, after a growing delay
it ends in under a second, no event     as a broken connection: never a hot loop
the resource is no longer known (CRD)   its objects are gone; list again, after a growing delay
======================================  ==================================================

A list older than what was seen before is refused: it can only come from a server that has lost its way.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from controller.raycluster.model import PLURAL, Key

from .client import ApiError, Request, WatchClient
from .index import Cache, Stored
from .pages import pages
from .well_formed import cluster_named_by, metadata_of, well_formed

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Stored)

LACKS_RIGHTS = "the operator's role lacks list or watch on it"
FIRST_DELAY_SECONDS = 1.0
LAST_DELAY_SECONDS = 8.0
SHORT_STREAM_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
# The server ends a watch in time, and the socket's own limit comes soon after that: whatever stands between and
# keeps the connection open, a peer that is gone is noticed within a minute. Resuming costs a request and no objects.
MIN_WATCH_SECONDS = 20
MAX_WATCH_SECONDS = 30
READ_MARGIN_SECONDS = 10
# Between looks whether anything needs the resource by now.
WANTED_SECONDS = 1.0


class Backoff:
    """Delays that double from 1 s to 8 s, each shortened by up to a quarter so that watchers do not march in step."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._next = FIRST_DELAY_SECONDS

    def reset(self) -> None:
        """Things are well again."""
        self._next = FIRST_DELAY_SECONDS

    def delay(self) -> float:
        """Seconds to wait now; the next call answers a longer time."""
        now, self._next = self._next, min(self._next * 2, LAST_DELAY_SECONDS)
        return now * (1 - 0.25 * self._jitter())


class Watcher(Generic[T]):
    """Keeps ``store`` equal to what the API server has. Runs in a thread of its own until ``stop`` is set.

    Begins once ``wanted``, which costs no request and no right before. ``sees``: the clusters whose objects are kept.
    ``without``: what is missing without the right to watch, where the operator can do without it.
    """

    def __init__(
        self,
        client: WatchClient,
        resource: str,
        namespace: str,
        store: Cache[T],
        convert: Callable[[dict[str, Any]], T],
        *,
        selector: str = "",
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        on_set_aside: Callable[[Any, Exception], object] = lambda obj, error: None,
        wanted: Callable[[], bool] = lambda: True,
        sees: Callable[[Key], bool] = lambda cluster: True,
        on_listed: Callable[[], None] = lambda: None,
        without: str = "",
    ) -> None:
        self._without = without
        self._wanted = wanted
        self._sees = sees
        self._on_listed = on_listed
        self._on_set_aside = on_set_aside
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._selector = {"labelSelector": selector} if selector else {}
        self._store = store
        self._convert = convert
        self._stop = stop
        self._clock = clock
        self._jitter = jitter
        self._backoff = Backoff(jitter)
        self._version = ""
        # The largest resourceVersion of any list or event.
        self._newest = 0
        self._complaint = ""
        self._failing_since: float | None = None
        self._progress = False

    def run(self) -> None:
        """List and watch until ``stop`` is set."""
        while not self._stop.is_set() and not self._wanted():
            self._stop.wait(WANTED_SECONDS)
        while not self._stop.is_set():
            try:
                self._turn()
            except ApiError as error:
                self._recover(error)
            except Exception as error:
                # A defect met by one object: without this thread the operator would go blind for good.
                log.exception("the watch of %s failed unexpectedly", self._resource)
                self._recover(ApiError(0, "WatchError", repr(error)))

    def _turn(self) -> None:
        if not self._version:
            self._list()
        started = self._clock()
        if not self._watch() and self._clock() - started < SHORT_STREAM_SECONDS:
            raise ApiError(0, "ShortStream", "the watch ended at once without an event")
        self._well()

    def _well(self) -> None:
        """A watch, not just a list, has worked: only that proves that the next one may start without a delay."""
        self._progress = True
        self._backoff.reset()
        if self._complaint:
            log.info("watching %s%s again", self._resource, self._where())
        self._complaint = ""
        self._failing_since = None

    def failing(self) -> tuple[float, str]:
        """For how many seconds nothing has come of this watch, and why; 0 while it works."""
        since = self._failing_since
        return (0.0, "") if since is None else (max(0.0, self._clock() - since), self._complaint)

    def _recover(self, error: ApiError) -> None:
        if error.status == 410 and self._progress:
            self._progress = False
            self._version = ""
            return
        if not _resumable(error):
            self._version = ""
        if error.status == 404 and self._resource == PLURAL:
            # Only a CustomResourceDefinition can really go. Whatever says so of pods is mistaken.
            self._store.leave_out(lambda cluster: self._namespace in ("", cluster.namespace))
        if self._failing_since is None:
            self._failing_since = self._clock()
        complaint = self._explain(error)
        if complaint != self._complaint:
            log.warning("%s", complaint)
            self._complaint = complaint
        least = LONGEST_DELAY_SECONDS if error.status == 403 and self._without else 0.0
        self._stop.wait(max(self._backoff.delay(), min(error.retry_after, LONGEST_DELAY_SECONDS), least))

    def _explain(self, error: ApiError) -> str:
        what = f"cannot watch {self._resource}{self._where()}"
        if error.status == 404:
            return f"{what}: the resource is not known to the API server; install its CustomResourceDefinition"
        if error.status == 403:
            return f"{what}: {error.message}; {self._without or LACKS_RIGHTS}"
        return f"{what}: {error}"

    def _where(self) -> str:
        return f" in namespace {self._namespace}" if self._namespace else ""

    def _list(self) -> None:
        """A consistent list (no resourceVersion asked: the newest state), page by page."""
        objects: list[T] = []
        try:
            for page in pages(self._client, Request("list", self._resource, self._namespace, query=self._selector)):
                items = (item for item in page.get("items") or () if self._is_seen(item))
                objects += [read for item in items if (read := self._read(item)) is not None]
                version = int(page["metadata"]["resourceVersion"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ApiError(0, "WatchError", f"a list makes no sense: {error!r}") from error
        if version < self._newest:
            raise ApiError(
                0,
                "WatchError",
                f"the API server lists the state at resourceVersion {version}, though it has sent {self._newest}; "
                "if its database was restored from a backup, restart the operator",
            )
        self._store.replace(objects, version, self._namespace, self._sees)
        self._passed(version)
        self._on_listed()

    def _read(self, obj: Any) -> T | None:
        """The object, or None when it cannot be read: it is set aside until it changes, and affects no other."""
        try:
            return well_formed(self._convert(obj))
        except Exception as error:
            metadata = metadata_of(obj)
            name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
            log.warning("set aside %s %s, which cannot be read: %r", self._resource, name, error)
            self._on_set_aside(obj, error)
            return None

    def _is_seen(self, obj: Any) -> bool:
        """Whether it belongs to a cluster that is seen here. Whatever has no name is, to be told of."""
        cluster = cluster_named_by(obj, self._resource)
        return cluster is None or self._sees(cluster)

    def _brings_nothing(self, kind: Any, obj: dict[str, Any], version: int) -> bool:
        """Whether there is nothing to read: most pods are known from the answer to their create."""
        metadata = obj["metadata"]
        held = self._store.get(Key(metadata.get("namespace", ""), metadata.get("name", "")))
        if held is None:
            return not self._is_seen(obj)
        if kind == "DELETED" or held.resource_version < version:
            return False
        # That admission has put a gate there is not in the metadata, and nothing more is reported while it is shut.
        spec = obj.get("spec")
        return getattr(held, "whole", True) or not (isinstance(spec, dict) and spec.get("schedulingGates"))

    def _passed(self, version: int) -> None:
        self._newest = max(self._newest, version)
        self._version = str(version)

    def _watch(self) -> int:
        """Follow the changes from the known resourceVersion. Returns the number of events."""
        seconds = round(MIN_WATCH_SECONDS + (MAX_WATCH_SECONDS - MIN_WATCH_SECONDS) * self._jitter())
        query = {
            **self._selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        request = Request("watch", self._resource, self._namespace, query=query)
        count = 0
        for event in self._client.watch(request, seconds + READ_MARGIN_SECONDS):
            self._handle(event)
            self._well()
            count += 1
            if self._stop.is_set():
                break
        return count

    def _handle(self, event: dict[str, Any]) -> None:
        kind, obj = event.get("type"), event.get("object")
        if kind == "ERROR" or not isinstance(obj, dict):
            status = obj if isinstance(obj, dict) else {}
            raise ApiError(int(status.get("code") or 0), "WatchError", str(status.get("message") or event))
        try:
            version = int(obj["metadata"]["resourceVersion"])
            if kind == "BOOKMARK" or self._brings_nothing(kind, obj, version):
                self._store.bookmark(version, self._namespace)
            elif (read := self._read(obj)) is None:
                pass
            # A label may have taken it out of sight.
            elif kind == "DELETED" or not self._is_seen(obj):
                self._store.deleted(read, self._namespace)
            else:
                self._store.watched(read, self._namespace)
        except (KeyError, TypeError, ValueError) as error:
            raise ApiError(0, "WatchError", f"a watch event makes no sense: {error!r}") from error
        self._passed(version)


def _resumable(error: ApiError) -> bool:
    """The place in the stream is still good."""
    if error.reason in ("WatchError", "NotJson") or "Too large resource version" in error.message:
        return False
    return error.status in (0, 429) or error.status >= 500
