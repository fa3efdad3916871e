"""``ray-operator validate``: says what is wrong with RayClusters before a Kubernetes sees them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from controller.raycluster.model import Json

from .checks import check
from .commands import FINE, WRONG_INPUT, command_parser
from .manifests import ManifestError, read_manifests

DESCRIPTION = """\
Checks the RayClusters in manifest files as the API server and the operator would, without either. Each line names
file, field and value, and says what to do about it. Fields that no version of the format has, misspelt ones mostly,
are reported too: some clients leave them out without a word.

Objects of other kinds are passed over. What only a cluster knows is not checked: whether an image exists, whether
quotas and nodes have room, what admission webhooks say.
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


def run(arguments: argparse.Namespace) -> int:
    """Check the files and print what was found. Returns the exit code."""
    checked: list[str] = []
    problems: list[Finding] = []
    notes: list[Finding] = []
    for path in arguments.files:
        try:
            manifests = read_manifests(path)
        except ManifestError as error:
            problems.append(Finding(path, "", "", str(error)))
            continue
        notes += [Finding(manifests.source, "", "", note) for note in manifests.notes]
        if not manifests.clusters:
            problems.append(Finding(manifests.source, "", "", "holds no RayCluster"))
        for manifest in manifests.clusters:
            checked.append(_name(manifest))
            problems += [Finding(manifests.source, checked[-1], p.path, p.message) for p in check(manifest)]
    if arguments.output == "json":
        _print_json(checked, problems, notes)
    else:
        _print_text(checked, problems, notes)
    return WRONG_INPUT if problems else FINE


def _name(manifest: Json) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _print_json(checked: Sequence[str], problems: Sequence[Finding], notes: Sequence[Finding]) -> None:
    said = {"checked": checked, "problems": [asdict(p) for p in problems], "notes": [asdict(n) for n in notes]}
    print(json.dumps(said, indent=2))


def _print_text(checked: Sequence[str], problems: Sequence[Finding], notes: Sequence[Finding]) -> None:
    """Problems go to standard output, everything else to standard error."""
    for note in notes:
        print(f"{note.file}: note: {note.message}", file=sys.stderr)
    red, plain = (_RED, _PLAIN) if _colour(os.environ, sys.stdout.isatty()) else ("", "")
    for problem in problems:
        where = f"{problem.path}: " if problem.path else ""
        which = f"RayCluster {problem.cluster}: " if problem.cluster and len(checked) > 1 else ""
        print(f"{problem.file}: {which}{red}{where}{plain}{problem.message}", flush=True)
    clusters = "1 RayCluster" if len(checked) == 1 else f"{len(checked)} RayClusters"
    found = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}" if problems else "nothing is wrong"
    print(f"{clusters} checked: {found}", file=sys.stderr)


def _colour(environment: Mapping[str, str], terminal: bool) -> bool:
    """Colour is for terminals, and not where https://no-color.org is asked for."""
    return terminal and not environment.get("NO_COLOR")
