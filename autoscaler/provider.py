"""The node-provider abstraction: how decisions about Ray nodes become machines.

The planner decides *that* a node of some type is launched or terminated; a provider knows *how*. The Kubernetes
provider makes pods. Every provider passes the same conformance tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


class ProviderError(Exception):
    """A launch or termination that did not happen. Subclasses say what to do about it."""


class QuotaExceededError(ProviderError):
    """The platform's quota is used up: try another node type, look again later."""


class ForbiddenError(ProviderError):
    """The platform or its policy refuses: only a person can change that."""


class InvalidNodeError(ProviderError):
    """The node's description is rejected as malformed: only a change of the spec helps."""


class ConflictError(ProviderError):
    """The name is taken by something that is not ours, or the node changed identity."""


class TransientError(ProviderError):
    """The platform did not answer or asked to slow down: the same request may succeed later."""


@dataclass(frozen=True)
class Node:
    """A machine as the provider knows it.

    ``uid`` identifies one incarnation: a later node under the same name has another uid.
    """

    name: str
    uid: str
    node_type: str


@dataclass(frozen=True)
class Launch:
    """One node to be made. Names are chosen by the caller, so that asking twice makes one node."""

    name: str
    node_type: str


@dataclass(frozen=True)
class Outcome:
    """What became of one launch: the node, or the error that prevented it."""

    launch: Launch
    node: Node | None = None
    error: ProviderError | None = None


class NodeProvider(ABC):
    """Makes and removes the nodes of one Ray cluster.

    Contract, checked by ``tests/unit/test_provider_conformance.py`` for every implementation:

    * ``launch`` answers one outcome per launch, in order, and never raises for a single failed node.
    * Launching a name that already is a node of this cluster answers that node and makes nothing.
    * ``terminate`` removes exactly the given incarnation; a node already gone, or replaced under
      its name, is a success and touches nothing.
    * After either call returns, ``nodes`` reflects it.
    """

    @abstractmethod
    def nodes(self) -> Sequence[Node]:
        """Nodes that exist and are not being terminated, in name order."""

    @abstractmethod
    def launch(self, launches: Sequence[Launch]) -> Sequence[Outcome]:
        """Make nodes, many at a time."""

    @abstractmethod
    def terminate(self, node: Node) -> None:
        """Remove one node.

        Raises:
            ForbiddenError: the platform refuses.
            TransientError: the platform did not answer.
        """
