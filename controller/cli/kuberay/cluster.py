"""A RayClusterSpec of KubeRay becomes a RayCluster of this operator and the objects that KubeRay makes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.raycluster.model import API_VERSION, KIND
from controller.raycluster.service_ports import DEFAULT_SERVICE_PORTS
from controller.raycluster.validation import MAX_NAME, PORT_NAME

from . import network, table
from .groups import MAX_IDLE_SECONDS, PodTypes, minutes, read_pod_types
from .owner import Owner
from .source import MAX_PORT, Fields
from .template import METRICS_PORT, METRICS_PORT_NAME, Pods, first_container, without_kuberays
from .written import Comment, Tree, add

# How many nodes may be launching where KubeRay sets no bound, as a multiple of those running.
UNLIMITED_SPEED = 10_000
KUBERAY_IDLE_SECONDS = 60
_CLEAN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "ownerReferences")
_CLIENT_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Converted:
    """A RayCluster and what stands beside it. ``dashboard``: where Ray's dashboard is, host and port."""

    cluster: Tree
    beside: list[Tree]
    dashboard: str
    image: str
    authentication: list[Mapping[str, Any]]


def convert_cluster(owner: Owner, spec: Fields) -> Converted:
    """The RayCluster, and Services, Ingress and NetworkPolicies as KubeRay would have made them."""
    head = spec.mapping("headGroupSpec")
    if "headGroupSpec" not in spec:
        raise spec.missing("headGroupSpec", "a Ray cluster needs a head")
    annotations = owner.metadata.strings("annotations")
    overwrite = annotations.get("ray.io/overwrite-container-cmd", "").lower() == "true"
    authentication, said = _authentication(owner, spec.mapping("authOptions"))
    pods = Pods(owner.name, owner.namespace, "", overwrite, authentication)
    autoscaling = bool(spec.truth("enableInTreeAutoscaling"))
    types = read_pod_types(head, list(spec.each("workerGroupSpecs")), pods, autoscaling)
    ports = head_ports(head, pods.port)
    beside = network.read_services(owner, spec, head, ports)
    beside += network.read_ingress(owner, head, ports)
    beside += network.read_policies(owner, spec.mapping("networkPolicy"), list(types.worker_starts), ports)
    made: Tree = {}
    add(made, *_plain_notes(spec, said))
    _scaling(spec, made, types, autoscaling)
    made["headPodType"] = types.head
    defaults = {(p.name, p.port) for p in DEFAULT_SERVICE_PORTS}
    extra = [port for port in ports if (port["name"], port["port"]) not in defaults]
    add(made, Comment("headServicePorts: the ports of KubeRay's head Service, by the names of the head container's."))
    made["headServicePorts"] = extra
    made["headStartRayCommands"] = [types.head_start]
    if types.worker_starts:
        made["workerStartRayCommands"] = _worker_commands(types)
    made["podTypes"] = types.trees
    add(types.trees[0], *head.unknown())
    add(made, *spec.unknown())
    cluster = {**_heading(owner), "apiVersion": API_VERSION, "kind": KIND, "metadata": _metadata(owner), "spec": made}
    dashboard = next(port["port"] for port in ports if port["name"] == "dashboard")
    image = str(first_container(head).get("image", ""))
    return Converted(cluster, beside, f"{pods.service}:{dashboard}", image, authentication)


def _worker_commands(types: PodTypes) -> list[str]:
    """The command of all pod types, others at the types that differ. Versions without that choose by the type."""
    starts = types.worker_starts
    different = list(dict.fromkeys(starts.values()))
    if len(different) < 2:
        return different
    if table.writes("podTypes.startRayCommands"):
        for tree in types.trees[1:]:
            if starts[tree["name"]] != different[0]:
                tree["startRayCommands"] = [starts[tree["name"]]]
                tree["podConfig"] = tree.pop("podConfig")
        return different[:1]
    cases = [f"  '{name}') {_blocking(command)} ;;" for name, command in starts.items()]
    return ["\n".join(['case "$RAY_NODE_TYPE_NAME" in', *cases, "esac"])]


def head_ports(head: Fields, gcs_port: str) -> list[dict[str, Any]]:
    """The ports of the head Service: the head container's, and those that KubeRay adds."""
    ports = {p.name: p.port for p in DEFAULT_SERVICE_PORTS}
    wanted = {"gcs-server": int(gcs_port) if gcs_port.isdigit() else 6379, METRICS_PORT_NAME: METRICS_PORT}
    for port in first_container(head).get("ports") or []:
        number = port.get("containerPort") if isinstance(port, Mapping) else None
        # One that is out of bounds is said to be so at the container.
        if isinstance(number, int) and 1 <= number <= MAX_PORT and port.get("protocol", "TCP") == "TCP":
            wanted[str(port.get("name") or f"{number}-port")] = number
    defaults = {p.port: p.name for p in DEFAULT_SERVICE_PORTS}
    for name, number in wanted.items():
        own = defaults.get(number, name)
        if PORT_NAME.fullmatch(own) and (number not in ports.values() or own in ports):
            ports[own] = number
    return [{"name": name, "port": number, "targetPort": number} for name, number in ports.items()]


def _blocking(command: str) -> str:
    return command if "--block" in command else command.replace("ray start", "ray start --block", 1)


