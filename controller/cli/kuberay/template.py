"""A group's pod template becomes a podConfig: the same pod, minus what the operator does itself.

KubeRay adds things to its pods that programs in them count on: shared memory, and variables with the head's address.
Where they are needed they are written out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.raycluster.quantities import QuantityError, parse_quantity

from . import table
from .command import take_command
from .pod_labels import relabelled, unknown_labels
from .source import Fields
from .written import Comment, Tree, add

_ACCOUNT_FILES = "/var/run/secrets/kubernetes.io/serviceaccount"
_SHM = "/dev/shm"
METRICS_PORT_NAME, METRICS_PORT = "metrics", 8080


@dataclass
class Pods:
    """The cluster that the pods belong to, as far as they have to know it."""

    cluster: str
    namespace: str
    port: str
    overwrite: bool
    variables: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def service(self) -> str:
        """The head Service's name."""
        return f"{self.cluster}-ray-head"


@dataclass(frozen=True)
class Template:
    """``setup`` runs before Ray starts; ``script``, where there is one, starts Ray instead of the usual command."""

    pod_config: Tree
    spec: dict[str, Any]
    setup: str
    script: str


def read_template(group: Fields, pods: Pods, is_head: bool, labels: Mapping[str, str], start: str) -> Template:
    """The template of the group. ``labels`` are the group's own; ``start`` is what starts Ray there."""
    template = group.mapping("template")
    spec = template.mapping("spec")
    content = relabelled((spec.raw("containers") and template.raw("spec")) or {})
    if not first_container(group):
        spec.problem("containers", "is missing; the first container runs Ray")
        return Template({}, {"containers": [{}]}, "", "")
    tree: Tree = {"apiVersion": "v1", "kind": "Pod"}
    metadata = _metadata(template.mapping("metadata"), labels)
    if metadata:
        tree["metadata"] = metadata
    made: Tree = {}
    tree["spec"] = made
    if "restartPolicy" in spec:
        add(made, spec.note("restartPolicy", table.RESTART_POLICY))
        content.pop("restartPolicy")
    known = _known(pods, is_head)
    annotations = template.mapping("metadata").strings("annotations")
    command = take_command(
        content["containers"][0],
        f"{spec.where('containers')}[0].command",
        start,
        known,
        address=(f"$RAY_HEAD_IP:{pods.port}", f"{pods.service}:{pods.port}"),
        own=pods.overwrite or annotations.get("ray.io/overwrite-container-cmd", "").lower() == "true",
    )
    add(made, *command.comments, *unknown_labels(content))
    _shared_memory(content, made, group)
    _metrics_port(content, made)
    _authentication(content, pods.variables)
    _variables(content, made, known, f"{command.setup}\n{command.script or start}")
    _account(content, made)
    made.update(content)
    add(tree, *template.unknown())
    return Template(tree, content, command.setup, command.script)


def first_container(group: Fields) -> Mapping[str, Any]:
    """The container that runs Ray; empty where there is none."""
    containers = group.mapping("template").mapping("spec").raw("containers")
    found = isinstance(containers, list) and containers and isinstance(containers[0], Mapping)
    return containers[0] if found else {}


