"""Ray's messages are found in the installed Ray, without running it and without being in its way."""

from __future__ import annotations

import subprocess
import sys

import pytest

OURS = "from autoscaler.gcs.protos import autoscaler_pb2 as ours"
THEIRS = "from ray.core.generated import autoscaler_pb2 as theirs"
SAME = "assert ours.NodeState is theirs.NodeState and ours.DESCRIPTOR is theirs.DESCRIPTOR"


def run(*lines: str) -> None:
    """In an interpreter of its own, which has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ray_itself_is_not_run() -> None:
    run(OURS, "import sys", "assert not [m for m in sys.modules if m == 'ray' or m.startswith('ray.')]")


def test_what_loads_is_rays_own_file() -> None:
    run(OURS, "from pathlib import Path", "assert Path(ours.__file__).parts[-4:-1] == ('ray', 'core', 'generated')")


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours first", "theirs first"])
def test_messages_are_registered_once_whoever_comes_first(order: tuple[str, str]) -> None:
    run(*order, SAME, "from ray.autoscaler.v2.schema import NodeStatus", "ours.NodeState(node_id=b'x')")


def test_without_ray_the_reason_is_said() -> None:
    hide = (
        "import importlib.util, sys",
        "find = importlib.util.find_spec",
        "importlib.util.find_spec = lambda name, *a: None if name == 'ray' else find(name, *a)",
    )
    attempt = (
        "try:",
        f"    {OURS}",
        "except ImportError as error:",
        "    assert 'ray' in str(error)",
        "else:",
        "    sys.exit(1)",
    )
    run(*hide, *attempt)
