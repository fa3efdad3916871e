"""The how-tos: their manifests are valid, and what people search for is in the pages."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from controller.cli.checks import check
from controller.cli.commands import COMMANDS
from controller.main import main

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
MANIFESTS = {
    "gang-scheduling.md": [f"manifests/gang_scheduling{end}.yaml" for end in ("", "_podgroup")],
    "ci-jobs.md": ["manifests/ci_job.yaml"],
    "serve.md": ["manifests/serve_ingress.yaml"],
    "gitops.md": [f"manifests/gitops/{name}.yaml" for name in ("argocd", "argocd-health", "flux")],
}
# What people type into a search box.
WORDS = (
    "scale down",
    "scale up",
    "high availability",
    "prerequisites",
    "pending",
    "evict",
    "gitops",
    "rollback",
    "spot",
)


def documents(path: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all((ROOT / path).read_text()) if document]


@pytest.mark.parametrize(("page", "paths"), MANIFESTS.items())
def test_a_how_to_links_its_manifests(page: str, paths: list[str]) -> None:
    text = (DOCS / page).read_text()
    assert [path for path in paths if f"](../{path})" not in text] == []


def test_the_serving_cluster_is_valid_and_renders(capsys: pytest.CaptureFixture[str]) -> None:
    path = "manifests/serve_ingress.yaml"
    (cluster,) = (d for d in documents(path) if d["kind"] == "RayCluster")
    assert check(cluster) == ()
    assert main(["render", str(ROOT / path)]) == 0
    rendered = [d["kind"] for d in yaml.safe_load_all(capsys.readouterr().out)]
    assert rendered == ["Service", "Pod", "Pod"]


def test_the_ingress_leads_to_a_port_of_the_head_service(capsys: pytest.CaptureFixture[str]) -> None:
    path = "manifests/serve_ingress.yaml"
    (ingress,) = (d for d in documents(path) if d["kind"] == "Ingress")
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert main(["render", str(ROOT / path)]) == 0
    service = next(yaml.safe_load_all(capsys.readouterr().out))
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_program_and_the_serve_config_fit_each_other() -> None:
    (config,) = (d for d in documents("manifests/serve_ingress.yaml") if d["kind"] == "ConfigMap")
    application = yaml.safe_load(config["data"]["serve.yaml"])["applications"][0]
    module, variable = application["import_path"].split(":")
    program = config["data"][f"{module}.py"]
    compile(program, module, "exec")
    assert f"\n{variable} = " in program
    assert [f"class {d['name']}:" in program for d in application["deployments"]] == [True]


@pytest.mark.parametrize("path", ["manifests/ci_job.yaml", "manifests/serve_ingress.yaml"])
def test_programs_of_jobs_are_shell_programs(path: str) -> None:
    jobs = [d for d in documents(path) if d["kind"] == "Job"]
    for job in jobs:
        program = job["spec"]["template"]["spec"]["containers"][0]["command"][2]
        done = subprocess.run(["bash", "-n", "-c", program], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert jobs


@pytest.mark.parametrize("path", ["manifests/gitops/argocd.yaml", "manifests/gitops/flux.yaml"])
def test_values_of_gitops_are_values_of_the_chart(path: str) -> None:
    schema = json.loads((ROOT / "charts/ray/values.schema.json").read_text())
    found = []
    for document in documents(path):
        spec = document["spec"]
        values = spec.get("values") or spec.get("source", {}).get("helm", {}).get("valuesObject")
        if values:
            jsonschema.validate({**yaml.safe_load((ROOT / "charts/ray/values.yaml").read_text()), **values}, schema)
            found.append(values.get("clusterOnly", False))
    assert found == [False, True]


def test_the_health_check_reads_fields_that_a_raycluster_has() -> None:
    (config,) = documents("manifests/gitops/argocd-health.yaml")
    ((key, program),) = config["data"].items()
    assert key == "resource.customizations.health.cluster.ray.io_RayCluster"
    crd = yaml.safe_load((ROOT / "charts/ray/crds/raycluster.yaml").read_text())
    status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert set(re.findall(r"\bstatus\.(\w+)", program)) <= set(status)
    for kind in re.findall(r'condition\.type == "(\w+)"', program):
        assert kind in status["conditions"]["description"]


@pytest.mark.parametrize("word", WORDS)
def test_words_that_people_search_for_are_in_the_pages(word: str) -> None:
    assert [page.name for page in DOCS.glob("*.md") if word in page.read_text().lower()]


def test_each_field_of_the_reference_can_be_linked() -> None:
    page = (DOCS / "configuration.md").read_text()
    anchors = re.findall(r"^#### .*\{ #(\S+) \}$", page, re.M)
    assert len(anchors) == len(set(anchors))
    assert {"spec.maxWorkers", "spec.podTypes.minWorkers", "status.phase", "drain-seconds"} <= set(anchors)


def section(page: str, heading: str) -> str:
    """What is under a heading of a page."""
    return (DOCS / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_secret_of_a_registry_is_made_after_its_namespace_and_used_by_what_is_installed() -> None:
    """Read from top to bottom, each command finds what it needs."""
    blocks = re.findall(r"```shell\n(.*?)```", section("cloud.md", "A private registry"), re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    namespaces: list[str] = []
    secrets: list[tuple[str, str]] = []
    installed = []
    for words in map(shlex.split, lines):
        if words[:3] == ["kubectl", "create", "namespace"]:
            namespaces += words[3:]
        elif "secret" in words:
            assert words[2] in namespaces
            secrets.append((words[2], words[words.index("docker-registry") + 1]))
        elif words[0] == "helm":
            values = dict(word.split("=", 1) for word in words if "=" in word)
            assert (words[2], values["imagePullSecrets[0].name"]) in secrets
            installed += [image for key in ("operatorImageRepository", "image") if (image := values.get(key))]
    assert len(secrets) == 2
    assert [image.partition("/")[0] for image in installed] == ["registry.example.com"] * 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_the_command_line_says_what_each_command_needs(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not in brackets has to be given, there as in the program's own help."""
    row = re.search(rf"^\| `ray-operator {command}(.*?)` \|", (DOCS / "command-line.md").read_text(), re.M)
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    usage = re.search(rf"^usage: ray-operator {command}(.*)$", capsys.readouterr().out, re.M)
    assert row and usage
    needed = [re.sub(r"\[.*?\]", "", text).replace("...", "").split() for text in (row[1], usage[1])]
    assert needed[0] == needed[1]


def test_the_architecture_names_every_command() -> None:
    (row,) = re.findall(r"^\| `controller/cli` \| (.*?) \|", (DOCS / "architecture.md").read_text(), re.M)
    assert set(re.findall(r"`(\w+)`", row)) == set(COMMANDS)
