"""Being somebody with few rights."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .kube import Kube


def as_service_account(kube: Kube, account: str, directory: Path) -> dict[str, str]:
    """An environment whose kubeconfig holds nothing but a service account's token."""
    config = json.loads(kube.run("config", "view", "--raw", "-o", "json"))
    token = kube.run("create", "token", account).strip()
    config["users"] = [{"name": "account", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "account"
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return {**os.environ, **kube.environment, "KUBECONFIG": str(path)}
