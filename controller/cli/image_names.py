"""Names of images that no node takes. The API server takes them: their pods wait with InvalidImageName.

The grammar: https://pkg.go.dev/github.com/distribution/reference
"""

from __future__ import annotations

import re

_HOST = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"({_HOST}(\.{_HOST})*|\[[0-9A-Fa-f:]+\])(:[0-9]+)?")
_PART = r"[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(/{_PART})*")
_LONGEST = 255
_TAG = re.compile(r":\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile("@sha256:[0-9a-f]{64}|@sha384:[0-9a-f]{96}|@sha512:[0-9a-f]{128}")
_IDENTIFIER = re.compile("[0-9a-f]{64}")


def wrong_about(image: str) -> str:
    """What is wrong with the name of an image, with the remedy; empty when nothing is."""
    if image != image.strip():
        return "begins or ends with a blank; remove it"
    first, slash, rest = image.partition("/")
    # Without a dot, a port or an upper case letter, what comes first is a part of a name on Docker Hub.
    of_registry = slash and (re.search("[.:A-Z]", first) or first == "localhost")
    registry, path = (first, rest) if of_registry else ("", image)
    repository, tag, digest = _parts(path)
    official = "/" not in repository and registry in ("", "docker.io", "index.docker.io")
    why = _wrong_in(registry, repository, f"library/{repository}" if official else repository)
    if not why and _IDENTIFIER.fullmatch(image):
        why = "it is the identifier of one; write NAME@sha256:DIGEST"
    if not why and ((tag and not _TAG.fullmatch(tag)) or (digest and not _DIGEST.fullmatch(digest))):
        why = "its tag or digest is not valid; write NAME:TAG or NAME@sha256:DIGEST"
    return f"is not the name of an image: {why}" if why else ""


def _parts(path: str) -> tuple[str, str, str]:
    """Name, tag with its colon, digest with its at sign; the last two may be empty."""
    named, at, digest = path.partition("@")
    name, colon, tag = named.partition(":")
    return name, colon + tag, at + digest


def _wrong_in(registry: str, repository: str, whole: str) -> str:
    # Before any pattern is tried, of which some take their time with a long text.
    if max(len(whole), len(registry)) > _LONGEST:
        return f"its name has more than {_LONGEST} characters; use a shorter one"
    # What is no host may be a part of a name.
    if registry and not (_REGISTRY.fullmatch(registry) or _REPOSITORY.fullmatch(registry)):
        return "its registry is not a host; write host or host:port before the first '/'"
    if not _REPOSITORY.fullmatch(repository):
        if _REPOSITORY.fullmatch(repository.lower()):
            return "its name has upper case letters; write it in lower case"
        return "write [REGISTRY/]NAME[:TAG], the name of a-z, 0-9, '/' and, inside, '.', '_' and '-'"
    return ""
