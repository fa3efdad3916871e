"""Names of images that no node takes. The API server takes them: their pods wait with InvalidImageName.

The grammar: https://pkg.go.dev/github.com/distribution/reference
"""

from __future__ import annotations

import re

_HOST = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"({_HOST}(\.{_HOST})*|\[[0-9A-Fa-f:]+\])(:[0-9]+)?")
_PART = r"[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(/{_PART})*")
_TAG = r"(:\w[\w.-]{0,127})?"
_DIGEST = r"(@[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,})?"
_VERSION = re.compile(_TAG + _DIGEST, re.ASCII)
_LONGEST = 255


def wrong_about(image: str) -> str:
    """What is wrong with the name of an image, with the remedy; empty when nothing is."""
    if image != image.strip():
        return "begins or ends with a blank; remove it"
    first, slash, rest = image.partition("/")
    # Without a dot, a port or an upper case letter, what comes first is a part of a name on Docker Hub.
    of_registry = slash and (re.search("[.:A-Z]", first) or first == "localhost")
    registry, path = (first, rest) if of_registry else ("", image)
    repository = re.split("[:@]", path, maxsplit=1)[0]
    why = _wrong_in(registry, repository, path[len(repository) :])
    return f"is no image: {why}" if why else ""


def _wrong_in(registry: str, repository: str, version: str) -> str:
    # Before any pattern is tried, of which some take their time with a long text.
    if len(registry) + len(repository) > _LONGEST:
        return f"its name has more than {_LONGEST} characters; use a shorter one"
    if registry and not _REGISTRY.fullmatch(registry):
        return "its registry is no host; write host or host:port before the first '/'"
    if not _REPOSITORY.fullmatch(repository):
        if _REPOSITORY.fullmatch(repository.lower()):
            return "its name has upper case letters; write it in lower case"
        return "write [REGISTRY/]NAME[:TAG], the name of a-z, 0-9, '/' and, inside, '.', '_' and '-'"
    return "" if _VERSION.fullmatch(version) else "its tag cannot be one; write NAME:TAG or NAME@sha256:DIGEST"
