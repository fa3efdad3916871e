"""The Helm chart as tests use it: what a release would consist of."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from .prerequisites import ROOT

CHART = ROOT / "charts/ray"
RELEASE = "example-cluster"


def helm(environment: Mapping[str, str], *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm, whatever comes of it."""
    return subprocess.run(
        ["helm", *arguments], env=dict(environment), input=stdin, capture_output=True, text=True, check=False
    )


def settings(*assignments: str) -> list[str]:
    """Values as helm's options."""
    return [word for assignment in assignments for word in ("--set", assignment)]


def render(
    environment: Mapping[str, str],
    namespace: str,
    *assignments: str,
    values: Mapping[str, Any] | None = None,
    tests: bool = False,
) -> list[dict[str, Any]]:
    """The objects of a release called example-cluster, with its test pods if ``tests``.

    Raises:
        AssertionError: helm refused.
    """
    more = ["-f", "-"] if values is not None else []
    command = ["template", RELEASE, str(CHART), "-n", namespace, *settings(*assignments), *more]
    done = helm(environment, *command, *([] if tests else ["--skip-tests"]), stdin=yaml.safe_dump(values or {}))
    assert done.returncode == 0, done.stderr
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def one(objects: Sequence[Mapping[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The only object of a kind, or of a kind and name."""
    (found,) = (o for o in objects if o["kind"] == kind and name in ("", o["metadata"]["name"]))
    return dict(found)


def pod_type(objects: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """A pod type of the release's RayCluster."""
    (found,) = (t for t in one(objects, "RayCluster")["spec"]["podTypes"] if t["name"] == name)
    return dict(found)


def pod_spec(objects: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The spec of the pods of a type."""
    return dict(pod_type(objects, name)["podConfig"]["spec"])