def _heading(owner: Owner) -> Tree:
    made: Tree = {}
    add(made, Comment(f"From the KubeRay {owner.kind} {owner.metadata.text('name') or owner.name}."))
    add(
        made,
        Comment(f"Clients reach it at the Service {owner.name}-ray-head, where KubeRay has {owner.name}-head-svc."),
    )
    return made


def _metadata(owner: Owner) -> Tree:
    given = owner.metadata
    made: Tree = {}
    if given.text("name") != owner.name:
        text = f"a fixed name is needed, of at most {MAX_NAME} characters."
        add(made, given.note("name" if "name" in given else "generateName", text))
    made |= {"name": owner.name, **({"namespace": owner.namespace} if owner.namespace else {})}
    for name in ("labels", "annotations"):
        add(made, *_label_notes(given.mapping(name)))
        kept = {k: v for k, v in without_kuberays(given.strings(name)) if k != _CLIENT_ANNOTATION}
        if kept:
            made[name] = kept
    given.taken.update(_CLEAN)
    add(made, *given.notes({"finalizers": "not carried over; they are those of the old object."}), *given.unknown())
    return made


def _label_notes(values: Fields) -> Iterator[Comment]:
    """Comments about labels or annotations that mean something to KubeRay, or to a program that queues its objects."""
    for key in [key for key in values.values if key in values]:
        text = table.ANNOTATIONS.get(key) or next((t for q, t in table.QUEUES.items() if key.startswith(q)), "")
        if text or key.startswith("ray.io/"):
            yield values.note(key, text or table.RAY_LABEL)


def _plain_notes(spec: Fields, said: list[Comment]) -> list[Comment]:
    comments = [*spec.notes(table.CLUSTER), *said]
    comments += [*spec.mapping("upgradeStrategy").notes(table.UPGRADE)]
    comments += spec.mapping("tlsOptions").notes(table.TLS)
    collector = spec.mapping("historyServerOptions").mapping("collectorOptions")
    comments += [*collector.notes(table.COLLECTOR), *collector.unknown()]
    recovery = spec.mapping("gcsFaultToleranceOptions")
    text = table.INSTEAD["headRecovery"]
    for part, names in ((recovery, table.FAULT_TOLERANCE), (recovery.mapping("storage"), table.STORAGE)):
        for name in (name for name in names if name in part):
            comments.append(part.note(name, text))
            text = "not carried over, as above."
        comments += part.unknown()
    return comments


def _scaling(spec: Fields, made: Tree, types: PodTypes, autoscaling: bool) -> None:
    """The bounds and speeds of the cluster, KubeRay's defaults written out."""
    options = spec.mapping("autoscalerOptions")
    add(made, *options.notes(table.AUTOSCALER))
    suspended = spec.truth("suspend")
    if suspended is not None:
        made["suspend"] = suspended
    made["maxWorkers"] = types.max_workers
    if not autoscaling:
        fixed = "without autoscaling nothing is scaled."
        add(made, spec.note("enableInTreeAutoscaling", "the number of workers is fixed, minWorkers is maxWorkers."))
        add(made, *options.notes({"upscalingMode": fixed, "idleTimeoutSeconds": fixed}))
    else:
        add(made, spec.note("enableInTreeAutoscaling", "a type whose maxWorkers is above its minWorkers is scaled."))
        _speed(options, made)
    add(made, *options.unknown())


def _speed(options: Fields, made: Tree) -> None:
    mode = options.choice("upscalingMode", ("Default", "Aggressive", "Conservative"))
    seconds = options.number("idleTimeoutSeconds", most=MAX_IDLE_SECONDS)
    limited = "as many workers may be launching as run." if mode == "Conservative" else "launches are not limited."
    add(made, options.note("upscalingMode", f"{limited} The default here is 1, as many as run, 5 at least."))
    made["upscalingSpeed"] = 1 if mode == "Conservative" else UNLIMITED_SPEED
    add(made, options.note("idleTimeoutSeconds", "60 seconds there by default, 5 minutes here."))
    made["idleTimeoutMinutes"] = minutes(KUBERAY_IDLE_SECONDS if seconds is None else seconds)


def _authentication(owner: Owner, given: Fields) -> tuple[list[Mapping[str, Any]], list[Comment]]:
    """Variables of every Ray process, and comments about where the token comes from."""
    mode = given.choice("mode", ("disabled", "token"))
    delegated, secret = given.truth("enableK8sTokenAuth"), given.text("secretName") or owner.name
    if not given.values or mode == "disabled":
        off = "Ray asks for no token."
        return [], given.notes(dict.fromkeys(("mode", "enableK8sTokenAuth", "secretName"), off))
    variables: list[Mapping[str, Any]] = [{"name": "RAY_AUTH_MODE", "value": "token"}]
    comments = given.notes({"mode": "RAY_AUTH_MODE in each podConfig; the operator needs it too, --ray-credentials."})
    if delegated:
        comments.append(
            given.note("enableK8sTokenAuth", "RAY_ENABLE_K8S_TOKEN_AUTH in each podConfig; no token is mounted for it.")
        )
        variables.append({"name": "RAY_ENABLE_K8S_TOKEN_AUTH", "value": "true"})
    else:
        reference = {"secretKeyRef": {"name": secret, "key": "auth_token"}}
        variables.append({"name": "RAY_AUTH_TOKEN", "valueFrom": reference})
        said = f"the token is read from the Secret {secret}, key auth_token, which must exist; none is made."
        comments.append(given.note("secretName", said))
    return variables, [*comments, *given.unknown()]
