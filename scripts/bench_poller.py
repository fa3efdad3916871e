"""CPU that one process spends on asking 1,000 Ray heads, and what heads that are dead cost the others.

All heads are one fake GCS in a process of its own, under 1,000 addresses of the loopback network. Writes
build/bench/poller.json. Fails when a thousand idle heads take over a fifth of a core, when a thousand where work waits
take over two fifths, or when an answer gets older because other heads are dead.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autoscaler.gcs.client import GcsClient  # noqa: E402
from autoscaler.gcs.poller import Poller  # noqa: E402
from autoscaler.model import Demand, Shape  # noqa: E402
from tests.fakes.gcs import FakeGcs  # noqa: E402

RESULT = ROOT / "build" / "bench" / "poller.json"
HEADS = 1_000
DEAD = 200
SETTLE_SECONDS, MEASURE_SECONDS = 15.0, 20.0
IDLE_CORES, WAITING_CORES = 0.2, 0.4
# What chance and a busy machine add to the age of the oldest answer.
AGE_SLACK = 2.0


def serve(pipe: Connection) -> None:
    """A head at every address of this machine, until the other end closes; a demand when the benchmark sets one."""
    head = FakeGcs(host="0.0.0.0")
    pipe.send(head.address)
    try:
        while True:
            head.demands = (Demand(Shape.of({"CPU": 1}), 1),) if pipe.recv() else ()
    except EOFError:
        head.close()


def addresses(port: int, count: int) -> list[str]:
    """Loopback addresses, all different."""
    return [f"127.0.{1 + i // 250}.{1 + i % 250}:{port}" for i in range(count)]


def measured(name: str, alive: Sequence[str], dead: Sequence[str]) -> dict[str, Any]:
    """CPU, memory, threads, and how old the oldest answer of a living head got."""
    poller: Poller[str, GcsClient] = Poller(GcsClient, lambda key: None)
    for address in (*alive, *dead):
        poller.watch(address, address)
    poller.start()
    time.sleep(SETTLE_SECONDS)
    cpu, begin, oldest = time.process_time(), time.monotonic(), 0.0
    while time.monotonic() - begin < MEASURE_SECONDS:
        time.sleep(0.5)
        states = [s.state for s in map(poller.latest, alive) if s and s.state]
        assert len(states) == len(alive), f"{len(alive) - len(states)} heads never answered"
        oldest = max(oldest, time.monotonic() - min(state.taken_at for state in states))
    cores = (time.process_time() - cpu) / (time.monotonic() - begin)
    row = {
        "case": name,
        "heads": len(alive),
        "dead": len(dead),
        "cores": round(cores, 3),
        "oldest_answer_seconds": round(oldest, 2),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "threads": threading.active_count(),
    }
    poller.stop()
    print("  ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
    return row


def failures(idle: dict[str, Any], disturbed: dict[str, Any], waiting: dict[str, Any]) -> list[str]:
    """What is not as it must be."""
    found = [f"{row['case']}: {row['cores']} cores" for row in (idle, disturbed) if row["cores"] > IDLE_CORES]
    found += [f"{waiting['case']}: {waiting['cores']} cores"] if waiting["cores"] > WAITING_CORES else []
    older = disturbed["oldest_answer_seconds"] - idle["oldest_answer_seconds"]
    return [*found, f"an answer is {older:.1f} s older with dead heads around"] if older > AGE_SLACK else found


def main() -> int:
    """Run all cases; 1 when one is not as it must be."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    port = int(ours.recv().rsplit(":", 1)[1])
    every = addresses(port, HEADS)
    # No process listens at port 1.
    dead = addresses(1, DEAD)
    idle = measured("idle", every, ())
    disturbed = measured("idle, others dead", every, dead)
    ours.send(True)
    waiting = measured("work waits", every, ())
    ours.close()
    server.join(10)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"cases": [idle, disturbed, waiting]}, indent=1))
    wrong = failures(idle, disturbed, waiting)
    print("\n".join([*(f"!! {text}" for text in wrong), f"Written: {RESULT}"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
