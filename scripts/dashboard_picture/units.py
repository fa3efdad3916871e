"""Values in the units of Grafana's panels, as short as they stand at an axis or in a panel of one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

SECONDS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"))
BYTES = ((1.0, "B"), (2.0**10, "KiB"), (2.0**20, "MiB"), (2.0**30, "GiB"))


def _scaled(value: float, scale: Sequence[tuple[float, str]]) -> str:
    """In the largest unit of which there is at least one."""
    size, name = next((s for s in reversed(scale) if abs(value) >= s[0]), scale[0])
    return f"{value / size:.3g} {name}"


UNITS: Mapping[str, Callable[[float], str]] = {
    "none": lambda value: f"{value:,.6g}",
    "ops": lambda value: f"{value:.3g} ops/s",
    "reqps": lambda value: f"{value:.3g} req/s",
    "s": lambda value: _scaled(value, SECONDS),
    "bytes": lambda value: _scaled(value, BYTES),
}


def words(value: float, unit: str) -> str:
    """The value with its unit.

    Raises:
        KeyError: no panel has had this unit before.
    """
    return UNITS[unit](value) if value else UNITS[unit](0.0).replace("0 µs", "0 s")
