"""docs/gang-scheduling.md: what its templates come to is what the schedulers take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from controller.objects.gang import PodGang, build_gang_object
from controller.objects.pod import build_pod
from controller.raycluster.gang_resources import unlisted
from controller.raycluster.model import parse_spec
from controller.raycluster.validation import problems
from tests.support.builders import cluster, raw_spec

PAGE = (Path(__file__).parents[3] / "docs/gang-scheduling.md").read_text()
TEMPLATES = [yaml.safe_load(block)["gang"] for block in re.findall(r"```yaml\n(gang:.*?)```", PAGE, re.DOTALL)]
OF = PodGang("gangs-1a2b3c4d", 4)


def template(version: str) -> dict[str, Any]:
    """The one whose first object is of a version of an API."""
    (found,) = (t for t in TEMPLATES if t.get("objects", [{}])[0].get("apiVersion") == version)
    made: dict[str, Any] = found
    return made


def made_of(gang: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The object and a pod."""
    spec = parse_spec(raw_spec(gang=gang))
    assert spec.gang
    pod = build_pod(cluster(), spec, spec.worker_types[0], "w", gang=OF)
    return build_gang_object(cluster(), spec.gang.objects[0], OF), pod


@pytest.mark.parametrize("gang", TEMPLATES, ids=range(len(TEMPLATES)))
def test_each_template_is_valid_and_the_page_names_the_kind_to_list(gang: dict[str, Any]) -> None:
    assert problems("example", raw_spec(gang=gang)) == ()
    listed = re.findall(r"gangObjects=\{(\S+?)\}", PAGE)
    assert list(unlisted(gang, listed)) == []


@pytest.mark.parametrize(
    ("version", "api", "served"),
    [
        ("1.37", "scheduling.k8s.io/v1beta1", "scheduling.k8s.io/v1beta1"),
        ("1.36", "scheduling.k8s.io/v1beta1", "scheduling.k8s.io/v1alpha2"),
        ("1.35", "scheduling.k8s.io/v1alpha1", "scheduling.k8s.io/v1alpha1"),
    ],
)
def test_kubernetes_takes_its_own_templates_in_the_versions_that_the_page_names(
    version: str, api: str, served: str
) -> None:
    """Strictly: no unknown field, and numbers where it wants numbers."""
    group, pod = made_of(template(api))
    assert served in PAGE and f" {version}" in PAGE
    kubernetes_validate.validate({**group, "apiVersion": served}, version, strict=True)
    kubernetes_validate.validate(pod, version, strict=True)
    assert OF.name == group["metadata"]["name"]


@pytest.mark.parametrize(
    ("api", "place", "key"),
    [
        ("scheduling.volcano.sh/v1beta1", "annotations", "scheduling.k8s.io/group-name"),
        ("scheduling.x-k8s.io/v1alpha1", "labels", "scheduling.x-k8s.io/pod-group"),
    ],
)
def test_pods_name_the_pod_group_that_is_made_for_them(api: str, place: str, key: str) -> None:
    group, pod = made_of(template(api))
    assert pod["metadata"][place][key] == group["metadata"]["name"] == OF.name
    assert group["spec"]["minMember"] == 4
    assert pod["spec"]["schedulerName"]
