"""The commands of docs/ci-jobs.md for a cluster of each run, against a real API server."""

from __future__ import annotations

import re
import subprocess

from tests.support.kube import Kube
from tests.support.prerequisites import ROOT


def commands() -> str:
    """The page's shell program, in one."""
    page = (ROOT / "docs/ci-jobs.md").read_text().partition("\n## A cluster for each run\n")[2].partition("\n## ")[0]
    return "".join(re.findall(r"```shell\n(.*?)```", page, re.S))


def typed(kube: Kube, program: str) -> None:
    """Run in the test's namespace, and stop at the first command that fails."""
    program = program.replace("-n ray ", f"-n {kube.namespace} ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program],
        env=dict(kube.environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_job_of_a_run_goes_to_the_cluster_of_that_run(kube: Kube) -> None:
    """Two runs at a time do not meet, and the end of one removes what is its own alone."""
    lines = commands().replace("\\\n", " ").splitlines()
    # Without nodes nothing becomes ready or complete.
    made = [line for line in lines if not re.search(r" (wait|logs|delete) ", line)]
    ended = [line for line in lines if line.startswith("export ") or " delete " in line]
    runs = ("run-4711", "run-4712")
    for run in runs:
        typed(kube, "\n".join(made).replace("run-4711", run))
        job = kube.get("job", run)
        (submit,) = job["spec"]["template"]["spec"]["containers"]
        (address,) = (e["value"] for e in submit["env"] if e["name"] == "RAY_ADDRESS")
        assert address == f"http://{run}-ray-head:8265"
        assert kube.get("raycluster", run)
    typed(kube, "\n".join(ended))
    for kind in ("raycluster", "job"):
        assert [o["metadata"]["name"] for o in kube.list(kind)] == [runs[1]]
