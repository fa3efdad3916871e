"""Checks a RayCluster as the API server would: against the schema of the CRD, which comes with this package.

The CRD says which fields a RayCluster has. What it leaves open, the pods' fields, is filled in from Kubernetes itself.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from .model import API_VERSION, KIND, Json
from .pod_schema import schema_of
from .problem import Problem
from .quantities import QuantityError, parse_quantity
from .spelling import quoted, shown

CRD_FILE = "raycluster.yaml"
# More are too many for a line.
_MOST_FIELDS = 15
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def schema_problems(manifest: Json) -> tuple[Problem, ...]:
    """Everything in a RayCluster that the schema excludes: unknown fields, wrong types, values out of bounds."""
    return problems_by(_validator(), manifest)


def wrong_kinds(spec: object) -> tuple[Problem, ...]:
    """Which parts of a RayCluster's spec are of a wrong kind, a string where a list is needed say."""
    return problems_by(_validator(), _around(spec), but="additionalProperties")


def places_out_of_shape(spec: object) -> list[tuple[str | int, ...]]:
    """Where in a RayCluster's spec something is of a wrong kind, or is not there and is needed."""
    found: list[tuple[str | int, ...]] = []
    for error in _validator().iter_errors(_around(spec)):
        place: tuple[str | int, ...] = tuple(error.absolute_path)[1:]
        if error.validator == "type":
            found.append(place)
        elif error.validator == "required":
            needed: Any = error.validator_value
            found += [(*place, name) for name in needed if name not in error.instance]
    return [place for place in dict.fromkeys(found) if place]


def _around(spec: object) -> Json:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "a"}, "spec": spec}


def problems_by(validator: Draft202012Validator, document: object, but: str = "") -> tuple[Problem, ...]:
    """Everything that this schema excludes, in people's words, in the order of the places.

    ``but``: a keyword of the schema that does not count.
    """
    errors = sorted(validator.iter_errors(document), key=lambda e: list(map(str, e.absolute_path)))
    # Of several fields that are missing in one place, each error names all.
    told = dict.fromkeys(problem for error in errors if error.validator != but for problem in _told(error))
    known = {problem.path for problem in told}
    return (*told, *(problem for problem in _endless(document) if problem.path not in known))


def _endless(document: object) -> Iterator[Problem]:
    """Numbers that YAML has and JSON, which Kubernetes speaks, has not."""
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(document, ())]
    while pending:
        value, path = pending.pop()
        if isinstance(value, float) and not math.isfinite(value):
            yield Problem(path_text(path), f"{shown(value)} is no number to Kubernetes; write one with digits")
        elif isinstance(value, Mapping):
            pending += [(inner, (*path, str(name))) for name, inner in value.items()]
        elif isinstance(value, list):
            pending += [(inner, (*path, index)) for index, inner in enumerate(value)]


@cache
def _validator() -> Draft202012Validator:
    crd = yaml.safe_load(files(__package__).joinpath(CRD_FILE).read_text())
    (version,) = crd["spec"]["versions"]
    root = _json_schema(version["schema"]["openAPIV3Schema"])
    root["required"] = [*root["required"], "metadata"]
    root["properties"] |= {
        "apiVersion": {"const": f"{crd['spec']['group']}/{version['name']}"},
        "kind": {"const": crd["spec"]["names"]["kind"]},
        "metadata": {**schema_of("V1ObjectMeta"), "type": "object"},
        # Written by the operator; from a file it is not taken.
        "status": {},
    }
    return Draft202012Validator(root)


def _json_schema(openapi: Json) -> dict[str, Any]:
    """A structural schema of a CRD as a JSON schema. What it would prune becomes an error."""
    made = {k: v for k, v in openapi.items() if not k.startswith("x-") and k != "description"}
    if openapi.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if made.pop("nullable", False):
        made = _or_null(made)
    if "items" in made:
        made["items"] = _json_schema(made["items"])
    if "additionalProperties" in made:
        made["additionalProperties"] = _json_schema(made["additionalProperties"])
    if "properties" in made:
        needed = made.get("required", ())
        read = {name: _json_schema(inner) for name, inner in made["properties"].items()}
        # The API server leaves out a field that is null, before it looks at the rest.
        made["properties"] = {n: inner if n in needed else _or_null(inner) for n, inner in read.items()}
        if not openapi.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    return _as_pod(made) if openapi.get("x-kubernetes-embedded-resource") else made


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    types = schema.get("type", [])
    made = {**schema, "type": list(dict.fromkeys([*([types] if isinstance(types, str) else types), "null"]))}
    return {**made, "enum": [*schema["enum"], None]} if "enum" in schema else made


# What else a podConfig has to say, being a whole object: the end of the path -> the remedy.
_OF_PODS = {".podConfig.apiVersion": "; write v1", ".podConfig.kind": "; write Pod"}
# What the spec of KubeRay's RayCluster has and this one has not, as of its version 1.7.
KUBERAYS = frozenset(
    {
        "authOptions",
        "autoscalerOptions",
        "enableInTreeAutoscaling",
        "gcsFaultToleranceOptions",
        "headGroupSpec",
        "headServiceAnnotations",
        "managedBy",
        "networkPolicy",
        "rayVersion",
        "tlsOptions",
        "upgradeStrategy",
        "workerGroupSpecs",
    }
)


