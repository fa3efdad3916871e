"""A node provider without machines."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.provider import Launch, Node, NodeProvider, Outcome, QuotaExceededError


class InMemoryNodeProvider(NodeProvider):
    """Nodes in a dictionary."""

    def __init__(self, quota: int | None = None) -> None:
        self._quota = quota
        self._nodes: dict[str, Node] = {}
        self._made = 0

    def nodes(self) -> Sequence[Node]:
        """See NodeProvider."""
        return [self._nodes[name] for name in sorted(self._nodes)]

    def launch(self, launches: Sequence[Launch]) -> Sequence[Outcome]:
        """See NodeProvider."""
        return [self._launch(launch) for launch in launches]

    def _launch(self, launch: Launch) -> Outcome:
        if launch.name in self._nodes:
            return Outcome(launch, node=self._nodes[launch.name])
        if self._quota is not None and len(self._nodes) >= self._quota:
            return Outcome(launch, error=QuotaExceededError(f"quota of {self._quota} nodes is used up"))
        self._made += 1
        node = Node(launch.name, f"uid-{self._made}", launch.node_type)
        self._nodes[launch.name] = node
        return Outcome(launch, node=node)

    def terminate(self, node: Node) -> None:
        """See NodeProvider."""
        if self._nodes.get(node.name) == node:
            del self._nodes[node.name]
