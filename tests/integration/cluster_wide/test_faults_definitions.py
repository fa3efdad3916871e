"""The CustomResourceDefinition goes while the operator runs."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.kube import eventually
from tests.support.prerequisites import ROOT
from tests.support.stage import NAME, Stage, made, up


@pytest.fixture
def stage(environment: Mapping[str, str], tmp_path: Path) -> Stage:
    return Stage(environment, tmp_path)


def test_a_definition_that_is_deleted_takes_its_clusters_along_and_may_come_back(
    environment: Mapping[str, str], stage: Stage, example: dict[str, Any]
) -> None:
    """Nothing hangs, nothing is made for clusters that are gone, and new ones run as before."""

    def kubectl(*arguments: str) -> None:
        subprocess.run(["kubectl", *arguments], env=dict(environment), check=True, capture_output=True, timeout=180)

    definition = str(ROOT / "charts/ray/crds")
    with stage:
        up(stage, example)
        # The garbage collector learns of new kinds every half minute; it would never hear of one that went before.
        stage.space.delete("rayclusters", NAME)
        eventually(lambda: not stage.space.snapshot(), within=120)
        stage.space.make(copy.deepcopy(example))
        eventually(lambda: stage.space.settled(NAME, 2))
        try:
            kubectl("delete", "-f", definition)
            eventually(lambda: not stage.space.pods())
            assert stage.proxy.changes() == made(3) + made(3)
        finally:
            kubectl("apply", "-f", definition)
            kubectl("wait", "--for=condition=Established", "crd/rayclusters.cluster.ray.io", "--timeout=30s")
        eventually(lambda: stage.space.make(copy.deepcopy(example)))
        eventually(lambda: stage.space.settled(NAME, 2))
        assert "Traceback" not in stage.operator.log()
