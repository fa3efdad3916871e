"""How values are written in messages: as in YAML and JSON, whatever Python calls them."""

from __future__ import annotations

import json
import math
from typing import Any

_LONGEST = 60


def shown(value: Any) -> str:
    """A value as a manifest has it: null, true, "text", {"a": 1}, .nan. A long one is cut."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def plain(value: Any) -> str:
    """As ``shown``, but a text without its quotes: where a text is what is expected, they would be noise."""
    return value if isinstance(value, str) else shown(value)


def quoted(value: Any) -> str:
    """As ``shown``, but a text in single quotes, as messages about names have them."""
    return repr(value) if isinstance(value, str) else shown(value)
