"""What ``ray-operator convert`` makes of the objects beside KubeRay's: how they find Ray pods and call Services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.kuberay.objects import carried
from controller.cli.kuberay.service_names import service_names
from controller.cli.kuberay.written import as_yaml
from controller.main import main

from .test_convert import group, kuberay

EXISTS = {"key": "ray-node-type", "operator": "Exists"}
KUBERAYS = {"app.kubernetes.io/name": "kuberay", "app.kubernetes.io/created-by": "kuberay-operator"}


@pytest.mark.parametrize(
    ("given", "made"),
    [
        # A Service's.
        ({"selector": {"ray.io/cluster": "a"}}, {"selector": {"ray-cluster-name": "a"}}),
        (
            {"selector": {**KUBERAYS, "ray.io/identifier": "a-b-head"}},
            {"selector": {"ray-cluster-name": "a-b", "ray-node-type": "head"}},
        ),
        ({"selector": {"ray.io/serve": "true"}}, {"selector": {"ray-node-type": "head"}}),
        ({"selector": KUBERAYS}, {"selector": KUBERAYS}),
        # Of network policies, affinities, budgets.
        (
            {"podSelector": {"matchLabels": {"ray.io/is-ray-node": "yes"}}},
            {"podSelector": {"matchExpressions": [EXISTS]}},
        ),
        (
            {"podSelector": {"matchLabels": {**KUBERAYS, "ray.io/group": "g"}}},
            {"podSelector": {"matchLabels": {"ray-user-node-type": "g"}}},
        ),
        (
            {"selector": {"matchLabels": {**KUBERAYS, "app": "a"}}},
            {"selector": {"matchLabels": {"app": "a"}, "matchExpressions": [EXISTS]}},
        ),
        (
            {"matchExpressions": [{"key": "ray.io/is-ray-node", "operator": "In", "values": ["yes"]}]},
            {"matchExpressions": [EXISTS]},
        ),
        (
            {"matchExpressions": [{"key": "ray.io/is-ray-node", "operator": "DoesNotExist"}]},
            {"matchExpressions": [{**EXISTS, "operator": "DoesNotExist"}]},
        ),
        ({"matchLabelKeys": ["ray.io/cluster", "app"]}, {"matchLabelKeys": ["ray-cluster-name", "app"]}),
        ({"podTargetLabels": ["ray.io/group"]}, {"podTargetLabels": ["ray-user-node-type"]}),
        # What Prometheus makes of them.
        (
            {"sourceLabels": ["__meta_kubernetes_pod_label_ray_io_node_type"]},
            {"sourceLabels": ["__meta_kubernetes_pod_label_ray_node_type"]},
        ),
        # Another's.
        ({"selector": {"app.kubernetes.io/name": "grafana"}}, {"selector": {"app.kubernetes.io/name": "grafana"}}),
        ({"labels": {"ray.io/cluster": "a"}}, {"labels": {"ray.io/cluster": "a"}}),
    ],
)
def test_pods_are_selected_by_the_labels_that_they_have_here(given: dict[str, Any], made: dict[str, Any]) -> None:
    (document,) = carried({"kind": "Any", "spec": given}).documents
    assert yaml.safe_load(as_yaml([document]))["spec"] == made


def test_a_label_that_no_pod_has_here_is_named() -> None:
    for spec in ({"selector": {"ray.io/own": "a"}}, {"podSelector": {"matchLabels": {"ray.io/own": "a"}}}):
        assert "# ray.io/own: no pod has this label here; select by another" in as_yaml(
            carried({"kind": "Any", "spec": spec}).documents
        )


@pytest.mark.parametrize(
    ("labels", "selector"),
    [
        (
            {"ray.io/node-type": "head"},
            {"matchExpressions": [{"key": "ray-cluster-name", "operator": "Exists"}]},
        ),
        ({"ray.io/cluster": "a", "ray.io/node-type": "head"}, {"matchLabels": {"ray-cluster-name": "a"}}),
    ],
)
def test_a_monitor_of_services_finds_the_head_service(labels: dict[str, str], selector: dict[str, Any]) -> None:
    """It has the cluster's name for a label, and no other of the pods' labels."""
    (document,) = carried({"kind": "ServiceMonitor", "spec": {"selector": {"matchLabels": labels}}}).documents
    assert yaml.safe_load(as_yaml([document]))["spec"]["selector"] == selector


def test_services_of_kuberay_are_called_by_their_names_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    backend = {"kind": "Ingress", "metadata": {"name": "old-head-svc"}, "spec": {"service": "old-head-svc", "port": 1}}
    program = {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": ["http://model-serve-svc:8000", "ray://old-head-svc.ns.svc:10001", "very-old-head-svc", "own-head-svc"],
    }
    named = {"headService": {"metadata": {"name": "own-head-svc"}}}
    objects = [
        backend,
        program,
        kuberay(headGroupSpec=group()),
        kuberay("RayService", "model", rayClusterConfig={"headGroupSpec": group()}),
        kuberay(name="own", headGroupSpec=group(**named)),
    ]
    path.write_text("\n---\n".join(map(json.dumps, objects)))
    assert main(["convert", str(path)]) == 0
    out = capsys.readouterr().out
    first, second, *_ = yaml.safe_load_all(out)
    assert (first["metadata"]["name"], first["spec"]["service"]) == ("old-head-svc", "old-ray-head")
    assert second["spec"] == [
        "http://model-serve:8000",
        "ray://old-ray-head.ns.svc:10001",
        "very-old-head-svc",
        "own-head-svc",
    ]
    assert "# old-head-svc is called old-ray-head here, the name of the Service in its place." in out


def test_a_service_of_kuberay_that_the_file_has_keeps_its_name() -> None:
    cluster = kuberay(headGroupSpec=group())
    service = {"kind": "Service", "metadata": {"name": "old-head-svc"}}
    assert service_names([cluster], [cluster])["old-head-svc"] == "old-ray-head"
    assert "old-head-svc" not in service_names([cluster], [cluster, service])
