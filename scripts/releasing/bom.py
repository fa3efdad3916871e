"""The bill of materials: the Python and Debian packages that the operator runs with, as CycloneDX.

Format: https://cyclonedx.org/docs/1.5/json/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from importlib import metadata
from typing import Any
from urllib.parse import quote, unquote

from packaging.requirements import Requirement


def bill(name: str, version: str, requirements: list[str], debian: Sequence[str], epoch: int) -> str:
    """A document for a program of this name and version with what it requires, as installed here.

    ``debian``: the file names of the Debian packages in its image, ``<name>_<version>_<architecture>.deb``.
    """
    packages = {p.metadata["Name"].lower(): p for p in closure(requirements)}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "application", "name": name, "version": version, "purl": _purl(name, version)},
        },
        "components": [
            *(_component(package) for _, package in sorted(packages.items())),
            *(_debian_component(file) for file in debian),
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def closure(requirements: list[str]) -> Iterator[metadata.Distribution]:
    """The installed packages that meet the requirements, and all that those require.

    Raises:
        importlib.metadata.PackageNotFoundError: one is not installed.
    """
    seen: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        key = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if key not in seen:
            seen.add(key)
            package = metadata.distribution(wanted.name)
            yield package
            waiting += [Requirement(text) for text in package.requires or ()]


def _component(package: metadata.Distribution) -> dict[str, Any]:
    about = package.metadata
    made = {"type": "library", "name": about["Name"], "version": package.version}
    license_text = about["License-Expression"] or about["License"] or ""
    # Some packages put the whole text there.
    licenses = {"licenses": [{"license": {"name": license_text}}]} if license_text and "\n" not in license_text else {}
    return {**made, **licenses, "purl": _purl(about["Name"], package.version)}


def _debian_component(file: str) -> dict[str, Any]:
    name, version, architecture = unquote(file.removesuffix(".deb")).split("_")
    purl = f"pkg:deb/debian/{name}@{quote(version)}?arch={architecture}"
    return {"type": "library", "name": name, "version": version, "purl": purl}


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
