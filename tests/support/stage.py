"""What the tests of interruption share: an operator behind a proxy, and the life of a cluster as a scenario."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from tests.support.apiserver import ApiServer
from tests.support.faults import Recorder
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.proxy import Proxy

NAME = "example-cluster"


class Stage:
    """A namespace of its own with a kubelet, and an operator that reaches the API server through a proxy.

    Used with ``with``; the operator is started by it unless ``operator.start`` is left to the test.
    """

    def __init__(
        self, environment: Mapping[str, str], folder: Path, *, serial: bool = False, impersonate: str = ""
    ) -> None:
        kubeconfig = environment["KUBECONFIG"]
        self.space = Namespace(ApiServer(kubeconfig), f"faults-{uuid4().hex[:8]}")
        self.proxy = Proxy(ApiServer(kubeconfig, impersonate), folder, serial=serial)
        through = {**environment, "KUBECONFIG": str(self.proxy.kubeconfig)}
        self.operator = OperatorProcess(through, self.space.name)
        self._exit = ExitStack()

    def __enter__(self) -> Stage:
        """Everything is up but the operator."""
        self.space.create()
        self.proxy.start()
        self._exit.callback(self.proxy.stop)
        self.space.kubelet()
        self._exit.callback(self.space.stop)
        self._exit.callback(self.operator.close)
        self._exit.callback(self.operator.kill)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()
        self.space.server.ask("DELETE", f"/api/v1/namespaces/{self.space.name}")


@dataclass(frozen=True)
class Phase:
    """Something that happens to the cluster, and how to tell that the operator is through with it."""

    name: str
    act: Callable[[Namespace], None]
    over: Callable[[Namespace], bool]


def life(cluster: dict[str, Any]) -> list[Phase]:
    """A cluster is created, scaled, changed, loses its head, and is deleted."""
    changed = [{"name": "CHANGED", "value": "yes"}]

    def is_changed(space: Namespace) -> bool:
        return all(changed[0] in p["spec"]["containers"][0]["env"] for p in space.pods("worker"))

    return [
        Phase("create", lambda s: void(s.make(copy.deepcopy(cluster))), lambda s: s.settled(NAME, 2)),
        Phase("scale", lambda s: s.edit(NAME, ("podTypes/1/minWorkers", 3)), lambda s: s.settled(NAME, 3)),
        Phase(
            "change",
            lambda s: s.edit(NAME, ("podTypes/1/podConfig/spec/containers/0/env", changed)),
            lambda s: s.settled(NAME, 3) and is_changed(s),
        ),
        Phase("lose the head", lose_head, lambda s: s.settled(NAME, 3) and restarts(s) == 1),
        Phase("delete", lambda s: s.delete("rayclusters", NAME), lambda s: not s.snapshot()),
    ]


def void(_: object) -> None:
    """Forget a result."""


def lose_head(space: Namespace) -> None:
    """Somebody deletes the head's pod."""
    space.delete("pods", space.pods("head")[0]["metadata"]["name"])


def restarts(space: Namespace) -> int:
    """How often the head was lost."""
    return int(space.get("rayclusters", NAME)["status"]["autoscalerRetries"])


@dataclass(frozen=True)
class Undisturbed:
    """What an undisturbed run came to: the state after each phase, writes and watch events in each, changes in all."""

    states: list[list[str]]
    writes: list[int]
    told: list[Counter[str]]
    changes: Counter[tuple[str, str]]


def undisturbed(stage: Stage, phases: list[Phase]) -> Undisturbed:
    """Live through the phases with nothing going wrong."""
    states, writes, told = [], [], []
    with stage:
        stage.operator.start()
        for phase in phases:
            before = stage.proxy.count(lambda r: r.writes)
            with stage.proxy.fault(Recorder()) as recorder:
                phase.act(stage.space)
                eventually(lambda phase=phase: phase.over(stage.space))  # type: ignore[misc]
                states.append(steady(stage.space))
            writes.append(stage.proxy.count(lambda r: r.writes) - before)
            told.append(recorder.told)
        return Undisturbed(states, writes, told, stage.proxy.changes())


def steady(space: Namespace) -> list[str]:
    """The state once it has not changed for a good number of looks in a row."""
    same = [space.snapshot()]

    def look() -> bool:
        seen = space.snapshot()
        same[:] = [*same, seen] if seen == same[0] else [seen]
        return len(same) > 15

    eventually(look)
    return same[0]


def up(stage: Stage, cluster: dict[str, Any], workers: int = 2) -> None:
    """Start the operator, make the cluster, and wait until it runs."""
    stage.operator.start()
    stage.space.make(copy.deepcopy(cluster))
    eventually(lambda: stage.space.settled(cluster["metadata"]["name"], workers))


def made(heads_and_workers: int, deleted: int = 0) -> Counter[tuple[str, str]]:
    """The changes of a cluster for which so many pods were created and deleted."""
    counts = {("create", "pods"): heads_and_workers, ("create", "services"): 1, ("delete", "pods"): deleted}
    return Counter({change: count for change, count in counts.items() if count})
