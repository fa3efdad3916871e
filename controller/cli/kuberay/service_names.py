"""Names of Services: those by which programs and other objects call KubeRay's, and those that they have here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from controller.raycluster.problem import Problem

from .owner import fitting_name
from .source import Fields
from .written import Comment

_OWN_NAMES = ("name", "namespace")


def service_names(objects: Iterable[Mapping[str, Any]], others: Iterable[Any]) -> dict[str, str]:
    """The name of each Service that KubeRay makes for these objects of its own -> its name here.

    ``others``: the objects beside them. A Service among them keeps its name, and so do those that a RayCluster or a
    RayService names itself.
    """
    found: dict[str, str] = {}
    for obj in objects:
        ignored: list[Problem] = []
        fields = Fields("", obj, ignored)
        name, spec = fields.mapping("metadata").text("name"), fields.mapping("spec")
        if name and obj["kind"] in ("RayCluster", "RayService"):
            cluster = spec.mapping("rayClusterConfig") if obj["kind"] == "RayService" else spec
            head = cluster.mapping("headGroupSpec").mapping("headService")
            if not head.mapping("metadata").text("name"):
                found[f"{name}-head-svc"] = f"{fitting_name(name)}-ray-head"
            if not spec.mapping("serveService").mapping("metadata").text("name"):
                found[f"{name}-serve-svc"] = f"{fitting_name(name)}-serve"
    kept = {_name(obj) for obj in others if isinstance(obj, Mapping) and obj.get("kind") == "Service"}
    return {old: new for old, new in found.items() if old not in kept}


def renamed(obj: Any, names: Mapping[str, str]) -> tuple[Any, tuple[Comment, ...]]:
    """The object with these names replaced wherever it has them but in its own, and a comment about each."""
    if not names:
        return obj, ()
    # The longest first: a name may be the end of another, and of both the whole one is meant.
    known = "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)))
    pattern = re.compile(f"(?<![a-z0-9-])(?:{known})(?![a-z0-9-])")
    used: set[str] = set()

    def read(value: Any) -> Any:
        if isinstance(value, str):
            used.update(pattern.findall(value))
            return pattern.sub(lambda match: names[match[0]], value)
        if isinstance(value, list):
            return [read(item) for item in value]
        return {key: read(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value

    metadata = obj.get("metadata")
    own = {n: metadata[n] for n in _OWN_NAMES if n in metadata} if isinstance(metadata, Mapping) else {}
    made = read(obj)
    if own:
        made["metadata"] |= own
    said = (f"{old} is called {names[old]} here, the name of the Service in its place." for old in sorted(used))
    return (made, tuple(map(Comment, said))) if used else (obj, ())


def _name(obj: Mapping[str, Any]) -> Any:
    metadata = obj.get("metadata")
    return metadata.get("name") if isinstance(metadata, Mapping) else None
