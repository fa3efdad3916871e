"""The chart's values for the operator: image, identity, rights, placement, probes, monitoring, names and labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.kube.lease import LEASE_NAME
from controller.kube.partitions import NAMES, WANTED
from controller.options import parse
from tests.support.chart import CHART, helm, one, render
from tests.support.kube import Kube
from tests.support.prerequisites import ROOT

DIGEST = "sha256:" + "0" * 64
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]


def deployment(environment: Mapping[str, str], **values: Any) -> dict[str, Any]:
    """The operator's Deployment with these values."""
    return one(render(environment, "ray", values=values), "Deployment")


def pod(environment: Mapping[str, str], **values: Any) -> dict[str, Any]:
    """The spec of the operator's pods."""
    return dict(deployment(environment, **values)["spec"]["template"]["spec"])


def container(environment: Mapping[str, str], **values: Any) -> dict[str, Any]:
    """The operator's container."""
    (found,) = pod(environment, **values)["containers"]
    return dict(found)


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, f"ray-operator:{VERSION}"),
        ({"operatorImageRepository": "registry.example.com/a"}, f"registry.example.com/a:{VERSION}"),
        ({"operatorImageRepository": "registry.example.com/a", "operatorImageTag": "7"}, "registry.example.com/a:7"),
        ({"operatorImageTag": "7", "operatorImageDigest": DIGEST}, f"ray-operator@{DIGEST}"),
        ({"operatorImageTag": "7", "operatorImage": "rayproject/ray:nightly"}, "rayproject/ray:nightly"),
    ],
)
def test_the_image_is_one_reference_or_its_parts(
    environment: Mapping[str, str], values: dict[str, Any], image: str
) -> None:
    """The operator and its test run the same one."""
    objects = render(environment, "ray", values=values, tests=True)
    (operator,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    (tester,) = one(objects, "Pod", "ray-operator-test")["spec"]["containers"]
    assert operator["image"] == tester["image"] == image


def test_flags_environment_and_volumes_are_added_to_the_charts(environment: Mapping[str, str]) -> None:
    """And the operator takes the resulting command line."""
    found = pod(
        environment,
        namespacedOperator=True,
        metricsTlsSecret="tls",
        operatorLogLevel="debug",
        operatorExtraArgs=["--workers=8", "--drain-seconds", "300"],
        operatorExtraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy"}],
        operatorExtraVolumes=[{"name": "ca", "configMap": {"name": "ca"}}],
        operatorExtraVolumeMounts=[{"name": "ca", "mountPath": "/ca"}],
    )
    (operator,) = found["containers"]
    options = parse(operator["args"], {"RAY_OPERATOR_LEASE_NAMESPACE": "ray"})
    assert (options.workers, options.settings.drain_seconds, options.log_level) == (8, 300, "debug")
    assert [e["name"] for e in operator["env"]] == ["RAY_OPERATOR_POD_NAMESPACE", "HTTPS_PROXY"]
    assert [v["name"] for v in found["volumes"]] == [m["name"] for m in operator["volumeMounts"]] == ["tls", "ca"]


def test_probes_can_be_slowed_down(environment: Mapping[str, str]) -> None:
    found = container(
        environment, operatorReadinessProbe={"periodSeconds": 9}, operatorLivenessProbe={"failureThreshold": 3}
    )
    assert (found["readinessProbe"]["periodSeconds"], found["readinessProbe"]["httpGet"]["path"]) == (9, "/readyz")
    assert (found["livenessProbe"]["failureThreshold"], found["livenessProbe"]["periodSeconds"]) == (3, 10)


def test_placement(environment: Mapping[str, str]) -> None:
    """Constraints without a selector are about the operator's pods; without any, there are none."""
    zone = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    own = {**zone, "labelSelector": {"matchLabels": {"a": "b"}}}
    found = pod(environment, operatorAffinity={"podAntiAffinity": {}}, operatorTopologySpreadConstraints=[zone, own])
    selector = {"labelSelector": {"matchLabels": {"cluster.ray.io/component": "operator"}}}
    assert found["affinity"] == {"podAntiAffinity": {}}
    assert found["topologySpreadConstraints"] == [{**zone, **selector}, own]
    (usual,) = pod(environment)["topologySpreadConstraints"]
    assert usual["topologyKey"] == "kubernetes.io/hostname" and usual["labelSelector"] == selector["labelSelector"]
    assert "topologySpreadConstraints" not in pod(environment, operatorTopologySpreadConstraints=[])


def test_update_strategies(environment: Mapping[str, str]) -> None:
    """Recreate has no rolling update, which Kubernetes would refuse."""
    assert deployment(environment, operatorUpdateStrategy={"type": "Recreate"})["spec"]["strategy"] == {
        "type": "Recreate"
    }
    slow = {"rollingUpdate": {"maxSurge": "50%"}}
    found = deployment(environment, operatorUpdateStrategy=slow)["spec"]["strategy"]
    assert found == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "50%"}}


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"minAvailable": 0}, {"minAvailable": 0}),
        ({"minAvailable": "50%"}, {"minAvailable": "50%"}),
    ],
)
def test_a_disruption_budget(environment: Mapping[str, str], given: dict[str, Any], budget: dict[str, Any]) -> None:
    """It is for the operator's pods."""
    objects = render(environment, "ray", values={"operatorPodDisruptionBudget": {"enabled": True, **given}})
    spec = one(objects, "PodDisruptionBudget")["spec"]
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert spec.pop("selector")["matchLabels"].items() <= labels.items()
    assert spec == budget


