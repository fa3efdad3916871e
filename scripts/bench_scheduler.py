"""CPU seconds of the scheduler beside Ray's own v2 and v1 on the same inputs, in one process.

Writes build/bench/scheduler.json. Fails when ours takes over half a second (a second where there is more than one
decision may look at), longer than one of Ray's where that takes over 10 ms, or over a tenth longer when all work asks
for a label. Ray's schedulers get at most --cap CPU
seconds per case, and sit out where they are known to need very long, unless --full.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import geometric_mean, mean
from types import FrameType

from ray_schedulers import prepare_v1, prepare_v2

from autoscaler.model import QUANTUM, Demand, Gang, LabelConstraint, LabelOperator, NodeType, Selector, Shape, Strategy
from autoscaler.scheduling.scheduler import Existing, Request, schedule

RESULT = Path(__file__).parent.parent / "build" / "bench" / "scheduler.json"
LIMIT = 0.5
LIMIT_OF_TOO_MUCH = 1.0
NEGLIGIBLE = 0.010
LIMIT_OF_LABELS = 1.1
MOST = 100_000
TOO_MANY_NODES = 10_000
TYPES = tuple(
    NodeType(name, {"CPU": cpus * QUANTUM, "memory": 4 * cpus * QUANTUM} | more, 0, MOST)
    for name, cpus, more in (
        ("small", 4, {}),
        ("medium", 16, {}),
        ("large", 64, {}),
        ("gpu", 16, {"GPU": 4 * QUANTUM}),
    )
)


@dataclass(frozen=True)
class Case:
    """A request by the numbers that describe it."""

    nodes: int
    free: str
    demands: int
    shapes: str
    request: Request

    def too_long_for(self, name: str) -> bool:
        """Where this scheduler of Ray's needs from many seconds to minutes."""
        if name == "v1":
            return self.demands > (3_000 if self.shapes == "equal" else 1_000)
        open_nodes = 0 if self.free == "0%" else self.nodes
        different = 5 if self.shapes == "distinct" else 1
        return self.demands * different * (10 + open_nodes) > 60_000


class Capped(Exception):  # noqa: N818 (an outcome, not an error)
    """The cap has been reached."""


def cases() -> Iterator[Case]:
    """Those of every size, then the gangs, then some more that ours finds hard."""
    for nodes, free in ((0, "0%"), (100, "0%"), (1_000, "0%"), (100, "50%"), (1_000, "50%")):
        for shapes in ("equal", "ten", "distinct"):
            for count in (100, 1_000, 3_000, 10_000):
                yield Case(nodes, free, count, shapes, request(existing(nodes, free), demands(count, shapes)))
    for nodes, free in ((0, "0%"), (100, "50%"), (1_000, "0%"), (1_000, "50%")):
        for strategy in Strategy:
            gangs = tuple(Gang((Demand(Shape.of({"CPU": 0.5}), 100),), strategy, f"g{i}") for i in range(10))
            yield Case(nodes, free, 1_000, strategy.value, request(existing(nodes, free), (), gangs))
    yield Case(1_337, "0%", 13_315, "equal", request(existing(1_337, "0%"), demands(13_315, "equal")))
    yield Case(1_337, "50%", 13_315, "ten", request(existing(1_337, "50%"), demands(13_315, "ten")))
    yield Case(1_000, "each its own", 10_000, "distinct", request(existing(1_000, "own"), demands(10_000, "distinct")))
    yield from too_much()


def too_much() -> Iterator[Case]:
    """More than one decision may look at: the most that is read of a head's answer, no two things alike."""
    nodes = existing(TOO_MANY_NODES, "own")
    labelled = tuple(replace(d, shape=replace(d.shape, selectors=(zone(i),))) for i, d in distinct())
    gangs = tuple(Gang((replace(d, count=3),), list(Strategy)[i % 4], f"g{i}") for i, d in distinct())
    yield Case(TOO_MANY_NODES, "each its own", 10_000, "labelled", request(nodes, labelled))
    yield Case(TOO_MANY_NODES, "each its own", 30_000, "gangs", request(nodes, (), gangs))
    yield Case(TOO_MANY_NODES, "each its own", 40_000, "both", request(nodes, labelled, gangs))


def distinct() -> Iterator[tuple[int, Demand]]:
    """10,000 of them, numbered."""
    return enumerate(demands(10_000, "distinct"))


def zone(number: int) -> Selector:
    """One of 300 zones."""
    return Selector((LabelConstraint.of("zone", LabelOperator.IN, [f"z{number % 300}"]),))


def request(nodes: tuple[Existing, ...], wanted: tuple[Demand, ...], gangs: tuple[Gang, ...] = ()) -> Request:
    """Bounds that do not bind: Ray's schedulers give up early when they do."""
    return Request(TYPES, MOST, 1e9, nodes, wanted, gangs)


def labelled(plain: Request) -> Request:
    """The same, with a label on every node and type, for which all work asks."""
    labels = {"zone": "z0"}
    selectors = (zone(0),)

    def asking(wanted: tuple[Demand, ...]) -> tuple[Demand, ...]:
        return tuple(replace(demand, shape=replace(demand.shape, selectors=selectors)) for demand in wanted)

    return replace(
        plain,
        types=tuple(replace(node_type, labels=labels) for node_type in plain.types),
        nodes=tuple(replace(node, labels=labels) for node in plain.nodes),
        demands=asking(plain.demands),
        gangs=tuple(replace(gang, bundles=asking(gang.bundles)) for gang in plain.gangs),
    )


