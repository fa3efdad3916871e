"""Which nodes are being emptied, as far as a watch has said so. A watch that does not run says nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from controller.objects.nodes import NodeView
from controller.raycluster.model import Key


class Nodes:
    """Nodes that show a sign of being emptied, by name; of others nothing is kept, however many they are.

    ``notify`` gets the names of those whose signs have changed, which a heartbeat never does. One watch writes, many
    threads read.
    """

    def __init__(self, notify: Callable[[Collection[str]], None] = lambda names: None) -> None:
        self._notify = notify
        self._marked: dict[str, NodeView] = {}

    def __len__(self) -> int:
        return len(self._marked)

    def of(self, names: Iterable[str]) -> dict[str, NodeView]:
        """Those of the named nodes that are being emptied."""
        marked = self._marked
        return {name: marked[name] for name in names if name in marked} if marked else {}

    def get(self, key: Key) -> NodeView | None:
        """See Cache."""
        return self._marked.get(key.name)

    def replace(
        self,
        objects: Iterable[NodeView],
        resource_version: int,
        scope: str,
        covers: Callable[[Key], bool] = lambda cluster: True,
    ) -> None:
        """See Cache."""
        before, self._marked = self._marked, {node.key.name: node for node in objects if node.signs != _NO_SIGNS}
        names = before.keys() | self._marked.keys()
        self._tell({name for name in names if _signs(before.get(name)) != _signs(self._marked.get(name))})

    def watched(self, obj: NodeView, scope: str) -> None:
        """See Cache."""
        self._put(obj.key.name, obj if obj.signs != _NO_SIGNS else None)

    def deleted(self, obj: NodeView, scope: str) -> None:
        """See Cache."""
        self._put(obj.key.name, None)

    def bookmark(self, resource_version: int, scope: str) -> None:
        """See Cache."""

    def leave_out(self, clusters: Callable[[Key], bool]) -> None:
        """See Cache."""

    def _put(self, name: str, node: NodeView | None) -> None:
        before = self._marked.get(name)
        if before is None and node is None:
            return
        # Not in place: others read it.
        marked = {other: view for other, view in self._marked.items() if other != name}
        self._marked = {**marked, name: node} if node else marked
        if _signs(before) != _signs(node):
            self._tell({name})

    def _tell(self, names: Collection[str]) -> None:
        if names:
            self._notify(names)


_NO_SIGNS = (0.0, ())


def _signs(node: NodeView | None) -> object:
    return node.signs if node else _NO_SIGNS
