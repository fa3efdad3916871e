#!/usr/bin/env python3
"""Read the imports and the sizes of controller/ and autoscaler/, and draw the picture of their wings.

A room is a module, a wing is a folder (or a single file) directly in a package, an arrow is an import from one room to
another, and a floor is a step of the longest way down along arrows. The order of the wings is the one of the import
contracts in setup.cfg.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import math
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md")
PACKAGES = ("controller", "autoscaler")
START, END = "<!-- wings: drawn by scripts/structure.py --write -->\n", "<!-- end of wings -->\n"

FILE_LINES = 300
FUNCTION_LINES = 40
CLASS_METHODS = 15
# Nine of ten functions are no longer than this.
P90_LINES = 18

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Sizes:
    """Lines of each file and function, methods of each class, by ``module`` or ``module:name``."""

    files: Mapping[str, int]
    functions: Mapping[str, int]
    classes: Mapping[str, int]

    def problems(self) -> list[str]:
        """One line for each that is over its limit."""
        kinds = (
            (self.files, FILE_LINES, "lines"),
            (self.functions, FUNCTION_LINES, "lines"),
            (self.classes, CLASS_METHODS, "methods"),
        )
        found = [
            f"{name}: {size} {unit}, at most {limit}"
            for sizes, limit, unit in kinds
            for name, size in sizes.items()
            if size > limit
        ]
        if self.p90() > P90_LINES:
            found.append(f"the 90th percentile of function lengths is {self.p90()}, at most {P90_LINES}")
        return found

    def p90(self) -> int:
        """Nine of ten functions are no longer."""
        return percentile(list(self.functions.values()), 0.9)


@dataclass(frozen=True)
class House:
    """``arrows``: module -> modules that it imports. ``layers``: package -> wings, the highest first."""

    arrows: Graph
    layers: Mapping[str, Sequence[frozenset[str]]]
    sizes: Sizes

    @property
    def wings(self) -> Graph:
        """Wing -> wings that it imports."""
        found: dict[str, frozenset[str]] = {}
        for module, targets in self.arrows.items():
            home = wing(module)
            found[home] = found.get(home, frozenset()) | {wing(t) for t in targets} - {home}
        return found

    def upward(self) -> list[str]:
        """Arrows to a wing at the same height or above, and wings without a height, where there is a contract."""
        heights = {w: -n for layers in self.layers.values() for n, layer in enumerate(layers) for w in layer}
        found = [f"{w} is in no layer" for w in self.wings if w.partition(".")[0] in self.layers and w not in heights]
        for module, targets in self.arrows.items():
            for target in targets:
                start, end = wing(module), wing(target)
                if start.partition(".")[0] != end.partition(".")[0]:
                    up = start.startswith("autoscaler.")
                else:
                    up = start != end and start in heights and heights.get(end, 0) >= heights[start]
                found += [f"{module} -> {target}"] if up else []
        return sorted(found)


def main() -> int:
    """Print the counts, or draw the picture. Returns the exit code: 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="the repository to read (default: this one)")
    parser.add_argument("--write", action="store_true", help="draw the picture into the pages that have it")
    given = parser.parse_args()
    house = read(given.root)
    if given.write:
        for page in PAGES:
            page.write_text(redrawn(page.read_text(), house))
        return 0
    print("\n".join(counts(house)))
    found = [*house.upward(), *house.sizes.problems()]
    print("\n".join(found))
    return 1 if found else 0


def read(root: Path) -> House:
    """The modules of both packages, and the layers that setup.cfg gives them."""
    files = {name_of(root, path): path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))}
    trees = {module: ast.parse(path.read_text()) for module, path in files.items()}
    rooms = {module for module, path in files.items() if path.name != "__init__.py"}
    arrows = {m: frozenset(imports(m, trees[m], rooms) - {m}) for m in sorted(rooms)}
    lines = {module: len(path.read_text().splitlines()) for module, path in files.items()}
    return House(arrows, layers(root), Sizes(lines, *measured(trees)))


def name_of(root: Path, path: Path) -> str:
    """``controller.kube.client`` of a path."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def wing(module: str) -> str:
    """The wing of a module: ``controller.kube`` of ``controller.kube.client``."""
    return ".".join(module.split(".")[:2])


def imports(module: str, tree: ast.Module, rooms: set[str]) -> set[str]:
    """The rooms that a module imports, inside of functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found & rooms


