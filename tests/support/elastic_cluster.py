"""A cluster of real Ray nodes that grows and shrinks by what a Ray program on its head asks for."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from elastic import in_head

from tests.support.kube import Kube, eventually, names
from tests.support.prerequisites import ROOT

EVERY_WORKER = "ray-node-type=worker"
DRIVER = (ROOT / "tests/support/ray_driver.py").read_text()
LONG = 180.0


class Elastic:
    """The cluster, and the program on its head."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.kube = kube
        self.name = name
        self._program: subprocess.Popen[str] | None = None

    def tell(self, *order: object) -> Any:
        """Have the program do something; what it results in."""
        if self._program is None:
            self._program = in_head(self.kube.environment, self.kube.namespace, DRIVER, "auto")
            self._answer("ready")
        assert self._program.stdin
        self._program.stdin.write(json.dumps(order) + "\n")
        return self._answer("done")

    def _answer(self, end: str) -> Any:
        """What it printed last before ``end``; Ray prints there too."""
        assert self._program and self._program.stdout
        result = None
        for line in self._program.stdout:
            if line.strip() == end:
                return result
            if line.startswith(("[", '"', "{")):
                result = json.loads(line)
        raise AssertionError(f"the program ended before it said {end!r}")

    def hang_up(self) -> None:
        """End the program, and with it all it started."""
        if self._program:
            self._program.kill()
            self._program.communicate()
            self._program = None

    def pods(self, selector: str = EVERY_WORKER) -> list[str]:
        """Names of the pods that are neither over nor on their way out: a drained one ends before it is deleted."""
        pods = self.kube.list("pods", selector)
        return names([p for p in pods if p["status"].get("phase") not in ("Succeeded", "Failed")])

    def grows_to(self, count: int, selector: str = EVERY_WORKER) -> None:
        """So many workers come, all of them join, and no more than that."""
        eventually(lambda: len(self.pods(selector)) == count, within=LONG)
        eventually(lambda: self.status["readyWorkers"] == len(self.pods()), within=LONG)
        assert len(self.pods(selector)) == count

    def shrinks_to_nothing(self) -> None:
        """Nothing is wanted any more, and all workers go. Those on their way out count against the bounds: all are gone
        in the end.
        """
        self.tell("clear")
        eventually(lambda: not self.kube.run("get", "pods", "-l", EVERY_WORKER, "-o", "name"), within=LONG)

    @property
    def status(self) -> dict[str, Any]:
        """The RayCluster's."""
        found: dict[str, Any] = self.kube.get("raycluster", self.name)["status"]
        return found

    def set_bounds(self, **worker: int) -> None:
        """Edit the bounds of the type ``worker``."""
        index = 1
        patch = [{"op": "replace", "path": f"/spec/podTypes/{index}/{k}", "value": v} for k, v in worker.items()]
        self.kube.run("patch", "raycluster", self.name, "--type=json", "-p", json.dumps(patch))

    def kill(self, *pods: str) -> None:
        """Pods are gone at once, as with their machine."""
        self.kube.run("delete", "pod", *pods, "--grace-period=0", "--force", "--wait=false")

    def kill_operator(self) -> None:
        """Its Deployment makes another."""
        self.kill(*names(self.kube.list("pods", "cluster.ray.io/component=operator")))
