"""A pod that is written out from its type's template is the pod that would be written out as a whole."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.objects.pod import build_pod
from controller.objects.template import PodTemplate
from controller.raycluster.model import PodType, parse_spec
from tests.support.builders import cluster, pod_config, raw_spec, raw_type

CLUSTER = cluster()
NAMES = st.text(st.characters(codec="utf-8"))
TEXTS = st.dictionaries(NAMES, NAMES, max_size=4)


def pod(kind: PodType, name: str, **options: Any) -> dict[str, Any]:
    return build_pod(CLUSTER, SPEC, kind, name, **options)


SPEC = parse_spec(CLUSTER.spec)
KINDS = {"head": SPEC.head, "worker": SPEC.worker_types[0]}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another attempt": {"attempt": 3},
    "knows its head": {"head_ip": "10.0.0.1", "head_uid": "u"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS)
def test_it_is_the_same_byte_for_byte(kind: str, options: str) -> None:
    made = PodTemplate.of(pod(KINDS[kind], "", **OPTIONS[options])).named("example-worker-abcde")
    assert made == orjson.dumps(pod(KINDS[kind], "example-worker-abcde", **OPTIONS[options]))


@given(name=NAMES, labels=TEXTS, annotations=TEXTS, argument=NAMES)
def test_so_it_is_whatever_the_user_wrote(
    name: str, labels: dict[str, str], annotations: dict[str, str], argument: str
) -> None:
    """Texts that look like JSON, or like the name, among them."""
    config = pod_config()
    config["metadata"] |= {"labels": labels, "annotations": annotations, "finalizers": [argument]}
    config["spec"]["containers"][0]["env"] = [{"name": "A", "value": argument}]
    types = [raw_type("head-node"), {"name": "worker-node", "podConfig": config}]
    spec = parse_spec(raw_spec(podTypes=types))
    empty, whole = (build_pod(CLUSTER, spec, spec.worker_types[0], given) for given in ("", name))
    assert PodTemplate.of(empty).named(name) == orjson.dumps(whole)
