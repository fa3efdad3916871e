"""``ray-operator simulate``: what the operator would launch and remove for a RayCluster and some demand, and when."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, pairwise
from typing import Any, TypeVar

from controller.raycluster.model import Json, parse_spec
from controller.wording import counted

from .checks import check
from .commands import FINE, WRONG_INPUT, command_parser
from .manifests import NO_CLUSTER, ManifestError, cluster_of, read_documents, read_manifests, source_of
from .scenario import scenario_of, scenario_problems, without_absent
from .simulation import LAUNCH, REMOVE, Happening, Simulation

T = TypeVar("T")

DAY = 86_400.0
DESCRIPTION = """\
Shows what the operator would launch and remove for a RayCluster while a program asks for resources, without a
Kubernetes and without Ray: the planner is the operator's own, pods and work are simulated. Time 0 is when the head
answers. Use it to choose bounds, idle timeout and pod types before you pay for a node.

A demand file says what waits when, in seconds. Everything but "at" and "resources" may be left out:

  podSeconds: 20                  # from a pod's creation until its Ray node has joined, 10 if absent
  steps:
    - at: 0
      tasks:                      # or actors
        - resources: {CPU: 1}
          count: 8
          seconds: 60             # how long each runs; without end if absent
          labelSelector: {ray.io/market-type: "!spot"}   # a, !a, in(a, b) or !in(a, b)
          fallbackStrategy: [{labelSelector: {ray.io/market-type: spot}}]
      placementGroups:
        - strategy: STRICT_SPREAD # or SPREAD, PACK, STRICT_PACK
          bundles: [{CPU: 1}, {CPU: 1}]
          bundleLabelSelector: [{ray.io/node-group: worker}, {}]
          count: 2
          seconds: 120
    - at: 300
      requestResources:           # request_resources(): replaces the last one, [] takes it back
        - resources: {CPU: 1}
          count: 4                # labelSelector as above
      blockedTypes: [spot]        # cannot be launched from now on, for want of quota; [] takes it back
      gatedTypes: [queued]        # new pods wait for a scheduling gate from now on, as Kueue's do; [] opens all

