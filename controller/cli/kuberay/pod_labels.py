"""Labels of Ray pods, by which other objects find them: KubeRay's, and those that pods have here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .written import Comment

CLUSTER, NODE_TYPE = "ray-cluster-name", "ray-node-type"
POD_LABELS = {"ray.io/cluster": CLUSTER, "ray.io/node-type": NODE_TYPE, "ray.io/group": "ray-user-node-type"}
# What each Ray pod of KubeRay's has: where another label of Ray pods is asked for, nothing more is said by it.
_OF_ALL = {
    "ray.io/is-ray-node": "yes",
    "app.kubernetes.io/name": "kuberay",
    "app.kubernetes.io/created-by": "kuberay-operator",
}
_IDENTIFIER, _SERVE = "ray.io/identifier", "ray.io/serve"
# Lists of names of labels.
_NAMES = ("matchLabelKeys", "mismatchLabelKeys", "podTargetLabels", "targetLabels")
# As Prometheus writes them.
_DISCOVERED = re.compile(
    r"(__meta_kubernetes_(?:pod|service)_label(?:present)?_)(ray_io_(?:cluster|node_type|group))\b"
)
_AS_DISCOVERED = {re.sub(r"\W", "_", old): re.sub(r"\W", "_", new) for old, new in POD_LABELS.items()}


def relabelled(value: Any, key: str = "") -> Any:
    """The value with KubeRay's pod labels replaced where it selects pods by them. ``key``: the field that has it."""
    if isinstance(value, list):
        known = POD_LABELS if key in _NAMES else {}
        return [known.get(item, item) if isinstance(item, str) else relabelled(item) for item in map(_text, value)]
    if not isinstance(value, Mapping):
        return _text(value)
    made = {name: relabelled(inner, str(name)) for name, inner in value.items()}
    if isinstance(made.get("matchLabels"), dict):
        made = _label_selector(made)
    elif key == "selector" and "matchExpressions" not in made:
        # A Service's cannot say that a label is there, with any value.
        labels, every = _labels(made)
        made = made if every else labels
    # An expression of a selector; keys are looked up nowhere else.
    if "operator" in made:
        made = _expression(made)
    if isinstance(made.get("fieldPath"), str):
        for old, new in POD_LABELS.items():
            made["fieldPath"] = made["fieldPath"].replace(f"labels['{old}']", f"labels['{new}']")
    return made


def selecting_services(monitor: dict[str, Any]) -> dict[str, Any]:
    """A ServiceMonitor: of the pods' labels, the head Service has the cluster's name."""
    spec: Any = monitor.get("spec")
    selector: Any = spec.get("selector") if isinstance(spec, dict) else None
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    if not isinstance(labels, dict) or labels.get(NODE_TYPE) != "head":
        return monitor
    kept = {key: value for key, value in labels.items() if key != NODE_TYPE}
    made = {**selector, "matchLabels": kept}
    if CLUSTER not in kept:
        made = _with_key(made, CLUSTER)
    return {**monitor, "spec": {**spec, "selector": made}}


def unknown_labels(value: Any, key: str = "") -> Iterator[Comment]:
    """A comment about each label of KubeRay's by which a value, relabelled, selects pods or names them."""
    if isinstance(value, list):
        for item in value:
            yield from unknown_labels(item)
    elif isinstance(value, Mapping):
        selects = key == "matchLabels" or (key == "selector" and "matchLabels" not in value)
        asked = [*(value if selects else ()), *([value.get("key")] if "operator" in value else ())]
        for label in (label for label in asked if isinstance(label, str)):
            if label.startswith("ray.io/") or (label in _OF_ALL and value.get(label) == _OF_ALL[label]):
                text = "no pod has this label here; select by another, or give the podConfigs one of your own."
                yield Comment(f"{label}: {text}")
        for name, inner in value.items():
            yield from unknown_labels(inner, str(name))


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _DISCOVERED.sub(lambda found: found[1] + _AS_DISCOVERED[found[2]], value)


def _label_selector(selector: dict[str, Any]) -> dict[str, Any]:
    labels, every = _labels(selector["matchLabels"])
    made = {**selector, "matchLabels": labels}
    return _with_key(made, NODE_TYPE) if every else made


def _with_key(selector: dict[str, Any], key: str) -> dict[str, Any]:
    """The selector, of what has the label, whatever its value."""
    made = {name: inner for name, inner in selector.items() if name != "matchLabels" or inner}
    return {**made, "matchExpressions": [*(selector.get("matchExpressions") or []), {"key": key, "operator": "Exists"}]}


def _labels(given: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The labels of the same pods here; and whether it is all Ray pods of which these are left."""
    made: dict[str, Any] = {}
    left_out = False
    for key, value in given.items():
        of_one = re.fullmatch("(.+)-(head|worker)", value) if key == _IDENTIFIER and isinstance(value, str) else None
        if of_one:
            made |= {CLUSTER: of_one[1], NODE_TYPE: of_one[2]}
        elif key == _SERVE and value == "true":
            # The head's proxy reaches every replica.
            made.setdefault(NODE_TYPE, "head")
        elif key in _OF_ALL and value == _OF_ALL[key]:
            left_out = True
        else:
            made[POD_LABELS.get(key, key)] = value
    return made, left_out and not any(label in made for label in POD_LABELS.values())


def _expression(given: dict[str, Any]) -> dict[str, Any]:
    key, values = given.get("key"), given.get("values")
    if key in POD_LABELS:
        return {**given, "key": POD_LABELS[key]}
    if key in _OF_ALL and (values is None or values == [_OF_ALL[key]]):
        absent = given["operator"] in ("NotIn", "DoesNotExist")
        return {"key": NODE_TYPE, "operator": "DoesNotExist" if absent else "Exists"}
    if key == _SERVE and values == ["true"]:
        return {**given, "key": NODE_TYPE, "values": ["head"]}
    return given
