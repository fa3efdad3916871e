"""``ray-operator validate``: says what is wrong with RayClusters before a Kubernetes sees them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from controller.raycluster.model import Json
from controller.wording import counted

from .checks import check, remarks, warnings
from .commands import FINE, WRONG_INPUT, command_parser
from .manifests import NO_CLUSTER, ManifestError, Manifests, read_manifests, source_of

DESCRIPTION = """\
Checks the RayClusters in manifest files as the API server and the operator would, without either. Each line names
file, field and value, and says what to do about it. Fields that no version of the format has, misspelt ones mostly,
are reported too: some clients leave them out without a word.

Objects of other kinds are skipped; "ray-operator convert" reads KubeRay's. A warning is about a RayCluster that can be
made and is likely to fail; it does not change the exit code. What only a cluster knows is not checked: whether an image
exists, whether quotas and nodes have room, what admission webhooks say.
"""
EXAMPLES = """\
ray-operator validate manifests/*.yaml
helm template example charts/ray | ray-operator validate -
ray-operator validate --output json cluster.yaml | jq -r '.problems[].path'
"""
_RED, _PLAIN = "\033[31m", "\033[0m"


@dataclass(frozen=True)
class Finding:
    """A line of the answer. ``cluster`` and ``path`` are empty when the file itself is meant."""

    file: str
    cluster: str
    path: str
    message: str


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("validate", DESCRIPTION, EXAMPLES)
    made.add_argument("files", metavar="FILE", nargs="+", help="a manifest; - reads standard input")
    made.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: text")
    return made


@dataclass
class _Answer:
    """What was found in all files so far."""

    checked: list[str] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)


def run(arguments: argparse.Namespace) -> int:
    """Check the files and print what was found. Returns the exit code."""
    answer = _Answer()
    for path in arguments.files:
        try:
            _look(read_manifests(path), answer)
        except ManifestError as error:
            answer.problems.append(Finding(source_of(path), "", "", str(error)))
    if arguments.output == "json":
        _print_json(answer)
    else:
        _print_text(answer)
    return WRONG_INPUT if answer.problems else FINE


def _look(manifests: Manifests, answer: _Answer) -> None:
    """Check the RayClusters of one file."""
    source = manifests.source
    answer.notes += [Finding(source, "", "", note) for note in manifests.notes]
    answer.skipped += [(source, kind, name) for kind, name in manifests.skipped]
    if not manifests.clusters:
        answer.problems.append(Finding(source, "", "", NO_CLUSTER))
    for manifest in manifests.clusters:
        name = name_of(manifest)
        answer.checked.append(name)
        found = [Finding(source, name, p.path, p.message) for p in check(manifest)]
        answer.problems += found
        if not found:
            answer.warnings += [Finding(source, name, p.path, p.message) for p in warnings(manifest)]
            answer.notes += [Finding(source, name, p.path, p.message) for p in remarks(manifest)]


def name_of(manifest: Json) -> str:
    """The name of a RayCluster that may be wrong."""
    metadata = manifest.get("metadata")
    return str(metadata.get("name") or metadata.get("generateName") or "") if isinstance(metadata, dict) else ""


def _print_json(answer: _Answer) -> None:
    skipped = [asdict(Finding(f, "", "", f"skipped {kind} {name}".rstrip())) for f, kind, name in answer.skipped]
    said = {
        "checked": answer.checked,
        "problems": [asdict(p) for p in answer.problems],
        "warnings": [asdict(w) for w in answer.warnings],
        "notes": [*(asdict(n) for n in answer.notes), *skipped],
    }
    print(json.dumps(said, indent=2))


def _print_text(answer: _Answer) -> None:
    """Problems go to standard output, everything else to standard error."""
    several = len(answer.checked) > 1
    for note in answer.notes:
        print(f"{note.file}: note: {_line(note, several)}", file=sys.stderr)
    for warning in answer.warnings:
        print(f"{warning.file}: warning: {_line(warning, several)}", file=sys.stderr)
    colours = (_RED, _PLAIN) if _colour(os.environ, sys.stdout.isatty()) else ("", "")
    for problem in answer.problems:
        print(f"{problem.file}: {_line(problem, several, colours)}", flush=True)
    print(_summary(answer), file=sys.stderr)


def _line(found: Finding, several: bool, colours: tuple[str, str] = ("", "")) -> str:
    """A finding without its file. Of several clusters, the one is named."""
    where = f"{colours[0]}{found.path}: {colours[1]}" if found.path else ""
    which = f"RayCluster {found.cluster}: " if found.cluster and several else ""
    return f"{which}{where}{found.message}"


def _summary(answer: _Answer) -> str:
    """The last line: how much was checked, found and skipped."""
    found = [counted(len(answer.problems), "problem")] if answer.problems else ["nothing is wrong"]
    found += [counted(len(answer.warnings), "warning")] if answer.warnings else []
    line = f"{counted(len(answer.checked), 'RayCluster')} checked: {', '.join(found)}"
    kinds = Counter(kind for _, kind, _ in answer.skipped)
    skipped = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{line}; skipped {skipped}" if skipped else line


def _colour(environment: Mapping[str, str], terminal: bool) -> bool:
    """Colour is for terminals, and not where https://no-color.org is asked for."""
    return terminal and not environment.get("NO_COLOR")
