"""The bare client: posts pods that are written out already, and does nothing else. It is the limit.

It uses the standard library alone, keeps one connection per thread, and throws the answers away. As a program: reads
one request a line (path, a tab, the body) from the file that it is given, and prints what it took as JSON.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kubernetes import client, config

THREADS = 16
_Lines = queue.SimpleQueue[tuple[str, bytes]]


@dataclass(frozen=True)
class Posted:
    """``seconds`` until the last answer, and the ``cpu`` seconds that the client's process used meanwhile."""

    requests: int
    seconds: float
    cpu: float


def post(environment: Mapping[str, str], requests: Iterable[tuple[str, bytes]]) -> Posted:
    """Post (path, body) pairs from a process of its own.

    Raises:
        RuntimeError: the API server refused one.
    """
    with tempfile.NamedTemporaryFile(prefix="bare-", suffix=".requests") as file:
        file.writelines(path.encode() + b"\t" + body + b"\n" for path, body in requests)
        file.flush()
        command = [sys.executable, __file__, file.name]
        done = subprocess.run(command, env=dict(environment), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError("the bare client failed, see above")
    return Posted(**json.loads(done.stdout))


class _Poster(threading.Thread):
    """Posts what it takes from the queue until that is empty."""

    def __init__(self, lines: _Lines, configuration: client.Configuration, context: ssl.SSLContext) -> None:
        super().__init__()
        url = urlsplit(configuration.host)
        self._connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=context)
        self._lines = lines
        self.refusal = b""

    def run(self) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        while not self.refusal:
            try:
                path, body = self._lines.get_nowait()
            except queue.Empty:
                return
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            data = answer.read()
            if answer.status != 201:
                self.refusal = data


def main() -> int:
    """Post the requests of a file."""
    configuration = client.Configuration()
    config.load_kube_config(os.environ["KUBECONFIG"], client_configuration=configuration)  # type: ignore[no-untyped-call]
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.load_cert_chain(str(configuration.cert_file), str(configuration.key_file))
    lines: _Lines = queue.SimpleQueue()
    for line in Path(sys.argv[1]).read_bytes().splitlines():
        path, _, body = line.partition(b"\t")
        lines.put((path.decode(), body))
    count = lines.qsize()
    threads = [_Poster(lines, configuration, context) for _ in range(THREADS)]
    started, cpu = time.monotonic(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    refused = next((thread.refusal for thread in threads if thread.refusal), b"")
    print(refused.decode(), file=sys.stderr, end="")
    print(json.dumps({"requests": count, "seconds": seconds, "cpu": cpu}))
    return bool(refused)


if __name__ == "__main__":
    sys.exit(main())
