"""A RayService becomes a RayCluster, its Serve config in a ConfigMap, a Job that deploys it, and a Service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import network, table
from .cluster import Converted, convert_cluster
from .owner import Owner, fitting_name, read_owner
from .source import Fields
from .texts import yaml_mapping
from .written import Comment, Tree, add

FOLDER, FILE = "/etc/ray-serve", "serve.yaml"
_SCRIPT = f"""\
address="http://$RAY_DASHBOARD_ADDRESS"
until ray job list --address "$address" >/dev/null 2>&1; do
  echo "waiting for Ray at $address"
  sleep 2
done
serve deploy --address "$address" {FOLDER}/{FILE}
"""


def convert_service(document: Fields, _images: Mapping[str, str]) -> list[Tree]:
    """The documents of a RayService."""
    name = fitting_name(document.mapping("metadata").text("name") or document.mapping("metadata").text("generateName"))
    owner = read_owner(document, (f"{name}-serve-deploy",))
    spec = document.mapping("spec")
    given = spec.mapping("rayClusterConfig")
    if "rayClusterConfig" not in spec:
        raise spec.missing("rayClusterConfig", "Serve runs on a Ray cluster")
    target = convert_cluster(owner, given)
    add(target.cluster, *_notes(spec))
    suspended = spec.truth("suspend")
    if suspended is not None:
        target.cluster["spec"]["suspend"] = suspended
    exclude = bool(spec.truth("excludeHeadPodFromServeSvc"))
    kind = given.mapping("headGroupSpec").text("serviceType")
    service = network.serve_service(owner, spec.mapping("serveService"), kind, exclude_head=exclude)
    if "excludeHeadPodFromServeSvc" in spec:
        add(service, spec.note("excludeHeadPodFromServeSvc", "decides which pods the Service selects."))
    documents = [target.cluster, *target.beside, service]
    config = spec.text("serveConfigV2")
    if config:
        documents += [_config(owner, spec, config), _deploy(owner, target, suspended=bool(suspended))]
    add(target.cluster, *spec.unknown())
    return documents


def _notes(spec: Fields) -> list[Comment]:
    upgrade = spec.mapping("upgradeStrategy")
    return [*spec.notes(table.SERVICE), *upgrade.notes(table.SERVICE_UPGRADE), *upgrade.unknown()]


def _config(owner: Owner, spec: Fields, config: str) -> Tree:
    yaml_mapping(spec, "serveConfigV2", "applications: and what follows", needed=True)
    tree: Tree = {}
    add(tree, Comment(f"{spec.where('serveConfigV2')}: deployed by the Job below."))
    return tree | {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": network.metadata(owner, f"{owner.name}-serve-config"),
        "data": {FILE: config},
    }


def _deploy(owner: Owner, target: Converted, *, suspended: bool) -> Tree:
    tree: Tree = {}
    said = (
        "Deploys the Serve config once. KubeRay does so whenever it changes and after a restart of the head: here, "
        "delete this Job and apply it again (kubectl replace --force). Serve's state: serve status."
    )
    add(tree, Comment(said))
    container: dict[str, Any] = {
        "name": "serve-deploy",
        "image": target.image,
        "command": ["/bin/bash", "-c", _SCRIPT],
        "env": [{"name": "RAY_DASHBOARD_ADDRESS", "value": target.dashboard}, *target.authentication],
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "volumeMounts": [{"name": "serve-config", "mountPath": FOLDER}],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "serve-config", "configMap": {"name": f"{owner.name}-serve-config"}}],
    }
    return tree | {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": network.metadata(owner, f"{owner.name}-serve-deploy"),
        "spec": {**({"suspend": True} if suspended else {}), "backoffLimit": 6, "template": {"spec": pod}},
    }
