"""What happens to the RayCluster of a RayJob once its job is done: an idle cluster is deleted here, too.

KubeRay deletes it when the job has ended; here ``idleTermination`` does when nothing uses it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.raycluster.idle_termination import MAX_MINUTES

from . import table
from .source import Fields
from .written import Comment, Tree

# The submitting pod needs its image before Ray hears of the job; the cluster must not go in between.
LEAST_MINUTES = 5.0
_DELETES = ("DeleteCluster", "DeleteSelf")
_OUTCOMES = ("SUCCEEDED", "FAILED")
# How KubeRay names the same outcomes by the state of the RayJob.
_DEPLOYMENTS = {"Complete": "SUCCEEDED", "Failed": "FAILED"}


@dataclass(frozen=True)
class JobEnd:
    """``minutes``: after which a cluster that nothing uses is deleted; 0 where it stays. ``comments``: at the Job."""

    minutes: float
    comments: list[Comment]


def read_job_end(spec: Fields, name: str, has_cluster: bool) -> JobEnd:
    """Read the fields about the end of a job. ``has_cluster``: the RayCluster is the job's own, and it is submitted."""
    strategy = spec.mapping("deletionStrategy")
    # Once: reading them says what is wrong with them.
    rules = list(strategy.each("deletionRules"))
    policies = _policies(strategy, rules)
    seconds = spec.number("ttlSecondsAfterFinished") or 0
    if policies:
        deletes = {outcome for outcome, policy, _ in policies if policy in _DELETES}
        seconds = max([seconds, *(after for _, policy, after in policies if policy in _DELETES)])
        carried = all(outcome in deletes for outcome in _OUTCOMES)
    else:
        carried = bool(spec.truth("shutdownAfterJobFinishes"))
    carried = carried and has_cluster and not spec.truth("suspend")
    text = (table.DELETION_CARRIED if carried else table.DELETION).format(name=name)
    minutes = min(max(LEAST_MINUTES, round(seconds / 60, 1)), float(MAX_MINUTES)) if carried else 0.0
    return JobEnd(minutes, _comments(spec, strategy, rules, text))


def terminate(cluster: Tree, end: JobEnd) -> None:
    """Have the cluster deleted when nothing uses it any more."""
    if end.minutes:
        minutes = int(end.minutes) if end.minutes.is_integer() else end.minutes
        spec = cluster["spec"]
        types = spec.pop("podTypes")
        spec["idleTermination"] = {"minutes": minutes, "action": "Delete"}
        spec["podTypes"] = types


def _policies(strategy: Fields, rules: Sequence[Fields]) -> list[tuple[str, str, int]]:
    """Outcome, policy and seconds after it, in both styles of writing."""
    found = [
        (outcome, strategy.mapping(field).text("policy"), 0)
        for outcome, field in zip(_OUTCOMES, ("onSuccess", "onFailure"), strict=True)
        if field in strategy
    ]
    for rule in rules:
        condition = rule.mapping("condition")
        deployment = condition.text("jobDeploymentStatus")
        outcome = condition.text("jobStatus") or _DEPLOYMENTS.get(deployment, deployment)
        found.append((outcome, rule.text("policy"), condition.number("ttlSeconds") or 0))
    return found


def _comments(spec: Fields, strategy: Fields, rules: Sequence[Fields], text: str) -> list[Comment]:
    fields = ["shutdownAfterJobFinishes", "ttlSecondsAfterFinished"]
    if spec.values.get("shutdownAfterJobFinishes") is False:
        # What KubeRay keeps stays here as well.
        fields.remove("shutdownAfterJobFinishes")
        spec.taken.add("shutdownAfterJobFinishes")
    comments = spec.notes(dict.fromkeys(fields, text))
    comments += strategy.notes(dict.fromkeys(("onSuccess", "onFailure"), text))
    for rule in rules:
        comments += rule.notes(dict.fromkeys(("policy", "condition"), text))
        comments += rule.unknown()
    return [*comments, *strategy.unknown()]
