"""Names of images that the API server takes and no node does: its pods would wait with InvalidImageName."""

from __future__ import annotations

import pytest

from controller.cli.pod_rules import pod_problems

DIGEST = "sha256:" + "a" * 64


def said_of(image: str) -> list[str]:
    config = {"spec": {"containers": [{"name": "ray-node", "image": image}]}}
    return [f"{p.path} {p.message}" for p in pod_problems("podConfig", config)]


@pytest.mark.parametrize(
    "image",
    [
        "ray",
        "rayproject/ray:2.60.0-py311-gpu",
        "localhost/ray",
        "localhost:5000/a/b:V1_2.3-4",
        f"registry.example.com/p/ray@{DIGEST}",
        f"registry.example.com/p/ray:1@{DIGEST}",
        "Registry/ray",
        "[fd00::1]:5000/ray",
        "a__b/c--d.e",
        "my_registry.example.com/ray:1",
        f"registry.example.com/{'x' * 255}",
        f"{'a' * 64}:1",
    ],
)
def test_names_that_nodes_take_are_well(image: str) -> None:
    assert said_of(image) == []


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        ("rayproject/Ray:2.60", "write it in lower case"),
        ("ray:", "write NAME:TAG"),
        ("ray:2.60:1", "write NAME:TAG"),
        ("ray:-x", "write NAME:TAG"),
        (f"ray:{'x' * 129}", "write NAME:TAG"),
        ("ray@sha256:abc", "NAME@sha256:DIGEST"),
        ("ray :2", "write [REGISTRY/]NAME[:TAG]"),
        ("a//b", "write [REGISTRY/]NAME[:TAG]"),
        ("$(IMAGE)", "write [REGISTRY/]NAME[:TAG]"),
        ("https://registry.example.com/ray", "write host or host:port before the first '/'"),
        ("registry.example.com:port/ray", "write host or host:port before the first '/'"),
        (f"ray/{'x' * 255}", "use a shorter one"),
        ("x" * 248, "use a shorter one"),
        ("a" * 64, "write NAME@sha256:DIGEST"),
        (f"ray@sha256:{'A' * 64}", "NAME@sha256:DIGEST"),
        (f"ray@sha1:{'a' * 40}", "NAME@sha256:DIGEST"),
        (" ray", "begins or ends with a blank"),
    ],
)
def test_of_a_name_that_no_node_takes_the_remedy_is_said(image: str, remedy: str) -> None:
    (said,) = said_of(image)
    assert said.startswith(f'podConfig.spec.containers[0].image "{image[:40]}') and remedy in said


def test_a_volume_made_of_an_image_is_looked_at_as_well() -> None:
    config = {"spec": {"volumes": [{"name": "model", "image": {"reference": "Models/Llama:1 "}}], "containers": []}}
    assert [p.path for p in pod_problems("podConfig", config)] == ["podConfig.spec.volumes[0].image.reference"]
