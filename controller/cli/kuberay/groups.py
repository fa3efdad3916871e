"""Head group and worker groups become pod types, with the bounds that KubeRay holds them to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.raycluster.validation import LABEL_VALUE, MAX_IDLE_MINUTES, MAX_WORKERS

from . import table
from .source import LARGEST, Fields, short
from .start import Start, label_flag, ray_resources, read_start
from .template import Pods, read_template
from .written import Comment, Tree, add

# KubeRay's default of maxReplicas, which stands for no bound.
UNBOUNDED = LARGEST
MAX_IDLE_SECONDS = MAX_IDLE_MINUTES * 60
_MEMORY = "rayResources: KubeRay gives Ray the whole memory limit; this operator by itself 70 % of the memory."
_RESOURCES = "rayResources: what KubeRay declares for such a node, where this operator detects another amount."


@dataclass
class PodTypes:
    """The pod types of a cluster, and what they say about the cluster as a whole."""

    trees: list[Tree] = field(default_factory=list)
    head: str = ""
    max_workers: int = 0
    head_start: str = ""
    # Name of the type -> how Ray starts there.
    worker_starts: dict[str, str] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)


def read_pod_types(head: Fields, groups: Sequence[Fields], pods: Pods, autoscaling: bool) -> PodTypes:
    """The pod types of the cluster; ``pods.port`` is filled in from the head."""
    made = PodTypes()
    names = [group.text("groupName") for group in groups]
    # KubeRay calls the head's group so, and Ray's nodes are labelled with it.
    made.head = "headgroup" if "headgroup" not in names else "head"
    start = read_start(head, is_head=True)
    pods.port = start.port
    flags = f"--port={start.port} --no-monitor {start.flags}"
    tree, made.head_start = _pod_type(head, made.head, start, pods, f"--head {flags}")
    made.trees.append(tree)
    for group, name in zip(groups, names, strict=True):
        if not name:
            group.problem("groupName", "is missing; give the group a name")
        elif not LABEL_VALUE.fullmatch(name):
            said = f"{short(name)} cannot be a label value; use at most 63 letters, digits, '-', '_' or '.'"
            group.problem("groupName", said)
        elif names.count(name) > 1:
            group.problem("groupName", f"{name!r} is used more than once; give each group its own name")
        start = read_start(group, is_head=False)
        tree, command = _pod_type(group, name, start, pods, f"--address=$RAY_HEAD_IP:{pods.port} {start.flags}")
        made.worker_starts[name] = command
        made.max_workers += _bounds(group, tree, autoscaling)
        made.trees.append(tree)
    made.max_workers = min(made.max_workers, MAX_WORKERS)
    return made


def _pod_type(group: Fields, name: str, start: Start, pods: Pods, flags: str) -> tuple[Tree, str]:
    """The type, and the command that starts Ray on its nodes."""
    is_head = flags.startswith("--head")
    tree: Tree = {"name": name}
    flags = f"{flags} {_labels(group, tree, start)}".rstrip()
    command = f"ray start {' '.join(flags.split(maxsplit=1)) if is_head else flags}"
    template = read_template(group, pods, is_head, group.strings("labels"), command)
    resources = ray_resources(start, template.spec)
    add(tree, *start.comments)
    if resources:
        add(tree, Comment(_MEMORY if set(resources) == {"memory"} else _RESOURCES))
        tree["rayResources"] = resources
    if template.setup:
        tree["workerSetupCommands"] = [template.setup]
    tree["podConfig"] = template.pod_config
    return tree, template.script or f"ulimit -n 65536; {command}"


def _labels(group: Fields, tree: Tree, start: Start) -> str:
    """Write the labels of the type, or a comment where there are only flags for them. Returns the flag."""
    if not start.labels:
        return ""
    if table.writes("podTypes.labels"):
        tree["labels"] = dict(start.labels)
        return ""
    add(tree, group.note("labels", table.INSTEAD["podTypes.labels"]))
    return label_flag(start.labels)


def _bounds(group: Fields, tree: Tree, autoscaling: bool) -> int:
    """Write the bounds before the podConfig. Returns the most workers of the type."""
    config = tree.pop("podConfig")
    hosts = group.number("numOfHosts") or 1
    least, most = group.number("minReplicas") or 0, group.number("maxReplicas")
    replicas = group.number("replicas")
    if most is not None and least > most:
        group.problem("minReplicas", f"{least} is more than maxReplicas {most}; lower it or raise maxReplicas")
    most = UNBOUNDED if most is None else most
    if hosts > 1 and table.writes("podTypes.hosts"):
        tree["hosts"] = hosts
    elif hosts > 1:
        add(tree, group.note("numOfHosts", table.INSTEAD["podTypes.hosts"]))
    add(tree, *_optional(group, tree))
    if not autoscaling:
        wanted = 0 if group.truth("suspend") else max(least, min(replicas or 0, most))
        add(tree, *group.notes(dict.fromkeys(("minReplicas", "maxReplicas"), "a bound of replicas, which is fixed.")))
        add(tree, group.note("replicas", "without autoscaling it is both bounds: minWorkers and maxWorkers."))
        least = most = wanted
    elif replicas is not None:
        add(tree, group.note("replicas", "not carried over; the cluster starts with minWorkers and grows with work."))
    if group.truth("suspend"):
        add(tree, group.note("suspend", "no worker of this type runs until the bounds are raised."))
        least = most = 0
    if "hosts" not in tree:
        least, most = least * hosts, most * hosts
    if most > MAX_WORKERS:
        where = group.where("maxReplicas")
        add(tree, Comment(f"maxWorkers: {where} sets no bound below {MAX_WORKERS}. Set one here and in the spec."))
    most = min(most, MAX_WORKERS)
    tree["minWorkers"], tree["maxWorkers"] = least, most
    tree["podConfig"] = config
    add(tree, *group.unknown())
    return most


def _optional(group: Fields, tree: Tree) -> list[Comment]:
    """The fields that not every version of this operator has, and those that none has."""
    comments = group.notes({name: text for name, text in table.WORKER.items() if group.raw(name)})
    priority, idle = group.number("priority", -UNBOUNDED - 1), group.number("idleTimeoutSeconds", most=MAX_IDLE_SECONDS)
    if priority is not None:
        if table.writes("podTypes.priority"):
            tree["priority"] = priority
        else:
            comments.append(group.note("priority", table.INSTEAD["podTypes.priority"]))
    if idle is not None:
        if table.writes("podTypes.idleTimeoutMinutes"):
            tree["idleTimeoutMinutes"] = minutes(idle)
        else:
            comments.append(group.note("idleTimeoutSeconds", table.INSTEAD["podTypes.idleTimeoutMinutes"]))
    return comments


def minutes(seconds: int) -> int | float:
    """Seconds as minutes, a whole number where it is one."""
    return seconds // 60 if seconds % 60 == 0 else round(seconds / 60, 4)
