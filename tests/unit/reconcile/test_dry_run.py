"""Pods are tried out before anything is touched for their sake."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from controller.kube.client import ApiError, Request
from controller.objects.labels import HEAD, WORKER
from controller.raycluster.model import parse_spec
from controller.reconcile.dry_run import DryRun, Verdict, judge
from controller.reconcile.reconciler import Result
from tests.support.builders import cluster, raw_spec, raw_type
from tests.support.plans import changed_pod
from tests.support.world import World, well


@pytest.mark.parametrize(
    ("status", "message", "verdict"),
    [
        (422, 'Pod "x" is invalid: spec.containers[0].image: Required value', Verdict.REFUSED),
        (400, 'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal', Verdict.REFUSED),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest"', Verdict.REFUSED),
        (403, 'admission webhook "policy" denied the request: no', Verdict.REFUSED),
        (403, 'pods "x" is forbidden: exceeded quota: small', Verdict.INCONCLUSIVE),
        (403, 'pods is forbidden: User "u" cannot create resource "pods" in API group ""', Verdict.INCONCLUSIVE),
        (403, "unable to create new content in namespace ray because it is being terminated", Verdict.INCONCLUSIVE),
        (404, 'namespaces "ray" not found', Verdict.INCONCLUSIVE),
        (400, 'admission webhook "old" does not support dry run', Verdict.INCONCLUSIVE),
        (500, "Internal error occurred: failed calling webhook", Verdict.UNKNOWN),
        (429, "slow down", Verdict.UNKNOWN),
        (0, "no answer", Verdict.UNKNOWN),
    ],
)
def test_what_an_answer_proves(status: int, message: str, verdict: Verdict) -> None:
    assert judge(ApiError(status, "", message)).verdict is verdict


def refusing(world: World, status: int, message: str) -> None:
    """The API server says this to every pod that is tried out."""
    error = ApiError(status, "", message)
    world.api.refuse = lambda method, what, name: error if (what, name) == ("pods", "trial") else None


def test_a_refusal_is_told_without_the_name_that_was_made_up_for_the_trial() -> None:
    """Asked again, it is the same refusal: not a new status, not a new Event."""
    answers = [f'Pod "example-ray-worker-{name}" is invalid: spec.x: Not found: "data"' for name in ("a1b2c", "d3e4f")]
    assert {judge(ApiError(422, "Invalid", answer)).message for answer in answers} == {'spec.x: Not found: "data"'}
    forbidden = judge(
        ApiError(403, "Forbidden", 'pods "x-abcde" is forbidden: violates PodSecurity "restricted:latest"')
    )
    assert forbidden.message == 'violates PodSecurity "restricted:latest"'


def test_a_refused_pod_is_an_error_of_the_spec_and_touches_nothing() -> None:
    world = well()
    refusing(world, 422, "spec.containers[0].image: Required value")
    world.user(changed_pod(1))
    world.tell()
    assert world.step() == Result(look_again_in=60.0)
    assert world.status["phase"] == "Error"
    assert world.condition("SpecValid")["reason"] == "PodRejected"
    assert world.condition("SpecValid")["message"] == (
        "podConfig of the pod type worker-node: the API server refuses its pods: "
        "spec.containers[0].image: Required value"
    )
    assert world.reasons() == Counter(SpecInvalid=1)
    world.step()
    assert (len(world.api.trials), Counter(world.api.writes)) == (3, Counter({("PATCH", "rayclusters"): 1}))
    world.user(raw_spec())
    world.settle()
    assert world.status["phase"] == "Running"


def test_a_field_that_kubernetes_does_not_know_is_told_and_holds_nothing_up() -> None:
    """An older API server leaves it out of the pod as well."""
    world = World()
    answers = iter([ApiError(400, "BadRequest", 'no Pod: strict decoding error: unknown field "spec.nodeSelecter"')])
    world.api.refuse = lambda _, what, name: next(answers, None) if (what, name) == ("pods", "trial") else None
    world.settle()
    assert world.status["phase"] == "Running"
    (told,) = [event for event in world.api.events if event["type"] == "Warning"]
    assert told["reason"] == "UnknownField"
    assert told["message"].startswith("the podConfig of the pod type head-node has fields that Kubernetes leaves out")
    assert told["message"].endswith('unknown field "spec.nodeSelecter"')


def test_a_policy_that_is_lifted_is_noticed_without_a_change_of_the_spec() -> None:
    world = World()
    refusing(world, 403, "violates PodSecurity")
    world.step()
    assert world.api.names("pods") == []
    world.api.refuse = lambda *_: None
    world.step()
    assert world.api.names("pods") == []
    world.now += 60
    world.settle()
    assert world.status["phase"] == "Running"


def test_an_api_server_that_cannot_say_is_asked_again_before_anything_is_touched() -> None:
    world = well()
    refusing(world, 500, "failed calling webhook")
    world.user(changed_pod(1))
    world.tell()
    assert world.step() == Result(retry=True)
    assert world.api.writes == [("PATCH", "rayclusters")]
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Waiting")
    assert ready["message"].endswith("failed calling webhook")
    assert world.step() == Result(retry=True)
    assert len(world.api.writes) == 1
    world.api.refuse = lambda *_: None
    world.settle()
    assert world.status["phase"] == "Running"


def test_a_new_cluster_says_what_it_waits_for() -> None:
    world = World()
    refusing(world, 500, "failed calling webhook")
    world.step()
    assert (world.status["phase"], world.api.names("pods")) == ("Updating", [])
    assert "failed calling webhook" in world.condition("Ready")["message"]


@pytest.mark.parametrize("status", [500, 403])
def test_a_policy_made_later_keeps_no_running_cluster_from_its_next_head(status: int) -> None:
    """A new process knows nothing of earlier trials; of a type without workers nothing runs that would prove it."""
    world = well(raw_spec(0))
    refusing(world, status, "admission webhook says no")
    world.boot()
    world.fail(HEAD)
    world.settle()
    assert (world.status["phase"], world.status["autoscalerRetries"]) == ("Running", 1)


def test_each_configuration_is_tried_once_and_none_of_which_pods_run() -> None:
    world = well()
    assert len(world.api.trials) == 2
    world.boot()
    world.settle()
    assert len(world.api.trials) == 2
    world.user(changed_pod(1))
    world.settle()
    assert len(world.api.trials) == 3
    assert "name" not in world.api.trials[-1]["metadata"]
    assert world.api.trials[-1]["metadata"]["generateName"] == "example-ray-worker-"
    assert world.pod(WORKER)["spec"]["containers"][0]["image"] == "rayproject/ray:new"


def test_fields_that_only_gangs_get_are_tried_out_with_the_workers() -> None:
    world = World(raw_spec(0, gang={"podSpec": {"schedulerNam": "x"}}))
    world.turn()
    tried = {t["metadata"]["labels"]["ray-node-type"]: t["spec"].get("schedulerNam") for t in world.api.trials}
    assert tried == {HEAD: None, WORKER: "x"}


def test_a_gang_of_labels_alone_is_not_tried_out() -> None:
    """What admits pods by these labels may wait for others of the group."""
    world = World(raw_spec(0, gang={"labels": {"group": "$(GANG_NAME)"}}))
    world.turn()
    assert world.api.trials and not [t for t in world.api.trials if "group" in t["metadata"]["labels"]]


class Silent:
    """An API server that says nothing: each request costs its whole patience."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: ApiError | None = ApiError(0, "NoAnswer", "does not answer")

    def send(self, request: Request) -> dict[str, Any]:
        self.asked.append(request.body["metadata"]["generateName"])
        if self.error:
            raise self.error
        return dict(request.body)


@pytest.mark.parametrize(
    "error", [ApiError(0, "NoAnswer", "does not answer"), ApiError(500, "", "failed calling webhook")]
)
def test_while_it_cannot_be_said_of_one_type_no_other_is_asked_for(error: ApiError) -> None:
    raw = raw_spec()
    others = [raw_type(f"type-{n}", f"type-{n}-") for n in range(40)]
    made = cluster({**raw, "podTypes": [*raw["podTypes"], *others]})
    spec = parse_spec(made.spec)
    api = Silent()
    api.error = error
    dry_run = DryRun(api, lambda *_: None, lambda: 0.0)
    for _ in range(2):
        findings = dry_run.check(made, spec, [])
        assert findings.undecided and not findings.refused
    assert len(api.asked) == 2
    api.error = None
    assert not dry_run.check(made, spec, []).undecided
    assert len(set(api.asked)) == len(api.asked) - 2 == len(spec.pod_types)
