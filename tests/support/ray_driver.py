"""A Ray program that does what it is told, one JSON line at a time, and answers each line once it is done.

Run as ``python ray_driver.py <address of the GCS>``; it ends with its standard input. What an order results in is
printed before the answer, as a line of JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.util.placement_group import placement_group, remove_placement_group

CONNECT_SECONDS = 60


def work() -> None:
    """A task that does not end."""
    while True:
        time.sleep(0.1)


def work_aloud() -> Iterator[str]:
    """A task that says when it runs, and does not end."""
    yield "at work"
    while True:
        time.sleep(0.1)


def work_for(seconds: float) -> float:
    """A task that ends."""
    time.sleep(seconds)
    return seconds


class Worker:
    """An actor that does nothing but live."""

    def life(self) -> str:
        """The same for as long as it lives."""
        return f"{socket.gethostname()}/{os.getpid()}"


# Undecorated above, because Ray's decorators carry no types. A task that was ended stays ended.
REMOTE_WORK: Any = ray.remote(max_retries=0)(work)
REMOTE_WORK_ALOUD: Any = ray.remote(max_retries=0)(work_aloud)
REMOTE_WORK_FOR: Any = ray.remote(max_retries=0)(work_for)
REMOTE_WORKER: Any = ray.remote(Worker)


class Driver:
    """What it has started, so that it can be ended."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.ending: list[Any] = []
        self.actors: list[Any] = []
        self.gangs: list[Any] = []

    def start(
        self,
        count: int,
        resources: Mapping[str, float],
        labels: Mapping[str, str] | None,
        fallback: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Submit tasks."""
        options = {**asked(resources), **({"label_selector": labels} if labels else {})}
        options.update({"fallback_strategy": fallback} if fallback else {})
        self.tasks += [REMOTE_WORK.options(**options).remote() for _ in range(count)]

    def occupy(self, resources: Mapping[str, float]) -> None:
        """Submit a task, and wait until it runs."""
        task = REMOTE_WORK_ALOUD.options(**asked(resources), num_returns="streaming").remote()
        self.tasks.append(task)
        next(task)

    def create(self, count: int, resources: Mapping[str, float]) -> None:
        """Create actors."""
        self.actors += [REMOTE_WORKER.options(**asked(resources)).remote() for _ in range(count)]

    def keep(self, name: str, namespace: str) -> None:
        """Create an actor without resources that outlives this program."""
        options = {"name": name, "namespace": namespace, "lifetime": "detached", "num_cpus": 0}
        ray.get(REMOTE_WORKER.options(**options).remote().life.remote(), timeout=170)

    def drop(self, name: str, namespace: str) -> None:
        """End it."""
        ray.kill(ray.get_actor(name, namespace))

    def run(self, seconds: Sequence[float], resources: Mapping[str, float]) -> None:
        """Submit tasks that take so long each."""
        options = asked(resources)
        self.ending += [REMOTE_WORK_FOR.options(**options).remote(each) for each in seconds]

    def ended(self) -> tuple[int, list[str], int]:
        """How many of those have ended well, why others were lost, and how many are still to end."""
        done, waiting = ray.wait(self.ending, num_returns=len(self.ending), timeout=0)
        lost = list(filter(None, map(why_lost, done)))
        return len(done) - len(lost), lost, len(waiting)

    def lives(self) -> list[str]:
        """Of each actor, once all of them live: which life it is."""
        lives: list[str] = ray.get([actor.life.remote() for actor in self.actors], timeout=170)
        return lives

    def placed(self) -> None:
        """Wait until every placement group is placed."""
        ray.get([gang.ready() for gang in self.gangs], timeout=170)

    def gang(self, strategy: str, bundles: Sequence[Mapping[str, float]]) -> None:
        """Create a placement group."""
        self.gangs.append(placement_group([dict(bundle) for bundle in bundles], strategy=strategy))

    def fill(self, resources: Mapping[str, float]) -> None:
        """Create a placement group that finds room, occupy all of it, and let one more task wait inside."""
        gang = placement_group([dict(resources)])
        ray.get(gang.ready(), timeout=170)
        self.gangs.append(gang)
        inside = {**asked(resources), "placement_group": gang}
        self.tasks += [REMOTE_WORK.options(**inside).remote() for _ in range(2)]

    def request(self, cpus: int) -> None:
        """Ask for a size of the cluster; zero withdraws it."""
        request_resources(num_cpus=cpus) if cpus else request_resources(bundles=[])

    def clear(self) -> None:
        """End and withdraw everything."""
        for task in (*self.tasks, *self.ending):
            ray.cancel(task, force=True)
        for actor in self.actors:
            ray.kill(actor)
        for gang in self.gangs:
            remove_placement_group(gang)
        self.tasks, self.ending, self.actors, self.gangs = [], [], [], []
        self.request(0)


def why_lost(task: Any) -> str:
    """What failed a task that is over; empty where nothing did."""
    try:
        ray.get(task)
    except ray.exceptions.RayError as error:
        return repr(error)
    return ""


def asked(resources: Mapping[str, float]) -> dict[str, Any]:
    """As options of a task or an actor."""
    others = {name: amount for name, amount in resources.items() if name != "CPU"}
    return {"num_cpus": resources.get("CPU", 0), "resources": others}


def connect(address: str) -> None:
    """Connect to a head which may still be starting: it has printed its address, its own node may not be known yet."""
    end = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            return
        except (ConnectionError, RuntimeError, ValueError, OSError):
            if time.monotonic() > end:
                raise
            traceback.print_exc()
            ray.shutdown()
            time.sleep(1)


def main() -> None:
    """Connect, then obey."""
    connect(sys.argv[1])
    driver = Driver()
    print("ready", flush=True)
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        result = getattr(driver, verb)(*arguments)
        if result is not None:
            print(json.dumps(result), flush=True)
        print("done", flush=True)


if __name__ == "__main__":
    main()
