"""What the operator may do is what it needs: each right, taken away, is told of by name, and harms nobody else.

One operator manages a namespace for each right, where its role lacks that one, and one where it lacks none.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.support.account import as_service_account
from tests.support.apiserver import ApiServer
from tests.support.chart import one, render
from tests.support.kube import Kube, eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT

ACCOUNT = "ray-operator-serviceaccount"
# What a test does to make the operator need a right, beside making a cluster and running its pods.
Need = Callable[[Namespace], None]

# What they share is made once.
pytestmark = pytest.mark.xdist_group("rights")


def rights(rules: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Each resource and verb that rules grant."""
    return [(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]]


def without(rules: list[dict[str, Any]], resource: str, verb: str) -> list[dict[str, Any]]:
    """The rules, less one right; a rule for one name is left to that name."""
    kept = copy.deepcopy(rules)
    for rule in kept:
        if resource in rule["resources"] and verb in rule["verbs"]:
            rule["verbs"].remove(verb)
    return [rule for rule in kept if rule["verbs"]]


def place_of(resource: str, verb: str) -> str:
    """The namespace whose role lacks a right."""
    return f"no-{verb}-{resource.replace('/', '-')}"


def end_worker(place: Namespace) -> None:
    """A worker's Ray ends: its pod has to go."""
    eventually(lambda: place.condition("cluster", "Ready").get("status") == "True")
    place.end_pod(place.pods("worker")[0]["metadata"]["name"], {"phase": "Failed"})


def hide_head(place: Namespace) -> None:
    """Somebody takes the head's label away: its name is taken by a pod that the operator cannot see."""
    name = eventually(lambda: place.pods("head"))[0]["metadata"]["name"]
    patch = [{"op": "remove", "path": "/metadata/labels/ray-cluster-name"}]
    place.server.ask("PATCH", place.path("pods", name), patch, "application/json-patch+json")


def edit_service(place: Namespace) -> None:
    """Somebody changes the head Service."""
    name = eventually(lambda: place.all("services", "ray-cluster-name"))[0]["metadata"]["name"]
    patch = [{"op": "remove", "path": "/spec/ports/1"}]
    place.server.ask("PATCH", place.path("services", name), patch, "application/json-patch+json")


def lose_workers(place: Namespace) -> None:
    """Somebody deletes a worker, again and again: what is said about it is said once and then counted."""
    if place.condition("cluster", "Ready").get("status") == "True":
        for pod in place.pods("worker")[:1]:
            place.delete("pods", pod["metadata"]["name"])


def recover(place: Namespace) -> None:
    """A cluster keeps what its head knows on a volume."""
    cluster = yaml.safe_load((ROOT / "manifests/example_cluster.yaml").read_text())
    cluster["metadata"]["name"] = "recovering"
    cluster["spec"]["headRecovery"] = {"storage": {"size": "1Gi"}}
    for pod_type in cluster["spec"]["podTypes"]:
        pod_type["minWorkers"] = 0
    place.make(cluster)


