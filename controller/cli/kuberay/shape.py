"""Which parts of a KubeRay object are of a wrong kind, a text where a list is needed say.

What KubeRay itself reads, ``source`` checks when it is read. Here are the parts that are Kubernetes' own: pods,
Services, network rules. They are carried over as they are, so they are checked before anything looks into them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from controller.raycluster.depth import MAX_DEPTH, too_deep
from controller.raycluster.pod_schema import schema_of
from controller.raycluster.problem import Problem
from controller.raycluster.validation import MAX_PATH

from .source import short

# Kind of the schema -> what a value of it is, what it is called, and what to do about another.
_KINDS: Mapping[str, tuple[type | tuple[type, ...], str, str]] = {
    "object": (Mapping, "a mapping", "write key: value"),
    "array": (list, "a list", "begin each entry with '-'"),
    "string": (str, "a text", "write one"),
    "integer": (int, "a whole number", "write one"),
    "number": ((int, float), "a number", "write one"),
    "boolean": (bool, "true or false", "write one of them"),
}
# JSON's numbers have more bits; no field of Kubernetes' has.
_MAX_BITS = 64


def unfit(obj: Any) -> tuple[Problem, ...]:
    """The parts of an object of any kind that no object has: nested too deeply, or numbers that are none."""
    where = too_deep(obj, "").removeprefix(".")
    if where:
        shown = where if len(where) <= MAX_PATH else re.sub(r"[.\[][^.\[]*$", "", where[:MAX_PATH])
        return (Problem(shown, f"is nested deeper than {MAX_DEPTH} levels; no manifest needs that, take levels out"),)
    found: list[Problem] = []
    _mended(obj, {}, "", found)
    return tuple(found)


def in_shape(obj: Mapping[str, Any], problems: list[Problem]) -> Mapping[str, Any]:
    """A copy of a KubeRay object without the parts that are of a wrong kind. ``problems`` learns what they were.

    The status is left out: KubeRay writes it, and from a file it is not taken.
    """
    obj = {name: value for name, value in obj.items() if name != "status"}
    made: Mapping[str, Any] = _mended(obj, _schema(obj["kind"]), "", problems)
    return made


def _below(**fields: Any) -> dict[str, Any]:
    """The schema of a mapping whose own kind the reader of the field checks."""
    return {"properties": fields}


@cache
def _schema(kind: str) -> dict[str, Any]:
    """Where in an object of this kind parts of Kubernetes' own kinds are."""
    pod, service = schema_of("V1PodTemplateSpec"), schema_of("V1Service")
    rules = _below(
        ingressRules=schema_of("list[V1NetworkPolicyIngressRule]"),
        egressRules=schema_of("list[V1NetworkPolicyEgressRule]"),
    )
    head = _below(template=pod, headService=service, ingressOptions=_below(tls=schema_of("list[V1IngressTLS]")))
    policy = _below(head=rules, worker=rules, workerGroups={"items": rules})
    cluster = _below(headGroupSpec=head, workerGroupSpecs={"items": _below(template=pod)}, networkPolicy=policy)
    job = _below(rayClusterSpec=cluster, submitterPodTemplate=pod)
    specs = {
        "RayCluster": cluster,
        "RayJob": job,
        "RayCronJob": _below(jobTemplate=job),
        "RayService": _below(rayClusterConfig=cluster, serveService=service),
    }
    return _below(spec=specs[kind])


def _mended(value: Any, schema: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    """The value where it is of the schema's kind; otherwise None, which stands for an absent field."""
    kinds = [kind for kind in schema.get("type", ()) if kind != "null"]
    message = _no_number(value) or (_no_kind(value, kinds) if kinds else "")
    if message:
        problems.append(Problem(path, message))
        return None
    if isinstance(value, Mapping):
        fields, other = schema.get("properties", {}), schema.get("additionalProperties") or {}
        return {
            name: _mended(inner, fields.get(name, other), f"{path}.{name}" if path else name, problems)
            for name, inner in value.items()
            if inner is not None
        }
    if isinstance(value, list):
        return [_entry(item, schema.get("items", {}), f"{path}[{n}]", problems) for n, item in enumerate(value)]
    return value


def _entry(value: Any, schema: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    """An entry of a list; one of a wrong kind is empty, so that those after it keep their numbers."""
    made = _mended(value, schema, path, problems)
    if made is None and "type" in schema:
        return {} if "object" in schema["type"] else ""
    return made


def _no_number(value: Any) -> str:
    """What is wrong with a number that no Kubernetes object can have; empty for all others."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{short(value)} is not a number; write one"
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"is a number of more than {_MAX_BITS} bits; write a smaller one"
    return ""


def _no_kind(value: Any, kinds: list[str]) -> str:
    """What is wrong with a value that is of none of the kinds; empty for one that is."""
    for kind in kinds:
        # To Python true and false are numbers.
        if isinstance(value, _KINDS[kind][0]) and (kind == "boolean" or not isinstance(value, bool)):
            return ""
    names = " or ".join(_KINDS[kind][1] for kind in kinds)
    said = f"{short(value)} is {'neither true nor false' if kinds == ['boolean'] else f'not {names}'}"
    if "string" in kinds and isinstance(value, bool | int | float):
        return f"{said}; put it in quotes: {json.dumps(json.dumps(value))}"
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+|true|false", value) and not {"object", "array"} & {*kinds}:
        return f"{said}; take the quotes away: {value}"
    return f"{said}; {_KINDS[kinds[0]][2]}"