def without_kuberays(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The labels or annotations that are not KubeRay's own."""
    return ((key, value) for key, value in given.items() if not key.startswith("ray.io/"))


def _metadata(given: Fields, labels: Mapping[str, str]) -> Tree:
    made: Tree = {}
    add(made, *given.notes(table.TEMPLATE))
    for name, own in (("labels", labels), ("annotations", {})):
        values = given.mapping(name)
        foreign = [key for key in values.values if key.startswith("ray.io/") and key in values]
        add(made, *(values.note(key, table.ANNOTATIONS.get(key, table.RAY_LABEL)) for key in foreign))
        kept = {**dict(without_kuberays(given.strings(name))), **own}
        if kept:
            made[name] = kept
    finalizers = given.raw("finalizers")
    if finalizers:
        made["finalizers"] = finalizers
    given.raw("creationTimestamp")
    add(made, *given.unknown())
    return made


def _shared_memory(content: dict[str, Any], made: Tree, group: Fields) -> None:
    """KubeRay mounts memory for Ray's object store, as large as the container's."""
    container = content["containers"][0]
    mounts = container.get("volumeMounts") or []
    if "plasma-directory" in group.mapping("rayStartParams") or any(m.get("mountPath") == _SHM for m in mounts):
        return
    resources = container.get("resources") or {}
    memory = next((m for p in ("requests", "limits") if (m := (resources.get(p) or {}).get("memory"))), None)
    volumes = content.get("volumes") or []
    if not any(volume.get("name") == "shared-mem" for volume in volumes):
        # What is no quantity is reported where the user wrote it.
        empty = {"medium": "Memory", **({"sizeLimit": memory} if _is_quantity(memory) else {})}
        content["volumes"] = [*volumes, {"name": "shared-mem", "emptyDir": empty}]
    container["volumeMounts"] = [*mounts, {"name": "shared-mem", "mountPath": _SHM}]
    add(made, Comment("The volume shared-mem: KubeRay adds it to each pod."))


def _is_quantity(value: Any) -> bool:
    try:
        parse_quantity(value)
    except QuantityError:
        return False
    return value is not None


def _metrics_port(content: dict[str, Any], made: Tree) -> None:
    """By its name PodMonitors find what Ray exports."""
    container = content["containers"][0]
    ports = container.get("ports") or []
    if any(isinstance(port, Mapping) and port.get("name") == METRICS_PORT_NAME for port in ports):
        return
    container["ports"] = [*ports, {"name": METRICS_PORT_NAME, "containerPort": METRICS_PORT}]
    add(made, Comment("The port metrics: KubeRay adds it to each pod."))


def _authentication(content: dict[str, Any], variables: list[Mapping[str, Any]]) -> None:
    container = content["containers"][0]
    taken = {variable.get("name") for variable in container.get("env") or []}
    missing = [variable for variable in variables if variable["name"] not in taken]
    if missing:
        container["env"] = [*(container.get("env") or []), *missing]


def _known(pods: Pods, is_head: bool) -> dict[str, dict[str, Any]]:
    """The variables that KubeRay sets, each as a container's field has it."""
    domain = f".{pods.namespace}.svc.cluster.local" if pods.namespace else ""
    head = "127.0.0.1" if is_head else pods.service
    return {
        "FQ_RAY_IP": {"value": f"{pods.service}{domain}"},
        "RAY_IP": {"value": pods.service},
        "RAY_PORT": {"value": pods.port},
        "RAY_ADDRESS": {"value": f"{head}:{pods.port}"},
        "RAY_CLUSTER_NAME": {"value": pods.cluster},
        "RAY_CLUSTER_NAMESPACE": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    }


def _variables(content: dict[str, Any], made: Tree, known: Mapping[str, dict[str, Any]], commands: str) -> None:
    """Define the variables of KubeRay's that a container mentions and does not define.

    ``commands``: what runs in the Ray container and is not in it any more.
    """
    added: set[str] = set()
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(content.get(kind) or []):
            taken = {variable.get("name") for variable in container.get("env") or []}
            text = json.dumps(container) + (commands if (kind, index) == ("containers", 0) else "")
            always = ("FQ_RAY_IP", "RAY_IP") if kind == "initContainers" else ()
            missing = [n for n in known if n not in taken and (n in always or _mentions(text, n))]
            if missing:
                container["env"] = [*(container.get("env") or []), *({"name": n, **known[n]} for n in missing)]
                added.update(missing)
    if added:
        add(made, Comment(f"The variables {', '.join(sorted(added))}: set where they are used, as KubeRay sets them."))


def _mentions(text: str, variable: str) -> bool:
    return re.search(rf"(?<![A-Za-z_]){variable}(?![A-Za-z_])", text) is not None


def _account(content: dict[str, Any], made: Tree) -> None:
    """Ray pods get no API token here unless they ask. A service account of their own or its files are asking."""
    asks = "serviceAccountName" in content or "serviceAccount" in content or _ACCOUNT_FILES in json.dumps(content)
    if asks and "automountServiceAccountToken" not in content:
        content["automountServiceAccountToken"] = True
        add(made, Comment("automountServiceAccountToken: Ray pods get no API token here unless it is true."))
