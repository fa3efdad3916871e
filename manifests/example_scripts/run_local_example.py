"""A small Ray program: waits for three Ray nodes, then moves objects between them.

Usage: run_local_example.py [ADDRESS]

ADDRESS is where Ray Client connects; the default suits a port that was forwarded to this machine with
``kubectl -n ray port-forward service/example-cluster-ray-head 10001:10001``.
"""

import platform
import sys
import time
from collections import Counter

import ray

LOCAL_PORT = 10001
NODES = 3
TRIES = 5


@ray.remote
def visit(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Append the name of the host this runs on."""
    time.sleep(0.01)
    return (*hosts, platform.node())


def joined_nodes() -> int:
    """The number of Ray nodes. The head has a second resource of this kind, ``node:__internal_head__``."""
    resources = ray.cluster_resources()
    return sum(1 for name in resources if name.startswith("node:") and name != "node:__internal_head__")


def wait_for_nodes(expected: int) -> None:
    """Return once that many nodes have joined."""
    while (joined := joined_nodes()) < expected:
        print(f"{joined} nodes have joined so far, waiting for {expected - joined} more.", flush=True)
        time.sleep(1)


def connect(address: str) -> None:
    """Connect; now and then Ray fails to start the server of a client, and starts it when asked once more."""
    for attempt in range(1, TRIES + 1):
        try:
            ray.init(address)
            return
        except ConnectionError:
            if attempt == TRIES:
                raise
            time.sleep(1)


def main() -> None:
    """Wait for the cluster, then pass objects from task to task and count which hosts handled them."""
    wait_for_nodes(NODES)
    for iteration in range(10):
        print(f"Iteration {iteration}", flush=True)
        visited = [visit.remote(visit.remote(())) for _ in range(100)]
        print(Counter(ray.get(visited)), flush=True)
    print("Success!", flush=True)


if __name__ == "__main__":
    connect(sys.argv[1] if len(sys.argv) > 1 else f"ray://127.0.0.1:{LOCAL_PORT}")
    main()
