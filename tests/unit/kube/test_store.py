"""The view of the API server: it only moves forward, and it knows the operator's own writes at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.kube.store import Store, sharing_spec
from controller.objects.views import PodView
from controller.raycluster.model import Key, RayCluster, parse_spec
from tests.support.builders import raw_cluster, raw_spec, worker_pod

POD = replace(worker_pod(parse_spec(raw_spec())), key=Key("ray", "pod"), uid="one", resource_version=10)
CLUSTER = POD.cluster


class Told(list[Key]):
    """The keys told of since it was last asked."""

    def since(self) -> list[Key]:
        keys = list(self)
        self.clear()
        return keys


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(told: Told) -> Store[PodView]:
    return Store(lambda p: p.cluster, told.append)


def at(version: int, **fields: object) -> PodView:
    return replace(POD, resource_version=version, **fields)  # type: ignore[arg-type]


def test_a_watched_pod_is_there_and_its_cluster_is_notified(store: Store[PodView], told: Told) -> None:
    store.watched(POD, "")
    assert (store.get(POD.key), store.of_cluster(CLUSTER), told) == (POD, [POD], [CLUSTER])


def test_an_older_event_changes_nothing_and_tells_nobody(store: Store[PodView], told: Told) -> None:
    store.watched(POD, "")
    told.since()
    store.watched(at(9, phase="Pending"), "")
    store.watched(at(10, phase="Pending"), "")
    assert store.get(POD.key) == POD
    assert not told


def test_an_own_write_is_seen_before_the_watch_tells_and_the_echo_is_silent(store: Store[PodView], told: Told) -> None:
    store.written(POD)
    assert store.of_cluster(CLUSTER) == [POD]
    store.watched(POD, "")
    assert not told


def test_an_own_write_answered_late_does_not_overwrite_what_the_watch_has_told(store: Store[PodView]) -> None:
    store.watched(at(12, phase="Failed"), "")
    store.written(at(11))
    assert store.get(POD.key) == at(12, phase="Failed")


def test_an_answer_of_metadata_alone_is_completed_in_the_same_version(store: Store[PodView], told: Told) -> None:
    """And an answer that comes late takes nothing away."""
    part = at(10, whole=False)
    store.written(part)
    store.watched(POD, "")
    assert (store.get(POD.key), told.since()) == (POD, [CLUSTER])
    store.written(part)
    store.watched(part, "")
    assert (store.get(POD.key), told) == (POD, [])


def test_a_pod_deleted_before_its_create_was_answered_does_not_come_back(store: Store[PodView]) -> None:
    store.watched(POD, "")
    store.deleted(at(11), "")
    store.written(POD)
    assert store.get(POD.key) is None


@pytest.mark.parametrize("scope", ["", "ray"])
def test_a_bookmark_and_a_list_also_prove_that_an_unseen_write_is_gone(store: Store[PodView], scope: str) -> None:
    store.bookmark(10, scope)
    store.written(POD)
    assert store.get(POD.key) is None
    store.written(at(11))
    assert store.get(POD.key) == at(11)
    store.replace([], 12, scope)
    store.written(at(12))
    assert store.get(POD.key) is None


def test_what_another_namespace_has_delivered_proves_nothing(store: Store[PodView]) -> None:
    store.bookmark(50, "other")
    store.written(POD)
    assert store.get(POD.key) == POD


def test_a_list_drops_what_it_lacks_and_tells_its_cluster(store: Store[PodView], told: Told) -> None:
    store.watched(POD, "")
    told.since()
    store.replace([], 10, "")
    assert store.of_cluster(CLUSTER) == []
    assert told == [CLUSTER]


def test_a_list_older_than_an_own_write_keeps_it(store: Store[PodView]) -> None:
    store.written(POD)
    store.replace([], 9, "")
    assert store.get(POD.key) == POD


def test_a_list_of_one_namespace_leaves_the_others_alone(store: Store[PodView]) -> None:
    store.watched(POD, "ray")
    store.replace([], 99, "other")
    assert store.get(POD.key) == POD


def test_an_old_list_does_not_turn_an_object_back(store: Store[PodView]) -> None:
    store.watched(at(20), "")
    store.replace([POD], 15, "")
    assert store.get(POD.key) == at(20)


def test_a_namespace_counts_as_listed_once_its_own_list_is_there(told: Told) -> None:
    """Before that, its pods would look as if they did not exist, and be made again. One is told of once."""
    listed: list[str] = []
    store: Store[PodView] = Store(lambda p: p.cluster, told.append, ("a", "b"), listed.append)
    store.replace([], 1, "a")
    store.replace([], 2, "a")
    assert (store.listed("a"), store.listed("b"), listed) == (True, False, ["a"])
    store.replace([], 1, "b")
    assert (store.listed("b"), listed) == (True, ["a", "b"])


def test_a_list_of_everything_lists_every_namespace(store: Store[PodView]) -> None:
    assert not store.listed("ray")
    store.replace([POD], 10, "")
    assert store.listed("ray") and store.listed("")
    assert (store.all(""), store.all("ray"), store.all("other")) == ([POD], [POD], [])


@pytest.mark.parametrize("way", ["event", "list"])
def test_what_is_gone_does_not_come_back_when_the_past_is_replayed(store: Store[PodView], told: Told, way: str) -> None:
    store.watched(POD, "")
    store.deleted(at(30), "") if way == "event" else store.replace([], 30, "")
    told.since()
    store.watched(at(20, deleting=True), "")
    store.replace([POD], 15, "")
    assert (store.get(POD.key), told) == (None, [])


def test_the_past_of_an_earlier_incarnation_does_not_touch_the_new_one(store: Store[PodView]) -> None:
    store.watched(POD, "")
    store.deleted(at(20), "")
    new = at(30, uid="two")
    store.watched(new, "")
    store.watched(at(19, deleting=True), "")
    store.deleted(at(20), "")
    assert store.get(POD.key) == new


def test_a_pod_that_loses_its_label_and_gets_it_back_is_there_again(store: Store[PodView]) -> None:
    """To a watch with a selector it looks as if it had been deleted."""
    store.watched(POD, "")
    store.deleted(at(20), "")
    store.watched(at(30), "")
    assert store.get(POD.key) == at(30)


def test_the_memory_of_what_is_gone_is_bounded(store: Store[PodView], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.kube.index.MAX_GONE", 2)
    for number in range(5):
        store.deleted(at(20, uid=f"uid-{number}"), "")
    store.watched(at(10, uid="uid-4"), "")
    assert store.get(POD.key) is None
    store.watched(at(10, uid="uid-0"), "")
    assert store.get(POD.key) is not None


def test_without_the_resource_there_are_no_objects_until_it_is_back(store: Store[PodView], told: Told) -> None:
    store.watched(POD, "")
    told.since()
    store.leave_out(lambda cluster: cluster.namespace == "other")
    assert store.get(POD.key) == POD
    store.leave_out(lambda cluster: cluster.namespace == "ray")
    assert (store.get(POD.key), told.since()) == (None, [CLUSTER])
    store.replace([POD], 15, "")
    assert store.get(POD.key) == POD


def test_a_deleted_pod_is_gone_and_its_cluster_is_notified(store: Store[PodView], told: Told) -> None:
    store.watched(POD, "")
    told.since()
    store.deleted(at(11), "")
    assert (store.get(POD.key), told) == (None, [CLUSTER])


def test_a_late_delete_of_an_earlier_incarnation_leaves_the_new_one(store: Store[PodView]) -> None:
    new = at(30, uid="two")
    store.written(new)
    store.deleted(at(20), "")
    assert store.get(POD.key) == new


def test_a_delete_of_an_incarnation_never_seen_removes_the_earlier_one(store: Store[PodView]) -> None:
    store.watched(POD, "")
    store.deleted(at(30, uid="two"), "")
    assert store.get(POD.key) is None


def test_a_new_incarnation_replaces_the_old_one_without_its_marks(store: Store[PodView]) -> None:
    store.watched(POD, "")
    store.removal_asked(POD.key, "one")
    store.watched(at(30, uid="two"), "")
    assert store.get(POD.key) == at(30, uid="two")


def test_a_pod_asked_to_go_counts_as_going_whatever_the_watch_still_tells(store: Store[PodView]) -> None:
    store.watched(POD, "")
    store.removal_asked(POD.key, "one")
    store.watched(at(11, phase="Failed"), "")
    assert store.get(POD.key) == at(11, phase="Failed", deleting=True)


def test_asking_an_earlier_incarnation_to_go_leaves_the_new_one(store: Store[PodView]) -> None:
    store.watched(POD, "")
    store.removal_asked(POD.key, "zero")
    store.removal_asked(Key("ray", "nobody"), "one")
    assert store.get(POD.key) == POD


def test_a_relabelled_pod_moves_and_both_clusters_are_notified(store: Store[PodView], told: Told) -> None:
    store.watched(POD, "")
    told.since()
    other = Key("ray", "other")
    store.watched(at(11, cluster=other), "")
    assert store.of_cluster(CLUSTER) == []
    assert [p.name for p in store.of_cluster(other)] == ["pod"]
    assert set(told) == {CLUSTER, other}


def test_a_spec_that_did_not_change_is_held_once() -> None:
    """Each status that is written comes back with a copy of the spec, which may have a megabyte."""

    def answered(version: int, **spec: int) -> RayCluster:
        raw = raw_cluster(raw_spec(**spec))
        raw["metadata"] |= {"resourceVersion": str(version), "generation": 1, "uid": "uid"}
        return RayCluster.from_object(raw)

    store: Store[RayCluster] = Store(lambda c: c.key, lambda key: None, [""])
    first = answered(1)
    store.replace([first], 1, "")
    assert sharing_spec(answered(2), store).spec is first.spec
    assert sharing_spec(answered(3, maxWorkers=7), store).spec["maxWorkers"] == 7
