"""The objects of one kind in a namespace as a watch tells of them: to look at them again and again costs nothing."""

from __future__ import annotations

import json
import threading
from typing import Any

import urllib3

from .apiserver import ApiServer, Request

# The API server ends the watch then, and the thread sees whether it is still wanted.
_WATCH_SECONDS = 10


class Followed:
    """Follows the objects at a path of the API from ``start`` to ``stop``."""

    def __init__(self, server: ApiServer, path: str) -> None:
        self._server = server
        self._path = path
        self._stopped = threading.Event()
        # By uid.
        self._objects: dict[str, dict[str, Any]] = {}
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Know what is there now, and what comes."""
        self._version = self._list()
        self._thread.start()

    def stop(self) -> None:
        """Learn nothing more."""
        self._stopped.set()

    def all(self) -> list[dict[str, Any]]:
        """What is there, as far as the watch has told."""
        return list(self._objects.copy().values())

    def _list(self) -> str:
        found = self._server.ask("GET", self._path)
        self._objects = {item["metadata"]["uid"]: item for item in found["items"]}
        return str(found["metadata"]["resourceVersion"])

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self._watch()
            except (urllib3.exceptions.HTTPError, AssertionError):
                # The server is gone for a moment, or has forgotten the version.
                if not self._stopped.wait(0.2):
                    self._again()

    def _again(self) -> None:
        try:
            self._version = self._list()
        except (urllib3.exceptions.HTTPError, AssertionError):
            return  # The next watch will fail, too.

    def _watch(self) -> None:
        query = f"watch=1&resourceVersion={self._version}&timeoutSeconds={_WATCH_SECONDS}&allowWatchBookmarks=true"
        answer, lines = self._server.follow(Request.parse("GET", f"{self._path}?{query}"))
        assert answer.done, answer.body
        for line in lines:
            event = json.loads(line)
            assert event["type"] != "ERROR", event["object"]
            found = event["object"]
            self._version = found["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                self._objects.pop(found["metadata"]["uid"], None)
            elif event["type"] != "BOOKMARK":
                self._objects[found["metadata"]["uid"]] = found
            if self._stopped.is_set():
                return
