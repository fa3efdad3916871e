"""Reads the RayClusters of manifest files as kubectl would: several documents, Lists, other kinds beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from controller.raycluster.model import API_VERSION, GROUP, KIND, Json, RayCluster

# Stands for a uid that is known only once the API server has given it; no real object has it.
NO_UID = "00000000-0000-0000-0000-000000000000"


class ManifestError(ValueError):
    """A file that cannot be read, or that is not YAML."""


@dataclass(frozen=True)
class Manifests:
    """What a file holds: its RayClusters as they are written, and a note about each object that is none."""

    source: str
    clusters: Sequence[Json] = field(repr=False)
    notes: Sequence[str]


class _Loader(yaml.SafeLoader):
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


def read_manifests(path: str) -> Manifests:
    """The RayClusters of a file; ``-`` is standard input.

    Raises:
        ManifestError: the file cannot be read, or is not YAML; the message says where.
    """
    source = "stdin" if path == "-" else path
    clusters: list[Json] = []
    notes: list[str] = []
    for obj in _objects(read_documents(path)):
        kind = obj.get("kind") if isinstance(obj, dict) else None
        if kind is None:
            notes.append("skipped something that is not a Kubernetes object: it has no kind")
        elif kind == KIND and str(obj.get("apiVersion", "")).startswith(f"{GROUP}/"):
            clusters.append(obj)
        elif kind == KIND:
            notes.append(f"skipped a {KIND} of {obj.get('apiVersion')!r}; this operator's are {API_VERSION}")
        else:
            name = obj["metadata"].get("name", "") if isinstance(obj.get("metadata"), dict) else ""
            notes.append(f"skipped {kind} {name}".rstrip())
    return Manifests(source, clusters, notes)


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
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return list(yaml.load_all(content, _Loader))
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror or error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        context = f"{error.context}: " if error.context and not error.problem_mark else ""
        raise ManifestError(f"is not YAML: {where}{context}{error.problem or 'it cannot be read'}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"is not YAML: {' '.join(str(error).split())}") from error


def _objects(documents: Sequence[Any]) -> Iterator[Any]:
    """The objects of the documents, Lists opened, empty documents left out."""
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            items = document.get("items")
            yield from _objects(items if isinstance(items, list) else [])
        elif document is not None:
            yield document
