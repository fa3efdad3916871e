"""A GCS that is not one: a gRPC server on loopback whose state tests set, and which dies of what kills a real one."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from autoscaler.gcs.client import SERVICE
from autoscaler.gcs.convert import NODE_ID_BYTES
from autoscaler.gcs.protos import autoscaler_pb2, gcs_service
from autoscaler.gcs.report import fill_constraint, fill_gang, fill_request
from autoscaler.gcs.usage import ACTORS, JOBS
from autoscaler.model import HEAD_RESOURCE, Demand, Gang, NodeStatus

STATUS_NUMBER = {NodeStatus.RUNNING: 1, NodeStatus.DEAD: 2, NodeStatus.IDLE: 3, NodeStatus.DRAINING: 4}
# Numbers of ray.rpc.ActorTableData.ActorState.
ALIVE_ACTOR, DEAD_ACTOR = 2, 4
NO_LONGER_IDLE = "The node to be idle terminated is no longer idle."


class FakeGcs:
    """One head. Set its attributes between calls; close it at the end.

    ``nodes``: ``NodeState`` messages by instance id; a head is there from the start. ``demands``, ``gangs``,
    ``requested``: what waits. ``jobs``, ``actors``: the tables of GetAllJobInfo and GetAllActorInfo.
    ``reported``: the last ``AutoscalingState`` it took. ``drained``: accepted drains.
    ``calls``, ``called``: names of the methods called, and whether any was. ``peers``: the connections they came by.
    ``seen_versions``: what states were asked for with. ``metadata``: that of the last call.
    ``killed_by``: the call that ended it.
    Faults: ``error`` (a status for every call), ``garbage`` (bytes for every answer), ``hold`` (no answer until
    ``release``), ``token`` (what it insists on).
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "example-head",
        token: str | None = None,
        tls: grpc.ServerCredentials | None = None,
    ) -> None:
        self.session = "session_2026-01-01_00-00-00_000000_1"
        self.nodes: dict[str, Any] = {}
        self._numbers = itertools.count()
        self.demands: tuple[Demand, ...] = ()
        self.gangs: tuple[Gang, ...] = ()
        self.requested: tuple[Demand, ...] = ()
        self.jobs: list[Any] = []
        self.actors: list[Any] = []
        self.reported = autoscaler_pb2.AutoscalingState()
        self.drained: list[tuple[bytes, int, int]] = []
        self.calls: list[str] = []
        self.called = threading.Event()
        self.peers: list[str] = []
        self.seen_versions: list[int] = []
        self.metadata: dict[str, str | bytes] = {}
        self.killed_by: str | None = None
        self.error: grpc.StatusCode | None = None
        self.garbage: bytes | None = None
        self.hold = False
        self.token = token
        self._version = 0
        self._began = time.monotonic()
        self._released = threading.Event()
        self.add_node(name, "head-node", {"CPU": 1}, head=True, ip=host)
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, options=(("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)))
        methods = {
            "GetClusterResourceState": self._state,
            "ReportAutoscalingState": self._report,
            "DrainNode": self._drain,
        }
        self._serve(SERVICE, methods, autoscaler_pb2)
        self._serve(JOBS, {"GetAllJobInfo": self._jobs}, gcs_service())
        self._serve(ACTORS, {"GetAllActorInfo": self._actors}, gcs_service())
        address = f"{host}:{port}"
        bound = self._server.add_secure_port(address, tls) if tls else self._server.add_insecure_port(address)
        self.address = f"{host}:{bound}"
        self._server.start()

    def close(self) -> None:
        """End it, with every call under way."""
        self.release()
        self._server.stop(None).wait()
        self._pool.shutdown()

    def release(self) -> None:
        """Let the calls that are held go on."""
        self.hold = False
        self._released.set()

    def rename_head(self, name: str) -> None:
        """Another head answers here from now on."""
        for node in self.nodes.values():
            if "node:__internal_head__" in node.total_resources:
                node.instance_id = name

    def add_node(
        self,
        instance_id: str,
        node_type: str,
        resources: dict[str, float],
        *,
        status: NodeStatus = NodeStatus.IDLE,
        idle_seconds: float = 0,
        head: bool = False,
        ip: str = "127.0.0.1",
    ) -> bytes:
        """A node joins, with its own id; returns that. A dead one of the same instance stays in the list, as in Ray."""
        number = next(self._numbers)
        node_id = number.to_bytes(NODE_ID_BYTES, "big")
        if instance_id in self.nodes:
            self.nodes[f"{instance_id} before {number}"] = self.nodes.pop(instance_id)
        total = {**resources, "node:127.0.0.1": 1, **({HEAD_RESOURCE: 1} if head else {})}
        self.nodes[instance_id] = autoscaler_pb2.NodeState(
            node_id=node_id,
            instance_id=instance_id,
            ray_node_type_name=node_type,
            node_ip_address=ip,
            total_resources=total,
            available_resources=total if status is NodeStatus.IDLE else {},
            status=STATUS_NUMBER[status],
            idle_duration_ms=int(idle_seconds * 1000),
            labels={"ray.io/node-group": node_type, "ray.io/node-id": node_id.hex()},
        )
        return node_id

    def set_status(self, instance_id: str, status: NodeStatus) -> None:
        """A node starts or ends its work, drains or dies."""
        node = self.nodes[instance_id]
        node.status = STATUS_NUMBER[status]
        node.idle_duration_ms = 0
        node.available_resources.clear()
        if status is NodeStatus.IDLE:
            node.available_resources.update(node.total_resources)

    def start_job(self, namespace: str = "mine") -> Any:
        """A driver connects; returns its line in the table of jobs."""
        number = next(self._numbers)
        job = gcs_service().GetAllJobInfoReply().job_info_list.add(job_id=number.to_bytes(4, "little"))
        job.start_time = job.timestamp = 1_700_000_000_000 + number
        job.config.ray_namespace = namespace
        self.jobs.append(job)
        return job

    def end_job(self, job: Any, at: float = 1_700_000_100) -> None:
        """It is over, at a time in Unix seconds; its actors are too, unless they are detached."""
        job.is_dead, job.end_time = True, int(at * 1000)
        for actor in self.actors:
            if actor.job_id == job.job_id and not actor.is_detached:
                actor.state = DEAD_ACTOR

    def start_actor(self, job: Any, name: str = "", namespace: str = "mine", *, detached: bool = False) -> Any:
        """An actor of a job; returns its line in the table of actors."""
        number = next(self._numbers)
        actor = gcs_service().GetAllActorInfoReply().actor_table_data.add(actor_id=number.to_bytes(16, "little"))
        actor.job_id, actor.state, actor.class_name = job.job_id, ALIVE_ACTOR, "Worker"
        actor.name, actor.ray_namespace, actor.is_detached = name, namespace, detached
        self.actors.append(actor)
        return actor

    def _serve(self, service: str, methods: Mapping[str, Callable[[Any], Any]], messages: Any) -> None:
        handlers = {name: self._handler(name, method, messages) for name, method in methods.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))

    def _handler(self, name: str, method: Callable[[Any], Any], messages: Any) -> grpc.RpcMethodHandler[Any, Any]:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            self.calls.append(name)
            self.called.set()
            self.peers.append(context.peer())
            self.metadata = dict(context.invocation_metadata())
            if self.hold:
                self._released.wait()
            if self.token is not None and self.metadata.get("authorization") != f"Bearer {self.token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            if self.error:
                context.abort(self.error, "this head\nis not well")
            return method(request) if self.garbage is None else self.garbage

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=getattr(messages, f"{name}Request").FromString,
            response_serializer=lambda reply: reply if isinstance(reply, bytes) else reply.SerializeToString(),
        )

    def _state(self, request: Any) -> Any:
        self._version += 1
        self.seen_versions.append(request.last_seen_cluster_resource_state_version)
        if request.last_seen_cluster_resource_state_version > self._version:
            self._die("GetClusterResourceState with a version from the future")
        reply = autoscaler_pb2.GetClusterResourceStateReply()
        state = reply.cluster_resource_state
        state.cluster_resource_state_version = self._version
        state.cluster_session_name = self.session
        for node in list(self.nodes.values()):
            if HEAD_RESOURCE in node.total_resources and node.status == STATUS_NUMBER[NodeStatus.IDLE]:
                # Nothing has run there since it began.
                node.idle_duration_ms = int((time.monotonic() - self._began) * 1000)
            state.node_states.append(node)
        for demand in self.demands:
            fill_request(state.pending_resource_requests.add(count=demand.count).request, demand.shape)
        for gang in self.gangs:
            fill_gang(state.pending_gang_resource_requests.add(), gang)
        if self.requested:
            fill_constraint(state.cluster_resource_constraints.add(), self.requested)
        return reply

    def _jobs(self, request: Any) -> Any:
        if request.HasField("job_or_submission_id"):
            self._die("GetAllJobInfo of one job")
        return gcs_service().GetAllJobInfoReply(job_info_list=self.jobs)

    def _actors(self, request: Any) -> Any:
        if request.filters.HasField("job_id") or request.filters.HasField("actor_id"):
            self._die("GetAllActorInfo of one job or actor")
        wanted = [a for a in self.actors if not request.filters.HasField("state") or a.state == request.filters.state]
        limit = request.limit if request.HasField("limit") else len(wanted)
        return gcs_service().GetAllActorInfoReply(actor_table_data=wanted[:limit], total=len(self.actors))

    def _report(self, request: Any) -> Any:
        if request.autoscaling_state.autoscaler_state_version >= self.reported.autoscaler_state_version:
            self.reported = request.autoscaling_state
        return autoscaler_pb2.ReportAutoscalingStateReply()

    def _drain(self, request: Any) -> Any:
        if len(request.node_id) != NODE_ID_BYTES:
            self._die("DrainNode of a node id that is none")
        if request.reason not in (1, 2):
            self._die("DrainNode without a reason")
        for node in self._alive(request.node_id):
            if request.reason == 1 and node.status == STATUS_NUMBER[NodeStatus.RUNNING]:
                return autoscaler_pb2.DrainNodeReply(is_accepted=False, rejection_reason_message=NO_LONGER_IDLE)
            idle = node.status == STATUS_NUMBER[NodeStatus.IDLE]
            self.set_status(node.instance_id, NodeStatus.DEAD if idle else NodeStatus.DRAINING)
        self.drained.append((request.node_id, request.reason, request.deadline_timestamp_ms))
        return autoscaler_pb2.DrainNodeReply(is_accepted=True)

    def _alive(self, node_id: bytes) -> Iterable[Any]:
        dead = STATUS_NUMBER[NodeStatus.DEAD]
        return [n for n in list(self.nodes.values()) if n.node_id == node_id and n.status != dead]

    def _die(self, why: str) -> None:
        self.killed_by = why
        self._server.stop(None)
        raise RuntimeError(why)
