"""Fields of KubeRay objects whose text is YAML or JSON itself."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

from controller.cli.manifests import ManifestError, parse_yaml

from .source import Fields, short


def yaml_mapping(fields: Fields, name: str, example: str, *, needed: bool = False) -> dict[str, Any]:
    """The mapping that the text of a field is. What is wrong with another text is said with the ``example``.

    ``needed``: a text without any value, of comments say, is wrong as well.
    """
    try:
        documents = parse_yaml(fields.text(name))
    except ManifestError as error:
        fields.problem(name, f"{error}; correct it")
        return {}
    if documents in ([], [None]) and not needed:
        return {}
    if len(documents) == 1 and isinstance(documents[0], dict):
        return documents[0]
    said = f"has {len(documents)} documents" if len(documents) > 1 else f"{short(fields.text(name))} is not a mapping"
    fields.problem(name, f"{said}; write {example}")
    return {}


def json_amounts(fields: Fields, name: str, most: float) -> dict[str, int | float]:
    """The JSON object of numbers from 0 to ``most`` that the text of a field is, in the quotes of a shell or without.

    Another object, or an amount that is out of bounds, is a problem of the field.
    """
    found = _json_object(fields.text(name))
    if found is None:
        said = f'{short(fields.text(name))} is not a JSON object; write for example \'"{{\\"name\\": 1}}"\''
        fields.problem(name, said)
        return {}
    good = {}
    for key, amount in found.items():
        number = isinstance(amount, int | float) and not isinstance(amount, bool) and math.isfinite(amount)
        if number and 0 <= amount <= most:
            good[key] = amount
        else:
            fields.problem(
                name, f"{short(amount)}, the amount of {key}, is not a number from 0 to {most:.0f}; write one"
            )
    return good


def _json_object(text: str) -> dict[str, Any] | None:
    for candidate in ("".join(shell_words(text)), text, text.strip("\"'").replace('\\"', '"')):
        found = _json(candidate)
        if isinstance(found, str):
            # Quoted twice.
            found = _json(found)
        if isinstance(found, dict):
            return found
    return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def shell_words(text: str) -> list[str]:
    """The words that a shell makes of it."""
    try:
        return shlex.split(text)
    except ValueError:
        return [text]
