"""Everything that can be said about a RayCluster without a Kubernetes."""

from __future__ import annotations

from collections.abc import Collection

from controller.objects.pod import unbuildable
from controller.raycluster.model import Json, parse_spec
from controller.raycluster.schema import schema_problems
from controller.raycluster.validation import Problem, problems

from .manifests import cluster_of


def check(manifest: Json) -> tuple[Problem, ...]:
    """What is wrong with a RayCluster as it is written: by its schema, and by what the schema cannot say."""
    by_schema = schema_problems(manifest)
    told = [p.path for p in by_schema]
    beyond = [p for p in _beyond_schema(manifest) if not _covered(p.path, told)]
    better = {p.path for p in beyond}
    found = [*(p for p in by_schema if p.path not in better), *beyond]
    if not found:
        cluster = cluster_of(manifest)
        found += unbuildable(cluster, parse_spec(cluster.spec))
    return tuple(found)


def _beyond_schema(manifest: Json) -> tuple[Problem, ...]:
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        return ()
    name = metadata.get("name") or metadata.get("generateName")
    if not isinstance(name, str):
        return (Problem("metadata.name", "is missing"),)
    return problems(name, spec)


def _covered(path: str, told: Collection[str]) -> bool:
    """Something was said about a place that holds it; or about parts of it, when it is out of shape as a whole."""
    return any(path.startswith((f"{t}.", f"{t}[")) or t.startswith(f"{path}.") for t in told)
