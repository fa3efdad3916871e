"""A small API server in memory: names are unique, versions grow, preconditions and quota hold, deletion takes time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import orjson

from controller.kube.client import JSON_PATCH, METADATA_ONLY, ApiError, Request
from controller.kube.store import Stores
from controller.objects.claim import ClaimView
from controller.objects.cleanup import CleanupView
from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import RayCluster
from tests.support.builders import NOW_TEXT

R = TypeVar("R")
Path = tuple[str, str, str]
Write = tuple[str, str]
CONVERT: dict[str, Callable[[Any], Any]] = {
    "rayclusters": RayCluster.from_object,
    "pods": PodView.from_object,
    "services": ServiceView.from_object,
    "persistentvolumeclaims": ClaimView.from_object,
    "jobs": CleanupView.from_object,
}


class Died(BaseException):
    """The process that made the request was killed right after the API server had carried it out."""


class InlineExecutor(Executor):
    """Runs everything at once, in the caller's thread and in order."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class FakeApi:
    """``log`` is what a watch would tell. ``writes`` counts what changed something, as (method, resource)."""

    def __init__(self, pod_quota: int | None = None) -> None:
        self.objects: dict[Path, dict[str, Any]] = {}
        self.log: list[tuple[str, str, dict[str, Any]]] = []
        self.writes: list[Write] = []
        self.events: list[dict[str, Any]] = []
        self.trials: list[dict[str, Any]] = []
        # Names of the pods that were asked for, made or not.
        self.tries: list[str] = []
        self.pod_quota = pod_quota
        self.refuse: Callable[[str, str, str], ApiError | None] = lambda *_: None
        # What admission changes in a pod before it is made.
        self.admit: Callable[[dict[str, Any]], object] = lambda pod: None
        self.dies_after: int | None = None
        self.version = 100

    def send(self, request: Request) -> dict[str, Any]:
        resource = request.resource
        body = orjson.loads(request.body) if isinstance(request.body, bytes) else request.body
        trial = "dryRun" in request.query
        if trial:
            self.trials.append(copy.deepcopy(body))
        name = request.name or (body or {}).get("metadata", {}).get("name", "trial")
        if error := self.refuse(request.method, resource, name):
            raise error
        if trial:
            made = copy.deepcopy(dict(body))
            self.admit(made)
            return made
        if resource == "events":
            self.events.append(body)
            return {}
        key = (resource, request.namespace, request.name)
        if request.verb == "create":
            made = self._create(resource, request.namespace, copy.deepcopy(body))
            return {"metadata": made["metadata"]} if request.accept == METADATA_ONLY else made
        if request.verb == "list":
            return {"items": [copy.deepcopy(o) for o in self.of(resource)]}
        return self._about(key, request)

    def _about(self, key: Path, request: Request) -> dict[str, Any]:
        if key not in self.objects:
            raise ApiError(404, "NotFound", f'{request.resource} "{request.name}" not found')
        if request.verb == "delete":
            return self._delete(key, request.body)
        if request.verb == "patch":
            return self._patch(key, request)
        return copy.deepcopy(self.objects[key])

    def names(self, resource: str) -> list[str]:
        """Names of what exists and is not being deleted."""
        return sorted(o["metadata"]["name"] for o in self.of(resource) if "deletionTimestamp" not in o["metadata"])

    def of(self, resource: str) -> Iterator[dict[str, Any]]:
        """Every object of a resource."""
        yield from [obj for (kind, _, _), obj in self.objects.items() if kind == resource]

    def put(self, resource: str, obj: dict[str, Any]) -> dict[str, Any]:
        """What a user, the scheduler or a kubelet writes; not counted as a write of the operator's."""
        path = (resource, obj["metadata"]["namespace"], obj["metadata"]["name"])
        old = self.objects.get(path)
        metadata = obj["metadata"]
        metadata.setdefault("uid", f"uid-{self.version}")
        metadata.setdefault("creationTimestamp", NOW_TEXT)
        if resource == "rayclusters":
            changed = old is None or old["spec"] != obj["spec"]
            metadata["generation"] = (old["metadata"]["generation"] if old else 0) + (1 if changed else 0)
        self._keep("MODIFIED" if old else "ADDED", path, obj)
        return copy.deepcopy(self.objects[path])

    def remove(self, resource: str, namespace: str, name: str) -> None:
        """The object is gone for good."""
        gone = self.objects.pop((resource, namespace, name))
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self.log.append(("DELETED", resource, copy.deepcopy(gone)))

    def listed(self, stores: Stores) -> None:
        """What a fresh watcher does first."""
        for resource, store in _stores(stores).items():
            store.replace([CONVERT[resource](copy.deepcopy(o)) for o in self.of(resource)], self.version, "")

    def deliver(self, stores: Stores, start: int = 0) -> int:
        """What a watch tells, from some place of the log. Returns where it ends."""
        for kind, resource, obj in self.log[start:]:
            if resource not in CONVERT:
                # Nothing watches it.
                continue
            store = _stores(stores)[resource]
            view = CONVERT[resource](copy.deepcopy(obj))
            (store.deleted if kind == "DELETED" else store.watched)(view, "")
        return len(self.log)

    def _create(self, resource: str, namespace: str, obj: dict[str, Any]) -> dict[str, Any]:
        name = obj["metadata"]["name"]
        if resource == "pods":
            self.tries.append(name)
        if (resource, namespace, name) in self.objects:
            raise ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists')
        if resource == "pods" and self.pod_quota is not None and sum(1 for _ in self.of("pods")) >= self.pod_quota:
            raise ApiError(403, "Forbidden", f'pods "{name}" is forbidden: exceeded quota: small')
        obj["metadata"]["namespace"] = namespace
        if resource == "pods":
            self.admit(obj)
        _allocated(resource, obj, self.version)
        return self.wrote("POST", resource, self.put(resource, obj))

    def _delete(self, key: Path, options: Any) -> dict[str, Any]:
        metadata = self.objects[key]["metadata"]
        wanted = ((options or {}).get("preconditions") or {}).get("uid")
        if wanted and wanted != metadata["uid"]:
            raise ApiError(409, "Conflict", "Precondition failed: UID in precondition does not match")
        wanted = ((options or {}).get("preconditions") or {}).get("resourceVersion")
        if wanted and wanted != metadata["resourceVersion"]:
            raise ApiError(409, "Conflict", "Precondition failed: ResourceVersion in precondition does not match")
        if key[0] == "rayclusters":
            return self._delete_cluster(key)
        if key[0] not in CONVERT:
            gone = copy.deepcopy(self.objects[key])
            self.remove(*key)
            return self.wrote("DELETE", key[0], gone)
        if "deletionTimestamp" in metadata:
            return copy.deepcopy(self.objects[key])
        self._keep("MODIFIED", key, {**self.objects[key], "metadata": {**metadata, "deletionTimestamp": NOW_TEXT}})
        return self.wrote("DELETE", key[0], copy.deepcopy(self.objects[key]))

    def _delete_cluster(self, key: Path) -> dict[str, Any]:
        """What is made for a cluster goes with it."""
        gone = copy.deepcopy(self.objects[key])
        for resource, namespace, name in list(self.objects):
            owners = self.objects[resource, namespace, name]["metadata"].get("ownerReferences", ())
            if any(owner["uid"] == gone["metadata"]["uid"] for owner in owners):
                self.remove(resource, namespace, name)
        self.remove(*key)
        return self.wrote("DELETE", key[0], gone)

    def _patch(self, key: Path, request: Request) -> dict[str, Any]:
        obj = copy.deepcopy(self.objects[key])
        before = copy.deepcopy(obj)
        if request.content_type == JSON_PATCH:
            for operation in request.body:
                _json_patch(obj, operation)
        else:
            _merge(obj, request.body)
        if obj["metadata"]["uid"] != before["metadata"]["uid"]:
            raise ApiError(422, "Invalid", "metadata.uid: Invalid value: field is immutable")
        if obj["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        if request.subresource == "status":
            obj = {**before, "status": obj["status"]}
        if obj == before:
            return obj
        self._keep("MODIFIED", key, obj)
        return self.wrote("PATCH", key[0], copy.deepcopy(self.objects[key]))

    def _keep(self, kind: str, path: Path, obj: dict[str, Any]) -> None:
        self.version += 1
        kept = copy.deepcopy(obj)
        kept["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = kept
        self.log.append((kind, path[0], copy.deepcopy(kept)))

    def wrote(self, method: str, resource: str, answer: dict[str, Any] | None = None) -> dict[str, Any]:
        """Something was changed; the process may die of it before it has the answer."""
        self.writes.append((method, resource))
        if self.dies_after is not None and len(self.writes) >= self.dies_after:
            self.dies_after = None
            raise Died
        return answer or {}


def _stores(stores: Stores) -> dict[str, Any]:
    return {
        "rayclusters": stores.clusters,
        "pods": stores.pods,
        "services": stores.services,
        "persistentvolumeclaims": stores.claims,
        "jobs": stores.cleanups,
    }


def _allocated(resource: str, obj: dict[str, Any], number: int) -> None:
    """What the API server fills in, and who makes volumes."""
    if resource == "services":
        obj.setdefault("spec", {}).setdefault("clusterIP", f"10.96.0.{number % 250}")
    if resource == "persistentvolumeclaims":
        obj["spec"].setdefault("storageClassName", "standard")
        obj.setdefault("status", {"phase": "Bound"})


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for name, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        elif value is None:
            target.pop(name, None)
        else:
            target[name] = value


def _json_patch(obj: dict[str, Any], operation: dict[str, Any]) -> None:
    *parents, last = operation["path"].strip("/").split("/")
    for name in parents:
        obj = obj[name]
    if operation["op"] == "test":
        if obj.get(last) != operation["value"]:
            raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request")
    else:
        obj[last] = copy.deepcopy(operation["value"])
