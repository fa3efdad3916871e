"""Whose faults are whose: an unreadable cluster, a forbidden namespace, a neighbour, a namespace gone."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.apiserver import Answer, Request
from tests.support.kube import eventually
from tests.support.operator import OperatorProcess
from tests.support.proxy import Event, Fault, Stream
from tests.support.stage import NAME, Stage, made, up

UNREADABLE = "unreadable"
USER = "system:serviceaccount:faults:operator"


class Unreadable(Fault):
    """One RayCluster comes with a status of the wrong type."""

    def answered(self, request: Request, answer: Answer) -> Answer:
        """See Fault."""
        if request.resource != "rayclusters" or request.verb != "list":
            return answer
        page = json.loads(answer.body)
        for item in page["items"]:
            self._spoil(item)
        return Answer(answer.code, json.dumps(page).encode())

    def event(self, stream: Stream, event: Event) -> list[Event]:
        """See Fault."""
        told = json.loads(event)
        self._spoil(told["object"])
        return [json.dumps(told).encode()]

    def _spoil(self, obj: dict[str, Any]) -> None:
        if obj["metadata"].get("name") == UNREADABLE:
            obj["status"] = "none of your business"


@pytest.fixture
def stage(environment: Mapping[str, str], tmp_path: Path) -> Stage:
    return Stage(environment, tmp_path)


def named(cluster: dict[str, Any], name: str) -> dict[str, Any]:
    """The same cluster under another name."""
    other = copy.deepcopy(cluster)
    other["metadata"]["name"] = name
    return other


def test_a_cluster_that_cannot_be_read_gets_an_event_and_affects_no_other(
    stage: Stage, example: dict[str, Any]
) -> None:
    with stage, stage.proxy.fault(Unreadable()):
        stage.operator.start()
        stage.space.make(named(example, UNREADABLE))
        eventually(lambda: "ReadFailed" in stage.space.events())
        stage.space.make(copy.deepcopy(example))
        eventually(lambda: stage.space.settled(NAME, 2))
        assert stage.operator.log().count("set aside rayclusters") == 1
        assert stage.space.pods("head")[0]["metadata"]["labels"]["ray-cluster-name"] == NAME
        assert stage.proxy.changes() == made(3)


def rights(stage: Stage, *allowed: str) -> Iterator[dict[str, Any]]:
    """What lets the user do the operator's work in these namespaces, and nothing anywhere else."""
    rules = [
        {"apiGroups": ["cluster.ray.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods", "services", "events"], "verbs": ["*"]},
    ]
    group = "rbac.authorization.k8s.io"
    for namespace in allowed:
        metadata = {"name": "operator", "namespace": namespace}
        yield {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
        yield {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "subjects": [{"kind": "User", "name": USER, "apiGroup": group}],
            "roleRef": {"kind": "Role", "name": "operator", "apiGroup": group},
        }


def grant(stage: Stage, *namespaces: str) -> None:
    """Create the rights."""
    for obj in rights(stage, *namespaces):
        base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{obj['metadata']['namespace']}"
        stage.space.server.ask("POST", f"{base}/{obj['kind'].lower()}s", obj)


def test_one_forbidden_namespace_is_named_and_the_others_are_managed(
    environment: Mapping[str, str], tmp_path: Path, example: dict[str, Any]
) -> None:
    """The operator may work in one of its two namespaces; later in both. It never asks for anything cluster-wide."""
    stage = Stage(environment, tmp_path, impersonate=USER)
    forbidden = Stage(environment, tmp_path)
    through = {**environment, "KUBECONFIG": str(stage.proxy.kubeconfig)}
    operator = OperatorProcess(through, f"{stage.space.name},{forbidden.space.name}")
    with ExitStack() as stack:
        for each in (stage, forbidden):
            stack.enter_context(each)
        stack.callback(operator.close)
        stack.callback(operator.kill)
        grant(stage, stage.space.name)
        forbidden.space.make(copy.deepcopy(example))
        stage.space.make(copy.deepcopy(example))
        operator.start()
        eventually(lambda: stage.space.settled(NAME, 2))
        time.sleep(5)
        warnings = [line for line in operator.log().splitlines() if "WARNING" in line and "cannot watch" in line]
        assert len(warnings) == 3
        assert all(forbidden.space.name in line and "role lacks list or watch" in line for line in warnings)
        refused = [r for r, code in stage.proxy.requests if code == 403]
        assert len(refused) <= 3 * 5
        assert not forbidden.space.pods()
        grant(stage, forbidden.space.name)
        eventually(lambda: forbidden.space.settled(NAME, 2), within=20, promised=True)
        scoped = ("/api/v1/namespaces/", "/apis/cluster.ray.io/v1/namespaces/", "/apis/batch/v1/namespaces/")
        assert all(urlsplit(r.target).path.startswith(scoped) for r, _ in stage.proxy.requests)


def test_two_operators_with_namespaces_of_their_own_do_not_meet(
    environment: Mapping[str, str], tmp_path: Path, example: dict[str, Any]
) -> None:
    stages = [Stage(environment, tmp_path) for _ in range(2)]
    with ExitStack() as stack:
        for stage in stages:
            stack.enter_context(stage)
            stage.operator.start()
        for stage in stages:
            stage.space.make(copy.deepcopy(example))
        for stage in stages:
            eventually(lambda stage=stage: stage.space.settled(NAME, 2))  # type: ignore[misc]
            assert stage.proxy.changes() == made(3)
            assert {r.namespace for r, _ in stage.proxy.requests} == {stage.space.name}


def test_a_namespace_that_is_deleted_goes_and_the_operator_stays_calm(stage: Stage, example: dict[str, Any]) -> None:
    with stage:
        up(stage, example)
        path = f"/api/v1/namespaces/{stage.space.name}"
        stage.space.server.ask("DELETE", path)
        gone = Request.parse("GET", path)
        eventually(lambda: stage.space.server.send(gone).code == 404)
        before = len(stage.proxy.requests)
        time.sleep(3)
        assert len(stage.proxy.requests) - before <= 3
        assert "Traceback" not in stage.operator.log()
        stage.space.create()
        stage.space.make(copy.deepcopy(example))
        eventually(lambda: stage.space.settled(NAME, 2))