def existing(count: int, free: str) -> tuple[Existing, ...]:
    """Nodes of all types in turn, with nothing free, half of everything, or each with something else."""
    nodes = []
    for i in range(count):
        node_type = TYPES[i % len(TYPES)]
        share = {"0%": 0.0, "50%": 0.5, "own": (i % 997) / 997}[free]
        left = {name: int(amount * share) for name, amount in node_type.resources.items()}
        labels = {"zone": f"z{i % 300}"} if free == "own" else {}
        nodes.append(Existing(f"n{i}", node_type.name, node_type.resources, left, labels))
    return tuple(nodes)


def demands(count: int, shapes: str) -> tuple[Demand, ...]:
    """One shape, ten, or as many as there are demands."""
    if shapes == "equal":
        return (Demand(Shape.of({"CPU": 1}), count),)
    if shapes == "ten":
        return tuple(Demand(Shape.of({"CPU": 1 + i % 5, "memory": 1 + i}), count // 10) for i in range(10))
    return tuple(Demand(Shape.of({"CPU": 1 + i % 4, "memory": 1 + i / 1024}), 1) for i in range(count))


def measured(run: Callable[[], int], cap: float) -> tuple[float, int | None]:
    """CPU seconds and the number of nodes launched; None: capped."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Capped

    gc.collect()
    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, cap)
    start = time.process_time()
    try:
        nodes = run()
    except Capped:
        return cap, None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return time.process_time() - start, nodes


def peer(prepare: Callable[[Request], Callable[[], object]], case: Case, cap: float) -> dict[str, object]:
    """What one of Ray's schedulers takes."""
    run = prepare(case.request)
    seconds, nodes = measured(lambda: sum(run().launches.values()), cap)  # type: ignore[attr-defined]
    return {"cpu_seconds": round(seconds, 4), "nodes": nodes, "cap": nodes is None}


def compared(case: Case, cap: float, full: bool) -> dict[str, object]:
    """One row: ours many times over, until it can be measured, the others once."""
    row: dict[str, object] = {"nodes": case.nodes, "free": case.free, "demands": case.demands, "shapes": case.shapes}
    launched = sum(schedule(case.request).launches.values())
    with_labels = labelled(case.request)
    schedule(with_labels)
    gc.collect()
    taken: tuple[list[float], list[float]] = [], []
    while len(taken[0]) < 3 or sum(taken[0]) < 0.1:
        for request, seconds in zip((case.request, with_labels), taken, strict=True):
            start = time.process_time()
            schedule(request)
            seconds.append(time.process_time() - start)
    row["ours"] = {"cpu_seconds": round(mean(taken[0]), 4), "nodes": launched}
    if case.nodes != TOO_MANY_NODES:
        row["labelled"] = {"cpu_seconds": round(mean(taken[1]), 4), "times": round(min(taken[1]) / min(taken[0]), 3)}
    for name, prepare in (("v2", prepare_v2), ("v1", prepare_v1)):
        if case.too_long_for(name) and not full:
            row[name] = {"cpu_seconds": None, "nodes": None}
        else:
            row[name] = peer(prepare, case, cap)
    return row


def failures(row: dict[str, object]) -> list[str]:
    """What in this row is not as it must be."""
    own = row["ours"]["cpu_seconds"]  # type: ignore[index]
    limit = LIMIT_OF_TOO_MUCH if row["nodes"] == TOO_MANY_NODES else LIMIT
    found = [f"{own} s"] if own > limit else []
    for name in ("v2", "v1"):
        taken = row[name]["cpu_seconds"]  # type: ignore[index]
        if taken is not None and taken > NEGLIGIBLE and own > taken:
            found.append(f"slower than {name}: {own} s against {taken} s")
    return found


def told(row: dict[str, object]) -> str:
    """A line of the table: CPU milliseconds (> for capped, - for not run) and nodes launched."""
    cells = []
    for name in ("ours", "v2", "v1"):
        found = row[name]
        seconds, nodes = found["cpu_seconds"], found["nodes"]  # type: ignore[index]
        time_taken = "-" if seconds is None else f"{'>' if nodes is None else ''}{seconds * 1000:.1f}"
        cells.append(f"{time_taken:>10} {'-' if nodes is None else nodes:>6}")
    head = f"{row['nodes']:>5} {row['free']:>12} {row['demands']:>6} {row['shapes']:>14}"
    return head + " |" + " |".join(cells)


def main() -> int:
    """Run all cases; 1 when one is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="run Ray's schedulers where they take very long, too")
    parser.add_argument("--cap", type=float, default=20.0, help="CPU seconds per case and scheduler of Ray's")
    arguments = parser.parse_args()
    titles = "".join(f" |{name:>5}: ms, nodes" for name in ("ours", "v2", "v1"))
    print(f"{'nodes':>5} {'free':>12} {'demand':>6} {'shapes':>14}{titles}")
    rows, wrong = [], []
    for case in cases():
        row = compared(case, arguments.cap, arguments.full)
        rows.append(row)
        failed = failures(row)
        wrong += failed
        print(told(row) + "".join(f"  !! {text}" for text in failed), flush=True)
    times = geometric_mean([row["labelled"]["times"] for row in rows if "labelled" in row])  # type: ignore[index]
    if times > LIMIT_OF_LABELS:
        wrong.append("labels")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    result = {"cap_seconds": arguments.cap, "labelled": round(times, 3), "cases": rows}
    RESULT.write_text(json.dumps(result, indent=1))
    print(f"\nWith a label for which all work asks: {times:.2f} times the CPU, in the geometric mean.")
    print(f"{len(rows)} cases, {len(wrong)} not as they must be. Written: {RESULT}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
