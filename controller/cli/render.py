"""``ray-operator render``: the objects that the operator would create for a RayCluster, without a Kubernetes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from controller.objects.pod import build_pod
from controller.objects.service import build_service
from controller.planning.actions import CreatePod, CreateService
from controller.planning.observed import Observed
from controller.planning.plan import make_plan
from controller.raycluster.model import Json, RayCluster, parse_spec

from .checks import check
from .commands import FINE, WRONG_INPUT, command_parser
from .manifests import ManifestError, cluster_of, read_manifests

DESCRIPTION = """\
Prints the objects that the operator creates for a new RayCluster: the head Service, the head pod and minWorkers
workers of each type. Nothing is sent anywhere.

A RayCluster from a file has no uid yet. 00000000-0000-0000-0000-000000000000 stands for it, and since the last five
letters of the pods' names follow from the uid, those will be others. For a RayCluster with a uid, as kubectl get
prints it, they are the very names.
"""
EXAMPLES = """\
ray-operator render manifests/example_cluster.yaml
helm template example charts/ray | ray-operator render -n ray -
kubectl -n ray get raycluster example-cluster -o yaml | ray-operator render --output json -
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("render", DESCRIPTION, EXAMPLES)
    made.add_argument("file", metavar="FILE", help="a manifest; - reads standard input")
    made.add_argument("-n", "--namespace", help="the namespace of RayClusters that name none (default: default)")
    made.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="default: yaml")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print the objects. Returns the exit code."""
    try:
        manifests = read_manifests(arguments.file)
    except ManifestError as error:
        return _refuse(arguments.file, [str(error)])
    wrong = [str(problem) for manifest in manifests.clusters for problem in check(manifest)]
    if wrong or not manifests.clusters:
        return _refuse(manifests.source, wrong or ["holds no RayCluster"])
    objects = [obj for manifest in manifests.clusters for obj in objects_of(cluster_of(manifest, arguments.namespace))]
    print(_as_json(objects) if arguments.output == "json" else _as_yaml(objects), end="")
    return FINE


def objects_of(cluster: RayCluster) -> list[dict[str, Any]]:
    """What the operator's first pass over a valid cluster creates, in its order."""
    spec = parse_spec(cluster.spec)
    made: list[dict[str, Any]] = []
    for action in make_plan(Observed(cluster, spec, pods=(), service=None, now=0.0)).actions:
        if isinstance(action, CreateService):
            made.append(build_service(cluster, spec))
        elif isinstance(action, CreatePod):
            made.append(build_pod(cluster, spec, action.pod_type, action.name))
    return made


def _refuse(source: str, reasons: Sequence[str]) -> int:
    for reason in reasons:
        print(f"{source}: {reason}", file=sys.stderr)
    return WRONG_INPUT


def _as_json(objects: Sequence[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2) + "\n"


class _Dumper(yaml.SafeDumper):
    """Programs in pods are read by people: texts of several lines are written as such."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never refer to another place: each object stands for itself."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _as_yaml(objects: Sequence[Json]) -> str:
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True)
