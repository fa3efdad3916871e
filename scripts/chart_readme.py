"""The chart's README: how to install it, and a row for each value, made from the comments of values.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
VALUES = ROOT / "charts" / "ray" / "values.yaml"
README = ROOT / "charts" / "ray" / "README.md"

HEAD = """\
# The chart `ray`

<!-- Written by `make reference` from values.yaml; edit that. -->

Installs the [Ray Kubernetes Operator](https://www.ray.io), a RayCluster, or both. Kubernetes 1.28 or newer, Helm 3.14
or newer.

An operator for all namespaces, and a cluster:

```shell
kubectl create namespace ray-system
helm -n ray-system install ray-operator CHART --set operatorOnly=true --set operatorNamespace=ray-system
helm -n ray install example-cluster CHART --create-namespace --set clusterOnly=true
```

`CHART` is the path of this folder, a chart's `.tgz`, or an `oci://` address. The operator's image has to be where the
nodes can pull it: `operatorImageRepository`, with `imagePullSecrets` for a private registry.

Before an upgrade, apply the new CustomResourceDefinition, which Helm installs once and never changes:

```shell
helm show crds CHART | kubectl apply --server-side --force-conflicts -f -
helm -n ray-system upgrade ray-operator CHART --reset-then-reuse-values
```

Every value is checked against a schema, its name too. `global`, which Helm passes to every subchart, is taken and has
no effect.
"""
FURTHER = """
Each key under `podTypes` may also have:

```text
{block}
```
"""
SECTION = """
## {title}

| value | default | what it is |
|---|---|---|
"""


class Row(NamedTuple):
    """A value: its path, its default as JSON, and its comment."""

    path: str
    default: str
    text: str


def readme(values: str | None = None) -> str:
    """The whole page, for the text of values.yaml: the one in the checkout by default."""
    return HEAD + "".join(sections(VALUES.read_text() if values is None else values))


def sections(text: str) -> Iterator[str]:
    """A table for each part of the file, under its heading."""
    lines = text.splitlines()
    heads = [n for n, line in enumerate(lines) if line.startswith("# --- ")]
    found = list(rows(text))
    for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        yield SECTION.format(title=lines[start].strip("# -"))
        for line, row in found:
            # A second pod type repeats keys of the first one without a word.
            if start < line < end and (row.text or not row.path.startswith("podTypes.")):
                yield f"| `{row.path}` | {code(row.default)} | {escaped(row.text)} |\n"
        if any(line.startswith("podTypes:") for line in lines[start:end]):
            yield FURTHER.format(block=further(lines))


def further(lines: list[str]) -> str:
    """The keys of a pod type that are comments in the file."""
    return "\n".join(line.removeprefix("    #   ") for line in lines if line.startswith("    #   "))


def rows(text: str) -> Iterator[tuple[int, Row]]:
    """Each value with the number of its line. A map whose keys have comments of their own is described by those."""
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    yield from _below(root, "", text.splitlines())


def _below(node: yaml.MappingNode, path: str, lines: list[str]) -> Iterator[tuple[int, Row]]:
    for key, value in node.value:
        number, here = key.start_mark.line, f"{path}.{key.value}".lstrip(".")
        told = comment(lines, number)
        inner = list(_below(value, here, lines)) if isinstance(value, yaml.MappingNode) else []
        if any(row.text for _, row in inner):
            yield from [(number, Row(here, "", told))] * bool(told)
            yield from inner
        else:
            yield number, Row(here, json.dumps(yaml.safe_load(yaml.serialize(value))), told)


def comment(lines: list[str], number: int) -> str:
    """The comment right above a line, at its indentation."""
    mark = " " * (len(lines[number]) - len(lines[number].lstrip())) + "# "
    start = number
    while start and lines[start - 1].startswith(mark) and not lines[start - 1].startswith("# ---"):
        start -= 1
    return " ".join(line.removeprefix(mark).strip() for line in lines[start:number])


def code(text: str) -> str:
    """As code in a table's cell; nothing for nothing."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def escaped(text: str) -> str:
    """Text in a table's cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")
