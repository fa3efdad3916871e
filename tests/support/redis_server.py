"""A real Redis on this machine, on loopback unless told otherwise: the one on PATH, or Debian's."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
from pathlib import Path

from unpacked import CannotUnpackError, libraries, unpacked

from .kube import eventually
from .prerequisites import cannot_run

PASSWORD = "it's a $ecret"


@functools.cache
def _found() -> tuple[str, str]:
    """Where ``redis-server`` and ``redis-cli`` are, and their libraries."""
    if server := shutil.which("redis-server"):
        return str(Path(server).parent), ""
    try:
        place = unpacked("redis-server", with_dependencies=True)
    except CannotUnpackError as error:
        cannot_run(f"redis-server is not on PATH, and {error}")
    return str(place / "usr/bin"), libraries(place)


def _program(name: str) -> str:
    return f"{_found()[0]}/{name}"


def _environment() -> dict[str, str]:
    return {**os.environ, **({"LD_LIBRARY_PATH": _found()[1]} if _found()[1] else {})}


class RedisServer:
    """One server, with the same port each time it is started. It keeps its data until it is ended for good.

    ``host``: an address of this machine. ``options``: of its configuration, in its own words.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        tls: bool = False,
        host: str = "127.0.0.1",
        options: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.host = host
        self.password = password
        self.tls = tls
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server((host, 0)) as free:
            self.port = free.getsockname()[1]
        if tls:
            self._make_certificate()
        self.start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a head's container has for this server."""
        found = {"RAY_REDIS_ADDRESS": f"{'rediss://' if self.tls else ''}{self.address}"}
        found |= {"REDIS_PASSWORD": self.password} if self.password else {}
        return found | ({"RAY_REDIS_CA_CERT": str(self.folder / "cert.pem")} if self.tls else {})

    def start(self) -> None:
        """Start it, and wait until it answers."""
        quoted = self.password.replace("\\", "\\\\").replace('"', '\\"')
        ports = f"port 0\ntls-port {self.port}" if self.tls else f"port {self.port}"
        lines = [f"bind {self.host}\n{ports}\ndir {self.folder}\nappendonly yes\nsave ''", *self._options]
        lines += [f'requirepass "{quoted}"'] if self.password else []
        if self.tls:
            lines += [f"tls-cert-file {self.folder}/cert.pem", f"tls-key-file {self.folder}/key.pem"]
            lines += [f"tls-ca-cert-file {self.folder}/cert.pem", "tls-auth-clients no"]
        config = self.folder / "redis.conf"
        config.write_text("\n".join(lines).replace("''", '""') + "\n")
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("redis-server"), str(config)],
                env=_environment(),
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self.ask("PING") == "PONG")

    def stop(self) -> None:
        """End it. Its data is there when it starts again."""
        if self._process:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def ask(self, *words: str) -> str:
        """What it answers, as redis-cli prints it."""
        command = [_program("redis-cli"), "-h", self.host, "-p", str(self.port), "--no-auth-warning"]
        command += ["-a", self.password] if self.password else []
        command += ["--tls", "--cacert", str(self.folder / "cert.pem")] if self.tls else []
        done = subprocess.run([*command, *words], env=_environment(), capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so."""
        return sorted(self.ask("KEYS", f"{prefix}*").split())

    def _make_certificate(self) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-subj", "/CN=redis", "-addext", f"subjectAltName=IP:{self.host}", "-days", "2"]
        files = ["-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")]
        subprocess.run([*command, *files], capture_output=True, check=True)
