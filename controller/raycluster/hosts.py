"""Pod types whose workers are several pods: what may be wrong with them, and what of it is only unexpected."""

from __future__ import annotations

from collections.abc import Iterator

from .accelerators import tpu_slice
from .model import Json, PodType
from .problem import Problem
from .ray_resources import ray_resources
from .spelling import quoted

# Also in the CRD. The names of more hosts do not fit into a variable of the environment.
MAX_HOSTS = 1_000
# Of a pod's spec: the names by which the hosts of a worker find each other.
_NAMES = ("hostname", "subdomain")


def hosts_problems(path: str, raw: Json, is_head: bool) -> Iterator[Problem]:
    """What is wrong with the number of hosts of a pod type.

    Raises:
        TypeError: it is no whole number.
    """
    hosts = raw.get("hosts")
    if hosts is None:
        return
    if isinstance(hosts, bool) or not isinstance(hosts, int):
        raise TypeError(f"{quoted(hosts)} is not a whole number")
    if not 1 <= hosts <= MAX_HOSTS:
        yield Problem(f"{path}.hosts", f"{hosts} is not a number from 1 to {MAX_HOSTS}; use one of these")
    elif hosts > 1 and is_head:
        yield Problem(
            f"{path}.hosts", f"{hosts} hosts cannot be a head, which is one pod; give workers a type of theirs"
        )
    elif hosts > 1:
        given = [name for name in _NAMES if (raw["podConfig"].get("spec") or {}).get(name)]
        for name in given:
            yield Problem(
                f"{path}.podConfig.spec.{name}", f"is the operator's to set where a worker has {hosts} hosts; remove it"
            )


def slice_notes(path: str, pod_type: PodType) -> Iterator[Problem]:
    """A slice of TPUs that the hosts of a worker do not make up."""
    found = None if pod_type.is_head else tpu_slice(pod_type.pod_config["spec"])
    chips = int(ray_resources(pod_type).get("TPU", 0)) if found else 0
    if found and chips and found.chips != chips * pod_type.hosts:
        needed = -(-found.chips // chips)
        yield Problem(
            f"{path}.hosts",
            f"the topology {found.topology} has {found.chips} TPU chips, and {pod_type.hosts} hosts with {chips} each "
            f"have {chips * pod_type.hosts}; set hosts to {needed}, so that a worker is a whole slice",
        )
