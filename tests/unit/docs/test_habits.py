"""What contributors are told is so: the version, the hooks before a commit, the paths in CONTRIBUTING.md."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
# Of other versions of this project, of other projects, or made up.
ELSEWHERE = (
    "tests/unit/localkube/",
    "tests/fixtures/",
    "tests/support/releases/",
    "scripts/binaries/",
    "CHANGELOG.md",
    "docs/decisions/",
    # A recording is of its day.
    "docs/images/demo.svg",
)
SKIPPED = {".git", ".venv", "build", "dist", "node_modules"}
VERSION = r"(\d+\.\d+\.\d+)"
# How this project's version is mentioned.
FORMS = (
    rf"ray-operator:v?{VERSION}",
    rf"ray-kubernetes-operator[-=]+{VERSION}",
    rf"ray-operator {VERSION}",
    rf"ray-operator-{VERSION}\.oci",
    rf"VERSION={VERSION}",
    rf"dist/{VERSION}",
    rf"/ray-{VERSION}\.tgz",
    rf"helm\.sh/chart: ray-{VERSION}",
    rf"app\.kubernetes\.io/version: \"?{VERSION}",
    rf"image\.version=\"{VERSION}\"",
)


def version() -> str:
    """The one source of the version."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config["metadata"]["version"]


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of each file that may mention the version."""
    for path in sorted(ROOT.rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        hidden = any(part in SKIPPED or part.endswith(("_cache", ".egg-info")) for part in path.parts)
        if path.is_file() and not hidden and not name.startswith(ELSEWHERE):
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


def test_every_mention_of_the_version_is_the_one_of_setup_cfg() -> None:
    found = {
        (name, number)
        for name, text in texts()
        for form in FORMS
        for number in re.findall(form, text)
        if number != version()
    }
    assert found == set()


def test_the_chart_has_the_version_of_setup_cfg() -> None:
    chart = yaml.safe_load((ROOT / "charts/ray/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version(), version())


def test_no_mention_of_the_version_has_a_form_that_the_check_does_not_know() -> None:
    """Tests may speak of a version of the past."""
    number = re.escape(version())
    forms = re.compile("|".join(form.replace(VERSION, number) for form in FORMS))
    mention = re.compile(rf"(?<![\w.]){number}(?![\w.]*\w)")
    known = {"setup.cfg", "charts/ray/Chart.yaml"}
    unknown = {
        name
        for name, text in texts()
        if name not in known and not name.startswith("tests/") and mention.search(forms.sub("", text))
    }
    assert unknown == set()


def test_the_hooks_before_a_commit_are_what_make_lint_runs() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    assert [hook["entry"] for hook in repository["hooks"]] == commands
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in repository["hooks"])


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/decisions/index.md"])
def test_paths_and_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    paths = re.findall(r"`((?:controller|autoscaler|tests|scripts|docs|charts)/[\w./-]+)`", text)
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert [*missing, *(link for link in links if not ((ROOT / page).parent / link).exists())] == []


def test_each_decision_is_in_the_list_and_says_when_and_on_what_evidence() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("0*.md"))
    for place in ("decisions/index.md", "architecture.md"):
        listed = re.findall(r"\((?:decisions/)?(\d{4}-[\w-]+\.md)\)", (ROOT / "docs" / place).read_text())
        assert [page.name for page in pages] == listed, place
    for page in pages:
        text = page.read_text()
        assert re.search(r"^Date: \d{4}-\d\d-\d\d\. Status: ", text, re.MULTILINE), page.name
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["Context", "Decision", "Alternatives", "Evidence"]


def test_ten_questions_have_an_answer() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Ten questions")[2]
    answers = re.findall(r"^\| .*\? \| `([\w./]+)` \|$", text, re.MULTILINE)
    assert len(answers) == 10
    assert all((ROOT / answer).exists() for answer in answers)
