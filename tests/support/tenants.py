"""Two namespaces: one with an author of RayClusters who has the rights of docs/security.md, one of somebody else.

One operator manages both, with its own rights and no others.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import yaml

from .account import as_service_account
from .apiserver import Answer, ApiServer, Request
from .kube import Kube, eventually
from .manifests import MANIFESTS, objects, ray_cluster
from .namespace import Namespace
from .operator import OperatorProcess
from .prerequisites import ROOT

ACCOUNT, AUTHOR = "ray-operator-serviceaccount", "an-author"
RULES = next(
    obj["rules"]
    for obj in objects(MANIFESTS / "operator_namespaced" / "operator.yaml")
    if obj["kind"] == "Role" and obj["metadata"]["name"] == "ray-operator-role"
)


def role_of_authors() -> list[dict[str, Any]]:
    """The rules that docs/security.md gives to an author of RayClusters."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/security.md").read_text(), re.DOTALL)
    (role,) = (made for block in blocks if (made := yaml.safe_load(block)).get("kind") == "Role")
    rules: list[dict[str, Any]] = role["rules"]
    return rules


class Tenants:
    """``mine`` is the author's namespace, ``theirs`` another one's; ``author`` acts with the author's rights."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        kubeconfig = environment["KUBECONFIG"]
        self.server, self.author = ApiServer(kubeconfig), ApiServer(kubeconfig, AUTHOR)
        suffix = uuid4().hex[:8]
        self.mine = Namespace(self.server, f"mine-{suffix}")
        self.theirs = Namespace(self.server, f"theirs-{suffix}")
        self.home = Kube(environment, f"home-{suffix}")
        # Namespace -> the RayClusters that were made there.
        self.made: dict[str, set[str]] = {}
        self._example = ray_cluster(MANIFESTS / "example_cluster.yaml")
        self.home.run("create", "namespace", self.home.namespace)
        self.home.run("create", "serviceaccount", ACCOUNT)
        for space in (self.mine, self.theirs):
            space.create()
            self._grant(space, RULES, {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.home.namespace})
            (folder / "credentials" / space.name).mkdir(parents=True)
            (folder / "credentials" / space.name / "token").write_text(f"token-of-{space.name}")
        self._grant(self.mine, role_of_authors(), {"kind": "User", "name": AUTHOR})
        account = as_service_account(self.home, ACCOUNT, folder)
        self.operator = OperatorProcess(account, f"{self.mine.name},{self.theirs.name}")
        self._credentials = str(folder / "credentials")

    def start(self) -> None:
        """The operator and the kubelets run."""
        flags = ("--metrics-address=127.0.0.1:0", "--ray-credentials", self._credentials)
        self.operator.start(None, *flags)
        for space in (self.mine, self.theirs):
            space.kubelet()

    def stop(self) -> None:
        """All of it ends."""
        self.operator.stop()
        self.operator.close()
        for space in (self.mine, self.theirs):
            space.stop()
            self.server.ask("DELETE", f"/api/v1/namespaces/{space.name}")
        self.home.run("delete", "namespace", self.home.namespace, "--wait=false")

    def cluster(self, name: str, workers: int = 1, **spec: Any) -> dict[str, Any]:
        """A RayCluster of one head and some workers, to be changed before it is made."""
        made = copy.deepcopy(self._example)
        made["metadata"] = {"name": name}
        made["spec"] |= spec
        made["spec"]["podTypes"][1]["minWorkers"] = workers
        return made

    def make(
        self, cluster: dict[str, Any], by: ApiServer | None = None, space: Namespace | None = None
    ) -> dict[str, Any]:
        """The author, or somebody else in another namespace, makes a RayCluster."""
        space = space or self.mine
        made = (by or self.author).ask("POST", space.path("rayclusters"), cluster)
        self.made.setdefault(space.name, set()).add(made["metadata"]["uid"])
        return made

    def refused(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Answer:
        """What the author is told who tries this."""
        data = json.dumps(body).encode() if body is not None else b""
        return self.author.send(Request.parse(method, path, data, content_type))

    def up(self, space: Namespace, name: str, workers: int = 1) -> list[dict[str, Any]]:
        """The pods of a cluster, the head's first, once it runs."""
        eventually(lambda: space.condition(name, "Ready").get("status") == "True")
        pods = space.all("pods", f"ray-cluster-name={name}")
        assert len(pods) == workers + 1, [p["metadata"]["name"] for p in pods]
        return sorted(pods, key=lambda p: str(p["metadata"]["labels"]["ray-node-type"]))

    def get(self, path: str) -> str:
        """What the operator's port answers."""
        port = int(eventually(lambda: re.findall(r"at port (\d+)", self.operator.log()))[-1])
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def _grant(self, space: Namespace, rules: list[dict[str, Any]], subject: dict[str, str]) -> None:
        name, group = subject["name"], "rbac.authorization.k8s.io"
        common = {"apiVersion": f"{group}/v1", "metadata": {"name": name, "namespace": space.name}}
        reference = {"apiGroup": group, "kind": "Role", "name": name}
        binding = {**common, "kind": "RoleBinding", "subjects": [subject], "roleRef": reference}
        Kube(self.home.environment, space.name).apply({**common, "kind": "Role", "rules": rules}, binding)
