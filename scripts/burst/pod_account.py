"""Runs a program on this machine with a service account, as if it were in a pod: at its place, and nowhere else."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from controller.kube.access import ACCOUNT

NAMESPACE = "default"
# In a view of the file system that only this process has, so that nothing of it is left.
_PLACE = f'mount -t tmpfs none /run && mkdir -p {ACCOUNT} && cp "$ACCOUNT_FILES"/* {ACCOUNT} && exec "$@"'


@dataclass(frozen=True)
class Pod:
    """How a program is started there: what goes before its command, and its environment."""

    prefix: Sequence[str]
    environment: Mapping[str, str]


@contextmanager
def pod_account(environment: Mapping[str, str]) -> Iterator[Pod]:
    """With the rights of an administrator. It ends with the block.

    Raises:
        CalledProcessError: the API server refuses.
    """

    def kubectl(*arguments: str) -> str:
        return subprocess.run(
            ["kubectl", *arguments], env=dict(environment), check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    name = f"ray-operator-{uuid4().hex[:8]}"
    kubectl("create", "serviceaccount", name, "-n", NAMESPACE)
    kubectl("create", "clusterrolebinding", name, "--clusterrole=cluster-admin", f"--serviceaccount={NAMESPACE}:{name}")
    try:
        cluster = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))["clusters"][0]["cluster"]
        certificates = cluster.get("certificate-authority-data")
        server = urlsplit(cluster["server"])
        with tempfile.TemporaryDirectory() as folder:
            ca = base64.b64decode(certificates) if certificates else Path(cluster["certificate-authority"]).read_bytes()
            Path(folder, "ca.crt").write_bytes(ca)
            Path(folder, "token").write_text(kubectl("create", "token", name, "-n", NAMESPACE, "--duration=24h"))
            variables = {
                **environment,
                "ACCOUNT_FILES": folder,
                # As in the operator's image.
                "MALLOC_ARENA_MAX": "2",
                "KUBERNETES_SERVICE_HOST": str(server.hostname),
                "KUBERNETES_SERVICE_PORT": str(server.port or 443),
            }
            yield Pod(("unshare", "--mount", "sh", "-c", _PLACE, "sh"), variables)
    finally:
        kubectl("delete", "clusterrolebinding", name)
        kubectl("delete", "serviceaccount", name, "-n", NAMESPACE)
