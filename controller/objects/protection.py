"""The annotations by which autoscalers of nodes leave a pod, and so its node, alone."""

from __future__ import annotations

from controller.raycluster.model import Json

from .labels import PROTECTED_ANNOTATION

# Cluster Autoscaler and Karpenter.
_SAYS = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


def protecting(pod_config: Json) -> dict[str, str]:
    """What protects a pod of this podConfig, and that it was the operator. What the podConfig says itself stays."""
    given = (pod_config.get("metadata") or {}).get("annotations") or {}
    return {PROTECTED_ANNOTATION: "true", **{name: value for name, value in _SAYS.items() if name not in given}}
