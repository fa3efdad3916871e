"""A simulated world around the planner: pods start, fail, vanish, get lost and work, while the spec changes.

It carries actions out as the API server, the kubelets and Ray would, and checks that each of them is allowed.
"""

from __future__ import annotations

from dataclasses import replace

from autoscaler.model import Demand, NodeStatus, RayNode, RayState, Shape
from controller.objects.hosts import worker_name
from controller.objects.labels import HEAD, WORKER
from controller.objects.pod_status import SCHEDULING_GATED, UNSCHEDULABLE
from controller.objects.views import PodView, ServiceView
from controller.planning.actions import (
    Action,
    CreatePod,
    CreateService,
    DeletePod,
    DrainPod,
    NoteComplete,
    PatchService,
    ProtectPod,
    RetirePod,
    TellHead,
)
from controller.planning.hosts import by_worker, number_of_workers
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.reasons import Label
from controller.raycluster.model import ClusterSpec, RayCluster, parse_spec
from controller.raycluster.service_ports import ServicePort
from tests.support.builders import NOW, UID, cluster, head_pod, raw_spec, raw_type, service
from tests.support.slices import slice_service

SPECS = (
    raw_spec(workers=2),
    raw_spec(workers=0, idleTimeoutMinutes=0.05),
    raw_spec(workers=3, headStartRayCommands=["ray start --head --port=7000"]),
    raw_spec(workers=1, workerStartRayCommands=["ray start --address=$RAY_HEAD_IP:6379 -v"]),
    raw_spec(podTypes=[raw_type("head-node"), raw_type("a", minWorkers=1), raw_type("b", minWorkers=2)]),
    raw_spec(workers=1, headPodType="worker-node"),
    raw_spec(podTypes=[raw_type("head-node", "ray-head-", minWorkers=1, maxWorkers=2), raw_type("a", minWorkers=1)]),
    raw_spec(podTypes=[raw_type("head-node", "ray-head-"), raw_type("worker-node", minWorkers=1, maxWorkers=1)]),
    raw_spec(workers=0, maxWorkers=2, workerStartRayCommands=["ray start --address=$RAY_HEAD_IP:6379 -w"]),
    raw_spec(workers=2, doNotDisrupt={"head": True, "busyWorkers": True}),
    raw_spec(workers=2, suspend=True),
    raw_spec(workers=3, suspend=True, headStartRayCommands=["ray start --head --port=7000"]),
    raw_spec(podTypes=[raw_type("head-node", "ray-head-"), raw_type("pair", minWorkers=2, maxWorkers=3, hosts=2)]),
    raw_spec(podTypes=[raw_type("head-node"), raw_type("a", minWorkers=1), raw_type("pair", hosts=3)], maxWorkers=2),
)
CPU = Shape.of({"CPU": 1})
# By how much the clock may jump, in seconds.
JUMPS = (0.5, 5.0, 29.0, 31.0, 61.0, 301.0, 599.0, 601.0, 3600.0, -0.5, -31.0, -3600.0)


