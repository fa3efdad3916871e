from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import control_plane

# One process runs all of them, one after the other.
GROUP = pytest.mark.xdist_group("cluster_wide")


@pytest.fixture(scope="session")
def environment(run_name: str) -> Mapping[str, str]:
    """A control plane that no other tests use."""
    return control_plane.start(run_name, "wide")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder change what namespaces share, so none of them runs beside another."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(GROUP)
