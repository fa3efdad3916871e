"""Whether the Jobs of a scope are to be watched: for a cluster that is there, or for what clusters have left behind."""

from __future__ import annotations

import time
from collections.abc import Callable

from controller.objects.cleanup import SELECTOR

from .client import ApiError, Client, Request
from .store import Stores

ASK_AGAIN_SECONDS = 60.0


class JobsWanted:
    """One for a scope. It asks for what is left behind once, as soon as all else is listed."""

    def __init__(self, client: Client, stores: Stores, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._stores = stores
        self._clock = clock
        self._ask_at = 0.0

    def __call__(self, scope: str) -> bool:
        """Once it is true it stays so: a watch that has begun goes on."""
        if self._stores.cleanups_wanted(scope):
            return True
        now = self._clock()
        if not self._stores.listed(scope) or now < self._ask_at:
            return False
        query = {"labelSelector": SELECTOR, "limit": "1"}
        try:
            found = self._client.send(Request("list", "jobs", scope, query=query))
        except ApiError as error:
            # An older role has no right to Jobs, and no cluster needs it.
            self._ask_at = float("inf") if error.status == 403 else now + ASK_AGAIN_SECONDS
            return False
        self._ask_at = float("inf")
        return bool(found.get("items"))
