"""What a work queue hands out."""

from __future__ import annotations

from controller.kube.workqueue import WorkQueue


def drain(queue: WorkQueue[str]) -> list[str]:
    """Everything that can be taken now. A stopper key goes round until nothing comes between, so nothing blocks."""
    taken: list[str] = []
    for _ in range(2):
        queue.add("stop")
        while (key := queue.take()) != "stop":
            assert key is not None
            taken.append(key)
            queue.done(key)
        queue.done("stop")
    return taken
