"""What the documentation tells people to type and to apply: the API server, Helm and the programs take all of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, helm
from tests.support.kube import Kube
from tests.support.prerequisites import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    language: str
    text: str


def blocks(language: str) -> list[Block]:
    """All blocks in a language."""
    fence = re.compile(rf"```{language}[^\n]*\n(.*?)```", re.S)
    return [Block(p.name, language, text) for p in PAGES for text in fence.findall(p.read_text())]


def documents() -> list[tuple[str, dict[str, Any]]]:
    """Each YAML document of each page: manifests, and values of the chart."""
    found = [(b.page, d) for b in blocks("yaml") for d in yaml.safe_load_all(b.text)]
    return [(page, document) for page, document in found if page != "configuration.md"]


# Kinds that an API server has only with something else installed.
FOREIGN = ("snapshot.storage.k8s.io/v1",)
MANIFESTS = [(page, d) for page, d in documents() if "kind" in d and d["apiVersion"] not in FOREIGN]
# Parts of a RayCluster.
SPECS = [(page, d["spec"]) for page, d in documents() if "kind" not in d and "spec" in d]
# Values of the chart. A list of pod types is a part of a RayCluster.
VALUES = [
    (page, d) for page, d in documents() if not d.keys() & {"kind", "spec"} and not isinstance(d.get("podTypes"), list)
]


@pytest.mark.parametrize(("page", "manifest"), MANIFESTS, ids=lambda v: v if isinstance(v, str) else v["kind"])
def test_the_api_server_takes_every_manifest(kube: Kube, page: str, manifest: dict[str, Any]) -> None:
    """And ray-operator validate finds nothing wrong with the RayClusters among them."""
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "namespace"}
    text = json.dumps({**manifest, "metadata": metadata})
    kube.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    if manifest["kind"] == "RayCluster":
        command = ["ray-operator", "validate", "-"]
        done = subprocess.run(
            command, env=dict(kube.environment), input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("page", "spec"), SPECS, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_the_api_server_takes_each_part_of_a_spec(
    kube: Kube, example: dict[str, Any], page: str, spec: dict[str, Any]
) -> None:
    """In the example, which has no such part."""
    text = json.dumps({**example, "spec": {**example["spec"], **spec}})
    kube.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


@pytest.mark.parametrize(("page", "values"), VALUES, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_the_chart_and_the_api_server_take_all_values(kube: Kube, page: str, values: dict[str, Any]) -> None:
    """A release with them could be installed."""
    done = helm(
        kube.environment, "template", "x", str(CHART), "-n", kube.namespace, "-f", "-", stdin=yaml.safe_dump(values)
    )
    assert done.returncode == 0, done.stderr
    objects = [
        o for o in yaml.safe_load_all(done.stdout) if o and o["kind"] in ("RayCluster", "NetworkPolicy", "Service")
    ]
    for obj in objects:
        place = obj["metadata"]["namespace"]
        Kube(kube.environment, place).run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(obj))


def commands() -> Iterator[tuple[str, str]]:
    """Each command line of the blocks that are not run as they are, without comments and what is set before it."""
    for block in blocks("shell"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = re.sub(r"\s+#.*", "", line).strip()
            if words and not words.startswith(("#", "export ")):
                yield block.page, words


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())), ids=lambda v: v.replace("/", " ")[:70])
def test_every_command_could_be_typed(environment: Mapping[str, str], page: str, command: str) -> None:
    """The program knows the command and its flags, the files are there, and Helm renders what it would install."""
    words = shlex.split(command.partition(" | ")[0])
    files = [w for w in words if "/" in w and w.split("/")[0] in ("manifests", "charts", "scripts", "docs", "tests")]
    assert [f for f in files if not (ROOT / f).exists() and not set(f) & set("$")] == []
    check = {"helm": helm_takes, "kubectl": kubectl_takes, "make": make_takes, "ray-operator": has_help}.get(words[0])
    if check:
        check(environment, words)
    else:
        # The tests of a release run skopeo so.
        assert words[0] in ("ray", "python", "source", "skopeo") or words[0].startswith("scripts/"), words[0]


def helm_takes(environment: Mapping[str, str], words: list[str]) -> None:
    """What is installed or upgraded can be rendered; other commands exist."""
    if {"install", "upgrade"} & set(words):
        dropped = ("--install", "--create-namespace", "--reset-then-reuse-values")
        # A release's chart is the one of this checkout.
        words = [re.sub(r"^dist/\S+\.tgz$", str(CHART), w) for w in words if w not in dropped]
        words = ["template" if w in ("install", "upgrade") else w for w in words]
        done = helm(environment, *words[1:])
    else:
        verb = next(w for n, w in enumerate(words[1:]) if w[0] != "-" and words[n] not in ("-n", "--namespace"))
        done = helm(environment, verb, "--help")
    assert done.returncode == 0, done.stderr


def kubectl_takes(environment: Mapping[str, str], words: list[str]) -> None:
    """kubectl has the command, and each of its flags."""
    verb = next(w for n, w in enumerate(words[1:]) if w[0] != "-" and words[n] not in ("-n", "--namespace"))
    below = {"auth": 1, "create": 1, "rollout": 1, "set": 1}.get(verb, 0) + ("secret" in words)
    more = words[words.index(verb) + 1 :][:below]
    texts = [
        _help(environment, "kubectl", verb, *[m for m in more if m[0] != "-"]),
        _help(environment, "kubectl", "options"),
    ]
    for word in words[1:]:
        flag = word.partition("=")[0]
        if re.fullmatch(r"--?[a-zA-Z][-a-z]*", flag):
            assert any(re.search(rf"(^|\s){re.escape(flag)}(,|=|\s)", text) for text in texts), flag


def make_takes(environment: Mapping[str, str], words: list[str]) -> None:
    """The Makefile has the targets."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {w for w in words[1:] if "=" not in w and w != "#"} <= targets


def has_help(environment: Mapping[str, str], words: list[str]) -> None:
    """ray-operator has the command, and each of its flags."""
    verb = [w for w in words[1:2] if w[0] != "-"]
    text = _help(environment, "ray-operator", *verb)
    assert [w for w in words if w.startswith("-") and w != "-" and w.partition("=")[0] not in text] == []


def _help(environment: Mapping[str, str], *command: str) -> str:
    """What --help prints.

    Raises:
        AssertionError: there is no such command.
    """
    words = [*command] if command[-1] == "options" else [*command, "--help"]
    done = subprocess.run(words, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pages_are_where_this_test_looks() -> None:
    """There is something to check."""
    assert len(MANIFESTS) >= 3 and len(VALUES) >= 8 and len(set(commands())) >= 40
