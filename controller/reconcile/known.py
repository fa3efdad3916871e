"""What is kept of a cluster from pass to pass: nothing that could not be found out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.objects.pod import unbuildable
from controller.objects.views import PodView
from controller.planning.blocked_types import LaunchHistory
from controller.planning.own_times import OwnTimes
from controller.raycluster.gang_resources import unlisted
from controller.raycluster.model import ClusterSpec, Json, RayCluster, parse_spec
from controller.raycluster.problem import Problem
from controller.raycluster.ray_resources import with_admitted
from controller.raycluster.validation import problems


@dataclass
class Known:
    """One cluster, one incarnation.

    ``raw``, ``read``: the spec it had when it was read last, and what was read. ``noted``: the generation of which
    the notes were told. ``taken``: pod names that belong to other owners. ``missing``: see ``planning.missing``.
    ``sized``: the spec with the resources that the API server gives its pods, after what it was made from.
    ``pods``: how many there were after the last pass. ``doubtful``: pods have gone, as those of a deleted cluster do,
    since the API server said that the cluster is there; or it was never asked.
    """

    raw: Json | None = None
    read: ClusterSpec | tuple[Problem, ...] = ()
    noted: int = -1
    taken: frozenset[str] = frozenset()
    missing: Mapping[str, float] = field(default_factory=dict)
    history: LaunchHistory = field(default_factory=LaunchHistory)
    times: OwnTimes = field(default_factory=OwnTimes)
    sized: tuple[ClusterSpec, Mapping[str, Json], ClusterSpec] | None = None
    pods: int = 0
    doubtful: bool = True

    def look_at(self, pods: Sequence[PodView]) -> None:
        """Notice whether some have gone or are going."""
        self.doubtful |= len(pods) < self.pods or any(pod.deleting for pod in pods)

    def with_resources(self, spec: ClusterSpec, admitted: Mapping[str, Json]) -> ClusterSpec:
        """The spec with what the API server gives the pods of its types; the same one for the same resources."""
        if not admitted:
            return spec
        if self.sized is None or self.sized[0] is not spec or self.sized[1] != admitted:
            types = tuple(with_admitted(t, admitted.get(t.name)) for t in spec.pod_types)
            self.sized = (spec, admitted, replace(spec, pod_types=types))
        return self.sized[2]

    def spec_of(self, cluster: RayCluster, gang_objects: Sequence[str]) -> ClusterSpec | tuple[Problem, ...]:
        """The spec, or what is wrong with it. Checked when it changes: most passes are about pods and waiting work.

        ``gang_objects``: the resources of which its gangs may have objects.
        """
        if self.raw is None or self.raw != cluster.spec:
            found: ClusterSpec | tuple[Problem, ...] = problems(cluster.name, cluster.spec)
            found = found or tuple(unlisted(cluster.spec.get("gang"), gang_objects))
            if not found:
                spec = parse_spec(cluster.spec)
                found = unbuildable(cluster, spec) or spec
            self.raw, self.read = cluster.spec, found
        return self.read
