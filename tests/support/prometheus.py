"""A real Prometheus: the one on PATH, or Debian's, unpacked into the cache without being installed."""

from __future__ import annotations

import functools
import json
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from unpacked import CannotUnpackError, unpacked

from .kube import eventually
from .prerequisites import cannot_run


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``."""
    return shutil.which(name) or str(_unpacked() / "usr/bin" / name)


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """What promtool says.

    Raises:
        AssertionError: it found something wrong.
    """
    done = subprocess.run([program("promtool"), *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@functools.cache
def _unpacked() -> Path:
    try:
        return unpacked("prometheus")
    except CannotUnpackError as error:
        cannot_run(f"prometheus and promtool are not on PATH, and {error}")


class Prometheus:
    """Scrapes what ``jobs`` say, as in its configuration, every second.

    ``rules``: files of alert rules, which it evaluates as often.
    """

    def __init__(self, folder: Path, *jobs: Mapping[str, Any], rules: Sequence[Path] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [dict(job) for job in jobs],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            program("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self._address}",
            "--log.level=warn",
        ]
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        eventually(lambda: (found := self._ask("targets")["activeTargets"]) and all(t["health"] == "up" for t in found))

    def query(self, text: str) -> list[dict[str, Any]]:
        """What the query says now: one entry for each series."""
        result: list[dict[str, Any]] = self._ask("query", query=text)["result"]
        return result

    def query_range(self, text: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """What the query said at each step of a time: one entry for each series."""
        result: list[dict[str, Any]] = self._ask("query_range", query=text, start=start, end=end, step=step)["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its state."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str | float) -> dict[str, Any]:
        try:
            with urlopen(f"http://{self._address}/api/v1/{what}?{urlencode(parameters)}", timeout=30) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except OSError as error:
            raise AssertionError(f"{what} {parameters}: {error}") from error

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(60)
        self._log.close()