@pytest.mark.parametrize(
    ("values", "pods", "flags"),
    [
        ({}, 1, []),
        ({"operatorReplicas": 2}, 2, []),
        ({"operatorShards": 4}, 4, ["--shards=4"]),
        ({"operatorShards": 4, "operatorReplicas": 2}, 5, ["--shards=4"]),
        ({"operatorShards": 4, "operatorReplicas": 0}, 0, ["--shards=4"]),
    ],
)
def test_shards(environment: Mapping[str, str], values: dict[str, Any], pods: int, flags: list[str]) -> None:
    """As many operators as shards, and those that stand by; each may see and take the leases of all parts."""
    objects = render(environment, "ray", values=values)
    spec = one(objects, "Deployment")["spec"]
    (operator,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == pods
    assert [flag for flag in operator["args"] if "shards" in flag] == flags
    rules = one(objects, "Role", "ray-operator-lease")["rules"]
    granted = {(name, verb) for rule in rules for name in rule.get("resourceNames", [""]) for verb in rule["verbs"]}
    wanted = {("", "create"), *((LEASE_NAME, verb) for verb in ("get", "update"))}
    if flags:
        wanted |= {("", "list"), *((name, verb) for name in (WANTED, *NAMES) for verb in ("get", "update"))}
        assert parse(operator["args"], {"RAY_OPERATOR_LEASE_NAMESPACE": "ray"}).shards == 4
    assert granted == wanted


@pytest.mark.parametrize("number", [0, 17, 1.5, "two"])
def test_shards_that_there_cannot_be_are_refused(environment: Mapping[str, str], number: Any) -> None:
    done = helm(environment, "template", "x", str(CHART), "--set-json", f"operatorShards={json.dumps(number)}")
    assert done.returncode != 0
    assert "operatorShards" in done.stderr


def test_no_user_is_fixed_and_contexts_can_be_replaced(environment: Mapping[str, str]) -> None:
    """OpenShift's restricted-v2 gives each namespace users of its own; the image names one that is not root."""
    found = pod(environment)
    (operator,) = found["containers"]
    assert found["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert operator["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & (
        found["securityContext"].keys() | operator["securityContext"].keys()
    )
    assert "USER 65532:65532" in (ROOT / "Containerfile").read_text().splitlines()
    assert pod(environment, operatorPodSecurityContext={"runAsUser": 7})["securityContext"]["runAsUser"] == 7


def test_a_service_account_of_its_own_or_an_existing_one(environment: Mapping[str, str]) -> None:
    """Every binding and pod names it."""
    made = {"operatorServiceAccount": {"name": "mine", "annotations": {"cloud": "identity"}}}
    existing = {"operatorServiceAccount": {"name": "mine", "create": False}}
    for values in (made, existing):
        objects = render(environment, "ray", values=values, tests=True)
        subjects = [s["name"] for o in objects if o["kind"].endswith("RoleBinding") for s in o["subjects"]]
        spec = one(objects, "Deployment")["spec"]["template"]["spec"]
        tester = one(objects, "Pod", "ray-operator-test")["spec"]
        assert {*subjects, spec["serviceAccountName"], tester["serviceAccountName"]} == {"mine"}
    account = one(render(environment, "ray", values=made), "ServiceAccount")
    assert (account["metadata"]["name"], account["metadata"]["annotations"]) == ("mine", {"cloud": "identity"})
    assert not [o for o in render(environment, "ray", values=existing) if o["kind"] == "ServiceAccount"]


@pytest.mark.parametrize("scope", [False, True])
def test_roles_are_left_out_where_others_make_them(environment: Mapping[str, str], scope: bool) -> None:
    objects = render(environment, "ray", values={"rbac": {"create": False}, "namespacedOperator": scope})
    assert {o["kind"] for o in objects} == {"ServiceAccount", "Deployment", "RayCluster"}


def test_users_get_rights_on_rayclusters_through_kubernetes_own_roles(kube: Kube) -> None:
    """view reads, edit and admin write; each may do no more than that."""
    assert not [o for o in render(kube.environment, "ray") if o["metadata"]["name"].endswith("-view")]
    roles = [
        o
        for o in render(kube.environment, "ray", "rbac.aggregateRoles=true")
        if "-rayclusters-" in o["metadata"]["name"]
    ]
    kube.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": roles}))
    try:
        for role, verb, allowed in (
            ("view", "list", True),
            ("view", "create", False),
            ("edit", "create", True),
            ("admin", "delete", True),
        ):
            rules = [
                r
                for o in roles
                if f"rbac.authorization.k8s.io/aggregate-to-{role}" in o["metadata"]["labels"]
                for r in o["rules"]
            ]
            assert any(verb in r["verbs"] and r["resources"] == ["rayclusters"] for r in rules) is allowed
    finally:
        for made in roles:
            kube.run("delete", "clusterrole", made["metadata"]["name"])


def test_common_labels_and_annotations_are_on_everything_but_rays_pods(environment: Mapping[str, str]) -> None:
    """They give way to the chart's own, so that selectors keep finding what they are for."""
    values = {
        "commonLabels": {"team": "a", "cluster.ray.io/component": "mine"},
        "commonAnnotations": {"owner": "b"},
        "operatorPodLabels": {"mesh": "off", "team": "c"},
        "operatorPodAnnotations": {"prometheus.io/scrape": "false"},
        **EVERYTHING,
    }
    objects = render(environment, "ray", values=values, tests=True)
    for obj in objects:
        assert obj["metadata"]["labels"]["team"] == "a", obj["kind"]
        assert obj["metadata"]["annotations"]["owner"] == "b", obj["kind"]
        assert obj["metadata"]["labels"].get("cluster.ray.io/component") in (None, "operator"), obj["kind"]
    template = one(objects, "Deployment")["spec"]["template"]["metadata"]
    assert template["labels"]["mesh"] == "off" and template["labels"]["team"] == "c"
    assert template["labels"]["cluster.ray.io/component"] == "operator"
    assert template["annotations"]["prometheus.io/scrape"] == "false" and template["annotations"]["owner"] == "b"
    assert "team" not in json.dumps(one(objects, "RayCluster")["spec"])


EVERYTHING: dict[str, Any] = {
    "monitoring": {"serviceMonitor": True, "podMonitor": True, "rules": True, "dashboard": True},
    "networkPolicy": {"enabled": True},
    "externalService": {"type": "NodePort"},
    "operatorPodDisruptionBudget": {"enabled": True},
    "rbac": {"aggregateRoles": True},
}
RECOMMENDED = {"name", "instance", "version", "component", "part-of", "managed-by"}


def test_every_object_has_the_recommended_labels(environment: Mapping[str, str]) -> None:
    for obj in render(environment, "ray", values=EVERYTHING, tests=True):
        labels = obj["metadata"]["labels"]
        assert {f"app.kubernetes.io/{word}" for word in RECOMMENDED} | {"helm.sh/chart"} <= labels.keys(), obj["kind"]
        assert labels["app.kubernetes.io/version"] == VERSION
        cluster_wide = obj["kind"].startswith("Cluster")
        assert ("namespace" in obj["metadata"]) is not cluster_wide


def test_other_names(environment: Mapping[str, str]) -> None:
    """Everything of the operator's but its rights is named after it, and refers to each other by those names."""
    values = {**EVERYTHING, "fullnameOverride": "mine", "nameOverride": "other", "metricsTlsSecret": "tls"}
    objects = render(environment, "ray", values=values)
    mine = [o for o in objects if o["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"]
    names = {o["metadata"]["name"] for o in mine}
    assert {name for name in names if not name.startswith("mine")} == {
        "ray-nodes",
        *(f"ray-operator-{right}" for right in ("clusterrole", "clusterrolebinding", "lease")),
    }
    assert {o["metadata"]["labels"]["app.kubernetes.io/name"] for o in mine} == {"other"}
    for binding in (o for o in objects if o["kind"].endswith("RoleBinding")):
        one(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        one(objects, "ServiceAccount", binding["subjects"][0]["name"])
    (endpoint,) = one(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["tlsConfig"]["serverName"] == "mine-metrics.default.svc"


def test_scraping_can_be_tuned_and_the_monitors_put_elsewhere(environment: Mapping[str, str]) -> None:
    relabeling, metric = {"action": "labeldrop", "regex": "pod"}, {"action": "drop", "regex": "python_.*"}
    tuned = {"interval": "15s", "scrapeTimeout": "10s", "relabelings": [relabeling], "metricRelabelings": [metric]}
    values = {"monitoring": {**EVERYTHING["monitoring"], **tuned, "namespace": "monitoring"}}
    objects = render(environment, "ray", values=values)
    service, pods = one(objects, "ServiceMonitor"), one(objects, "PodMonitor")
    for (endpoint,) in (service["spec"]["endpoints"], pods["spec"]["podMetricsEndpoints"]):
        assert tuned.items() <= endpoint.items()
    assert service["spec"]["namespaceSelector"] == {"matchNames": ["default"]}
    made = ("ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap")
    assert {o["metadata"]["namespace"] for o in objects if o["kind"] in made} == {"monitoring"}
    assert one(objects, "Service", "ray-operator-metrics")["metadata"]["namespace"] == "default"


def test_runbooks_are_where_the_values_say(environment: Mapping[str, str]) -> None:
    """Each alert links to its own heading."""
    values = {"monitoring": {"rules": True, "runbookUrl": "https://docs.example.com/observability.html"}}
    groups = one(render(environment, "ray", values=values), "PrometheusRule")["spec"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 10
    for rule in rules:
        wanted = f"https://docs.example.com/observability.html#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook_url"] == wanted


def test_port_8080_is_for_scrapers_alone(environment: Mapping[str, str]) -> None:
    """Of the operator and of Ray pods; without scrapers, nothing connects to the operator."""
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    objects = render(environment, "ray", values={"networkPolicy": {"enabled": True, "metricsFrom": prometheus}})
    rule = {"from": prometheus, "ports": [{"port": 8080}]}
    assert one(objects, "NetworkPolicy", "ray-operator")["spec"]["ingress"] == [rule]
    assert one(objects, "NetworkPolicy", "example-cluster-ray")["spec"]["ingress"][1:] == [rule]
    closed = render(environment, "ray", "networkPolicy.enabled=true")
    spec = one(closed, "NetworkPolicy", "ray-operator")["spec"]
    assert spec["policyTypes"] == ["Ingress"] and not spec.get("ingress")
    assert all(rule["from"] for rule in one(closed, "NetworkPolicy", "example-cluster-ray")["spec"]["ingress"])


def notes(environment: Mapping[str, str], *values: str, chart: Path = CHART) -> str:
    """What helm install would say."""
    command = ["install", "example-cluster", str(chart), "-n", "ray", "--dry-run=client"]
    done = helm(environment, *command, *(w for v in values for w in ("--set", v)))
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.partition("NOTES:")[2].split())


def test_the_notes_say_what_is_likely_to_go_wrong(environment: Mapping[str, str]) -> None:
    """An image in no registry, a shared namespace, closed metrics, missing roles: each only where it is so."""
    usual, quiet = (
        notes(environment),
        ("operatorImageRepository=registry.example.com/a", "operatorNamespace=ray-system"),
    )
    for sentence, value in (
        (f"image ray-operator:{VERSION} is in no registry", ""),
        ('runs in the namespace "default"', ""),
        ("networkPolicy.metricsFrom", "networkPolicy.enabled=true"),
        ("The chart made no roles", "rbac.create=false"),
    ):
        assert sentence in (notes(environment, value) if value else usual)
        assert sentence not in notes(environment, *quiet)
    assert "in no registry" not in notes(environment, "clusterOnly=true")
