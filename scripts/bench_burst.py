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
from burst import scenarios  # noqa: E402
from burst.plane import Plane, control_plane  # noqa: E402

RESULT = ROOT / "build" / "bench" / "burst.json"
Scenario = Callable[[Plane], dict[str, Any]]
QUICK: Mapping[str, Scenario] = {
    "burst": lambda plane: scenarios.burst(plane, 20, 50),
}
FULL: Mapping[str, Scenario] = {
    "burst-small": lambda plane: scenarios.burst(plane, 10, 100),
    "burst": lambda plane: scenarios.burst(plane, 100, 100),
    "fairness": lambda plane: scenarios.fairness(plane, 5_000, 50),
    "standing-small": lambda plane: scenarios.standing(plane, 100, 10, 20.0),
    "standing": lambda plane: scenarios.standing(plane, 1_000, 10, 60.0),
}


def main() -> int:
    """Run the scenarios; 2 when there is no control plane to run them on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small burst, under a minute")
    parser.add_argument("--only", choices=tuple(FULL), help="one scenario")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"default: {RESULT.relative_to(ROOT)}")
    options = parser.parse_args()
    chosen = QUICK if options.quick else FULL
    results = {}
    try:
        with control_plane(f"bench-{os.getpid()}") as plane:
            for name, scenario in chosen.items():
                if options.only in (None, name):
                    results[name] = scenario(plane)
                    print(name, json.dumps(results[name], indent=1), flush=True)
    except cluster_environment.PrerequisiteError as error:
        print(f"bench_burst: {error}", file=sys.stderr)
        return 2
    options.output.parent.mkdir(parents=True, exist_ok=True)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    options.output.write_text(json.dumps({"at": at, "cores": os.cpu_count(), "scenarios": results}, indent=1) + "\n")
    print(f"Written: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
