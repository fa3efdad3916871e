"""When enough is known of a cluster to decide about it, where several operators share them."""

from __future__ import annotations

from controller.kube.holdings import Holdings
from controller.kube.partitions import partition_of
from controller.raycluster.model import PLURAL, Key
from controller.wiring.picture import PartialPicture, Sight

CLUSTER, OTHER = Key("ray", "a"), Key("ray", "b")
PART, OTHER_PART = partition_of(CLUSTER), partition_of(OTHER)


def begun(*parts: int, scopes: tuple[str, ...] = ("",)) -> tuple[Holdings, PartialPicture]:
    """A picture of an operator that holds these parts, and has asked who holds what."""
    holdings = Holdings(lambda: 0.0)
    for part in parts:
        holdings.gain(part)
    picture = PartialPicture(holdings, scopes)
    picture.looked()
    return holdings, picture


def list_all(picture: PartialPicture, sight: Sight, scope: str = "") -> None:
    """Everything that is needed has been listed."""
    for resource in (PLURAL, "pods", "services"):
        sight.listed(resource, scope)
    if not any(sight.unlisted.values()):
        picture.settled(sight)


def test_the_parts_are_two() -> None:
    assert PART != OTHER_PART


def test_a_cluster_is_known_once_everything_was_listed_since_its_part_was_taken() -> None:
    _, picture = begun(PART)
    sight = picture.begin()
    assert picture.missing() == f"the parts {PART} of all clusters"
    assert [sight.listed(resource, "") for resource in (PLURAL, "pods", "persistentvolumeclaims")] == [False] * 3
    assert not picture.complete(CLUSTER)
    assert sight.listed("services", "")
    assert picture.complete(CLUSTER) and not picture.complete(OTHER)
    assert picture.missing() == ""


def test_a_part_that_comes_later_is_listed_while_the_others_go_on() -> None:
    holdings, picture = begun(PART)
    first = picture.begin()
    list_all(picture, first)
    holdings.gain(OTHER_PART)
    second = picture.begin()
    assert picture.complete(CLUSTER) and not picture.complete(OTHER)
    assert not first.stop.is_set() and not first.sees(OTHER) and second.sees(OTHER)
    list_all(picture, second)
    assert picture.complete(CLUSTER) and picture.complete(OTHER)
    assert first.stop.is_set() and not second.stop.is_set()


def test_a_part_that_was_lost_and_taken_again_has_to_be_listed_again() -> None:
    """What happened to it in between nobody here has seen."""
    holdings, picture = begun(PART)
    first = picture.begin()
    list_all(picture, first)
    holdings.lose(PART)
    assert not picture.complete(CLUSTER)
    holdings.gain(PART)
    assert not first.sees(CLUSTER) and not picture.complete(CLUSTER)
    list_all(picture, picture.begin())
    assert picture.complete(CLUSTER)


def test_a_list_that_was_begun_before_a_part_came_is_ended_by_the_next_one() -> None:
    holdings, picture = begun(PART)
    first = picture.begin()
    holdings.gain(OTHER_PART)
    second = picture.begin()
    assert first.stop.is_set()
    assert picture.sights == (second,)


def test_a_namespace_that_may_not_be_read_holds_up_no_other() -> None:
    _, picture = begun(PART, scopes=("ray", "closed"))
    list_all(picture, picture.begin(), "ray")
    assert picture.complete(CLUSTER)
    assert not picture.complete(Key("closed", "a"))


def test_whoever_holds_nothing_misses_nothing() -> None:
    _, picture = begun()
    assert picture.missing() == ""
    assert not picture.complete(CLUSTER)
