"""Writes a version, and where a release is published, into the files of a commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import chart_readme

VERSION = re.compile(r"(\d+\.\d+\.\d+)(?:-rc\.(\d+))?")
# What the alerts of a release link to, below the address of the source.
RUNBOOKS = "docs/observability.md"
# The chart's icon, likewise.
ICON = "docs/images/logo.svg"


class ReleaseError(ValueError):
    """Why there is no release; the message is for people."""


@dataclass(frozen=True)
class Release:
    """``version``: as in ``1.2.3`` or ``1.2.3-rc.1``. ``image``: the operator's image without a tag.

    ``source``: the address of the repository; empty where there is none yet.
    """

    version: str
    image: str
    source: str

    def __post_init__(self) -> None:
        if not VERSION.fullmatch(self.version):
            raise ReleaseError(f"the version {self.version!r} is none; write for example 1.2.3 or 1.2.3-rc.1")

    @property
    def python_version(self) -> str:
        """As Python packages write it: ``1.2.3rc1``."""
        return VERSION.sub(lambda found: found[1] + (f"rc{found[2]}" if found[2] else ""), self.version)


def stamp(tree: Path, release: Release) -> None:
    """Change the files of a commit in ``tree``: package, image, chart, and the chart's README.

    Raises:
        ReleaseError: a file does not have what has to be changed.
    """
    _replace(tree / "setup.cfg", r"(?m)^version = .*$", f"version = {release.python_version}")
    _replace(tree / "Containerfile", r'(?<=image\.version=")[^"]*', release.python_version)
    chart = tree / "charts" / "ray"
    _replace(chart / "Chart.yaml", r"(?m)^version: .*$", f"version: {release.version}")
    _replace(chart / "Chart.yaml", r"(?m)^appVersion: .*$", f'appVersion: "{release.version}"')
    values = chart / "values.yaml"
    _replace(values, r"(?m)^operatorImageRepository: .*$", f"operatorImageRepository: {release.image}")
    if release.source:
        _replace(chart / "Chart.yaml", r"(?m)^home: .*$", f"home: {release.source}")
        _replace(chart / "Chart.yaml", r"(?m)^sources:\n", f"sources:\n  - {release.source}\n")
        _replace(chart / "Chart.yaml", r"(?m)^icon: .*$", f"icon: {release.source}/raw/v{release.version}/{ICON}")
        _replace(chart / "Chart.yaml", r"(?m)^maintainers:\n  - ", f"maintainers:\n  - url: {release.source}\n    ")
        page = f"{release.source}/blob/v{release.version}/{RUNBOOKS}"
        _replace(values, r'(?m)^  runbookUrl: ""$', f"  runbookUrl: {page}")
    (chart / "README.md").write_text(chart_readme.readme(values.read_text()))


def _replace(path: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, lambda _: text, path.read_text())
    if count != 1:
        raise ReleaseError(f"{path.name} has {count} places like {pattern!r}; one is needed")
    path.write_text(changed)


def notes(changelog: str, version: str) -> str:
    """The part of a changelog that is about a version; before there is a heading for it, what is unreleased.

    Raises:
        ReleaseError: there is neither.
    """
    parts = re.split(r"(?m)^## ", changelog)[1:]
    titles = {re.sub(r"[\[\]]", "", part.split(None, 1)[0]).lower(): part.partition("\n")[2] for part in parts}
    found = titles.get(version, titles.get("unreleased", "")).strip()
    if not found:
        raise ReleaseError(
            f"CHANGELOG.md says nothing about {version}: add a heading '## [{version}]' with what is new"
        )
    return found + "\n"
