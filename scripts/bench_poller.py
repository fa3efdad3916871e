"""CPU that one process spends on asking 1,000 Ray heads, and what heads that are dead cost the others.

The heads are one fake GCS under 1,000 addresses of the loopback network, and ten more, in their own process. Writes
build/bench/poller.json. Fails when a thousand idle heads take over a fifth of a core, when a thousand where work waits
take over two fifths, when an answer gets older because other heads are dead, or when work at ten heads that often have
some is seen late.
"""

from __future__ import annotations

import json
import multiprocessing
import random
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
# So many heads get work now and then, and it is to be known within so many seconds.
ACTIVE, WORK_SECONDS, SEEN_SECONDS = 10, 60.0, 1.0
# What chance and a busy machine add to the age of the oldest answer.
AGE_SLACK = 2.0


def serve(pipe: Connection) -> None:
    """A head at every address of this machine, and some more, until the other end closes. The benchmark says at which
    of them work waits.
    """
    heads = [FakeGcs(host="0.0.0.0") for _ in range(1 + ACTIVE)]
    pipe.send([head.address for head in heads])
    try:
        while True:
            number, waits = pipe.recv()
            heads[number].demands = (Demand(Shape.of({"CPU": 1}), 1),) if waits else ()
    except EOFError:
        for head in heads:
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


class Seen:
    """When the poller told of each head's work, by its address."""

    def __init__(self) -> None:
        self.poller: Poller[str, GcsClient] = Poller(GcsClient, self._tell)
        self.at: dict[str, float] = {}

    def _tell(self, key: str) -> None:
        if _waits(self.poller, key):
            self.at.setdefault(key, time.monotonic())


def _waits(poller: Poller[str, GcsClient], key: str) -> bool:
    """Whether work waits there, as far as is known."""
    snapshot = poller.latest(key)
    return bool(snapshot and snapshot.state and snapshot.state.demands)


def active(idle: Sequence[str], some: Sequence[str], pipe: Connection) -> dict[str, Any]:
    """How long it takes until work is seen that comes to each of some heads every few seconds, beside idle ones."""
    seen, chance = Seen(), random.Random(7)
    for address in (*idle, *some):
        seen.poller.watch(address, address)
    seen.poller.start()
    time.sleep(SETTLE_SECONDS)
    cpu, begin = time.process_time(), time.monotonic()
    waits: list[float] = []
    while time.monotonic() - begin < WORK_SECONDS:
        number = len(waits) if len(waits) < len(some) else chance.randrange(len(some))
        seen.at.clear()
        asked = time.monotonic()
        pipe.send((1 + number, True))
        while some[number] not in seen.at:
            time.sleep(0.002)
        waits.append(seen.at[some[number]] - asked)
        pipe.send((1 + number, False))
        while _waits(seen.poller, some[number]):
            time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 0.5))
    cores = (time.process_time() - cpu) / (time.monotonic() - begin)
    seen.poller.stop()
    # What each head's first work met was an idle head.
    later = sorted(waits[len(some) :])
    row = {
        "case": "some active",
        "heads": len(idle) + len(some),
        "active": len(some),
        "times": len(later),
        "cores": round(cores, 3),
        "seen_seconds_median": round(later[len(later) // 2], 2),
        "seen_seconds_p99": round(later[int(0.99 * len(later))], 2),
        "first_seen_seconds_most": round(max(waits[: len(some)]), 2),
    }
    print("  ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
    return row


def failures(
    idle: dict[str, Any], disturbed: dict[str, Any], some: dict[str, Any], waiting: dict[str, Any]
) -> list[str]:
    """What is not as it must be."""
    found = [f"{row['case']}: {row['cores']} cores" for row in (idle, disturbed, some) if row["cores"] > IDLE_CORES]
    found += [f"{waiting['case']}: {waiting['cores']} cores"] if waiting["cores"] > WAITING_CORES else []
    late = some["seen_seconds_p99"]
    found += [f"work is seen {late} s after it is there"] if late > SEEN_SECONDS else []
    older = disturbed["oldest_answer_seconds"] - idle["oldest_answer_seconds"]
    return [*found, f"an answer is {older:.1f} s older with dead heads around"] if older > AGE_SLACK else found


def main() -> int:
    """Run all cases; 1 when one is not as it must be."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    port, *others = [int(address.rsplit(":", 1)[1]) for address in ours.recv()]
    every, some = addresses(port, HEADS), [f"127.0.0.1:{other}" for other in others]
    # No process listens at port 1.
    dead = addresses(1, DEAD)
    idle = measured("idle", every, ())
    disturbed = measured("idle, others dead", every, dead)
    now_and_then = active(every[ACTIVE:], some, ours)
    ours.send((0, True))
    waiting = measured("work waits", every, ())
    ours.close()
    server.join(10)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"cases": [idle, disturbed, now_and_then, waiting]}, indent=1))
    wrong = failures(idle, disturbed, now_and_then, waiting)
    print("\n".join([*(f"!! {text}" for text in wrong), f"Written: {RESULT}"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
