"""Everything that can be said about a RayCluster without a Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator

from jsonschema import Draft202012Validator

from controller.objects.pod import unbuildable
from controller.raycluster.gang import Filling
from controller.raycluster.model import ClusterSpec, Json, parse_spec
from controller.raycluster.notes import notes
from controller.raycluster.pod_schema import schema_of
from controller.raycluster.problem import Problem, covered
from controller.raycluster.ray_resources import little_memory, node_resources
from controller.raycluster.schema import problems_by, schema_problems
from controller.raycluster.validation import problems

from .manifests import cluster_of
from .pod_rules import metadata_problems, pod_problems

# Stands for a name that is not there, or that is no name.
_ANY_NAME = "x"
_TYPES = "spec.podTypes"
_GANG_PODS = ("spec", "gang", "podSpec")


def check(manifest: Json) -> tuple[Problem, ...]:
    """What is wrong with a RayCluster as it is written: by its schema, and by what the schema cannot say."""
    by_schema = schema_problems(manifest)
    told = [p.path for p in by_schema]
    beyond = [p for p in _beyond_schema(manifest) if not covered(p.path, told)]
    better = {p.path for p in beyond}
    found = [*(p for p in by_schema if p.path not in better), *beyond]
    # Two types of one name do not speak for the pods of either.
    told += [p.path for p in found if p.path != _TYPES]
    found += [p for p in _pods(manifest) if p.path not in told and not covered(p.path, told)]
    if not found:
        cluster = cluster_of(manifest)
        spec = parse_spec(cluster.spec)
        found += (*_gang_fields(spec, cluster.name), *unbuildable(cluster, spec))
    return tuple(dict.fromkeys(found))


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
    """What the API server would refuse in the RayCluster's own metadata, and in the pods of each type."""
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    if isinstance(metadata, dict):
        yield from metadata_problems("metadata", metadata)
    types = spec.get("podTypes") if isinstance(spec, dict) else None
    for index, pod_type in enumerate(types if isinstance(types, list) else ()):
        if isinstance(pod_type, dict):
            yield from pod_problems(f"spec.podTypes[{index}].podConfig", pod_type.get("podConfig"))


def _gang_fields(spec: ClusterSpec, cluster: str) -> Iterator[Problem]:
    """The fields of pods of gangs that pods do not have, or that have another type."""
    given = spec.gang.pod_spec if spec.gang else {}
    filled = Filling("gang", 2, cluster).value(given)
    schema: Json = schema_of("V1PodSpec")
    # Problems are told by their place in the whole.
    for name in reversed(_GANG_PODS):
        schema, filled = {"properties": {name: schema}}, {name: filled}
    yield from problems_by(Draft202012Validator(schema), filled)


def warnings(manifest: Json) -> Iterator[Problem]:
    """What a RayCluster in which nothing is wrong is likely to fail from."""
    for index, pod_type in enumerate(manifest["spec"]["podTypes"]):
        resources = node_resources(pod_type["podConfig"]["spec"])
        hint = little_memory(resources, head=pod_type["name"] == manifest["spec"]["headPodType"])
        if hint:
            yield Problem(f"spec.podTypes[{index}].podConfig.spec.containers[0].resources.limits.memory", hint)


def remarks(manifest: Json) -> tuple[Problem, ...]:
    """What the author of a RayCluster in which nothing is wrong may not expect of it."""
    return notes(parse_spec(cluster_of(manifest).spec))
