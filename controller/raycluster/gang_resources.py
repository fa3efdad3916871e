"""Which kinds of objects an administrator may let RayClusters have for their gangs.

The operator makes them with its own rights, for whoever may write a RayCluster. So these are custom resources, and of
Kubernetes' own kinds those alone by which its scheduler knows groups of pods.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from .gang import Json, resource_of
from .problem import Problem

EXAMPLE = "podgroups.scheduling.volcano.sh"
_NAME = re.compile(r"[a-z][a-z0-9]{0,62}(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+")
# The one group of Kubernetes' own with kinds for gangs, and what else is in it.
_SCHEDULING = "scheduling.k8s.io"
_CLUSTER_WIDE = f"priorityclasses.{_SCHEDULING}"
# Projects of its special interest groups have groups below this one.
_PROJECTS = ".sigs.k8s.io"
_OWN = ("cluster.ray.io", "ray.io")


def wrong_resource(text: str) -> str:
    """Why objects of a resource, ``<plural>.<group>``, cannot be made for gangs; empty when they can."""
    group = text.partition(".")[2]
    if not _NAME.fullmatch(text):
        return f"{text!r} is not a resource with its group; write for example {EXAMPLE}"
    if group in _OWN:
        return f"{text!r} is Ray's own and nothing that a gang may have"
    in_tree = "." not in group or (group.endswith(".k8s.io") and not group.endswith(_PROJECTS))
    if (in_tree and group != _SCHEDULING) or text == _CLUSTER_WIDE:
        return f"{text!r} is Kubernetes' own and more than a gang may have; name a scheduler's, {EXAMPLE} for example"
    return ""


def unlisted(raw: Json | None, listed: Collection[str]) -> Iterator[Problem]:
    """The objects of ``spec.gang`` that this operator may not make. ``listed``: the resources that it may.

    Call only with what ``gang_problems`` accepts.
    """
    for index, template in enumerate((raw or {}).get("objects") or ()):
        resource = resource_of(template["apiVersion"], template["kind"])
        if resource not in listed:
            yield Problem(
                f"spec.gang.objects[{index}].kind",
                f"{template['kind']!r} of {template['apiVersion']} is not among what this operator may make for gangs"
                f"{_listed(listed)}; an administrator adds {resource} to --gang-objects (chart: gangObjects)",
            )


def _listed(listed: Collection[str]) -> str:
    return f", {', '.join(sorted(listed))}" if listed else ""