def recover_an_old_one(place: Namespace) -> None:
    """Somebody has made its claim, without a label."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "recovering-ray-head"}}
    place.server.ask("POST", place.path("persistentvolumeclaims"), {**claim, "spec": spec})
    recover(place)


def release(place: Namespace) -> None:
    """Its claim, which went with the cluster, is to stay."""
    recover(place)
    eventually(lambda: place.all("persistentvolumeclaims", "ray-cluster-name=recovering"))
    place.edit("recovering", ("headRecovery/storage/retain", True))


def recover_in_redis(place: Namespace) -> None:
    """A cluster keeps what its head knows in a Redis."""
    cluster = yaml.safe_load((ROOT / "manifests/example_cluster.yaml").read_text())
    cluster["metadata"]["name"] = "recovering"
    cluster["spec"]["headRecovery"] = {"redis": {"address": "redis:6379"}}
    for pod_type in cluster["spec"]["podTypes"]:
        pod_type["minWorkers"] = 0
    place.make(cluster)


def recover_with_its_job(place: Namespace) -> None:
    """Its Job is there: Jobs are listed on a thread of their own, and the cluster may be ready before."""
    recover_in_redis(place)
    eventually(lambda: place.all("jobs", "ray-cluster-name=recovering"))


def delete_what_recovers(place: Namespace) -> None:
    """Such a cluster is deleted."""
    recover_with_its_job(place)
    place.delete("rayclusters", "recovering")


def change_what_recovers(place: Namespace) -> None:
    """Such a cluster gets another Redis."""
    recover_with_its_job(place)
    place.edit("recovering", ("headRecovery/redis/address", "other:6379"))


def forget(place: Namespace) -> None:
    """Nothing uses a cluster that is to be deleted then."""
    cluster = yaml.safe_load((ROOT / "manifests/example_cluster.yaml").read_text())
    cluster["metadata"]["name"] = "forgotten"
    cluster["spec"]["idleTermination"] = {"minutes": 0.1, "action": "Delete"}
    for pod_type in cluster["spec"]["podTypes"]:
        pod_type["minWorkers"] = 0
    place.make(cluster)


NEEDS: Mapping[tuple[str, str], Need] = {
    ("rayclusters", "delete"): forget,
    ("pods", "delete"): end_worker,
    ("pods", "get"): hide_head,
    ("services", "patch"): edit_service,
    ("persistentvolumeclaims", "list"): recover,
    ("persistentvolumeclaims", "watch"): recover,
    ("persistentvolumeclaims", "create"): recover,
    ("persistentvolumeclaims", "get"): recover_an_old_one,
    ("persistentvolumeclaims", "patch"): recover_an_old_one,
    ("persistentvolumeclaims", "delete"): release,
    ("jobs", "list"): recover_in_redis,
    ("jobs", "watch"): recover_in_redis,
    ("jobs", "create"): recover_in_redis,
    ("jobs", "patch"): delete_what_recovers,
    ("jobs", "delete"): change_what_recovers,
}
# Refused by an admission plugin, which has words of its own.
COMPLAINTS = {
    ("rayclusters/finalizers", "update"): "cannot set blockOwnerDeletion",
    ("persistentvolumeclaims", "delete"): "cannot set an ownerRef on a resource you can't delete",
}


@pytest.fixture(scope="module")
def rules(environment: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The chart's roles, by name."""
    objects = render(environment, "any", "namespacedOperator=true", "operatorOnly=true")
    names = ("ray-operator-role", "ray-operator-lease")
    return {name: one(objects, "Role", name)["rules"] for name in names}


def grant(environment: Mapping[str, str], granted: Mapping[str, list[dict[str, Any]]]) -> None:
    """The operator's account, which is in the namespace "rights", gets a role in each of some namespaces."""
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "rights"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "role"}
    objects: list[dict[str, Any]] = []
    for namespace, rules in granted.items():
        common = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": "role", "namespace": namespace},
        }
        objects.append({**common, "kind": "Role", "rules": rules})
        objects.append({**common, "kind": "RoleBinding", "subjects": [subject], "roleRef": reference})
    Kube(environment, "").apply(*objects)


