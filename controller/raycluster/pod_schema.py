"""JSON schemas of the pod's parts, from the field lists that the kubernetes package carries for its typed models.

They know every field of the Kubernetes release that the package was made from, their types, and not which of them are
required: the API server names an absent field, a misspelt one would silently be dropped.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from kubernetes.client import models

_CONTAINER = re.compile(r"(list|dict)[\[(](?:str, *)?(.+)[\])]", re.IGNORECASE)
_PLAIN = {
    "str": ["string"],
    "int": ["integer"],
    "bool": ["boolean"],
    "float": ["number"],
    "datetime": ["string"],
}
# The models call these texts; they are quantities, for which a number may stand as well.
_QUANTITIES = {"limits", "requests", "overhead", "capacity", "size_limit", "divisor"}


@cache
def parts_of(type_name: str) -> tuple[str, str | dict[str, str]]:
    """What a type is made of: "list" or "dict" and its entries' type, "model" and the types of its fields; of any
    other, two empty texts.
    """
    container = _CONTAINER.fullmatch(type_name)
    if container:
        return container[1].lower(), container[2]
    model = getattr(models, type_name, None)
    if not model or type_name in _PLAIN:
        return "", ""
    return "model", {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}


@cache
def schema_of(type_name: str) -> dict[str, Any]:
    """The JSON schema of a type of the Kubernetes API by the models' name, ``V1PodSpec`` for example.

    Like the API server it takes null for absent. What the models leave open, a number or a text mostly, it does too.
    """
    container = _CONTAINER.fullmatch(type_name)
    if container:
        kind, item = container.groups()
        if kind.lower() == "list":
            return {"type": ["array", "null"], "items": schema_of(item)}
        return {"type": ["object", "null"], "additionalProperties": schema_of(item)}
    if type_name in _PLAIN:
        return {"type": [*_PLAIN[type_name], "null"]}
    model = getattr(models, type_name, None)
    return _schema_of_model(model) if model else {}


def _schema_of_model(model: Any) -> dict[str, Any]:
    properties = {
        name: _quantity(schema_of(model.openapi_types[attribute]))
        if attribute in _QUANTITIES
        # A type of its own, or a plain one.
        else schema_of(model.openapi_types[attribute])
        for attribute, name in model.attribute_map.items()
    }
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _quantity(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with numbers beside the texts, in the values of a mapping too."""
    inner = schema.get("additionalProperties")
    if inner:
        return {**schema, "additionalProperties": _quantity(inner)}
    return {**schema, "type": [*schema["type"], "number"]} if "string" in schema.get("type", ()) else schema
