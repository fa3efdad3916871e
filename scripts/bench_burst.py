"""Many pods at once, beside a bare client that posts the same pods in the same run: speed, CPU, memory, fairness.

The control plane is real and runs on this machine; it has neither nodes nor a scheduler for these pods. Pods per second
and CPU seconds of the operator's process are compared with those of the bare client's.

Writes build/bench/burst.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import environment as cluster_environment  # noqa: E402
from burst import demand, fairness, scenarios  # noqa: E402
from burst.plane import Plane, control_plane  # noqa: E402

RESULT = ROOT / "build" / "bench" / "burst.json"
Scenario = Callable[[Plane], dict[str, Any]]
QUICK: Mapping[str, Scenario] = {
    "burst": lambda plane: scenarios.burst(plane, 20, 50),
}
FULL: Mapping[str, Scenario] = {
    "burst-tiny": lambda plane: scenarios.burst(plane, 10, 10),
    "burst-small": lambda plane: scenarios.burst(plane, 10, 100),
    "burst": lambda plane: scenarios.burst(plane, 100, 100),
    "fairness": lambda plane: fairness.fairness(plane, 5_000, 50),
    "standing-tiny": lambda plane: scenarios.standing(plane, 10, 10, 20.0),
    "standing-small": lambda plane: scenarios.standing(plane, 100, 10, 20.0),
    "standing": lambda plane: scenarios.standing(plane, 1_000, 10, 60.0),
    # For the model of docs/performance.md: many pods to a cluster, and a size to check it with.
    "wide": lambda plane: scenarios.standing(plane, 40, 250, 20.0),
    "checked": lambda plane: scenarios.standing(plane, 300, 25, 20.0),
    "edited": lambda plane: scenarios.edited(plane, 1_000, 50),
    "running": lambda plane: scenarios.running(plane, 20, 100),
    "demand": lambda plane: demand.demand(plane, 10_000, 1_000),
    **{f"shards-{n}": lambda plane, n=n: scenarios.shards(plane, n, 100, 40) for n in (1, 2, 4)},  # type: ignore[misc]
}
# Fake nodes for the scenarios whose pods are to run; each takes some 320 of these pods.
FAKE_NODES: Mapping[str, int] = {"running": 24}


def main() -> int:
    """Run the scenarios; 2 when there is no control plane to run them on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small burst, under a minute")
    parser.add_argument("--only", choices=tuple(FULL), help="one scenario")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"default: {RESULT.relative_to(ROOT)}")
    options = parser.parse_args()
    chosen = QUICK if options.quick else FULL
    try:
        for name, scenario in chosen.items():
            if options.only in (None, name):
                with control_plane(f"bench-{os.getpid()}", FAKE_NODES.get(name, 0)) as plane:
                    result = scenario(plane)
                print(name, json.dumps(result, indent=1), flush=True)
                _keep(options.output, name, result)
    except cluster_environment.PrerequisiteError as error:
        print(f"bench_burst: {error}", file=sys.stderr)
        return 2
    print(f"Written: {options.output}")
    return 0


def _keep(file: Path, name: str, result: Mapping[str, Any]) -> None:
    """Write a scenario's figures in the place of its earlier ones; the others' stay."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(file.read_text())["scenarios"] if file.exists() else {}
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    scenarios = {**known, name: {"at": at, **result}}
    file.write_text(json.dumps({"at": at, "cores": os.cpu_count(), "scenarios": scenarios}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
