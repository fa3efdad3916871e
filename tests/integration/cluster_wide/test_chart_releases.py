"""Releases of the chart against a real API server: installed, switched from mode to mode, removed in any order."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.chart import CHART, RELEASE, helm, render, settings
from tests.support.kube import Kube, eventually
from tests.support.prerequisites import ROOT

MODES = {
    "all": (),
    "operator": ("operatorOnly=true",),
    "cluster": ("clusterOnly=true",),
    "namespaced": ("namespacedOperator=true",),
}
# From each mode to each other one, once.
WALK = ["all", "operator", "all", "cluster", "all", "namespaced", "operator"]
WALK += ["cluster", "operator", "namespaced", "cluster", "namespaced", "all"]
KINDS = "rayclusters,deployments,serviceaccounts,roles,rolebindings,services,networkpolicies"
LABEL = "cluster.ray.io/component=operator"


@pytest.fixture
def release(kube: Kube) -> Iterator[Kube]:
    """Where the release goes, its operator too. Nothing of it stays for other tests."""
    yield kube
    helm(kube.environment, "uninstall", RELEASE, "-n", kube.namespace)
    kube.run("delete", "clusterroles,clusterrolebindings", "-l", LABEL)


def run(kube: Kube, verb: str, *assignments: str) -> str:
    """Install or upgrade the release.

    Raises:
        AssertionError: helm refused.
    """
    place = ["-n", kube.namespace, *settings(f"operatorNamespace={kube.namespace}", *assignments)]
    done = helm(kube.environment, verb, RELEASE, str(CHART), *place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def present(kube: Kube) -> set[str]:
    """Everything that could come from a release, by kind and name."""
    found = kube.run("get", KINDS, "-o", "name").split()
    found += kube.run("get", "clusterroles,clusterrolebindings", "-l", LABEL, "-o", "name").split()
    return {f"{kind.split('.')[0]}/{name}" for kind, name in (f.split("/") for f in found) if name != "default"}


def expected(kube: Kube, *assignments: str) -> set[str]:
    """What a release with these values consists of."""
    objects = render(kube.environment, kube.namespace, f"operatorNamespace={kube.namespace}", *assignments)
    return {f"{o['kind'].lower()}/{o['metadata']['name']}" for o in objects}


def test_a_release_can_be_switched_from_every_mode_to_every_other(release: Kube) -> None:
    """helm upgrade leaves what the new mode consists of, and nothing of the old one."""
    assert set(itertools.pairwise(WALK)) == set(itertools.permutations(MODES, 2))
    run(release, "install", *MODES[WALK[0]])
    for name in WALK[1:]:
        run(release, "upgrade", *MODES[name])
        wanted = expected(release, *MODES[name])
        eventually(lambda wanted=wanted: present(release) == wanted)  # type: ignore[misc]


def test_an_operator_and_clusters_of_other_releases_go_in_any_order(release: Kube) -> None:
    """The operator's release first, then the clusters': nothing hangs, nothing but the CRD is left."""
    run(release, "install", "operatorOnly=true")
    for name in ("one", "two"):
        done = helm(
            release.environment, "install", name, str(CHART), "-n", release.namespace, "--set", "clusterOnly=true"
        )
        assert done.returncode == 0, done.stderr
    for name in (RELEASE, "two", "one"):
        done = helm(release.environment, "uninstall", name, "-n", release.namespace, "--wait", "--timeout=60s")
        assert done.returncode == 0, done.stderr
    eventually(lambda: present(release) == set())
    assert "rayclusters.cluster.ray.io" in release.run("get", "crd", "-o", "name")


ALONE = ("operatorOnly=true",)
NAMESPACED = (*ALONE, "namespacedOperator=true")
OTHER_NAME = "fullnameOverride=other"


@pytest.mark.parametrize(
    ("first", "second", "right"),
    [
        (ALONE, ALONE, "ray-operator-clusterrole"),
        (ALONE, (*ALONE, OTHER_NAME), "ray-operator-clusterrole"),
        ((*ALONE, OTHER_NAME), ALONE, "ray-operator-clusterrole"),
        (NAMESPACED, (*NAMESPACED, OTHER_NAME), "ray-operator-"),
        (NAMESPACED, (*NAMESPACED, OTHER_NAME, "watchNamespaces={default}"), "ray-operator-lease"),
    ],
)
def test_a_second_operator_is_refused_by_name(
    release: Kube, first: tuple[str, ...], second: tuple[str, ...], right: str
) -> None:
    """Two would manage the same clusters, or share a Lease; helm says whose the existing one is."""
    run(release, "install", *first)
    place = ["-n", release.namespace, *settings(*second)]
    done = helm(release.environment, "install", "other", str(CHART), *place)
    assert done.returncode != 0
    assert right in done.stderr and RELEASE in done.stderr


def test_the_documented_upgrade_of_the_crd_works_over_helms(release: Kube) -> None:
    """Helm never upgrades a CRD: kubectl does, over the fields that Helm wrote, and RayClusters stay."""
    run(release, "install", "clusterOnly=true")
    command = "kubectl apply --server-side --force-conflicts -f charts/ray/crds"
    assert command in (ROOT / "docs/operations.md").read_text()
    environment = dict(release.environment)
    done = subprocess.run(command.split(), env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert release.get("raycluster", RELEASE)


def test_the_documented_rollback_brings_the_earlier_operator_back_and_keeps_clusters(release: Kube) -> None:
    """With an operator and a cluster in one release, so that both could be lost."""

    def level() -> str:
        arguments = release.list("deployments", LABEL)[0]["spec"]["template"]["spec"]["containers"][0]["args"]
        return next((a for a in arguments if a.startswith("--log-level")), "")

    run(release, "install", "operatorLogLevel=info")
    before, uid = level(), release.get("raycluster", RELEASE)["metadata"]["uid"]
    run(release, "upgrade", "operatorLogLevel=debug")
    assert level() != before
    page = (ROOT / "docs/upgrades.md").read_text()
    for command in ("history", "rollback"):
        assert f"helm -n ray-system {command} ray-operator" in page
        done = helm(release.environment, command, RELEASE, "-n", release.namespace)
        assert done.returncode == 0, done.stderr
    assert level() == before
    assert release.get("raycluster", RELEASE)["metadata"]["uid"] == uid
