"""A RayJob becomes a RayCluster and a Job that submits to it; a RayCronJob a RayCluster and a CronJob."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from controller.raycluster.ray_resources import MAX_RESOURCE

from . import table
from .cluster import Converted, convert_cluster
from .job_end import JobEnd, read_job_end, terminate
from .network import metadata
from .owner import Owner, fitting_name, read_owner
from .pod_labels import relabelled
from .source import Fields, short
from .texts import json_amounts, yaml_mapping
from .written import Comment, Tree, add

DASHBOARD_PORT = 8265
# Where the head's image is not known.
IMAGE = "rayproject/ray:2.60.0"
_SELECTOR = "ray.io/cluster"
_OF_SUBMISSION = (
    "entrypoint",
    "runtimeEnvYAML",
    "metadata",
    "entrypointNumCpus",
    "entrypointNumGpus",
    "entrypointResources",
)
_OF_THE_PROGRAM = (
    *_OF_SUBMISSION,
    "jobId",
    "submitterPodTemplate",
    "submitterConfig",
    "activeDeadlineSeconds",
    "suspend",
)
# Ray Jobs are submitted under one id by all pods of a Job: a retried pod follows the job that an earlier one started.
_SCRIPT = """\
address="http://$RAY_DASHBOARD_ADDRESS"
until ray job list --address "$address" >/dev/null 2>&1; do
  echo "waiting for Ray at $address"
  sleep 2
done
ray job status --address "$address" "$RAY_JOB_SUBMISSION_ID" >/dev/null 2>&1 ||
  ray job submit --address "$address" --submission-id "$RAY_JOB_SUBMISSION_ID" --no-wait \
{flags}-- {entrypoint}
ray job logs --address "$address" --follow "$RAY_JOB_SUBMISSION_ID"
while status=$(ray job status --address "$address" "$RAY_JOB_SUBMISSION_ID" 2>&1); do
  case "$status" in
    *"' succeeded"*) exit 0 ;;
    *"' failed"* | *"' was stopped"*) echo "$status"; exit 1 ;;
  esac
  sleep 2
done
echo "$status"
exit 1
"""
_RESOURCES = {"requests": {"cpu": "500m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def convert_job(document: Fields, images: Mapping[str, str]) -> list[Tree]:
    """The documents of a RayJob. ``images``: the head's, of the RayClusters that the input holds beside it."""
    name = fitting_name(document.mapping("metadata").text("name") or document.mapping("metadata").text("generateName"))
    owner = read_owner(document, (name,))
    spec = document.mapping("spec")
    documents, target = _cluster(owner, spec, images)
    submits = _mode(spec, target)
    end = read_job_end(spec, owner.name, has_cluster=bool(documents) and submits)
    if not submits:
        spec.taken.update(_OF_THE_PROGRAM)
        unused = dict.fromkeys(_OF_THE_PROGRAM, "not used; you submit the program yourself.")
        add(target.cluster, *spec.notes({**table.JOB, **unused}), *end.comments, *spec.unknown())
        return documents or [target.cluster]
    job, comments = _job(spec, target, end)
    terminate(target.cluster, end)
    tree: Tree = {}
    add(tree, Comment(f"Submits the program of the KubeRay RayJob {owner.name}."), *comments)
    made = tree | {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(owner, owner.name), "spec": job}
    return [*documents, made]


def convert_cron_job(document: Fields, images: Mapping[str, str]) -> list[Tree]:
    """The documents of a RayCronJob; ``images`` as above."""
    owner, spec = read_owner(document), document.mapping("spec")
    template = spec.mapping("jobTemplate")
    if "jobTemplate" not in spec:
        raise spec.missing("jobTemplate", "write the fields of a RayJob's spec under it")
    documents, target = _cluster(owner, template, images)
    submits = _mode(template, target)
    # The next run needs the cluster again.
    job, comments = _job(template, target, read_job_end(template, owner.name, has_cluster=False))
    tree: Tree = {}
    add(
        tree,
        Comment(
            f"Submits the program of the KubeRay RayCronJob {owner.name}. KubeRay makes a RayCluster for each run; "
            "here all runs share one, which has minWorkers workers in between."
        ),
        *comments,
    )
    if not submits:
        template.problem("submissionMode", "InteractiveMode submits nothing on a schedule; use K8sJobMode")
    if "schedule" not in spec:
        spec.problems.append(spec.missing("schedule", "write for example '0 3 * * *'").problem)
    content: dict[str, Any] = {"schedule": spec.text("schedule")}
    if "timeZone" in spec:
        content["timeZone"] = spec.text("timeZone")
    else:
        add(
            tree,
            Comment(
                "spec.timeZone: absent; the time zone is kube-controller-manager's here, there it is KubeRay's own."
            ),
        )
    suspended = spec.truth("suspend")
    if suspended is not None:
        content["suspend"] = suspended
    content["jobTemplate"] = {"spec": job}
    add(tree, *spec.unknown())
    head = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata(owner, owner.name)}
    return [*documents, tree | head | {"spec": content}]


def _cluster(owner: Owner, spec: Fields, images: Mapping[str, str]) -> tuple[list[Tree], Converted]:
    """The RayCluster that the job runs on, or the one that is there already."""
    selector = spec.strings("clusterSelector")
    if selector:
        return [], _selected(spec, selector, images)
    if "rayClusterSpec" not in spec:
        raise spec.missing("rayClusterSpec", f"give a cluster, or name one by clusterSelector: {_SELECTOR}: NAME")
    made = convert_cluster(owner, spec.mapping("rayClusterSpec"))
    return [made.cluster, *made.beside], made


