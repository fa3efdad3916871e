"""``ray-operator render``: the objects that the operator would create for a RayCluster, without a Kubernetes."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from controller.objects.gang import PodGang, build_gang_object, gang_name
from controller.objects.pod import build_pod, slot_name
from controller.objects.service import build_hosts_service, build_service
from controller.planning.actions import CreateGangObject, CreatePod, CreateService
from controller.planning.observed import Observed
from controller.planning.plan import make_plan
from controller.raycluster.model import Json, RayCluster, parse_spec

from .checks import check, remarks
from .commands import FINE, WRONG_INPUT, command_parser
from .manifests import NO_CLUSTER, ManifestError, cluster_of, read_manifests, source_of
from .validate import name_of

DESCRIPTION = """\
Prints the objects that the operator creates for a new RayCluster: the head Service, the head pod and minWorkers
workers of each type; for a type with several hosts, the Service by which they find each other, and all pods of each
worker. With spec.gang, a comment shows what the objects and the pods of a gang look like. Nothing is sent anywhere.

A RayCluster from a file has no uid yet. 00000000-0000-0000-0000-000000000000 stands for it, and since the last five
letters of the pods' names follow from the uid, those will be others. For a RayCluster with a uid, as kubectl get
prints it, they are the very names.
"""
GANG_COMMENT = (
    "An example: what is made for a placement group that needs two new workers. Each gang has a name and a size of its",
    "own. Of the pods of this one, the first is shown.",
)
NAMESPACE = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
EXAMPLES = """\
ray-operator render manifests/example_cluster.yaml
helm template example charts/ray | ray-operator render -n ray -
kubectl -n ray get raycluster example-cluster -o yaml | ray-operator render --output json -
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("render", DESCRIPTION, EXAMPLES)
    made.add_argument("file", metavar="FILE", help="a manifest; - reads standard input")
    made.add_argument(
        "-n", "--namespace", type=namespace, help="the namespace of RayClusters that name none (default: default)"
    )
    made.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="default: yaml")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print the objects. Returns the exit code."""
    try:
        manifests = read_manifests(arguments.file)
    except ManifestError as error:
        return _refuse(source_of(arguments.file), [str(error)])
    for note in manifests.notes:
        print(f"{manifests.source}: note: {note}", file=sys.stderr)
    wrong = list(_wrong(manifests.clusters))
    if wrong or not manifests.clusters:
        return _refuse(manifests.source, wrong or [NO_CLUSTER])
    for remark in (remark for manifest in manifests.clusters for remark in remarks(manifest)):
        print(f"{manifests.source}: note: {remark}", file=sys.stderr)
    clusters = [cluster_of(manifest, arguments.namespace) for manifest in manifests.clusters]
    objects = [obj for cluster in clusters for obj in objects_of(cluster)]
    print(_as_json(objects) if arguments.output == "json" else _as_yaml(objects), end="")
    if arguments.output != "json":
        print("".join(map(_commented, filter(None, map(gang_example, clusters)))), end="")
    return FINE


def namespace(text: str) -> str:
    """The name of a namespace from the command line.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not NAMESPACE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a namespace; use at most 63 of a-z, 0-9 and '-'")
    return text


def _wrong(clusters: Sequence[Json]) -> Iterator[str]:
    """What is wrong with the clusters; of several, the one is named."""
    for manifest in clusters:
        which = f"RayCluster {name_of(manifest)}: " if len(clusters) > 1 else ""
        for problem in check(manifest):
            yield f"{which}{problem}"


def objects_of(cluster: RayCluster) -> list[dict[str, Any]]:
    """What the operator's first pass over a valid cluster creates, in its order."""
    spec = parse_spec(cluster.spec)
    made: list[dict[str, Any]] = []
    for action in make_plan(Observed(cluster, spec, pods=(), service=None, now=0.0)).actions:
        if isinstance(action, CreateService):
            made.append(build_hosts_service(cluster) if action.for_hosts else build_service(cluster, spec))
        elif isinstance(action, CreateGangObject):
            made.append(build_gang_object(cluster, action.template, action.gang))
        elif isinstance(action, CreatePod):
            pod_type, name = action.pod_type, action.name
            made.append(build_pod(cluster, spec, pod_type, name, host=action.host, gang=action.gang))
    return made


def gang_example(cluster: RayCluster) -> list[dict[str, Any]]:
    """What a gang of two pods would look like: its objects, and the first of its pods. Empty without ``spec.gang``."""
    spec = parse_spec(cluster.spec)
    pod_type = next((t for t in spec.worker_types if t.hosts == 1), None)
    if spec.gang is None or pod_type is None:
        return []
    gang = PodGang(gang_name(cluster, "", 0), 2)
    objects = [build_gang_object(cluster, template, gang) for template in spec.gang.objects]
    pod = build_pod(cluster, spec, pod_type, slot_name(cluster, pod_type, 0), gang=gang)
    # It is that of every worker of the type, and long.
    pod["spec"]["containers"][0]["command"] = ["..."]
    return [*objects, pod]


def _refuse(source: str, reasons: Sequence[str]) -> int:
    for reason in reasons:
        print(f"{source}: {reason}", file=sys.stderr)
    return WRONG_INPUT


def _as_json(objects: Sequence[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2) + "\n"


def _commented(objects: Sequence[Json]) -> str:
    """Lines that no client reads: these objects are made later, if at all."""
    lines = [*GANG_COMMENT, *_as_yaml(objects).splitlines()]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


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
