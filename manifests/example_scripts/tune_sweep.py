"""A Ray Tune sweep: twelve trials, two CPUs each, as many at a time as the cluster can come to hold.

Runs on the cluster, as a submitted job:

    ray job submit --address http://127.0.0.1:8265 --working-dir manifests/example_scripts -- python tune_sweep.py

Each trial reports its loss again and again; bad ones are stopped early, and their workers take the next ones.
"""

import os
import time
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

TRIALS = 12
STEPS = 8
CPUS = float(os.environ.get("TRIAL_CPUS", "2"))
SECONDS = float(os.environ.get("STEP_SECONDS", "1"))


def train(config: dict[str, Any]) -> None:
    """A stand-in for training: the loss falls faster with a learning rate near 0.1."""
    loss = 1.0
    for _ in range(STEPS):
        time.sleep(SECONDS)
        loss *= 0.5 + min(0.5, abs(config["learning_rate"] - 0.1))
        tune.report({"loss": loss})


def main() -> None:
    """Run the sweep, and print its best trial. Metrics alone need no storage that every node can reach."""
    ray.init()
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": CPUS}),
        param_space={"learning_rate": tune.loguniform(1e-4, 1.0)},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", num_samples=TRIALS, scheduler=ASHAScheduler(max_t=STEPS), reuse_actors=True
        ),
    )
    best = tuner.fit().get_best_result()
    print(f"the best of {TRIALS} trials has the learning rate {best.config['learning_rate']:.4f}", flush=True)
    print("Success!", flush=True)


if __name__ == "__main__":
    main()
