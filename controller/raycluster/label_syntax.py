"""What is wrong with the labels of a pod type: Ray takes the syntax of Kubernetes, and keeps some keys for itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .model import Json
from .node_labels import GROUP_LABEL, OVERRIDE
from .spelling import quoted

_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
MAX_PREFIX = 253
# Labels that identify a node or its type: with other values the operator could not find the node.
_RESERVED = {
    "ray.io/node-id": "is the key by which Ray identifies nodes; choose another key",
    GROUP_LABEL: "is the name of the pod type; choose another key",
}
_SYNTAX = "use at most 63 letters, digits and, not at either end, '-', '_' and '.'"


def label_problems(raw: Json) -> Iterator[tuple[str, str]]:
    """Everything wrong with a pod type's ``labels``: the field below the type, and what is wrong with it."""
    labels = raw.get("labels") or {}
    for key, value in labels.items():
        wrong = wrong_key(key) or wrong_value(value)
        if wrong:
            yield f"labels.{key}", wrong
    containers = (raw["podConfig"].get("spec") or {}).get("containers") or ()
    variables = [v.get("name") for c in containers[:1] for v in filter(None, c.get("env") or ())]
    if labels and OVERRIDE in variables:
        yield "labels", f"are given twice; remove the variable {OVERRIDE} from the podConfig"


def wrong_key(key: str) -> str:
    """What is wrong with the key of a label or an annotation; empty when nothing is."""
    prefix, given, name = key.rpartition("/")
    if key in _RESERVED:
        return _RESERVED[key]
    if given and (len(prefix) > MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        return f"has a prefix that is not a domain, {quoted(prefix)}; write for example example.com/{name}"
    return "" if _WORD.fullmatch(name) else f"{quoted(name)} cannot be the name of a label; {_SYNTAX}"


def wrong_value(value: object) -> str:
    """What is wrong with the value of a label; empty when nothing is."""
    if value is None:
        return 'null is not a string; write "" for an empty value, or remove the key'
    if isinstance(value, bool | int | float):
        return f'{quoted(value)} is not a string; put it in quotes: "{quoted(value)}"'
    if not isinstance(value, str):
        return f"{quoted(value)} is not a string; a label has one value, of letters and digits"
    return "" if not value or _WORD.fullmatch(value) else f"{quoted(value)} cannot be a label's value; {_SYNTAX}"
