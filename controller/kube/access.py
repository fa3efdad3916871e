"""Where the API server is, and as whom it is asked.

A pod's service account is read here. All other ways, kubeconfigs with their plugins, and proxies, are those of the
kubernetes package, which is imported only for them: it takes 25 MB, a third of what an operator at rest needs.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import urllib3

if TYPE_CHECKING:
    from kubernetes.client import Configuration

# https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
# A token is renewed when four fifths of its time are over, at least ten minutes: a minute late is early enough.
_TOKEN_SECONDS = 60.0

SocketOptions = Sequence[tuple[int, int, int]]


class AccessError(Exception):
    """The credentials cannot be read."""


class Access(Protocol):
    """``host``: the URL of the API server."""

    host: str

    def pools(self, connections: int, socket_options: SocketOptions) -> urllib3.PoolManager:
        """Connections to it, with its certificate checked."""

    def headers(self) -> Mapping[str, str]:
        """What a request needs to be accepted, now.

        Raises:
            AccessError, OSError: it cannot be had.
        """


class ServiceAccount:
    """The account of the pod that this process runs in.

    Raises:
        AccessError: this is no pod, or it has no account.
    """

    def __init__(
        self, environment: Mapping[str, str], folder: Path = ACCOUNT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        name, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
        self._certificates, self._file = folder / "ca.crt", folder / "token"
        if not (name and port and self._certificates.is_file() and self._file.is_file()):
            raise AccessError("this is not a pod with a service account")
        self.host = f"https://[{name}]:{port}" if ":" in name else f"https://{name}:{port}"
        self._clock = clock
        self._token = ""
        self._read_at = float("-inf")

    def pools(self, connections: int, socket_options: SocketOptions) -> urllib3.PoolManager:
        """See Access."""
        return urllib3.PoolManager(
            maxsize=connections,
            cert_reqs=ssl.CERT_REQUIRED,
            ca_certs=str(self._certificates),
            socket_options=socket_options,
        )

    def headers(self) -> Mapping[str, str]:
        """See Access. The token is read anew every minute: the kubelet renews it."""
        now = self._clock()
        if now - self._read_at >= _TOKEN_SECONDS:
            token = self._file.read_text().strip()
            if not token:
                raise AccessError(f"{self._file} is empty")
            self._token, self._read_at = token, now
        return {"Authorization": f"Bearer {self._token}"}


class Configured:
    """As the kubernetes package has read it."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.host = str(configuration.host).rstrip("/")

    def pools(self, connections: int, socket_options: SocketOptions) -> urllib3.PoolManager:
        """See Access."""
        from kubernetes.client import ApiClient  # noqa: PLC0415

        self._configuration.connection_pool_maxsize = connections
        self._configuration.socket_options = socket_options
        made: urllib3.PoolManager = ApiClient(self._configuration).rest_client.pool_manager
        return made

    def headers(self) -> Mapping[str, str]:
        """See Access. A plugin may be asked for a new token."""
        from kubernetes.config import ConfigException  # noqa: PLC0415

        try:
            settings: Any = self._configuration.auth_settings()
        except ConfigException as error:
            raise AccessError(str(error)) from error
        return {each["key"]: each["value"] for each in settings.values() if each["in"] == "header"}


def in_cluster(environment: Mapping[str, str] = os.environ) -> Access:
    """As the pod that this runs in.

    Raises:
        AccessError: this is no pod, or it has no account.
    """
    account = ServiceAccount(environment)
    if not any(environment.get(name) for name in _PROXIES):
        return account
    from kubernetes import client, config  # noqa: PLC0415

    configuration = client.Configuration()
    config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return Configured(configuration)


def by_kubeconfig(context: str | None, file: str | None = None) -> Access:
    """As the user of a kubeconfig's context, None for the current one. ``file``: None for the user's own.

    Raises:
        kubernetes.config.ConfigException: there is none, or it cannot be used; anything else that its plugins raise.
    """
    from kubernetes import client, config  # noqa: PLC0415

    configuration = client.Configuration()
    config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=file, context=context, client_configuration=configuration
    )
    return Configured(configuration)
