"""A Ray Data job: images that are made up are shrunk in batches, on as many workers as the work is worth.

Runs on the cluster, as a submitted job:

    ray job submit --address http://127.0.0.1:8265 --working-dir manifests/example_scripts -- python data_job.py
"""

import os
import time
from collections import Counter

import numpy as np
import ray

IMAGES = int(os.environ.get("IMAGES", "2000"))
BATCH = 50
SIDE = 64
CPUS = float(os.environ.get("BATCH_CPUS", "1"))
SECONDS = float(os.environ.get("BATCH_SECONDS", "1"))


def shrink(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Halve each image of a batch, and say where that was done. The pause stands for a model."""
    time.sleep(SECONDS)
    small = batch["data"].reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
    node = ray.get_runtime_context().get_node_id()
    return {"mean": small.mean(axis=(1, 2)), "node": np.full(len(small), node)}


def main() -> None:
    """Shrink all of them, and count which nodes did it."""
    ray.init()
    images = ray.data.range_tensor(IMAGES, shape=(SIDE, SIDE), override_num_blocks=max(1, IMAGES // BATCH))
    rows = images.map_batches(shrink, batch_size=BATCH, num_cpus=CPUS).take_all()
    nodes = Counter(row["node"] for row in rows)
    print(f"{len(rows)} images on {len(nodes)} nodes: {sorted(nodes.values(), reverse=True)}", flush=True)
    print("Success!", flush=True)


if __name__ == "__main__":
    main()
