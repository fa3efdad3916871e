"""A client of the cluster's API server, as far as bringing a cluster up needs one."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localkube.machine.console import Failed

Object = Mapping[str, Any]


class Api:
    """The API server at `address` as the administrator, over one connection per request."""

    def __init__(self, address: str, port: int, pki: Path) -> None:
        self._address, self._port = address, port
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def request(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> tuple[int, str]:
        """Status and text of the answer. Raises OSError while there is no server."""
        connection = http.client.HTTPSConnection(self._address, self._port, timeout=10, context=self._tls)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer from {self._address}: {error}") from error
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def apply(self, path: str, body: Object) -> None:
        """Create the object or bring it to `body`, by server-side apply."""
        status, text = self.request(
            "PATCH", f"{path}?fieldManager=local-kubernetes&force=true", body, "application/apply-patch+yaml"
        )
        if status >= 300:
            raise Failed(f"the API server refuses {path}: {_message(text)}")

    def delete(self, path: str) -> None:
        """Remove the object, if it is there, without a grace period."""
        status, text = self.request("DELETE", f"{path}?gracePeriodSeconds=0")
        if status >= 300 and status != 404:
            raise Failed(f"the API server does not delete {path}: {_message(text)}")

    def items(self, path: str) -> list[dict[str, Any]]:
        """The objects of a list."""
        status, text = self.request("GET", path)
        if status >= 300:
            raise Failed(f"the API server does not list {path}: {_message(text)}")
        items: list[dict[str, Any]] = json.loads(text)["items"]
        return items


def kubeconfig(server: str, pki: Path, user: str, name: str) -> str:
    """A kubeconfig with its certificates in it, in JSON, which is YAML too."""

    def embedded(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": embedded("ca.crt")}}],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": embedded(f"{user}.crt"),
                    "client-key-data": embedded(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2) + "\n"


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError):
        return text.strip()[:300]
