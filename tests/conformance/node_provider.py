"""What every node provider must do. Subclass ``NodeProviderContract`` and give it the fixtures below.

``provider``: an empty provider. ``limited``: one whose platform has room for two nodes.
"""

from __future__ import annotations

from dataclasses import replace

from autoscaler.provider import Launch, Node, NodeProvider, QuotaExceededError

A, B, C = (Launch(f"example-node-{n}", "worker-node") for n in "abc")


def made(provider: NodeProvider, *launches: Launch) -> list[Node]:
    """Launch, and insist on success."""
    outcomes = provider.launch(launches)
    nodes = [o.node for o in outcomes if o.node]
    assert len(nodes) == len(launches), [o.error for o in outcomes]
    return nodes


class NodeProviderContract:
    """One test per promise of ``autoscaler.provider.NodeProvider``."""

    def test_without_launches_there_are_no_nodes(self, provider: NodeProvider) -> None:
        assert list(provider.nodes()) == []
        assert list(provider.launch([])) == []

    def test_launching_answers_one_node_per_launch_in_order(self, provider: NodeProvider) -> None:
        outcomes = provider.launch([B, A, C])
        assert [o.launch for o in outcomes] == [B, A, C]
        assert [(o.node.name, o.node.node_type) for o in outcomes if o.node] == [
            (launch.name, launch.node_type) for launch in (B, A, C)
        ]

    def test_launched_nodes_are_listed_at_once_by_name(self, provider: NodeProvider) -> None:
        b, a = made(provider, B, A)
        assert list(provider.nodes()) == [a, b]

    def test_launching_a_name_again_answers_the_same_node(self, provider: NodeProvider) -> None:
        first = made(provider, A)
        assert made(provider, A) == first
        assert list(provider.nodes()) == first

    def test_a_terminated_node_is_not_listed_any_more(self, provider: NodeProvider) -> None:
        a, b = made(provider, A, B)
        provider.terminate(a)
        assert list(provider.nodes()) == [b]

    def test_terminating_twice_is_a_success(self, provider: NodeProvider) -> None:
        (a,) = made(provider, A)
        provider.terminate(a)
        provider.terminate(a)
        assert list(provider.nodes()) == []

    def test_terminating_what_never_was_is_a_success(self, provider: NodeProvider) -> None:
        provider.terminate(Node("example-nobody", "no-uid", "worker-node"))

    def test_terminating_another_incarnation_touches_nothing(self, provider: NodeProvider) -> None:
        (a,) = made(provider, A)
        provider.terminate(replace(a, uid="00000000-0000-0000-0000-000000000000"))
        assert list(provider.nodes()) == [a]

    def test_one_failed_launch_does_not_keep_the_others_from_succeeding(self, limited: NodeProvider) -> None:
        outcomes = limited.launch([A, B, C])
        assert len([o for o in outcomes if o.node]) == 2
        assert [type(o.error) for o in outcomes if o.error] == [QuotaExceededError]
        assert len(limited.nodes()) == 2
