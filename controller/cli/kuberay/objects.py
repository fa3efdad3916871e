"""Which objects of a file are KubeRay's, and what becomes of each: documents, or problems that prevent them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.cli.checks import check
from controller.raycluster.model import API_VERSION, KIND
from controller.raycluster.problem import Problem

from .cluster import convert_cluster
from .job import convert_cron_job, convert_job
from .owner import read_owner
from .service import convert_service
from .source import Fields, UnusableError
from .template import relabelled
from .written import Comment, Tree, add, plain

GROUP = "ray.io"
VERSIONS = ("v1", "v1alpha1")
_UNKNOWN_POD_FIELD = re.compile(r"spec\.podTypes\[(\d+)\]\.podConfig\.(spec\..+|spec)")


@dataclass(frozen=True)
class Outcome:
    """What became of one object: its documents, or what is wrong with it."""

    name: str
    documents: list[Tree]
    problems: tuple[Problem, ...] = ()


def convert_raycluster(document: Fields, _images: Mapping[str, str]) -> list[Tree]:
    """The documents of a RayCluster."""
    made = convert_cluster(read_owner(document), document.mapping("spec"))
    return [made.cluster, *made.beside]


KINDS: Mapping[str, Callable[[Fields, Mapping[str, str]], list[Tree]]] = {
    "RayCluster": convert_raycluster,
    "RayJob": convert_job,
    "RayService": convert_service,
    "RayCronJob": convert_cron_job,
}


def is_kuberay(obj: Any) -> bool:
    """Whether this is an object of a kind that is converted."""
    group, _, version = str(obj.get("apiVersion", "")).partition("/") if isinstance(obj, Mapping) else ("", "", "")
    return group == GROUP and version in VERSIONS and obj.get("kind") in KINDS


def opened(documents: Iterable[Any]) -> Iterator[Any]:
    """The objects of the documents: Lists of any kind opened, empty documents left out."""
    for document in documents:
        kind = document.get("kind") if isinstance(document, Mapping) else None
        if isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list):
            typed = {"kind": kind.removesuffix("List"), "apiVersion": document.get("apiVersion")}
            own = typed if kind != "List" else {}
            yield from opened({**own, **item} if isinstance(item, Mapping) else item for item in document["items"])
        elif document is not None:
            yield document


def head_images(objects: Iterable[Any]) -> dict[str, str]:
    """The name of each KubeRay RayCluster among the objects -> the image of its head."""
    found: dict[str, str] = {}
    for obj in objects:
        if is_kuberay(obj) and obj["kind"] == "RayCluster":
            ignored: list[Problem] = []
            fields = Fields("", obj, ignored)
            spec = fields.mapping("spec").mapping("headGroupSpec").mapping("template").mapping("spec")
            image = next((container.text("image") for container in spec.each("containers")), "")
            found[fields.mapping("metadata").text("name")] = image
    return found


def convert(obj: Mapping[str, Any], images: Mapping[str, str]) -> Outcome:
    """Convert one object of KubeRay's. What comes out is valid, or there are problems and no documents.

    ``images``: of the heads of RayClusters beside it, see ``head_images``.
    """
    problems: list[Problem] = []
    document = Fields("", obj, problems)
    documents: list[Tree] = []
    try:
        documents = KINDS[obj["kind"]](document, images)
    except UnusableError as error:
        problems.append(error.problem)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if not problems:
            shape = f"does not have the shape of a {obj['kind']} ({error!r}); compare with KubeRay's reference"
            problems.append(Problem("spec", shape))
    # Written by the operator; from a file it is not taken.
    document.raw("status")
    document.raw("apiVersion")
    if documents:
        add(documents[0], *document.unknown())
    metadata = obj.get("metadata")
    name = f"{obj['kind']} {metadata.get('name', '') if isinstance(metadata, Mapping) else ''}".rstrip()
    for tree in documents if not problems else ():
        if tree.get("kind") == KIND and tree.get("apiVersion") == API_VERSION:
            problems += _checked(tree)
    unique = tuple(dict.fromkeys(problems))
    return Outcome(name, [] if unique else [_comments_first(tree) for tree in documents], unique)


def carried(obj: Mapping[str, Any]) -> tuple[Tree, bool]:
    """An object of another kind as it is; whether selectors in it have been changed to the pods' labels here."""
    changed = relabelled(obj)
    tree: Tree = {}
    if changed != obj:
        add(tree, Comment("Pods are selected by their labels here, in place of KubeRay's."))
    return tree | changed, changed != obj


def _checked(tree: Tree) -> Iterator[Problem]:
    """What is wrong with the RayCluster, fields of pods that Kubernetes does not know left out: it drops them too."""
    for problem in check(plain(tree)):
        found = _UNKNOWN_POD_FIELD.fullmatch(problem.path)
        if (found and "unknown field" in problem.message) or (found and "is no field" in problem.message):
            pod_type = tree["spec"]["podTypes"][int(found[1])]
            if _drop(pod_type["podConfig"], found[2]):
                add(pod_type["podConfig"], Comment(f"{found[2]}: left out, pods have no such field."))
                continue
        yield problem


def _drop(node: Any, path: str) -> bool:
    *parents, last = re.findall(r"[^.\[\]]+", path)
    try:
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node[part]
        del node[last]
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True


def _comments_first(tree: Tree) -> Tree:
    """The document with its own comments above it."""
    above = {key: value for key, value in tree.items() if isinstance(key, Comment)}
    return above | {key: value for key, value in tree.items() if not isinstance(key, Comment)}
