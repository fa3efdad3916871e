"""Which names of resources Kubernetes takes in requests and limits, and which one was meant by another.

Rules: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#extended-resources
"""

from __future__ import annotations

import difflib
import re

_STANDARD = ("cpu", "memory", "ephemeral-storage")
_PAGES = "hugepages-"
# In a ResourceQuota a device has this before its name.
_QUOTA = "requests."
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_DEVICE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# What people call them.
_MEANT = {
    **{name: name for name in _STANDARD},
    **dict.fromkeys(("cpus", "core", "cores", "vcpu", "vcpus"), "cpu"),
    **dict.fromkeys(("mem", "ram"), "memory"),
    **dict.fromkeys(("disk", "storage", "ephemeral"), "ephemeral-storage"),
    **dict.fromkeys(("gpu", "gpus", "nvidia", "cuda", "nvidia.com", "nvidia-gpu"), "nvidia.com/gpu"),
    **dict.fromkeys(("tpu", "tpus"), "google.com/tpu"),
    "hugepages": "hugepages-2Mi",
}


def wrong_resource_name(name: str, *, of_pod: bool = False) -> str:
    """What is wrong with a name among requests or limits; empty when nothing is.

    ``of_pod``: they are those of the pod, in which there are no devices.
    """
    if of_pod and name not in ("cpu", "memory") and not name.startswith(_PAGES):
        return "cannot be asked for by a pod as a whole; write it into the resources of a container"
    domain, slash, device = name.rpartition("/")
    own = name in _STANDARD or name.startswith(_PAGES)
    quota = name.startswith(_QUOTA)
    if own if not slash else not quota and _DOMAIN.fullmatch(domain) and _DEVICE.fullmatch(device):
        return ""
    return f"is no resource of Kubernetes; {_hint(name)}"


def _hint(name: str) -> str:
    without_spaces = re.sub(r"\s", "", name.removeprefix(_QUOTA))
    if "/" in without_spaces:
        domain, device = without_spaces.split("/")[:2]
        meant = f"{domain.lower()}/{device}"
        fine = bool(_DOMAIN.fullmatch(domain.lower()) and _DEVICE.fullmatch(device))
    else:
        near = difflib.get_close_matches(without_spaces.lower(), _MEANT, n=1)
        fine, meant = bool(near), _MEANT[near[0]] if near else ""
    return f"did you mean {meant}?" if fine else "use cpu, memory or a device such as nvidia.com/gpu"
