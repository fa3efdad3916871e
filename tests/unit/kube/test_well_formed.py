"""An object whose fields are of the wrong types is set aside when it is read, not met in a pass later."""

from __future__ import annotations

from typing import Any

import pytest

from controller.kube.well_formed import well_formed
from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import RayCluster, parse_spec
from tests.support.builders import head_pod, raw_cluster, raw_pod, raw_spec, service


@pytest.mark.parametrize("good", [head_pod(parse_spec(raw_spec())), service(), PodView.from_object(raw_pod())])
def test_what_is_as_it_should_be_passes(good: PodView | ServiceView) -> None:
    assert well_formed(good) is good


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uid": ["a"]}, "uid"),
        ({"name": {"a": 1}}, "key"),
        ({"namespace": 7}, "key"),
        ({"labels": {"ray-cluster-name": ["x"]}}, "cluster"),
        ({"labels": {"ray-node-type": True}}, "kind"),
        ({"annotations": {"cluster.ray.io/head-uid": 7}}, "head_uid"),
        ({"ownerReferences": [{"controller": True, "kind": "RayCluster", "uid": []}]}, "owner_uid"),
    ],
)
def test_a_pod_with_metadata_of_the_wrong_type_is_refused_by_the_name_of_the_field(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        well_formed(PodView.from_object(raw_pod(**{"namespace": "ray", **change})))


@pytest.mark.parametrize("field", ["spec", "status"])
@pytest.mark.parametrize("value", [[1], "text", 1.5])
def test_a_raycluster_without_a_mapping_as_spec_or_status_is_refused(field: str, value: object) -> None:
    raw = {**raw_cluster(uid="u", resourceVersion="5"), field: value}
    with pytest.raises(TypeError, match=field):
        well_formed(RayCluster.from_object(raw))
