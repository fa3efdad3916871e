"""Everything that can be said about a RayCluster without a Kubernetes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from jsonschema import Draft202012Validator

from controller.objects.pod import unbuildable
from controller.raycluster.gang import Filling
from controller.raycluster.model import ClusterSpec, Json, parse_spec
from controller.raycluster.notes import notes
from controller.raycluster.pod_schema import schema_of
from controller.raycluster.problem import Problem
from controller.raycluster.ray_resources import little_memory, node_resources
from controller.raycluster.schema import problems_by, schema_problems
from controller.raycluster.validation import problems

from .manifests import cluster_of
from .pod_rules import pod_problems

# Stands for a name that is not there, or that is no name.
_ANY_NAME = "x"


def check(manifest: Json) -> tuple[Problem, ...]:
    """What is wrong with a RayCluster as it is written: by its schema, and by what the schema cannot say."""
    by_schema = schema_problems(manifest)
    told = [p.path for p in by_schema]
    beyond = [p for p in _beyond_schema(manifest) if not _covered(p.path, told)]
    better = {p.path for p in beyond}
    found = [*(p for p in by_schema if p.path not in better), *beyond]
    told = [p.path for p in found]
    found += [p for p in _pods(manifest) if p.path not in told and not _covered(p.path, told)]
    if not found:
        cluster = cluster_of(manifest)
        spec = parse_spec(cluster.spec)
        found += (*_gang_fields(spec, cluster.name), *unbuildable(cluster, spec))
    return tuple(found)


def _beyond_schema(manifest: Json) -> tuple[Problem, ...]:
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        return ()
    name = metadata.get("name") or metadata.get("generateName")
    if name is None:
        return (Problem("metadata.name", "is missing"), *problems(_ANY_NAME, spec))
    # A name of another type is described by the schema.
    return problems(name if isinstance(name, str) else _ANY_NAME, spec)


def _pods(manifest: Json) -> Iterator[Problem]:
    """What the API server would refuse in the pods of each type."""
    spec = manifest.get("spec")
    types = spec.get("podTypes") if isinstance(spec, dict) else None
    for index, pod_type in enumerate(types if isinstance(types, list) else ()):
        if isinstance(pod_type, dict):
            yield from pod_problems(f"spec.podTypes[{index}].podConfig", pod_type.get("podConfig"))


def _gang_fields(spec: ClusterSpec, cluster: str) -> Iterator[Problem]:
    """The fields of pods of gangs that pods do not have, or that have another type."""
    given = spec.gang.pod_spec if spec.gang else {}
    filled = Filling("gang", 2, cluster).value(given)
    for problem in problems_by(Draft202012Validator(schema_of("V1PodSpec")), filled):
        yield replace(problem, path=f"spec.gang.podSpec.{problem.path}")


def warnings(manifest: Json) -> tuple[Problem, ...]:
    """What a RayCluster in which nothing is wrong is likely to fail from."""
    types = manifest["spec"]["podTypes"]
    index = next(n for n, t in enumerate(types) if t["name"] == manifest["spec"]["headPodType"])
    hint = little_memory(node_resources(types[index]["podConfig"]["spec"]))
    path = f"spec.podTypes[{index}].podConfig.spec.containers[0].resources.limits.memory"
    return (Problem(path, hint),) if hint else ()


def remarks(manifest: Json) -> tuple[Problem, ...]:
    """What the author of a RayCluster in which nothing is wrong may not expect of it."""
    return notes(parse_spec(cluster_of(manifest).spec))


def _covered(path: str, told: Collection[str]) -> bool:
    """Something was said about a place that holds it; or about parts of it, when it is out of shape as a whole."""
    return any(path.startswith((f"{t}.", f"{t}[")) or t.startswith(f"{path}.") for t in told)
