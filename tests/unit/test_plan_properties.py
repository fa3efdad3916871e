"""The planner's invariants in a simulated world: pods start, fail, vanish and get lost while the spec changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.model import RayCluster, ServicePort, parse_spec
from controller.plan import (
    Action,
    CreatePod,
    CreateService,
    DeletePod,
    Observed,
    PatchService,
    Plan,
    TellHead,
    make_plan,
)
from controller.pods import config_hash
from controller.views import HEAD, WORKER, PodView, ServiceView

from .builders import NOW, UID, cluster, head_pod, raw_spec, raw_type, service

SPECS = (
    raw_spec(workers=2),
    raw_spec(workers=0),
    raw_spec(workers=3, headStartRayCommands=["ray start --head --port=7000"]),
    raw_spec(workers=1, workerStartRayCommands=["ray start --address=$RAY_HEAD_IP:6379 -v"]),
    raw_spec(podTypes=[raw_type("head-node"), raw_type("a", minWorkers=1), raw_type("b", minWorkers=2)]),
    raw_spec(workers=1, headPodType="worker-node"),
)


class World:
    """Carries actions out as the API server and the kubelets would, and checks that each of them is allowed."""

    def __init__(self) -> None:
        self.now = NOW
        self.cluster: RayCluster = cluster(SPECS[0])
        spec = parse_spec(SPECS[0])
        self.foreign = head_pod(spec, owner_uid="another", uid="foreign", key=head_pod(spec).key._replace(name="f"))
        self.pods: dict[str, PodView] = {}
        self.service: ServiceView | None = None
        self.made = 0

    def plan(self) -> Plan:
        spec = parse_spec(self.cluster.spec)
        return make_plan(Observed(self.cluster, spec, tuple(self.pods.values()), self.service, self.now, {"f"}))

    def apply(self, action: Action) -> None:
        if isinstance(action, CreatePod):
            self._create(action)
        elif isinstance(action, DeletePod):
            assert action.pod.owner_uid == UID
            pod = self.pods[action.pod.name]
            assert pod.uid == action.pod.uid and not pod.deleting
            self.pods[pod.name] = replace(pod, deleting=True)
        elif isinstance(action, TellHead):
            pod = self.pods[action.pod.name]
            self.pods[pod.name] = replace(pod, head_ip=action.head.ip, head_uid=action.head.uid)
        else:
            assert isinstance(action, CreateService | PatchService)
            self.service = service(self.cluster)

    def _create(self, action: CreatePod) -> None:
        assert action.name not in self.pods and action.name != "f", "created twice or over somebody else's"
        spec = parse_spec(self.cluster.spec)
        is_head = action.pod_type.name == spec.head_pod_type
        if is_head:
            assert not any(p.live for p in self.pods.values() if p.kind == HEAD), "a second head"
        else:
            assert self.live(WORKER, action.pod_type.name) < action.pod_type.min_workers, "more than wanted"
        self.made += 1
        known = action.head
        self.pods[action.name] = head_pod(
            parse_spec(SPECS[0]),
            key=self.cluster.key._replace(name=action.name),
            uid=f"uid-{self.made}",
            kind=HEAD if is_head else WORKER,
            node_type=action.pod_type.name,
            config_hash=config_hash(spec, action.pod_type),
            phase="Pending",
            ip="",
            head_ip=known.ip if known else "",
            head_uid=known.uid if known else "",
            attempt=action.attempt,
            started_at=self.now,
            ended_at=self.now,
        )

    def live(self, kind: str, node_type: str) -> int:
        """How many pods count as nodes; held-back ones keep their place, and those of a lost head have none."""
        heads = {p.uid for p in self.pods.values() if p.kind == HEAD and p.live}
        spec = parse_spec(self.cluster.spec)
        wanted = {t.name: config_hash(spec, t) for t in spec.pod_types}
        mine = (p for p in self.pods.values() if (p.kind, p.node_type) == (kind, node_type) and p.live)
        return sum(p.config_hash == wanted.get(node_type) and p.head_uid in {"", *heads} for p in mine)

    def breathe(self) -> None:
        """Time passes: the terminating are gone, the pending run."""
        self.now += 1
        self.pods = {n: p for n, p in self.pods.items() if not p.deleting}
        for name, pod in self.pods.items():
            if pod.phase == "Pending":
                self.pods[name] = replace(pod, phase="Running", ip=f"10.0.0.{pod.uid[4:]}")

    def disturb(self, what: str, which: int) -> None:
        names = sorted(self.pods)
        name = names[which % len(names)] if names else ""
        if what == "spec":
            self.cluster = replace(self.cluster, spec=SPECS[which % len(SPECS)])
        elif what == "service":
            self.service = None if which % 2 else service(ports=(ServicePort("x", 1, 1),))
        elif what == "breathe":
            self.breathe()
        elif name and what == "vanish":
            del self.pods[name]
        elif name and what == "terminate":
            self.pods[name] = replace(self.pods[name], deleting=True)
        elif name and what == "lose" and not self.pods[name].ended:
            self.pods[name] = replace(self.pods[name], phase="Unknown")
        elif name and what == "fail":
            self.pods[name] = replace(self.pods[name], phase="Failed", ended_at=self.now)

    def settle(self) -> int:
        """Plan and apply until nothing is left to do. Returns the rounds."""
        for number in range(30):
            plan = self.plan()
            for action in plan.actions:
                self.apply(action)
            if plan.look_again_at is not None:
                self.now = max(self.now, plan.look_again_at)
            elif not plan.actions and not any(p.deleting or p.phase == "Pending" for p in self.pods.values()):
                return number
            self.breathe()
        raise AssertionError(f"no end in sight: {self.plan()}")

    def check_wanted(self) -> None:
        spec = parse_spec(self.cluster.spec)
        heads = [p for p in self.pods.values() if p.kind == HEAD]
        assert [(h.node_type, h.live) for h in heads] == [(spec.head_pod_type, True)]
        for pod_type in spec.worker_types:
            assert self.live(WORKER, pod_type.name) >= pod_type.min_workers
        workers = [p for p in self.pods.values() if p.kind == WORKER]
        assert all((p.head_ip, p.head_uid) == (heads[0].ip, heads[0].uid) for p in workers)
        assert self.service is not None and self.service.owner_uid == UID


DISTURBANCES = st.lists(
    st.tuples(
        st.sampled_from(["spec", "service", "breathe", "breathe", "vanish", "terminate", "lose", "fail"]),
        st.integers(0, 11),
        st.integers(0, 12),
    ),
    max_size=14,
)
QUICK: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=150, **QUICK)
@given(DISTURBANCES)
def test_whatever_happens_the_cluster_converges_without_a_second_head_or_surplus_pods(
    story: list[tuple[str, int, int]],
) -> None:
    """After each disturbance the operator gets some way into its plan, dies, and starts over."""
    world = World()
    for what, which, progress in story:
        world.disturb(what, which)
        for action in world.plan().actions[:progress]:
            world.apply(action)
    world.settle()
    world.check_wanted()


@settings(max_examples=80, **QUICK)
@given(DISTURBANCES, st.sets(st.integers(0, 9)))
def test_replanning_after_any_part_of_a_plan_leads_to_the_same_cluster(
    story: list[tuple[str, int, int]], refused: set[int]
) -> None:
    """Actions that the API server refuses leave others to be carried out; the outcome is the undisturbed one."""

    def outcome(skipped: set[int]) -> list[tuple[str, str, str]]:
        world = World()
        for what, which, progress in story:
            world.disturb(what, which)
            for action in world.plan().actions[:progress]:
                world.apply(action)
        for index, action in enumerate(world.plan().actions):
            if index not in skipped:
                world.apply(action)
        world.settle()
        return sorted((p.kind, p.node_type, p.config_hash) for p in world.pods.values())

    assert outcome(refused) == outcome(set())


@settings(max_examples=15, **QUICK)
@given(st.integers(1, 40), st.integers(0, 60))
def test_pods_that_always_crash_are_remade_ever_more_slowly(workers: int, seconds_between: int) -> None:
    """An hour of crashes makes a bounded number of pods per slot."""
    world = World()
    world.cluster = replace(world.cluster, spec=raw_spec(workers=min(workers, 5)))
    world.settle()
    before, end = world.made, world.now + 3600
    while world.now < end:
        for name, pod in world.pods.items():
            if pod.kind == WORKER and pod.phase == "Running":
                world.pods[name] = replace(pod, phase="Failed", ended_at=world.now)
        plan = world.plan()
        for action in plan.actions:
            world.apply(action)
        world.now = max(world.now + 1 + seconds_between, plan.look_again_at or 0)
        world.breathe()
    assert world.made - before <= 20 * min(workers, 5)