A line of the answer is a launch or a removal with its reason, workers that join Ray, demand that has to wait and why,
or demand that no pod type could ever hold. The last column counts the workers. Where the RayCluster has spec.gang, a
launch says how many pods a scheduler is told to place together.
"""
EXAMPLES = """\
ray-operator simulate manifests/example_cluster.yaml manifests/example_demand.yaml
helm template x charts/ray | ray-operator simulate - demand.yaml
ray-operator simulate -o json cluster.yaml demand.yaml | jq '.summary.peakWorkers'
"""
_TITLES = ("TIME", "WHAT", "COUNT", "OF", "WHY", "WORKERS")
# Characters of a cell, and rows for one reason at one moment, above which the table says less than -o json.
_WIDTH, _ALIKE = 100, 20


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("simulate", DESCRIPTION, EXAMPLES)
    made.add_argument("cluster", metavar="CLUSTER", help="a manifest with one RayCluster; - reads standard input")
    made.add_argument("demand", metavar="DEMAND", help="a demand file, see above; - reads standard input")
    made.add_argument(
        "--until", metavar="SECONDS", type=_seconds, default=DAY, help="when to end (default: after a day)"
    )
    made.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    return made


def _seconds(text: str) -> float:
    """A time from the command line.

    Raises:
        argparse.ArgumentTypeError: it is none that can be reached.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Simulate, and print what happened. Returns the exit code."""
    try:
        manifest, demand = _read(arguments.cluster, arguments.demand)
    except ManifestError as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    cluster = cluster_of(manifest)
    simulation = Simulation(cluster, parse_spec(cluster.spec), scenario_of(demand))
    happenings = list(simulation.run(arguments.until))
    summary = _summary(happenings, simulation.waiting)
    print(_json(happenings, summary) if arguments.output == "json" else _table(happenings, summary))
    return FINE


def _read(cluster: str, demand: str) -> tuple[Json, Json]:
    """The one RayCluster and the demand.

    Raises:
        ManifestError: one of the files is wrong; the message names it, and what is wrong with it.
    """
    if cluster == demand == "-":
        raise ManifestError("stdin: both files cannot be read from it; name one of them")
    manifests = _named(cluster, lambda: read_manifests(cluster))
    clusters = manifests.clusters
    for note in manifests.notes:
        print(f"{manifests.source}: note: {note}", file=sys.stderr)
    if len(clusters) != 1:
        found = f"contains {len(clusters)} RayClusters" if clusters else NO_CLUSTER
        raise ManifestError(f"{source_of(cluster)}: {found}; one is needed")
    documents = _named(demand, lambda: read_documents(demand))
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ManifestError(f"{source_of(demand)}: is no demand file; ray-operator simulate --help shows one")
    asked, wrong = without_absent(documents[0]), check(clusters[0])
    types = None if wrong else [pod_type["name"] for pod_type in clusters[0]["spec"]["podTypes"]]
    for path, problems in ((cluster, wrong), (demand, scenario_problems(asked, types))):
        if problems:
            raise ManifestError("\n".join(f"{source_of(path)}: {problem}" for problem in problems))
    return clusters[0], asked


def _named(path: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ManifestError as error:
        raise ManifestError(f"{source_of(path)}: {error}") from error


def _table(happenings: Sequence[Happening], summary: Json) -> str:
    rows = [_TITLES, *_rows(happenings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", _summary_line(summary)])


def _rows(happenings: Sequence[Happening]) -> Iterator[tuple[str, ...]]:
    """A row for each, but for many kinds of work with one reason at one moment: those beyond the first are one row."""
    for (at, what, why, workers), group in groupby(happenings, key=lambda h: (h.at, h.what, _why(h), h.workers)):
        alike = list(group)
        shown = alike if len(alike) <= _ALIKE else alike[: _ALIKE - 1]
        rows = [(h.count, _short(h.subject)) for h in shown]
        if rest := alike[len(shown) :]:
            rows.append((sum(h.count for h in rest), f"{len(rest)} others; -o json shows them"))
        yield from ((f"{at:g}s", what, str(count), subject, why, str(workers)) for count, subject in rows)


def _short(subject: str) -> str:
    """Its beginning and its end, where it would make the table wider than a screen."""
    half = (_WIDTH - 3) // 2
    return subject if len(subject) <= _WIDTH else f"{subject[:half]} … {subject[-half:]}"


def _why(h: Happening) -> str:
    gangs = f", {'a gang' if h.gangs == 1 else f'{h.gangs} gangs'} of {counted(h.pods, 'pod')}" if h.gangs else ""
    return f"{h.why}{gangs}" or "-"


def _summary(happenings: Sequence[Happening], waiting: int) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for happening in happenings:
        counts[happening.what] += happening.count
    return {
        "launched": counts[LAUNCH],
        "removed": counts[REMOVE],
        "peakWorkers": max((h.workers for h in happenings), default=0),
        "workersLeft": happenings[-1].workers if happenings else 0,
        "stillWaiting": waiting,
        "workerSeconds": round(_worker_seconds(happenings), 3),
    }


def _worker_seconds(happenings: Sequence[Happening]) -> float:
    """What all workers' times add up to, until the last thing happens."""
    return sum(before.workers * (after.at - before.at) for before, after in pairwise(happenings))


def _summary_line(s: Json) -> str:
    waiting, peak = s["stillWaiting"], s["peakWorkers"]
    waits = counted(waiting, "task or placement group still waits", "tasks or placement groups still wait")
    still = f"; {waits}" if waiting else ""
    return (
        f"{s['launched']} launched, {s['removed']} removed, at most {counted(peak, 'worker')} at once, "
        f"{s['workersLeft']} left; {s['workerSeconds'] / 60:.1f} worker-minutes{still}"
    )


def _json(happenings: Sequence[Happening], summary: Json) -> str:
    return json.dumps({"events": [asdict(h) for h in happenings], "summary": summary}, indent=2)