def _as_pod(podconfig: dict[str, Any]) -> dict[str, Any]:
    """An embedded resource has a version and a kind of its own; this one is a pod."""
    own = podconfig["properties"]
    text = {"type": "string"}
    properties = {
        "apiVersion": text,
        "kind": text,
        "metadata": _both(schema_of("V1ObjectMeta"), own["metadata"]),
        "spec": _both(schema_of("V1PodSpec"), own["spec"]),
    }
    return {**podconfig, "properties": properties, "required": [*podconfig["required"], "apiVersion", "kind"]}


def _both(kubernetes: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What both schemas say; where both say something, what ours does."""
    made = {**kubernetes, **ours}
    for part in kubernetes.keys() & ours.keys():
        if part == "properties":
            inner = {name: _both(kubernetes[part].get(name, {}), schema) for name, schema in ours[part].items()}
            made[part] = {**kubernetes[part], **inner}
        elif part == "items":
            made[part] = _both(kubernetes[part], ours[part])
        elif part == "additionalProperties":
            made[part] = kubernetes[part]
    return made


def _told(error: ValidationError) -> Iterator[Problem]:
    path = path_text(error.absolute_path)
    # Until a validator raises an error these are unset; their types say so.
    limit: Any = error.validator_value
    value: Any = error.instance
    schema: Any = error.schema
    rule = str(error.validator)
    if rule == "required":
        for name in limit:
            if name not in value:
                yield _missing(_below(path, name))
    elif rule == "additionalProperties":
        yield from _unknown(path, value, schema.get("properties", {}))
    elif rule == "type" and value is None and _is_field(error):
        yield _missing(path)
    elif rule == "type" and "title" in schema:
        yield Problem(path, f"{shown(value)} is no {schema['title']}")
    elif rule == "type":
        yield Problem(path, f"{shown(value)} is not {_kind(limit)}{_remedy(value, limit)}")
    elif rule == "pattern" and "title" in schema:
        # In words, where a pattern of many letters would be shown.
        yield Problem(path, f"{shown(value)} is no {schema['title']}")
    else:
        yield Problem(path, _bound(rule, limit, value))


def _missing(path: str) -> Problem:
    remedy = next((text for end, text in _OF_PODS.items() if path.endswith(end)), "")
    return Problem(path, f"is missing{remedy}")


def _is_field(error: ValidationError) -> bool:
    """Whether an error is about a field, and not about an entry of a list or under a name of the user's own."""
    where = error.absolute_schema_path
    return len(where) > 2 and where[-3] == "properties"


def _unknown(path: str, value: Iterable[str], known: Mapping[str, Any]) -> Iterator[Problem]:
    """Fields that there are not. What fields there are is said once."""
    said: set[str] = set()
    for name in (name for name in value if name not in known):
        what, hint = "is no field", _nearest(path, name, list(known))
        if path == "spec" and name in KUBERAYS:
            what += "; it is KubeRay's"
            hint = "set apiVersion to ray.io/v1 and let ray-operator convert rewrite the RayCluster"
        yield Problem(_below(path, name), what if hint in said else f"{what}; {hint}")
        said.add(hint)


def _bound(rule: str, limit: Any, value: Any) -> str:
    words = {
        "minimum": f"{shown(value)} is less than {limit}",
        "maximum": f"{shown(value)} is more than {limit}",
        "minItems": f"is empty; at least {limit} is needed",
        "minLength": "is empty",
        "maxItems": f"has more than {limit} entries",
        "maxProperties": f"has more than {limit} entries",
        "maxLength": f"{shown(value)} has more than {limit} characters",
        "pattern": f"{shown(value)} does not match {limit}",
        "const": f"{shown(value)} is not {quoted(limit)}",
        "enum": f"{shown(value)} is none of {_choices(limit) if rule == 'enum' else ''}",
    }
    return words.get(rule, f"{shown(value)} is excluded by {rule} {limit}")


def _choices(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values if value is not None)


def path_text(path: Sequence[str | int]) -> str:
    """A place in an object as kubectl writes it: ``spec.podTypes[1].name``."""
    text = ""
    for part in path:
        text = f"{text}[{part}]" if isinstance(part, int) else _below(text, str(part))
    return text


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _nearest(path: str, name: str, known: Sequence[str]) -> str:
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(name).lower(), lower, n=1)
    if near:
        return f"did you mean {lower[near[0]]}?"
    # Of a RayCluster's own parts none has more. Those of a pod are told by kubectl.
    if len(known) <= _MOST_FIELDS:
        return f"the fields here are {', '.join(sorted(known))}"
    of_pod = re.sub(r"\[\d+]", "", re.sub(r".*?\.(podConfig|podSpec)\b", _of_pod, path))
    return f"kubectl explain {of_pod} shows the {len(known)} fields here"


def _of_pod(found: re.Match[str]) -> str:
    return "pod" if found[1] == "podConfig" else "pod.spec"


def _kind(types: str | Sequence[str]) -> str:
    names = [types] if isinstance(types, str) else [t for t in types if t != "null"]
    return " or ".join(_KINDS[name] for name in names)


def _remedy(value: Any, types: str | Sequence[str]) -> str:
    """For the commonest mistake: YAML took a text for a number or a truth, or quotes made a text of one."""
    if "string" in types and isinstance(value, bool | int | float):
        return f"; put it in quotes: {json.dumps(json.dumps(value))}"
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?|true|false", value) and "string" not in types:
        return f"; take the quotes away: {value}"
    return _number_remedy(value) if "string" not in types else ""


def _number_remedy(value: Any) -> str:
    """An amount with a unit, where there is a number only."""
    try:
        number = parse_quantity(value) if isinstance(value, str) else None
    except QuantityError:
        return ""
    return f"; write {number:f}" if number is not None and number == number.to_integral() else ""
