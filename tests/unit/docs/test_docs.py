"""The documentation: it builds as a site, its links lead somewhere, and what it says exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import chart_readme
import docs_site
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "docs").glob("*.md"))
# Pages with commands that a test runs, output and all, and where it does.
EXECUTED = {
    "deploying-on-kubernetes.md": "tests/e2e/test_guide.py",
    "when-a-raycluster-is-wrong.md": "tests/integration/test_malformed.py",
    "autoscaling.md": "tests/unit/cli/test_simulate.py",
    "spot.md": "tests/unit/cli/test_simulate.py",
    "gpus-by-type.md": "tests/unit/cli/test_simulate.py",
    "tpu-slices.md": "tests/unit/cli/test_simulate.py",
    "gang-scheduling.md": "tests/unit/cli/test_simulate.py",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_the_site_builds_and_every_link_in_it_leads_somewhere(site: Path) -> None:
    """Strictly: to pages, to headings, to files of the checkout."""
    assert {p.with_suffix(".html").name for p in PAGES} <= {p.name for p in site.glob("*.html")}
    linked = {path for page in PAGES for path in docs_site.linked(page.read_text())} - docs_site.PAGES.keys()
    assert linked and all((site / "files" / f"{path}.txt").exists() for path in linked)


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """It can be read without a network."""
    for page in site.glob("*.html"):
        loaded = re.findall(r"<(?:script|img|link)[^>]*?(?:src|href)=\"?(https?:[^\" >]+)", page.read_text())
        assert loaded == [], page.name


def test_every_page_can_be_found_from_the_navigation() -> None:
    """No page is left out."""
    settings = (ROOT / "mkdocs.yml").read_text()
    assert [p.name for p in PAGES if f"- {p.name}" not in settings] == []


def test_links_of_the_readme_lead_somewhere() -> None:
    """It is read where the site is not."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_the_reference_says_what_crd_chart_and_flags_say() -> None:
    """`make reference` would change nothing."""
    command = [sys.executable, str(ROOT / "scripts/render-reference"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_value_of_the_chart_has_a_comment() -> None:
    """In values.yaml, and so in the table of the chart's README."""
    found = re.findall(r"^\| `(\S+)` \| .* \| (.*) \|$", chart_readme.readme(), re.M)
    assert len(found) > 60 and [path for path, text in found if not text] == []


def test_every_field_of_the_schema_is_told_of() -> None:
    """A field without a description is a field that nobody can use."""
    fields = (ROOT / "docs/configuration.md").read_text().partition("### Rules between fields")[0]
    told = {
        heading: [line for line in lines.splitlines() if line and not line.startswith("*")]
        for heading, lines in re.findall(r"^#### `(\S+)` .*?\n(.*?)(?=^#|\Z)", fields, re.M | re.S)
    }
    assert len(told) > 40 and [h for h, lines in told.items() if not lines and "podConfig.metadata" not in h] == []


def messages() -> list[str]:
    """The messages that the troubleshooting page has in its tables, where they are the operator's own."""
    text = (ROOT / "docs/troubleshooting.md").read_text().partition("## By what Kubernetes says")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [m for row in rows for m in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


@pytest.mark.parametrize("message", messages())
def test_the_messages_in_troubleshooting_are_the_operators(message: str) -> None:
    """Word by word, but for what an ellipsis stands for."""
    files = sorted(p for p in (ROOT / "controller").rglob("*") if p.suffix in (".py", ".sh"))
    source = "".join(p.read_text() for p in files)
    # The API server's words about rights are those that tests/integration/test_rights.py has seen.
    source += 'cannot list resource cannot watch resource "Unschedulable"'
    for part in re.split(r"…", message):
        assert part.strip() in source, part


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_with_outputs_are_run_by_a_test(page: Path) -> None:
    """Whoever shows an output says where it was seen."""
    if "\n```console" in page.read_text():
        assert page.name in EXECUTED, "no test runs the commands of this page"
        assert (ROOT / EXECUTED[page.name]).exists()


def test_there_is_no_yaml_in_the_docs_that_is_none() -> None:
    """Each block parses; tests/integration/test_docs.py has the API server and Helm look at them."""
    for page in PAGES:
        for block in re.findall(r"```yaml[^\n]*\n(.*?)```", page.read_text(), re.S):
            assert all(isinstance(document, dict) for document in yaml.safe_load_all(block)), page.name


@pytest.mark.parametrize("name", ["CHANGELOG.md", "CONTRIBUTING.md"])
def test_changelog_and_contributing_can_be_found(site: Path, name: str) -> None:
    """From the README and from the site's navigation, where they are pages with links that lead to pages."""
    assert f"]({name})" in (ROOT / "README.md").read_text()
    page = f"{name.lower().removesuffix('.md')}.html"
    assert f'href="{page}"' in (site / "index.html").read_text()
    links = re.findall(r'<a href="(?!https?:|#)([^"#]+)', (site / page).read_text())
    assert links and [link for link in links if not (site / link).exists()] == []


def test_the_upgrade_begins_with_what_changed() -> None:
    assert "1. Read [what changed](../CHANGELOG.md)." in (ROOT / "docs/upgrades.md").read_text()


def test_the_site_has_a_logo_of_its_own(site: Path) -> None:
    text = (site / "index.html").read_text()
    assert re.findall(r'<link rel="icon" href="([^"]+)"', text) == ["images/logo.svg"]
    assert '<img src="images/logo.svg" alt="logo">' in text and (site / "images/logo.svg").exists()
