"""Answers image pulls of a cluster's nodes from the archives that were loaded into it; it can only be read.

A program of its own, `registry.py PORT DIRECTORY`, that imports nothing of the package: it must go on unharmed when
the checkout that it was started from is changed or removed. `published.py` writes the directory:

- ``tags/NAME``: the digest of a manifest, for a full image name with its tag, quoted as in a URL
- ``manifests/DIGEST``: the manifest
- ``blobs/DIGEST``: JSON, the archive that holds the blob, where in it the blob begins, and its size

Protocol: https://github.com/opencontainers/distribution-spec/blob/main/spec.md, the category Pull.
"""

from __future__ import annotations

import json
import re
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK = 1 << 20


def server(port: int, directory: Path) -> ThreadingHTTPServer:
    """A registry on loopback. Port 0 stands for any free one."""

    class Handler(_Handler):
        root = directory

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        url = urlsplit(self.path)
        asked = _PATH.fullmatch(url.path)
        try:
            if asked is None:
                self._head(HTTPStatus.OK if url.path in ("/v2", "/v2/") else HTTPStatus.NOT_FOUND, 0)
            elif asked["kind"] == "manifests":
                host = parse_qs(url.query).get("ns", ["docker.io"])[0]
                self._manifest(f"{host}/{asked['repository']}", asked["reference"], body=body)
            else:
                self._blob(asked["reference"], body=body)
        except FileNotFoundError:
            self._head(HTTPStatus.NOT_FOUND, 0)

    def _manifest(self, repository: str, reference: str, *, body: bool) -> None:
        digest = reference
        if not _DIGEST.fullmatch(reference):
            digest = (self.root / "tags" / quote(f"{repository}:{reference}", safe="")).read_text()
        content = (self.root / "manifests" / digest).read_bytes()
        self._head(HTTPStatus.OK, len(content), MANIFEST_TYPE, digest)
        if body:
            self.wfile.write(content)

    def _blob(self, digest: str, *, body: bool) -> None:
        if not _DIGEST.fullmatch(digest):
            raise FileNotFoundError
        archive, offset, size = json.loads((self.root / "blobs" / digest).read_text())
        with Path(archive).open("rb") as content:
            self._head(HTTPStatus.OK, size, "application/octet-stream", digest)
            content.seek(offset)
            while body and size and (chunk := content.read(min(size, _CHUNK))):
                self.wfile.write(chunk)
                size -= len(chunk)

    def _head(self, status: HTTPStatus, length: int, kind: str = "", digest: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if digest:
            self.send_header("Content-Type", kind)
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()


def main() -> None:
    """`registry.py PORT DIRECTORY`: serve until killed."""
    server(int(sys.argv[1]), Path(sys.argv[2])).serve_forever()


if __name__ == "__main__":
    main()
