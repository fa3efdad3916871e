"""``ray-operator convert``: KubeRay's objects as a RayCluster of this operator and the objects beside it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from .commands import FINE, WRONG_INPUT, WRONG_USAGE, command_parser
from .kuberay.objects import Outcome, carried, convert, head_images, is_kuberay, opened, title, why_not
from .kuberay.service_names import renamed, service_names
from .kuberay.shape import unfit
from .kuberay.written import Comment, Tree, as_yaml
from .manifests import A_LIST, NO_OBJECT, ManifestError, read_documents, source_of

DESCRIPTION = """\
Converts the objects of KubeRay (ray.io/v1 and v1alpha1) to this operator's. Nothing is changed anywhere: the manifests
are printed.

  RayCluster   a RayCluster
  RayJob       a RayCluster and a Job that submits the program
  RayCronJob   a RayCluster and a CronJob that submits the program
  RayService   a RayCluster, the Serve config in a ConfigMap, a Job that deploys it, and a Service

Services, Ingress and NetworkPolicies that KubeRay makes for them are written too. A field without a counterpart, or
with another meaning here, is named in a comment at its place. Objects of other kinds are printed as they are, except
that they select Ray pods by their labels here, and call Services of KubeRay's by their names here.
"""
EXAMPLES = """\
ray-operator convert raycluster.yaml > converted.yaml
helm template old kuberay/ray-cluster | ray-operator convert - | kubectl apply --dry-run=server -f -
ray-operator convert --from-cluster -n ray
"""
# Given to the command as arguments.read_kuberay. Context and namespace, None for the kubeconfig's own; the namespace is
# empty for all of them.
Reader = Callable[[str | None, str | None], Sequence[Mapping[str, Any]]]


@dataclass
class _Found:
    """What came out of all files."""

    documents: list[Tree] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("convert", DESCRIPTION, EXAMPLES)
    made.add_argument("files", metavar="FILE", nargs="*", help="a manifest; - reads standard input")
    made.add_argument("--from-cluster", action="store_true", help="convert the objects that the cluster has, not files")
    place = made.add_mutually_exclusive_group()
    place.add_argument("-n", "--namespace", help="with --from-cluster: this namespace (default: the kubeconfig's)")
    place.add_argument("-A", "--all-namespaces", action="store_true", help="with --from-cluster: all namespaces")
    made.add_argument("--context", help="with --from-cluster: the kubeconfig context to use")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print the converted manifests. Returns the exit code."""
    wrong = _wrong_usage(arguments)
    if wrong:
        print(f"ray-operator convert: {wrong}", file=sys.stderr)
        return WRONG_USAGE
    found = _Found()
    if arguments.from_cluster:
        _read_cluster(arguments, arguments.read_kuberay, found)
    for path in arguments.files:
        _read_file(path, found)
    sys.stderr.writelines(f"{line}\n" for line in (*found.notes, *found.problems))
    if found.problems:
        return WRONG_INPUT
    print(as_yaml(found.documents), end="")
    return FINE


def _wrong_usage(arguments: argparse.Namespace) -> str:
    if arguments.from_cluster and arguments.files:
        return "--from-cluster and files exclude each other; leave one of them out"
    if not arguments.from_cluster and not arguments.files:
        return "there is nothing to convert; name a file, - for standard input, or use --from-cluster"
    given = arguments.namespace is not None or arguments.all_namespaces or arguments.context is not None
    if given and not arguments.from_cluster:
        return "-n, -A and --context belong to --from-cluster; leave them out, objects of a file name their namespace"
    return ""


def _read_file(path: str, found: _Found) -> None:
    source = source_of(path)
    try:
        _convert_all(source, list(opened(read_documents(path))), "name a file that has one", found)
    except ManifestError as error:
        found.problems.append(f"{source}: {error}")


def _read_cluster(arguments: argparse.Namespace, read: Reader, found: _Found) -> None:
    try:
        objects = read(arguments.context, "" if arguments.all_namespaces else arguments.namespace)
    except Exception as error:
        # A kubeconfig may hold anything: reading it, and reaching what it names, may fail in any way.
        found.problems.append(f"cluster: {' '.join(str(error).split())}")
        return
    _convert_all("cluster", [obj for obj in objects if not _owned(obj)], "name another namespace, or -A for all", found)


def _owned(obj: Mapping[str, Any]) -> bool:
    """A RayCluster of a RayJob or a RayService, which comes out of converting that."""
    owners = (obj.get("metadata") or {}).get("ownerReferences") or []
    return any(str(owner.get("apiVersion", "")).startswith("ray.io/") for owner in owners)


def _convert_all(source: str, objects: Sequence[Any], remedy: str, found: _Found) -> None:
    """``remedy``: what to do where nothing is there that could have been meant."""
    if not any(is_kuberay(obj) for obj in objects):
        reason = next(filter(None, map(why_not, objects)), remedy)
        found.problems.append(
            f"{source}: contains no RayCluster, RayJob, RayCronJob or RayService of ray.io/v1; {reason}"
        )
        return
    images = head_images(objects)
    whole = [isinstance(obj, Mapping) and not unfit(obj) for obj in objects]
    names = service_names(filter(is_kuberay, compress(objects, whole)), objects)
    for obj, fits in zip(objects, whole, strict=True):
        named, said = renamed(obj, names) if fits else (obj, ())
        if is_kuberay(obj):
            _add(source, convert(named, images), found, said)
        elif isinstance(obj, Mapping) and obj.get("kind"):
            _add(source, carried(named), found, said)
            reason = why_not(obj)
            found.notes.append(
                f"{source}: note: {title(obj)} is carried over{f' as it is; {reason}' if reason else ''}"
            )
        else:
            found.notes.append(f"{source}: note: skipped {A_LIST if isinstance(obj, list) else NO_OBJECT}")


def _add(source: str, outcome: Outcome, found: _Found, said: Sequence[Comment]) -> None:
    """``said``: comments above the first document."""
    first, *others = outcome.documents or [{}]
    found.documents += [dict.fromkeys(said) | first, *others] if outcome.documents else []
    found.problems += [f"{source}: {outcome.name}: {problem}" for problem in outcome.problems]
