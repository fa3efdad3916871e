"""Which objects of a file are KubeRay's, and what becomes of each: documents, or problems that prevent them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.cli.manifests import A_LIST, NO_OBJECT
from controller.raycluster.model import API_VERSION, KIND
from controller.raycluster.problem import Problem
from controller.raycluster.shape import SHAPE_ERRORS

from .checked import checked
from .cluster import convert_cluster
from .job import convert_cron_job, convert_job
from .owner import read_owner
from .pod_labels import relabelled, selecting_services, unknown_labels
from .service import convert_service
from .shape import in_shape, unfit
from .source import Fields, UnusableError, short
from .written import Comment, Tree, add

GROUP = "ray.io"
VERSIONS = ("v1", "v1alpha1")


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
    kind, version = (obj.get("kind"), obj.get("apiVersion")) if isinstance(obj, Mapping) else (None, None)
    return version in [f"{GROUP}/{known}" for known in VERSIONS] and isinstance(kind, str) and kind in KINDS


def title(obj: Mapping[str, Any]) -> str:
    """Kind and name of an object, whatever its shape."""
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return f"{short(obj.get('kind'))} {name if isinstance(name, str) else ''}".rstrip()


def why_not(obj: Any) -> str:
    """Why something that may have been meant to be converted is not, and what to do; empty for all else."""
    if not isinstance(obj, Mapping) or obj.get("kind") is None:
        return f"the file has {A_LIST if isinstance(obj, list) else NO_OBJECT}"
    kind, version = obj["kind"], obj.get("apiVersion")
    group = version.partition("/")[0] if isinstance(version, str) else ""
    if group == API_VERSION.partition("/")[0]:
        return (
            f"{title(obj)} is one of this operator already, there is nothing to convert: ray-operator validate reads it"
        )
    if isinstance(kind, str) and kind in KINDS:
        given = f"has the apiVersion {short(version)}" if version else "has no apiVersion"
        return f"{title(obj)} {given}: set it to {GROUP}/{VERSIONS[0]}"
    if group == GROUP:
        return f"{title(obj)} is of a kind that is not converted: {', '.join(KINDS)} are"
    return ""


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
        if is_kuberay(obj) and obj["kind"] == "RayCluster" and not unfit(obj):
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
    wrong = unfit(obj)
    if wrong:
        return Outcome(title(obj), [], wrong)
    problems: list[Problem] = []
    told: list[str] = []
    documents: list[Tree] = []
    try:
        shaped = in_shape(obj, problems)
        told += [problem.path for problem in problems]
        documents = _documents(Fields("", shaped, problems), images)
    except UnusableError as error:
        problems.append(error.problem)
    except (*SHAPE_ERRORS, ArithmeticError):
        if not problems:
            said = f"does not have the shape of a {obj['kind']}; compare with KubeRay's reference"
            problems.append(Problem("spec", said))
    problems = _causes(problems, told)
    for tree in documents if not problems else ():
        if tree.get("kind") == KIND and tree.get("apiVersion") == API_VERSION:
            problems += _causes(_one_each(checked(tree, obj)))
    unique = tuple(dict.fromkeys(problems))
    return Outcome(title(obj), [] if unique else [_comments_first(tree) for tree in documents], unique)


def _documents(document: Fields, images: Mapping[str, str]) -> list[Tree]:
    """The documents of an object, with a comment about each field of it that nothing has read."""
    documents = KINDS[document.text("kind")](document, images)
    document.raw("apiVersion")
    if documents:
        add(documents[0], *document.unknown())
    return documents


def _causes(problems: Sequence[Problem], misshapen: Sequence[str] = ()) -> list[Problem]:
    """The problems without those that follow from another: what is left out for its kind seems to be missing.

    ``misshapen``: the places of the first problems.
    """
    later = (p for p in problems[len(misshapen) :] if not any(_within(m, p.path) for m in misshapen))
    found = [*problems[: len(misshapen)], *later]
    return [p for p in found if not any(p.path != other.path and _within(p.path, other.path) for other in found)]


def _one_each(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each place: several parts of a RayCluster may come from one, where one thing is wrong."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    return list(first.values())


def _within(path: str, place: str) -> bool:
    """Whether a path is that place or below it."""
    return path == place or path.startswith((f"{place}.", f"{place}["))


def carried(obj: Mapping[str, Any]) -> Outcome:
    """An object of another kind as it is, but that selectors in it have the pods' labels here."""
    wrong = unfit(obj)
    if wrong:
        return Outcome(title(obj), [], wrong)
    changed = relabelled(obj)
    tree: Tree = {}
    if changed != obj:
        add(tree, Comment("Pods are selected by their labels here, in place of KubeRay's."))
    if obj.get("kind") == "ServiceMonitor":
        changed = selecting_services(changed)
    add(tree, *unknown_labels(changed))
    return Outcome(title(obj), [tree | changed])


def _comments_first(tree: Tree) -> Tree:
    """The document with its own comments above it."""
    above = {key: value for key, value in tree.items() if isinstance(key, Comment)}
    return above | {key: value for key, value in tree.items() if not isinstance(key, Comment)}
