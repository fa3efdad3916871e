"""Credentials for Ray heads, from files: a folder per namespace, mounted from Secrets.

A namespace's token goes to the heads of that namespace only: a user who may make a RayCluster in another one
could read what is sent there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from autoscaler.gcs.client import Credentials

log = logging.getLogger(__name__)

TOKEN, CA, CERTIFICATE, KEY = "token", "ca.crt", "tls.crt", "tls.key"
# A Secret that changes reaches the files of a pod after up to a minute.
READ_AGAIN_SECONDS = 10.0


class CredentialFolder:
    """Credentials by namespace: ``<folder>/<namespace>/`` with ``token``, ``ca.crt``, ``tls.crt`` and ``tls.key``, the
    keys of Secrets of the types Opaque and kubernetes.io/tls. What is absent is not shown; files are read again.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._known: dict[str, tuple[float, Credentials | None]] = {}

    def __call__(self, namespace: str) -> Credentials | None:
        """What the heads of a namespace are shown; None for nothing. What cannot be used is logged, and not shown."""
        now = self._clock()
        when, known = self._known.get(namespace, (None, None))
        if when is None or now - when >= READ_AGAIN_SECONDS:
            known = self._read(namespace)
            self._known[namespace] = (now, known)
        return known

    def _read(self, namespace: str) -> Credentials | None:
        folder = self._folder / namespace
        try:
            token = _content(folder / TOKEN)
            found = Credentials(
                token.decode().strip() if token is not None else None,
                _content(folder / CA),
                _content(folder / CERTIFICATE),
                _content(folder / KEY),
            )
        except (OSError, ValueError) as error:
            log.error("the credentials for Ray heads in the namespace %s cannot be used: %s", namespace, error)
            return None
        return None if found == Credentials() else found


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
