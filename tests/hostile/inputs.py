"""What somebody can do who may create RayClusters and pods in one namespace, or who reaches the operator's port."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.support.apiserver import JSON_PATCH, MERGE

from .heads import dripping_heads, endless_answers, large_answers, others_heads, silent_heads
from .place import NAMESPACE, PODS, RAYCLUSTERS, Place, cluster


def container(made: dict[str, Any]) -> dict[str, Any]:
    """Ray's, of the workers."""
    found: dict[str, Any] = made["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]
    return found


def long_text(place: Place) -> None:
    """RayClusters of 1.3 MB, as large as etcd takes them."""
    for number in range(40):
        made = cluster(f"long-{number}")
        container(made)["args"] = ["-c", "true; " * 210_000]
        place.make(made)


def many_variables(place: Place) -> None:
    """The same of many parts."""
    for number in range(40):
        made = cluster(f"wide-{number}")
        container(made)["env"] = [{"name": f"X{n}", "value": "x" * 1_000} for n in range(1_250)]
        place.make(made)


def too_many_values(place: Place) -> None:
    """A megabyte of the smallest values."""
    for number in range(30):
        made = cluster(f"many-{number}")
        made["spec"]["podTypes"][1]["podConfig"]["metadata"] = {"annotations": {}, "x": [0] * 400_000}
        place.make(made)


def deep(place: Place) -> None:
    """Four times deeper than is read."""
    for number in range(30):
        made = cluster(f"deep-{number}")
        value: dict[str, Any] = {}
        for _ in range(400):
            value = {"a": value}
        made["spec"]["podTypes"][1]["podConfig"]["spec"]["x"] = value
        place.make(made)


def slow_texts(place: Place) -> None:
    """Texts that make bad regular expressions search for ever."""
    for number in range(20):
        made = cluster(f"text-{number}", startRayCommands=["ray start " + "--block " * 8_000 + "!"] * 8)
        container(made)["resources"] = {"requests": {"cpu": "1" * 60 + "x", "memory": "9" * 40_000}}
        container(made)["command"] = ["ray stop " * 9_000, "((((" * 9_000, "'\"" * 9_000 + "$(" * 9_000]
        place.make(made)


def always_new(place: Place) -> None:
    """Specs that change all the time, and pods that are out of date with each of them."""
    for number in range(5):
        place.make(cluster(f"new-{number}", minWorkers=5))
    env = "/spec/podTypes/1/podConfig/spec/containers/0/env"

    def change(number: int) -> None:
        patch = [{"op": "add", "path": env, "value": [{"name": "N", "value": str(number)}]}]
        place.server.ask("PATCH", f"{RAYCLUSTERS}/new-{number % 5}", patch, JSON_PATCH)

    place.again(change)


def enormous(place: Place) -> None:
    """A hundred thousand workers, where a quota takes a few hundred."""
    spec = {"hard": {"pods": "300"}}
    place.server.ask(
        "POST", f"/api/v1/namespaces/{NAMESPACE}/resourcequotas", {"metadata": {"name": "some"}, "spec": spec}
    )
    for number in range(5):
        place.make(cluster(f"huge-{number}", most=100_000, minWorkers=100_000))
    place.until.wait()
    place.server.ask("DELETE", f"/api/v1/namespaces/{NAMESPACE}/resourcequotas/some")


def many_wrong(place: Place) -> None:
    """Hundreds of RayClusters of which none is right."""
    for number in range(400):
        made = cluster(f"wrong-{number}")
        made["spec"]["headPodType"] = f"no such type {number}"
        place.make(made)


def come_and_go(place: Place) -> None:
    """RayClusters that are deleted as soon as they are there."""

    def both(number: int) -> None:
        place.make(cluster(f"brief-{number}", minWorkers=3))
        place.server.ask("DELETE", f"{RAYCLUSTERS}/brief-{number}")

    place.again(both)


def pod(name: str, of: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod that looks like a worker."""
    labels = {
        "ray-cluster-name": of,
        "cluster.ray.io/name": of,
        "ray-node-type": "worker",
        "ray-user-node-type": "worker",
    }
    spec = {"schedulerName": "none", "containers": [{"name": "ray-node", "image": "none"}]}
    return {"metadata": {"name": name, "labels": labels, "annotations": annotations or {}}, "spec": spec}


def pretenders(place: Place) -> None:
    """Hundreds of pods with the labels of a cluster that did not make them."""
    place.make(cluster("mine", minWorkers=2))
    for number in range(500):
        place.server.ask("POST", PODS, pod(f"pretender-{number}", "mine"))


def heavy_pods(place: Place) -> None:
    """Pods of 250 KB of annotations that change all the time."""
    place.make(cluster("mine", minWorkers=2))
    for number in range(40):
        place.server.ask("POST", PODS, pod(f"heavy-{number}", "mine", {f"a{n}": "x" * 1_000 for n in range(240)}))

    def change(number: int) -> None:
        patch = {"metadata": {"annotations": {"a0": str(number)}}}
        place.server.ask("PATCH", f"{PODS}/heavy-{number % 40}", patch, MERGE)

    place.again(change)


def failing_pods(place: Place) -> None:
    """Workers that fail at once, with a long word about it, whenever they are made."""
    for number in range(10):
        place.make(cluster(f"fails-{number}", minWorkers=10))
    message = "\x1b[31m" + "secret=" * 4_000

    def fail(_: int) -> None:
        for each in place.server.ask("GET", PODS)["items"]:
            if each["status"].get("phase") == "Pending":
                status = {"phase": "Failed", "message": message, "reason": "Evicted"}
                with suppress(AssertionError):
                    place.server.ask("PATCH", f"{PODS}/{each['metadata']['name']}/status", {"status": status}, MERGE)

    place.again(fail, every=0.5)


def slow_clients(place: Place) -> None:
    """Hundreds of clients at the operator's port that are silent, or send a byte a second."""
    clients: list[socket.socket] = []

    def knock(number: int) -> None:
        if len(clients) >= 300:
            clients.pop(0).close()
        with suppress(OSError):
            clients.append(socket.create_connection(("127.0.0.1", place.port), timeout=1))
        for each in clients[number % 5 :: 5] if number % 10 else ():
            with suppress(OSError):
                each.send(b"G")

    place.again(knock)
    for each in clients:
        each.close()


INPUTS: dict[str, Callable[[Place], None]] = {
    str(act.__doc__): act
    for act in (
        long_text,
        many_variables,
        too_many_values,
        deep,
        slow_texts,
        always_new,
        enormous,
        many_wrong,
        come_and_go,
        pretenders,
        heavy_pods,
        failing_pods,
        large_answers,
        endless_answers,
        silent_heads,
        dripping_heads,
        others_heads,
        slow_clients,
    )
}
