"""What helm says after an installation: what is left to do, and only where it is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.test_chart_operator import notes
from tests.support.chart import CHART

LET_IN = 'lets the operator in from the namespace "ray-system"'
RUNBOOKS = "monitoring.runbookUrl is empty, so the alerts link to a path in the source"
RULES = ("monitoring.rules=true",)
ELSEWHERE = ("clusterOnly=true", "operatorNamespace=ray-system")


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart without objects of the Prometheus operator, whose kinds the API server of the tests does not have."""
    copy = Path(shutil.copytree(CHART, tmp_path_factory.mktemp("chart") / "ray"))
    (copy / "templates/monitoring.yaml").unlink()
    return copy


@pytest.mark.parametrize(
    ("sentence", "values", "quiet"),
    [
        (LET_IN, (*ELSEWHERE, "networkPolicy.enabled=true"), ELSEWHERE),
        (LET_IN, (*ELSEWHERE, "networkPolicy.enabled=true"), ("networkPolicy.enabled=true", ELSEWHERE[1])),
        (RUNBOOKS, RULES, ()),
        (RUNBOOKS, RULES, (*RULES, "monitoring.runbookUrl=https://docs.example.com/observability.html")),
        (RUNBOOKS, RULES, (*RULES, "clusterOnly=true")),
    ],
)
def test_what_is_left_to_do_is_said_where_it_is_so(
    environment: Mapping[str, str], chart: Path, sentence: str, values: tuple[str, ...], quiet: tuple[str, ...]
) -> None:
    assert sentence in notes(environment, *values, chart=chart)
    assert sentence not in notes(environment, *quiet, chart=chart)


def test_the_next_installation_is_from_the_same_chart_wherever_that_is(environment: Mapping[str, str]) -> None:
    """A folder, a .tgz or a registry: a template does not know."""
    said = notes(environment, "operatorOnly=true")
    assert "install example-cluster --create-namespace CHART --set clusterOnly=true" in said
    assert "CHART is what this release was installed from" in said
    assert "./charts/ray" not in said and "CHART" not in notes(environment)