@pytest.fixture(scope="module")
def account(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the operator's account."""
    kube = Kube(environment, "rights")
    kube.run("create", "namespace", "rights")
    kube.run("create", "serviceaccount", ACCOUNT)
    return as_service_account(kube, ACCOUNT, tmp_path_factory.mktemp("account"))


class Lacking:
    """The namespaces, each without one right, and the one operator that manages them all."""

    def __init__(self, environment: Mapping[str, str], account: dict[str, str], rules: list[dict[str, Any]]) -> None:
        server = ApiServer(environment["KUBECONFIG"])
        self.rights = rights(rules)
        self.places = {right: Namespace(server, place_of(*right)) for right in self.rights}
        self.whole = Namespace(server, "no-right-lacks")
        for place in self.all:
            place.create()
        lacking = {place.name: without(rules, *right) for right, place in self.places.items()}
        grant(environment, {**lacking, self.whole.name: rules})
        names = [place.name for place in self.all]
        self.operator = OperatorProcess(account, ",".join(names))

    @property
    def all(self) -> list[Namespace]:
        """Every namespace."""
        return [*self.places.values(), self.whole]

    def start(self, cluster: dict[str, Any]) -> None:
        """Run the operator and the nodes, and make a cluster everywhere."""
        self.operator.start()
        for place in self.all:
            place.kubelet()
            place.make(cluster)

    def stop(self) -> None:
        """All of it ends."""
        for place in self.all:
            place.stop()
        self.operator.stop()
        self.operator.close()

    def told(self, place: Namespace) -> str:
        """What somebody could read about a namespace: its clusters' status and Events, and the operator's log."""
        lines = [line for line in self.operator.log().splitlines() if place.name in line]
        return json.dumps([place.all("rayclusters"), place.all("events"), lines]).replace("\\", "")


@pytest.fixture(scope="module")
def lacking(
    environment: Mapping[str, str], account: dict[str, str], rules: dict[str, list[dict[str, Any]]]
) -> Iterator[Lacking]:
    """One operator over namespaces that each lack a right."""
    cluster = yaml.safe_load((ROOT / "manifests/example_cluster.yaml").read_text())
    cluster["metadata"]["name"] = "cluster"
    lacking = Lacking(environment, account, rules["ray-operator-role"])
    lacking.start(cluster)
    yield lacking
    lacking.stop()


def test_each_right_that_is_missing_is_named(lacking: Lacking) -> None:
    """In the status, in an Event or in the log, with verb, resource and namespace."""
    for right, need in NEEDS.items():
        need(lacking.places[right])
    for right, place in lacking.places.items():
        resource, verb = right
        complaint = COMPLAINTS.get(right, f'cannot {verb} resource "{resource}"')

        def told(place: Namespace = place, right: tuple[str, str] = right, complaint: str = complaint) -> bool:
            if right == ("events", "patch"):
                lose_workers(place)
            return complaint in lacking.told(place)

        try:
            eventually(told, within=90)
        except AssertionError:
            raise AssertionError(f"nobody says {complaint!r}: {lacking.told(place)[-3000:]}") from None


def test_the_cluster_with_all_rights_did_not_notice(lacking: Lacking) -> None:
    """It runs, and it is still the same process that manages it."""
    eventually(lambda: lacking.whole.settled("cluster", 2))
    assert lacking.operator.running()


def test_what_is_missing_can_be_granted_while_it_runs(
    lacking: Lacking, environment: Mapping[str, str], rules: dict[str, list[dict[str, Any]]]
) -> None:
    """Every cluster comes up then, without a restart of anything."""
    grant(environment, {place.name: rules["ray-operator-role"] for place in lacking.places.values()})
    for place in lacking.places.values():
        eventually(lambda place=place: place.condition("cluster", "Ready").get("status") == "True", within=120)  # type: ignore[misc]
    assert lacking.operator.running()


def renewed(environment: Mapping[str, str]) -> str:
    """When the lease was renewed last; empty when there is none."""
    lease = ["get", "lease", "ray-operator", "--ignore-not-found", "-o", "jsonpath={.spec.renewTime}"]
    return Kube(environment, "rights").run(*lease)


@pytest.mark.parametrize("verb", ["create", "get", "update"])
def test_without_a_right_to_the_lease_no_process_leads_and_the_log_says_why(
    environment: Mapping[str, str], account: dict[str, str], rules: dict[str, list[dict[str, Any]]], verb: str
) -> None:
    """It goes on asking, and leads once it may."""
    grant(environment, {"rights": without(rules["ray-operator-lease"], "leases", verb)})
    operator = OperatorProcess(account, "rights")
    operator.start(None, "--leader-elect", "--lease-namespace", "rights")
    try:
        eventually(lambda: f'cannot {verb} resource "leases"' in operator.log())
        assert operator.running()
        before = renewed(environment)
        grant(environment, {"rights": rules["ray-operator-lease"]})
        eventually(lambda: renewed(environment) not in ("", before))
    finally:
        operator.stop()
        operator.close()
        Kube(environment, "rights").run("delete", "lease", "ray-operator", "--ignore-not-found")