def _selected(spec: Fields, selector: Mapping[str, str], images: Mapping[str, str]) -> Converted:
    """The RayCluster that is there already; comments about it stand for its manifest."""
    named = selector.get(_SELECTOR, "")
    if not named:
        spec.problem("clusterSelector", f"{short(selector)} does not name a RayCluster; add {_SELECTOR}: NAME")
    tree: Tree = {}
    text = f"the Job uses the RayCluster {fitting_name(named)}, which must be one of this operator."
    add(tree, spec.note("clusterSelector", text))
    add(tree, *spec.notes({"rayClusterSpec": "not used, clusterSelector names a RayCluster."}))
    image = images.get(named, "")
    if not image and not spec.mapping("submitterPodTemplate").values:
        add(tree, Comment(f"The image must have the same Ray as {named}'s head: set it, {IMAGE} stands for it."))
    return Converted(tree, [], f"{fitting_name(named)}-ray-head:{DASHBOARD_PORT}", image or IMAGE, [])


def _mode(spec: Fields, target: Converted) -> bool:
    """Whether a Job submits the program; the comment about it goes with the cluster."""
    mode = spec.choice("submissionMode", tuple(table.MODES)) or "K8sJobMode"
    text = table.MODES[mode].format(address=target.dashboard)
    if "submissionMode" in spec:
        add(target.cluster, spec.note("submissionMode", text))
    return mode != "InteractiveMode"


def _job(spec: Fields, target: Converted, end: JobEnd) -> tuple[dict[str, Any], list[Comment]]:
    """The spec of the Job, and comments about what it does not do."""
    comments = spec.notes(table.JOB)
    if not target.cluster.get("kind"):
        comments = [*(key for key in target.cluster if isinstance(key, Comment)), *comments]
    comments += end.comments
    submitter = spec.mapping("submitterConfig")
    retries = submitter.number("backoffLimit")
    given = {"activeDeadlineSeconds": spec.number("activeDeadlineSeconds"), "suspend": spec.truth("suspend")}
    content: dict[str, Any] = {"backoffLimit": 2 if retries is None else retries}
    content |= {name: value for name, value in given.items() if value is not None}
    comments += spec.notes(table.JOB_FIELDS)
    comments += _unused(spec)
    content["template"] = _pod(spec, target)
    comments += [*submitter.unknown(), *spec.unknown()]
    return content, comments


def _unused(spec: Fields) -> list[Comment]:
    """What says how the program is submitted, where the submitting container has a command that does it."""
    first = next(spec.mapping("submitterPodTemplate").mapping("spec").each("containers"), None)
    return spec.notes(dict.fromkeys(_OF_SUBMISSION, table.OWN_COMMAND)) if first and first.raw("command") else []


def _pod(spec: Fields, target: Converted) -> dict[str, Any]:
    """The template of the submitting pod: the user's, or one of the head's image."""
    given = relabelled(spec.raw("submitterPodTemplate") or {})
    pod = given.setdefault("spec", {}) if isinstance(given, dict) else {}
    containers = pod.setdefault("containers", [])
    if not containers:
        containers.append({"name": "ray-job-submitter", "resources": _RESOURCES})
    container = containers[0]
    if not container.get("image"):
        container["image"] = target.image
    pod.setdefault("restartPolicy", "Never")
    if not container.get("command"):
        container["command"] = ["/bin/bash", "-c", _script(spec)]
        container.pop("args", None)
    elif spec.text("entrypoint"):
        _script(spec)
    identity = {"fieldRef": {"fieldPath": "metadata.labels['controller-uid']"}}
    job_id = spec.text("jobId")
    variables: list[Mapping[str, Any]] = [
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": "RAY_DASHBOARD_ADDRESS", "value": target.dashboard},
        {"name": "RAY_JOB_SUBMISSION_ID", **({"value": job_id} if job_id else {"valueFrom": identity})},
        *target.authentication,
    ]
    taken = {variable.get("name") for variable in container.get("env") or []}
    container["env"] = [*(container.get("env") or []), *(v for v in variables if v["name"] not in taken)]
    # Nulls, which some clients write for an absent time, are gone already.
    return dict(given)


def _script(spec: Fields) -> str:
    """The program that submits. The entrypoint stands in it as it is: the shell reads it, as it does in KubeRay."""
    entrypoint = spec.text("entrypoint").strip()
    if not entrypoint:
        said = "write the command to run, python program.py for example"
        spec.problems.append(spec.missing("entrypoint", said).problem)
    flags = ""
    runtime_env = spec.text("runtimeEnvYAML")
    if runtime_env:
        parsed = yaml_mapping(spec, "runtimeEnvYAML", "pip: [emoji]")
        flags += f"--runtime-env-json {shlex.quote(json.dumps(parsed))} "
    if spec.strings("metadata"):
        flags += f"--metadata-json {shlex.quote(json.dumps(spec.strings('metadata')))} "
    for name, flag in (("entrypointNumCpus", "--entrypoint-num-cpus"), ("entrypointNumGpus", "--entrypoint-num-gpus")):
        amount = spec.raw(name)
        if isinstance(amount, int | float) and not isinstance(amount, bool) and amount >= 0:
            flags += f"{flag} {amount} "
        elif amount is not None:
            spec.problem(name, f"{short(amount)} is not a number of 0 or more; write one")
    if spec.text("entrypointResources"):
        resources = json_amounts(spec, "entrypointResources", MAX_RESOURCE)
        flags += f"--entrypoint-resources {shlex.quote(json.dumps(resources))} "
    return _SCRIPT.format(flags=flags, entrypoint=entrypoint)
