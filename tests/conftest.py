from __future__ import annotations

import pytest

from tests.support.prerequisites import reasons


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what could not be tested on this machine in the last lines of the run."""
    for reason in sorted(reasons):
        terminalreporter.write_line(f"not run here: {reason}", yellow=True)