class PlanWorld:
    """One cluster. ``busy``: uids of workers at work. ``waiting``: tasks that wait. ``age``: of the head's answers.

    ``killed``: why busy workers were deleted before their time to finish was over.
    """

    def __init__(self) -> None:
        self.now = NOW
        self.cluster: RayCluster = cluster(SPECS[0])
        spec = parse_spec(SPECS[0])
        self.foreign = head_pod(spec, owner_uid="another", uid="foreign", key=head_pod(spec).key._replace(name="f"))
        self.pods: dict[str, PodView] = {}
        self.service: ServiceView | None = None
        self.hosts_service: ServiceView | None = None
        self.made = 0
        self.busy: set[str] = set()
        self.draining: set[str] = set()
        self.waiting = 0
        self.age = 0.0
        self.refuses = False
        self.killed: list[Label] = []

    @property
    def spec(self) -> ClusterSpec:
        """As it is wanted now."""
        return parse_spec(self.cluster.spec)

    def plan(self) -> Plan:
        head = next((p for p in self.pods.values() if p.kind == HEAD and p.live and p.ip), None)
        ray = RayView(self._state(head), head.uid, self.age) if head else None
        return make_plan(
            Observed(
                self.cluster,
                self.spec,
                tuple(self.pods.values()),
                self.service,
                self.now,
                {"f"},
                ray,
                silence=self.age,
                hosts_service=self.hosts_service,
            )
        )

    def _state(self, head: PodView) -> RayState:
        joined = [p for p in self.pods.values() if p.kind == WORKER and p.head_uid == head.uid and p.ready]
        demands = (Demand(CPU, self.waiting),) if self.waiting else ()
        return RayState("s", 0.0, tuple(self._node(p) for p in joined if not p.ended), demands)

    def _node(self, pod: PodView) -> RayNode:
        busy = pod.uid in self.busy
        status = NodeStatus.DRAINING if pod.uid in self.draining else NodeStatus.RUNNING if busy else NodeStatus.IDLE
        return RayNode(
            node_id=pod.uid.encode().ljust(28, b"."),
            instance_id=pod.name,
            node_type=pod.node_type,
            status=status,
            total={"CPU": 10_000},
            available={} if busy else {"CPU": 10_000},
            idle_seconds=0.0 if busy else self.now - pod.started_at,
        )

    def apply(self, action: Action) -> None:
        if isinstance(action, CreatePod):
            self._create(action)
        elif isinstance(action, DeletePod):
            self._delete(action)
        elif isinstance(action, RetirePod):
            assert action.pod.uid not in self.busy, "an idle one was to be retired"
            if not self.refuses:
                self._delete(action)
        elif isinstance(action, DrainPod):
            pod = self.pods[action.pod.name]
            self.pods[pod.name] = replace(pod, drain_by=action.deadline, drain_label=action.reason.label.value)
            self.draining |= {pod.uid} - ({pod.uid} if self.refuses else set())
        elif isinstance(action, NoteComplete):
            pod = self.pods[action.pod.name]
            assert pod.host == 0 and len([p for p in self.pods.values() if p.group == pod.group]) == pod.hosts
            self.pods[pod.name] = replace(pod, complete=True)
        elif isinstance(action, TellHead):
            pod = self.pods[action.pod.name]
            self.pods[pod.name] = replace(pod, head_ip=action.head.ip, head_uid=action.head.uid)
        elif isinstance(action, ProtectPod):
            pod = self.pods[action.pod.name]
            assert pod.protected != action.protect and not pod.drain_by
            self.pods[pod.name] = replace(pod, protected=action.protect)
        else:
            assert isinstance(action, CreateService | PatchService)
            if action.for_hosts:
                self.hosts_service = slice_service()
            else:
                self.service = service(self.cluster)

    def _delete(self, action: DeletePod | RetirePod) -> None:
        assert action.pod.owner_uid == UID
        pod = self.pods[action.pod.name]
        assert pod.uid == action.pod.uid and not pod.deleting
        overdue = 0 < pod.drain_by <= self.now
        if pod.uid in self.busy and pod.live and not overdue:
            self.killed.append(action.reason.label)
        self.pods[pod.name] = replace(pod, deleting=True)

    def _create(self, action: CreatePod) -> None:
        assert not self.spec.suspend, "a pod of a suspended cluster"
        assert action.name not in self.pods and action.name != "f", "created twice or over somebody else's"
        spec = self.spec
        is_head = action.pod_type.is_head
        if is_head:
            assert not any(p.live for p in self.pods.values() if p.kind == HEAD), "a second head"
        elif action.host and action.host.index:
            if f"{action.host.slot}-0" not in self.pods:
                # None of a worker's hosts is made without the first one.
                return
        else:
            assert self.workers(action.pod_type.name) < action.pod_type.max_workers, "more of a type than allowed"
            assert self.workers() < spec.max_workers, "more workers than allowed"
        self.made += 1
        known = action.head
        self.pods[action.name] = head_pod(
            parse_spec(SPECS[0]),
            key=self.cluster.key._replace(name=action.name),
            uid=f"uid-{self.made}",
            kind=HEAD if is_head else WORKER,
            node_type=action.pod_type.name,
            config_hash=spec.hash_of(action.pod_type),
            phase="Pending",
            ready=False,
            ip="",
            head_ip=known.ip if known else "",
            head_uid=known.uid if known else "",
            attempt=action.attempt,
            started_at=self.now,
            ended_at=self.now,
            group=worker_name(action.host.slot) if action.host else "",
            host=action.host.index if action.host else 0,
            hosts=action.pod_type.hosts,
        )

    def workers(self, node_type: str = "") -> int:
        """How many workers there are that are not on their way out, of one type or of all."""
        mine = (p for p in self.pods.values() if p.kind == WORKER and p.live and node_type in ("", p.node_type))
        return number_of_workers(mine)

    def breathe(self) -> None:
        """Time passes: the terminating are gone, the pending run, the drained that are idle end."""
        self.now += 1
        self.pods = {n: p for n, p in self.pods.items() if not p.deleting}
        for name, pod in self.pods.items():
            if pod.phase == "Pending" and not pod.stuck:
                self.pods[name] = replace(pod, phase="Running", ready=True, ip=f"10.0.0.{pod.uid[4:]}")
            elif pod.uid in self.draining and pod.uid not in self.busy and not pod.ended:
                self.pods[name] = replace(pod, phase="Succeeded", ready=False, ended_at=self.now)

    def disturb(self, what: str, which: int) -> None:
        """One thing happens."""
        names = sorted(self.pods)
        name = names[which % len(names)] if names else ""
        if what == "spec":
            self.cluster = replace(self.cluster, spec=SPECS[which % len(SPECS)], generation=self.cluster.generation + 1)
        elif what == "service":
            self.service = None if which % 2 else service(ports=(ServicePort("x", 1, 1),))
        elif what == "demand":
            self.waiting = which
        elif what == "silence":
            self.age = self.silent_for(which)
        elif what == "pass":
            self.now += JUMPS[which % len(JUMPS)]
        elif what == "refuse":
            self.refuses = which % 2 == 1
        elif what == "breathe":
            self.breathe()
        elif name:
            self._disturb_pod(what, self.pods[name], which)

    def _disturb_pod(self, what: str, pod: PodView, which: int) -> None:
        if what == "vanish":
            del self.pods[pod.name]
        elif what == "terminate":
            self.pods[pod.name] = replace(pod, deleting=True)
        elif what == "work" and pod.kind == WORKER and pod.ready and pod.head_uid:
            self.busy ^= {pod.uid}
        elif what == "lose" and not pod.ended:
            self.pods[pod.name] = replace(pod, phase="Unknown")
        elif what == "fail":
            self.pods[pod.name] = replace(pod, phase="Failed", ready=False, ended_at=self.now)
        elif what == "stick" and pod.phase == "Pending":
            self.pods[pod.name] = replace(
                pod, stuck=UNSCHEDULABLE if which % 2 else SCHEDULING_GATED, stuck_since=self.now
            )
        elif what == "silence of a kubelet" and pod.phase == "Running":
            self.pods[pod.name] = replace(pod, node_lost=True, ready=False, unready_since=self.now)

    @staticmethod
    def silent_for(which: int) -> float:
        """From nothing to ten minutes."""
        return (0.0, 4.0, 6.0, 29.0, 31.0, 55.0, 59.0, 61.0, 120.0, 300.0, 599.0, 601.0)[which % 12]

    def settle(self) -> int:
        """Work ends, the head answers, all pods get room; plan and apply until nothing is left to do.

        Returns the rounds.
        """
        self.busy.clear()
        self.waiting, self.age, self.refuses = 0, 0.0, False
        for name, pod in self.pods.items():
            back = replace(pod, stuck="", stuck_since=0.0, node_lost=False)
            self.pods[name] = replace(back, ready=True) if pod.node_lost and pod.phase == "Running" else back
        for number in range(60):
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
        """All is as the spec says."""
        spec = self.spec
        assert self.service is not None and self.service.owner_uid == UID
        if spec.suspend:
            assert not self.pods
            return
        heads = [p for p in self.pods.values() if p.kind == HEAD]
        assert [(h.node_type, h.live) for h in heads] == [(spec.head_pod_type, True)]
        workers = [p for p in self.pods.values() if p.kind == WORKER]
        assert all(len(worker) == worker[0].hosts for worker in by_worker(workers)), "a part of a worker"
        for pod_type in spec.worker_types:
            assert pod_type.min_workers <= self.workers(pod_type.name) <= pod_type.max_workers
        assert self.workers() <= spec.max_workers
        hashes = {t.name: spec.hash_of(t) for t in spec.worker_types}
        assert all(p.config_hash == hashes.get(p.node_type) for p in workers)
        assert all((p.head_ip, p.head_uid) == (heads[0].ip, heads[0].uid) for p in workers)
