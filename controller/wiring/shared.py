"""Of several operators that share the RayClusters, what one watches follows what it holds."""

from __future__ import annotations

from collections.abc import Mapping

from controller.kube.holdings import Holdings
from controller.kube.leadership import Leadership
from controller.kube.partitions import partition_of
from controller.reconcile.unreadable import SetAside

from .owners import Owners
from .parts import Parts
from .picture import PartialPicture, Sight
from .watching import Looks, watch_scope


class SharedWatches:
    """``follow`` is called from one thread, whenever the parts that are held have changed."""

    def __init__(
        self, parts: Parts, holdings: Holdings, picture: PartialPicture, owners: Owners, set_aside: SetAside
    ) -> None:
        self._parts = parts
        self._holdings = holdings
        self._picture = picture
        self._owners = owners
        self._set_aside = set_aside
        self._held: Mapping[int, Leadership] = {}

    def follow(self) -> None:
        """See what is held now, and forget what is not any more."""
        before, held = self._held, self._holdings.held()
        self._held = held
        lost = {part: right for part, right in before.items() if held.get(part) is not right}
        gained = [part for part, right in held.items() if before.get(part) is not right]
        if lost:
            # The queue gets its clusters: their heads are asked no more.
            self._parts.stores.leave_out(lambda cluster: partition_of(cluster) in lost)
            self._owners.let_go(lost.values())
        if gained or (lost and not held):
            self._begin()
        self._parts.metrics.part_changes.inc(len(lost) + len(gained))
        # A lapse that is over: what was dropped in it is taken up again.
        self._parts.look_at_all()

    def _begin(self) -> None:
        sight = self._picture.begin()
        self._parts.watches.clear()
        if not sight.rights:
            self._picture.settled(sight)
            return
        looks = Looks(sight.stop, self._set_aside, sight.sees, lambda *what: self._listed(sight, *what))
        for scope in self._parts.scopes:
            needed, threads = watch_scope(self._parts, scope, looks)
            self._parts.watches.extend(needed)
            for thread in threads:
                thread.start()

    def _listed(self, sight: Sight, resource: str, scope: str) -> None:
        if not sight.listed(resource, scope):
            return
        if not any(sight.unlisted.values()):
            self._picture.settled(sight)
        self._parts.look_at_all(scope)
