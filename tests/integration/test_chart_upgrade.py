"""An upgrade from chart 0.1.0 with the values of then: nothing that runs is replaced, and nothing is orphaned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from controller.raycluster.model import parse_spec
from tests.support.chart import CHART, RELEASE, helm, one, render
from tests.support.kube import Kube
from tests.support.prerequisites import ROOT

FOLDER = ROOT / "tests/support/releases/0.1.0"
# What Kubernetes refuses to change in an object that is there.
IMMUTABLE = {"Deployment": ("selector",), "RoleBinding": ("roleRef",), "ClusterRoleBinding": ("roleRef",)}


def rendered_then(name: str) -> list[dict[str, Any]]:
    """The objects that chart 0.1.0 made."""
    return [o for o in yaml.safe_load_all((FOLDER / f"{name}-rendered.yaml").read_text()) if o]


def values_of(name: str) -> dict[str, Any]:
    """The values of a release of then."""
    return dict(yaml.safe_load((FOLDER / "values.yaml").read_text())) if name == "values" else {}


def identities(objects: Sequence[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """Kind, namespace and name of each object."""
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects}


@pytest.mark.parametrize("name", ["defaults", "values"])
def test_every_object_keeps_its_name_and_what_cannot_be_changed(environment: Mapping[str, str], name: str) -> None:
    before, after = rendered_then(name), render(environment, "ray", values=values_of(name))
    assert identities(before) == identities(after)
    for old in before:
        new = one(after, old["kind"], old["metadata"]["name"])
        for field in IMMUTABLE.get(old["kind"], ()):
            assert old.get(field, old.get("spec", {}).get(field)) == new.get(field, new.get("spec", {}).get(field))
        assert old["metadata"].get("labels", {}).items() <= new["metadata"].get("labels", {}).items()


@pytest.mark.parametrize("name", ["defaults", "values"])
def test_no_pod_of_a_ray_cluster_is_replaced(environment: Mapping[str, str], name: str) -> None:
    """The hashes by which the operator compares running pods with the spec stay as they are."""
    before = one(rendered_then(name), "RayCluster")
    after = one(render(environment, "ray", values=values_of(name)), "RayCluster")
    assert before["spec"] == after["spec"]
    old, new = (parse_spec(cluster["spec"]) for cluster in (before, after))
    assert [old.hash_of(t) for t in (old.head, *old.worker_types)] == [
        new.hash_of(t) for t in (new.head, *new.worker_types)
    ]


def test_what_the_old_network_policies_let_in_still_gets_in_but_for_scrapers(environment: Mapping[str, str]) -> None:
    """Port 8080 was open to all; now to those that networkPolicy.metricsFrom names."""
    objects = render(environment, "ray", values=values_of("values"))
    before = one(rendered_then("values"), "NetworkPolicy", f"{RELEASE}-ray")["spec"]["ingress"]
    assert one(objects, "NetworkPolicy", f"{RELEASE}-ray")["spec"]["ingress"] == before[:1]


def test_values_of_the_older_chart_alone_are_refused_with_the_option_to_use(kube: Kube) -> None:
    """helm upgrade --reuse-values leaves this chart's new defaults out."""
    place = ["-n", kube.namespace]
    done = helm(kube.environment, "install", RELEASE, str(CHART), *place, "--set", "clusterOnly=true")
    assert done.returncode == 0, done.stderr
    try:
        again = ["upgrade", RELEASE, str(CHART), *place, "--set", "operatorServiceAccount=null"]
        done = helm(kube.environment, *again, "--reuse-values")
        assert done.returncode != 0 and "--reset-then-reuse-values" in done.stderr
    finally:
        helm(kube.environment, "uninstall", RELEASE, *place)


def test_a_cluster_with_a_network_policy_stays_and_is_asked_for_its_operators_namespace(kube: Kube) -> None:
    """An upgrade without it changes nothing; with the namespace that 0.1.0 meant, the policy is the one of then."""
    place = ["-n", kube.namespace, "--set", "clusterOnly=true"]
    done = helm(kube.environment, "install", RELEASE, str(CHART), *place)
    assert done.returncode == 0, done.stderr
    before = kube.get("raycluster", RELEASE)["metadata"]["uid"]
    try:
        again = ["upgrade", RELEASE, str(CHART), *place, "--set", "networkPolicy.enabled=true"]
        done = helm(kube.environment, *again)
        assert done.returncode != 0 and "set operatorNamespace" in done.stderr
        assert kube.get("raycluster", RELEASE)["metadata"]["uid"] == before
        done = helm(kube.environment, *again, "--set", "operatorNamespace=default")
        assert done.returncode == 0, done.stderr
        assert kube.get("raycluster", RELEASE)["metadata"]["uid"] == before
        (rule,) = kube.get("networkpolicy", f"{RELEASE}-ray")["spec"]["ingress"]
        assert {"kubernetes.io/metadata.name": "default"} in [
            peer.get("namespaceSelector", {}).get("matchLabels") for peer in rule["from"]
        ]
    finally:
        helm(kube.environment, "uninstall", RELEASE, "-n", kube.namespace)
