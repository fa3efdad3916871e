"""Heads that mean harm, each in the pod of a cluster that somebody may make."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import grpc

from autoscaler.gcs.client import SERVICE
from tests.support import hostile_answers
from tests.support.apiserver import MERGE
from tests.support.endless_head import EndlessHead
from tests.support.kube import running
from tests.support.ray_pods import PORT

from .place import PODS, Place, cluster

HEADS = 10


def run_heads(place: Place, addresses: list[str]) -> None:
    """As many clusters as there are addresses; each head's pod has one of them."""
    for number in range(len(addresses)):
        place.make(cluster(f"head-{number}"))

    def begin(_: int) -> None:
        for each in place.server.ask("GET", f"{PODS}?labelSelector=ray-node-type=head")["items"]:
            number = int(each["metadata"]["labels"]["ray-cluster-name"].rpartition("-")[2])
            if each["status"].get("phase") == "Pending":
                status = {"status": running(addresses[number])}
                place.server.ask("PATCH", f"{PODS}/{each['metadata']['name']}/status", status, MERGE)

    place.again(begin, every=0.5)


def free_addresses() -> list[str]:
    """Addresses of this machine that nobody else uses."""
    return [f"127.77.{random.randint(1, 254)}.{number + 1}" for number in range(HEADS)]


def large_answers(place: Place) -> None:
    """Heads whose answers are as large as they may be, each in another way."""
    answers = [make() for make in hostile_answers.STATES.values()]
    addresses = free_addresses()
    with ExitStack() as heads:
        for address, first in zip(addresses, itertools.count()):
            turns = itertools.cycle(answers[first % len(answers) :] + answers)
            heads.enter_context(answering(address, turns))
        run_heads(place, addresses)


@contextmanager
def answering(address: str, answers: Iterator[bytes]) -> Iterator[None]:
    """A head that answers one after the other."""

    def answer(_request: bytes, _context: Any) -> bytes:
        return next(answers)

    server = grpc.server(ThreadPoolExecutor(1), options=(("grpc.max_send_message_length", -1),))
    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"GetClusterResourceState": handler}),)
    )
    server.add_insecure_port(f"{address}:{PORT}")
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()


def endless_answers(place: Place) -> None:
    """Heads that never stop answering."""
    addresses = free_addresses()
    head = EndlessHead([f"{address}:{PORT}" for address in addresses])
    try:
        run_heads(place, addresses)
    finally:
        head.close()


def silent_heads(place: Place) -> None:
    """Heads that take a connection and say nothing."""
    with listening(free_addresses(), lambda _connection: None) as addresses:
        run_heads(place, addresses)


def dripping_heads(place: Place) -> None:
    """Heads that send a byte now and then, which may become an answer some day."""

    def drip(connection: socket.socket) -> None:
        # The beginning of HTTP/2: empty SETTINGS, then the header of a frame that never comes to its end.
        data = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) + bytes([0, 64, 0, 0, 0, 0, 0, 0, 1]) + bytes(16_384)
        for byte in data:
            if place.until.wait(0.1):
                return
            connection.send(bytes([byte]))

    with listening(free_addresses(), drip) as addresses:
        run_heads(place, addresses)


@contextmanager
def listening(addresses: list[str], act: Callable[[socket.socket], None]) -> Iterator[list[str]]:
    """Sockets that accept whoever comes, and what is done with each connection."""
    kept: list[socket.socket] = []

    def each(connection: socket.socket) -> None:
        with suppress(OSError):
            act(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                kept.append(connection)
                threading.Thread(target=each, args=(connection,), daemon=True).start()

    for address in addresses:
        kept.append(socket.create_server((address, PORT)))
        threading.Thread(target=accept, args=(kept[-1],), daemon=True).start()
    try:
        yield addresses
    finally:
        for one in kept:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def others_heads(place: Place) -> None:
    """Heads whose pods say that they have the addresses of other clusters' heads."""
    found: list[str] = []
    for number in range(4):
        path = f"/api/v1/namespaces/neighbours-{number}/pods?labelSelector=ray-node-type=head"
        found += [each["status"]["podIP"] for each in place.server.ask("GET", path)["items"]]
    run_heads(place, found[:HEADS])
