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

from . import table
from .source import Fields, scalar, short
from .written import Comment, Tree, add

# KubeRay's labels of pods, by which affinities and selectors find them, and the labels that pods have here.
POD_LABELS = {
    "ray.io/cluster": "ray-cluster-name",
    "ray.io/node-type": "ray-node-type",
    "ray.io/group": "ray-user-node-type",
}
_ACCOUNT_FILES = "/var/run/secrets/kubernetes.io/serviceaccount"
_SHM = "/dev/shm"
_START_VARIABLE = re.compile(r"\$\{?KUBERAY_GEN_RAY_START_CMD\b\}?")


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
    setup, script, comments = _command(spec, content["containers"][0], template, pods, start)
    add(made, *comments)
    _shared_memory(content, made, group)
    _authentication(content, pods.variables)
    _variables(content, made, pods, is_head)
    _account(content, made)
    made.update(content)
    add(tree, *template.unknown())
    return Template(tree, content, setup, script)


def relabelled(value: Any) -> Any:
    """The value with KubeRay's pod labels replaced where it selects pods by them."""
    if not isinstance(value, Mapping):
        return [relabelled(item) for item in value] if isinstance(value, list) else value
    made = {key: relabelled(inner) for key, inner in value.items()}
    for name in ("matchLabels", "selector"):
        if isinstance(made.get(name), dict):
            made[name] = {POD_LABELS.get(key, key): inner for key, inner in made[name].items()}
    # An expression of a selector; keys are looked up nowhere else.
    if "operator" in made and made.get("key") in POD_LABELS:
        made["key"] = POD_LABELS[made["key"]]
    if isinstance(made.get("fieldPath"), str):
        for old, new in POD_LABELS.items():
            made["fieldPath"] = made["fieldPath"].replace(f"labels['{old}']", f"labels['{new}']")
    return made


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


def _command(
    spec: Fields, container: dict[str, Any], template: Fields, pods: Pods, start: str
) -> tuple[str, str, list[Comment]]:
    """The set-up command, the start script, and comments about both.

    KubeRay runs a container's command before Ray starts. It leaves one that starts Ray itself as it is, and all of them
    where an annotation says so.
    """
    words = [*_strings(container.pop("command", None)), *_strings(container.pop("args", None))]
    annotations = template.mapping("metadata").strings("annotations")
    overwrite = pods.overwrite or annotations.get("ray.io/overwrite-container-cmd", "").lower() == "true"
    where = f"{spec.where('containers')}[0].command ({short(words)})"
    if not overwrite:
        text = " ".join(words).strip()
        if "ray start" not in text:
            said = f"{where}: a set-up command now; one that fails ends the pod, where KubeRay starts Ray all the same."
            return text, "", [Comment(said)] if text else []
        return "", _script(words), [Comment(f"{where}: starts Ray itself and has become a start command.")]
    address = f"{pods.service}:{pods.port}"
    generated = f"{start} --block"
    container.setdefault("env", []).append(
        {"name": "KUBERAY_GEN_RAY_START_CMD", "value": generated.replace(f"$RAY_HEAD_IP:{pods.port}", address)}
    )
    if not words:
        return "", "", [Comment(f"{where}: is missing, so the image's own would run; the usual start command stands.")]
    script = _START_VARIABLE.sub(lambda _: generated, _script(words))
    return "", script, [Comment(f"{where}: replaces KubeRay's start command and has become a start command.")]


def _script(words: list[str]) -> str:
    """The program of ``bash -c -- PROGRAM``; any other command as it stands."""
    shell = bool(words) and words[0].rpartition("/")[2] in ("bash", "sh")
    flags = [word for word in words[1:-1] if word.startswith("-")]
    if shell and len(flags) == len(words) - 2 and any(flag != "--" and "c" in flag for flag in flags):
        return words[-1]
    return " ".join(words)


def _strings(value: Any) -> list[str]:
    return [scalar(item) for item in value] if isinstance(value, list) else []


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
        empty = {"medium": "Memory", **({"sizeLimit": memory} if memory is not None else {})}
        content["volumes"] = [*volumes, {"name": "shared-mem", "emptyDir": empty}]
    container["volumeMounts"] = [*mounts, {"name": "shared-mem", "mountPath": _SHM}]
    add(made, Comment("The volume shared-mem: KubeRay adds it to each pod."))


def _authentication(content: dict[str, Any], variables: list[Mapping[str, Any]]) -> None:
    container = content["containers"][0]
    taken = {variable.get("name") for variable in container.get("env") or []}
    missing = [variable for variable in variables if variable["name"] not in taken]
    if missing:
        container["env"] = [*(container.get("env") or []), *missing]


def _variables(content: dict[str, Any], made: Tree, pods: Pods, is_head: bool) -> None:
    """Define the variables of KubeRay's that a container mentions and does not define."""
    domain = f".{pods.namespace}.svc.cluster.local" if pods.namespace else ""
    head = "127.0.0.1" if is_head else pods.service
    known: dict[str, dict[str, Any]] = {
        "FQ_RAY_IP": {"value": f"{pods.service}{domain}"},
        "RAY_IP": {"value": pods.service},
        "RAY_PORT": {"value": pods.port},
        "RAY_ADDRESS": {"value": f"{head}:{pods.port}"},
        "RAY_CLUSTER_NAME": {"value": pods.cluster},
        "RAY_CLUSTER_NAMESPACE": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    }
    added: set[str] = set()
    for kind in ("initContainers", "containers"):
        for container in content.get(kind) or []:
            taken = {variable.get("name") for variable in container.get("env") or []}
            text = json.dumps(container)
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
