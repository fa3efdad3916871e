"""KubeRay's objects of any shape: each message has a path of the input and a remedy, none a programming language's."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from controller.cli.kuberay.objects import convert, is_kuberay, opened
from controller.cli.kuberay.written import texts
from controller.cli.manifests import read_documents
from controller.main import main
from controller.raycluster.depth import MAX_DEPTH

from .test_convert import HEAD, group, kuberay, problems, worker

FOLDER = Path(__file__).parents[2] / "kuberay"
WHOLE = ("shapes.yaml", "job.yaml", "service.yaml", "cron-job.yaml")
# What an exception's text looks like.
PYTHON = re.compile(
    r"Error\b|Traceback|object has no|NoneType|not iterable|\bdict\b|\bstr\b|\bint\b|indices|subscript|<unicode|NaN to"
)
DEEP: Any = [[{"a": [None]}]]
for _ in range(MAX_DEPTH):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    *(None, "text", "x: [", 7, -1, 1.5, 10**400, float("inf"), float("nan"), True),
    *([], {}, [None], ["text"], [{}], {"odd": 1}, {"a": {"b": [None]}}, DEEP),
)


@cache
def whole(name: str) -> dict[str, Any]:
    (made,) = (obj for obj in opened(read_documents(str(FOLDER / name))) if is_kuberay(obj))
    return dict(made)


def nodes(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from nodes(value, (*path, key))


def replaced(obj: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    made: Any = copy.deepcopy(obj)
    holder = made
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = copy.deepcopy(value)
    return dict(made)


def has(node: Any, path: str, message: str) -> bool:
    """Whether an object has this path, but for what is said to be missing."""
    path = path.removeprefix(".")
    if not path:
        return True
    if path.startswith("["):
        number, _, rest = path[1:].partition("]")
        return isinstance(node, list) and int(number) < len(node) and has(node[int(number)], rest, message)
    # Keys may have dots in them.
    keys = [key for key in node or () if path == key or path.startswith((f"{key}.", f"{key}["))]
    missing = isinstance(node, dict | None) and re.search("is missing|null is", message) is not None
    return any(has(node[key], path[len(key) :], message) for key in keys) or missing


def at(path: str, value: Any, is_head: bool = True, start: Any = HEAD) -> dict[str, Any]:
    """A RayCluster whose head or worker has another value in its pod, at the path below its spec."""
    template: Any = {"spec": {"containers": [copy.deepcopy(start)]}}
    *parents, last = [int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", path)]
    holder = template["spec"]
    for part in parents:
        holder = holder.setdefault(part, {}) if isinstance(holder, dict) else holder[part]
    holder[last] = value
    if is_head:
        return kuberay(headGroupSpec=group(template=template), workerGroupSpecs=[worker()])
    return kuberay(headGroupSpec=group(), workerGroupSpecs=[worker(template=template)])


LIST, MAPPING = "is not a list; begin each entry with '-'", "is not a mapping; write key: value"
TEXT = "is not a text; put it in quotes:"


@pytest.mark.parametrize("is_head", [True, False], ids=["head", "worker"])
@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("containers[0].env", {"A": "1"}, f'containers[0].env: {{"A": "1"}} {LIST}'),
        ("containers[0].env", ["A=1"], f"containers[0].env[0]: A=1 {MAPPING}"),
        ("containers[0].env", "x", f"containers[0].env: x {LIST}"),
        ("containers[0].env", [None], f"containers[0].env[0]: null {MAPPING}"),
        ("containers[0].env", [{"name": "A", "value": 1}], f'containers[0].env[0].value: 1 {TEXT} "1"'),
        ("containers[0].envFrom", "x", f"containers[0].envFrom: x {LIST}"),
        ("containers[0].volumeMounts", {"a": "/b"}, f'containers[0].volumeMounts: {{"a": "/b"}} {LIST}'),
        ("containers[0].volumeMounts", ["x"], f"containers[0].volumeMounts[0]: x {MAPPING}"),
        ("containers[0].ports", {"a": 1}, f'containers[0].ports: {{"a": 1}} {LIST}'),
        ("containers[0].ports", ["x"], f"containers[0].ports[0]: x {MAPPING}"),
        ("containers[0].resources", "2", f"containers[0].resources: 2 {MAPPING}"),
        ("containers[0].resources", ["cpu"], f'containers[0].resources: ["cpu"] {MAPPING}'),
        ("containers[0].resources.limits", ["cpu: 1"], f'containers[0].resources.limits: ["cpu: 1"] {MAPPING}'),
        ("containers[0].resources.limits", {"cpu": [1]}, "containers[0].resources.limits.cpu: [1] is not a text or"),
        ("containers[0].command", "sleep 5", f"containers[0].command: sleep 5 {LIST}"),
        ("containers[0].args", "ray start", f"containers[0].args: ray start {LIST}"),
        ("containers[0].args", {"a": "b"}, f'containers[0].args: {{"a": "b"}} {LIST}'),
        ("containers[0].args", ["sleep", 5], f'containers[0].args[1]: 5 {TEXT} "5"'),
        ("containers[0].args", [None], "containers[0].args[0]: null is not a text; write one"),
        ("initContainers", {"name": "a"}, f'initContainers: {{"name": "a"}} {LIST}'),
        ("initContainers", ["x"], f"initContainers[0]: x {MAPPING}"),
        ("volumes", {"name": "a"}, f'volumes: {{"name": "a"}} {LIST}'),
        ("volumes", ["x"], f"volumes[0]: x {MAPPING}"),
        ("containers", {"name": "x"}, f'containers: {{"name": "x"}} {LIST}'),
        ("containers", "x", f"containers: x {LIST}"),
        ("containers", ["x"], f"containers[0]: x {MAPPING}"),
        ("containers", [None], f"containers[0]: null {MAPPING}"),
        ("containers", [None, HEAD], f"containers[0]: null {MAPPING}"),
        ("hostNetwork", "true", "hostNetwork: true is neither true nor false; take the quotes away: true"),
        ("priority", "5", "priority: 5 is not a whole number; take the quotes away: 5"),
        ("nodeSelector", ["a"], f'nodeSelector: ["a"] {MAPPING}'),
    ],
)
def test_a_field_of_a_pod_of_a_wrong_shape_is_named(path: str, value: Any, said: str, is_head: bool) -> None:
    (found,) = problems(at(path, value, is_head))
    place = "headGroupSpec" if is_head else "workerGroupSpecs[0]"
    assert found.startswith(f"spec.{place}.template.spec.{said}")


@pytest.mark.parametrize(("name", "part"), [(name, part) for name in WHOLE for part in ("", *whole(name)["spec"])])
def test_an_odd_value_anywhere_is_converted_or_refused_in_plain_words(name: str, part: str) -> None:
    """Each is put in place of each node. Nothing raises, and each message has a path of the input.

    ``part``: a field of the spec, or empty for what is beside those.
    """
    wrong = []
    for path in nodes(whole(name)):
        if part != (path[1] if path[0] == "spec" and len(path) > 1 else ""):
            continue
        for value in ODD:
            obj = replaced(whole(name), path, value)
            if is_kuberay(obj):
                outcome = convert(obj, {})
                comments = texts(outcome.documents)
                wrong += [(path, value, str(p)) for p in outcome.problems if not has(obj, p.path, p.message)]
                wrong += [(path, value, str(p)) for p in outcome.problems if PYTHON.search(p.message)]
                wrong += [(path, value, str(p)) for p in outcome.problems if "does not have the shape" in p.message]
                wrong += [(path, value, comment) for comment in comments if PYTHON.search(comment)]
    assert wrong == []


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 300, 600, 900])
@pytest.mark.parametrize("key", ["spec", "status", "kind", "metadata", "data"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "itself"])
def test_an_object_that_is_nested_too_deeply_is_one_line(
    depth: int, key: str, beside: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it is KubeRay's or stands beside it."""
    deep = f"{'[' * depth}{']' * depth}"
    good = kuberay(headGroupSpec=group())
    first = {**good, key: "DEEP"} if not beside else {"apiVersion": "v1", "kind": "ConfigMap", key: "DEEP"}
    path = tmp_path / "a.yaml"
    path.write_text(f"{json.dumps(first)}\n---\n{json.dumps(good)}".replace('"DEEP"', deep))
    assert main(["convert", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"[0]: is nested deeper than {MAX_DEPTH} levels" in err.splitlines()[-1]


@pytest.mark.parametrize("number", [f"0x{'f' * 5000}", ".inf", ".nan"])
def test_a_number_that_no_object_has_is_named(number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it is KubeRay's object or one beside it."""
    path = tmp_path / "a.yaml"
    path.write_text(
        f"{{apiVersion: v1, kind: ConfigMap, data: {{a: {number}}}}}\n---\n"
        f"{{apiVersion: ray.io/v1, kind: RayCluster, metadata: {{name: b}}, spec: {{c: [1, {number}]}}}}"
    )
    assert main(["convert", str(path)]) == 1
    *_, first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{path}: ConfigMap: data.a: ")
    assert second.startswith(f"{path}: RayCluster b: spec.c[1]: ")