def layers(root: Path) -> dict[str, list[frozenset[str]]]:
    """The wings of each package in the order of its contract, the highest first."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    found: dict[str, list[frozenset[str]]] = {}
    for section in config.sections():
        package = config.get(section, "containers", fallback="")
        if section.startswith("importlinter:contract:") and package:
            rows = config.get(section, "layers").split("\n")
            found[package] = [frozenset(f"{package}.{w.strip()}" for w in row.split("|")) for row in rows if row]
    return found


def measured(trees: Mapping[str, ast.Module]) -> tuple[dict[str, int], dict[str, int]]:
    """Lines of functions, from ``def`` to their end, and methods of classes."""
    functions: dict[str, int] = {}
    classes: dict[str, int] = {}
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions[f"{module}:{node.name}:{node.lineno}"] = (node.end_lineno or node.lineno) - node.lineno + 1
            elif isinstance(node, ast.ClassDef):
                classes[f"{module}:{node.name}"] = sum(isinstance(part, ast.FunctionDef) for part in node.body)
    return functions, classes


def percentile(values: Sequence[int], share: float) -> int:
    """The smallest value that this share of the values does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def circles(graph: Graph) -> list[frozenset[str]]:
    """The groups of nodes that reach one another."""
    reach = {node: reachable(graph, node) for node in graph}
    groups = {frozenset(m for m in reach[node] if node in reach.get(m, ())) for node in graph if node in reach[node]}
    return sorted(groups, key=sorted)


def reachable(graph: Graph, start: str) -> set[str]:
    """All that lies on some way from a node; the node itself only if a way leads back."""
    found: set[str] = set()
    ahead = list(graph.get(start, ()))
    while ahead:
        node = ahead.pop()
        if node not in found:
            found.add(node)
            ahead += graph.get(node, ())
    return found


def floors(graph: Graph) -> int:
    """Nodes on the longest way down. A way ends where it would come back to a node of its own."""
    heights: dict[str, int] = {}

    def height(node: str, way: frozenset[str]) -> int:
        if node not in heights:
            below = (height(n, way | {node}) for n in graph.get(node, ()) if n not in way)
            heights[node] = 1 + max(below, default=0)
        return heights[node]

    return max(height(node, frozenset([node])) for node in graph)


def part_of(graph: Graph, package: str) -> Graph:
    """The nodes of one package, and the arrows between them."""
    inside = {node for node in graph if node.startswith(f"{package}.")}
    return {node: graph[node] & inside for node in inside}


def counts(house: House) -> Iterator[str]:
    """What there is of each kind."""
    for package in PACKAGES:
        rooms, wings = part_of(house.arrows, package), part_of(house.wings, package)
        yield (
            f"{package}: {len(rooms)} rooms on {floors(rooms)} floors, {sum(map(len, rooms.values()))} arrows; "
            f"{len(wings)} wings on {floors(wings)} floors, {sum(map(len, wings.values()))} arrows"
        )
    yield f"upward arrows: {len(house.upward())}; circles: {len(circles(house.arrows))}"
    lengths = list(house.sizes.functions.values())
    yield f"functions: {len(lengths)}, half up to {percentile(lengths, 0.5)} lines, 90 % up to {house.sizes.p90()}"


def picture(house: House) -> str:
    """The wings of both packages, the highest first, each with the wings that it uses."""
    return "\n".join("\n".join(drawn(house, package)) + "\n" for package in PACKAGES)


def drawn(house: House, package: str) -> Iterator[str]:
    """A line for each wing of a package, and more where it uses many."""
    folders = {wing(module) for module in house.arrows if module != wing(module)}
    yield f"{package}/"
    for layer in house.layers[package]:
        for name in sorted(layer & house.wings.keys()):
            short = name.removeprefix(f"{package}.") + ("/" if name in folders else "")
            used = sorted(house.wings[name], key=lambda w: (not w.startswith(f"{package}."), w))
            text = ", ".join(w.removeprefix(f"{package}.").replace(".", "/") for w in used)
            first = f"  {short:13}{'uses ' + text if text else 'uses nothing'}"
            yield from textwrap.wrap(first, 100, subsequent_indent=" " * 20, drop_whitespace=True)


def redrawn(text: str, house: House) -> str:
    """A page with the picture as it should be."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n```text\n{picture(house)}```\n\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())
