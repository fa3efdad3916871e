"""Reads the RayClusters of manifest files as kubectl would: several documents, Lists, other kinds beside them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from controller.raycluster.model import API_VERSION, GROUP, KIND, Json, RayCluster
from controller.raycluster.spelling import quoted

from .helm import template_action

# The API group of KubeRay's objects.
KUBERAY = "ray.io"
# Stands for a uid that is known only once the API server has given it; no real object has it.
NO_UID = "00000000-0000-0000-0000-000000000000"


# What is said of a file without one. KubeRay's are RayClusters too.
NO_CLUSTER = f"contains no {KIND} of {API_VERSION}"


# What is no object, and what to do about it.
A_LIST = "a list: a manifest is a mapping; write --- between several, or put them under items of a List"
NO_OBJECT = "something that is not a Kubernetes object: it has no kind"


class ManifestError(ValueError):
    """A file that cannot be read, or that is not YAML."""


@dataclass(frozen=True)
class Manifests:
    """What a file contains: its RayClusters as they are written.

    ``notes``: what is remarkable about the rest. ``skipped``: kind and name of each object of another kind.
    """

    source: str
    clusters: Sequence[Json] = field(repr=False)
    notes: Sequence[str]
    skipped: Sequence[tuple[str, str]] = ()


# The parser in C where PyYAML has it: about ten times as fast.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """JSON's values only: a date stays a text, and a key that is there twice is an error, as it is to kubectl."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the base class does, but keys are texts and each is there once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is not a text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return {k if isinstance(k, str) else str(k): v for k, v in made.items()}


# YAML 1.1 knows dates and "="; a Kubernetes object has neither.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":value"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def source_of(path: str) -> str:
    """What a file is called in messages."""
    return "stdin" if path == "-" else path or "''"


def read_manifests(path: str) -> Manifests:
    """The RayClusters of a file; ``-`` is standard input.

    Raises:
        ManifestError: the file cannot be read, or is not YAML; the message says where.
    """
    source = source_of(path)
    clusters: list[Json] = []
    notes: list[str] = []
    skipped: list[tuple[str, str]] = []
    for obj in _objects(read_documents(path)):
        kind = obj.get("kind") if isinstance(obj, dict) else None
        group = str(obj.get("apiVersion", "")).partition("/")[0] if kind is not None else ""
        if kind == KIND and group == GROUP:
            clusters.append(obj)
        elif kind is None or kind == KIND or group == KUBERAY:
            notes.append(_note(obj))
        else:
            skipped.append((str(kind), _name(obj)))
    return Manifests(source, clusters, notes, skipped)


def _note(obj: Any) -> str:
    """What there is to say about an object that may have been meant for this operator."""
    if isinstance(obj, list):
        return f"skipped {A_LIST}"
    if not isinstance(obj, dict) or obj.get("kind") is None:
        return f"skipped {NO_OBJECT}"
    what = f"skipped the {obj['kind']} {_name(obj)}".rstrip()
    spec = obj.get("spec")
    if obj["kind"] == KIND and isinstance(spec, dict) and {"podTypes", "headPodType"} & spec.keys():
        version = quoted(obj.get("apiVersion"))
        return f"{what} of {version}, whose spec is this operator's: set apiVersion to {API_VERSION}"
    if str(obj.get("apiVersion", "")).startswith(f"{KUBERAY}/"):
        return f"{what} of KubeRay ({obj['apiVersion']}): ray-operator convert writes RayClusters of {API_VERSION}"
    return f"{what} of {quoted(obj.get('apiVersion'))}; RayClusters of this operator are {API_VERSION}"


def _name(obj: Json) -> str:
    metadata = obj.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def cluster_of(manifest: Json, namespace: str | None = None) -> RayCluster:
    """A RayCluster from a valid manifest, as if the API server had it.

    ``namespace`` is for one that names none, ``default`` without it.
    """
    metadata = manifest["metadata"]
    unknown = {
        "name": metadata.get("generateName"),
        "uid": NO_UID,
        "resourceVersion": "0",
        "namespace": namespace or "default",
    }
    return RayCluster.from_object({**manifest, "metadata": {**unknown, **metadata}})


def read_documents(path: str) -> list[Any]:
    """The YAML documents of a file; ``-`` is standard input.

    Raises:
        ManifestError: the file cannot be read, or is not YAML; the message says where.
    """
    if not path:
        raise ManifestError("is no name of a file; name one, or - for standard input")
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ManifestError(f"cannot be read: {error}") from error
    return parse_yaml(_text(content))


def parse_yaml(text: str) -> list[Any]:
    """The documents of a YAML text.

    Raises:
        ManifestError: it is not YAML, or the template of it; the message says where.
    """
    try:
        return list(yaml.load_all(text, _Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        action = template_action(text, mark.line) if mark else ""
        if action:
            raise ManifestError(f"is a Helm template; render it first with helm template. It has {action}") from error
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        context = f"{error.context}: " if error.context and not error.problem_mark else ""
        reason = error.problem or "it cannot be read"
        if mark and re.search("start any token|tab character", reason) and _is_tab(text, mark.line, mark.column):
            reason = "a tab; YAML is indented with spaces"
        raise ManifestError(f"is not YAML: {where}{context}{reason}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"is not YAML: {_unquoted(error)}") from error


def _unquoted(error: Exception) -> str:
    """What an error without a place says, in one line, without the name that the parser has for its input."""
    return re.sub(r' in "<[a-z ]+>"', "", " ".join(str(error).split()))


def _text(content: bytes) -> str:
    """The text of a file, which has to be UTF-8.

    Raises:
        ManifestError: it is not; the message says where, and what to do.
    """
    if b"\0" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ManifestError("is not YAML: it is a binary file")
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"line {line} has the byte 0x{content[error.start]:02x}"
        raise ManifestError(f"is not YAML: {found}, which is not UTF-8; save the file as UTF-8") from error


def _is_tab(text: str, line: int, column: int) -> bool:
    """Whether a tab is at this place, or before it on its line."""
    lines = text.splitlines()
    return line < len(lines) and "\t" in lines[line][: column + 1]


def _objects(documents: Sequence[Any]) -> Iterator[Any]:
    """The objects of the documents, Lists opened, empty documents left out."""
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            items = document.get("items")
            yield from _objects(items if isinstance(items, list) else [])
        elif document is not None:
            yield document
