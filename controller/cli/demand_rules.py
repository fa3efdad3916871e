"""What Ray refuses in a demand file whose shape is right, what names no pod type, and which resource was meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from controller.planning.node_types import declared_resources
from controller.raycluster.model import ClusterSpec
from controller.raycluster.problem import Problem
from controller.raycluster.ray_resources import rays_name
from controller.raycluster.spelling import quoted
from controller.wording import counted

# Ray takes these in parts of one, or in whole ones: predefined_unit_instance_resources and
# custom_unit_instance_resources in ray_config_def.h, which prepare_resources() in _raylet.pyx looks at.
_WHOLE = ("GPU", "neuron_cores", "TPU", "NPU", "HPU", "RBLN", "FURIOSA", "TTNPU")
_BUILT_IN = ("CPU", "GPU", "memory", "object_store_memory")


def refused(document: Any) -> Iterator[Problem]:
    """What Ray refuses in a document that has the shape of a demand file."""
    for number, step in enumerate(document["steps"]):
        for index, task in enumerate(step.get("tasks") or ()):
            yield from _parts(f"steps[{number}].tasks[{index}].resources", task["resources"])
        for index, group in enumerate(step.get("placementGroups") or ()):
            yield from _group(f"steps[{number}].placementGroups[{index}]", group)


def _parts(path: str, resources: dict[str, float]) -> Iterator[Problem]:
    for name, amount in resources.items():
        if name in _WHOLE and amount > 1 and not float(amount).is_integer():
            message = f"{quoted(amount)} is more than 1 and not whole, which Ray refuses for {name}; use a whole number"
            yield Problem(f"{path}.{name}", message)


def _group(path: str, group: dict[str, Any]) -> Iterator[Problem]:
    """Bundles of nothing, and selectors for more or fewer bundles than there are."""
    bundles = group["bundles"]
    for place, bundle in enumerate(bundles):
        if not any(bundle.values()):
            message = "asks for nothing; Ray takes only bundles with an amount of a resource, {CPU: 1} for example"
            yield Problem(f"{path}.bundles[{place}]", message)
    given = len(group.get("bundleLabelSelector", bundles))
    if given != len(bundles):
        yield Problem(
            f"{path}.bundleLabelSelector",
            f"has {counted(given, 'entry', 'entries')} for {counted(len(bundles), 'bundle')}; "
            "write one for each bundle, {} where any node will do",
        )


def unknown_types(document: Any, types: Collection[str]) -> Iterator[Problem]:
    """The names in a demand file that no pod type has. ``types``: the names that there are."""
    for number, step in enumerate(document["steps"]):
        for field in ("blockedTypes", "gatedTypes"):
            for index, name in enumerate(step.get(field) or ()):
                if name not in types:
                    message = f"{quoted(name)} is not the name of a pod type; use {' or '.join(types)}"
                    yield Problem(f"steps[{number}].{field}[{index}]", message)


def meant(asked: Iterable[str], spec: ClusterSpec) -> str:
    """A question about names of resources that no node has and that are nearly Ray's; empty when there are none."""
    known = {name for pod_type in (spec.head, *spec.worker_types) for name in declared_resources(spec, pod_type)}
    near = [_near(name, [*_BUILT_IN, *sorted(known)]) for name in asked if name not in {*known, *_BUILT_IN}]
    found = list(dict.fromkeys(filter(None, near)))
    return f"; did you mean {' and '.join(found)}?" if found else ""


def _near(name: str, known: Sequence[str]) -> str:
    lower = {k.lower(): k for k in reversed(known)}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.7)
    return rays_name(name) or (lower[close[0]] if close else "")
