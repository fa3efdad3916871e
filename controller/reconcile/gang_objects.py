"""Makes and deletes the objects that ``spec.gang`` asks for, and knows which there are.

They are not watched. They are listed when this process first sees a cluster whose spec asks for some, and every ten
minutes of its passes; in between it knows what it has made itself. Clusters that ask for none cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autoscaler.provider import InvalidNodeError, ProviderError, TransientError
from controller.kube.client import METADATA_ONLY, ApiError, Client, Request
from controller.kube.events import WARNING, Events
from controller.objects.gang import GangObject, build_gang_object
from controller.objects.labels import CLUSTER_LABEL, GANG_ANNOTATION
from controller.planning.actions import CreateGangObject, DeleteGangObject
from controller.planning.gang_objects import SETTLE_SECONDS
from controller.raycluster.gang import ObjectTemplate
from controller.raycluster.model import ClusterSpec, Json, Key, RayCluster

from .pod_provider import typed

RENEWED_SECONDS = 600.0
TRY_AGAIN_SECONDS = 60.0


@dataclass
class _Known:
    """Of one cluster. ``listed``: (version of the API, plural) -> when. ``objects``: by version, plural and name."""

    uid: str
    listed: dict[tuple[str, str], float] = field(default_factory=dict)
    objects: dict[tuple[str, str, str], GangObject] = field(default_factory=dict)


class GangObjects:
    """One for all clusters; safe to use from many threads, each cluster's ``known`` from one at a time."""

    def __init__(self, client: Client, events: Events, clock: Callable[[], float]) -> None:
        self._client = client
        self._events = events
        self._clock = clock
        self._clusters: dict[Key, _Known] = {}

    def known(self, cluster: RayCluster, spec: ClusterSpec) -> tuple[GangObject, ...]:
        """Those that there are."""
        templates = spec.gang.objects if spec.gang else ()
        if not templates and cluster.key not in self._clusters:
            return ()
        known = self._of(cluster)
        for template in templates:
            if self._clock() >= known.listed.get((template.api_version, template.plural), -math.inf):
                self._list(cluster, template, known)
        return tuple(known.objects.values())

    def create(self, cluster: RayCluster, action: CreateGangObject) -> None:
        """Raises ProviderError: it was refused, with what to do about it."""
        template = action.template
        try:
            made = self._create(cluster, action)
        except ApiError as error:
            raise _refusal(template, error) from error
        found = GangObject.from_object(made, template.api_version, template.plural, self._clock())
        if found:
            self._of(cluster).objects[template.api_version, template.plural, found.name] = found

    def delete(self, cluster: RayCluster, action: DeleteGangObject) -> None:
        """An object that cannot be deleted is tried again a minute later, and holds nothing up."""
        of, objects = action.object, self._of(cluster).objects
        place = (of.api_version, of.plural, of.name)
        try:
            self._delete(cluster, of.api_version, of.plural, (of.name, of.uid))
        except ApiError as error:
            objects[place] = replace(of, known_since=self._clock() + TRY_AGAIN_SECONDS - SETTLE_SECONDS)
            self._tell(cluster, f"{of.plural} {of.name} of a gang without pods cannot be deleted", error)
        else:
            objects.pop(place, None)

    def forget(self, cluster: Key) -> None:
        """The cluster is gone."""
        self._clusters.pop(cluster, None)

    def _of(self, cluster: RayCluster) -> _Known:
        known = self._clusters.get(cluster.key)
        if known is None or known.uid != cluster.uid:
            known = self._clusters[cluster.key] = _Known(cluster.uid)
        return known

    def _list(self, cluster: RayCluster, template: ObjectTemplate, known: _Known) -> None:
        group, plural = template.api_version, template.plural
        query = {"labelSelector": f"{CLUSTER_LABEL}={cluster.name}"}
        now = self._clock()
        try:
            items = self._client.send(Request("list", plural, cluster.namespace, query=query, group=group))["items"]
        except ApiError as error:
            known.listed[group, plural] = now + TRY_AGAIN_SECONDS
            # What does not exist has no objects; a create will say so.
            if error.status != 404:
                self._tell(cluster, f"which {plural} there are of its gangs is not known", error)
            return
        known.listed[group, plural] = now + RENEWED_SECONDS
        made = [GangObject.from_object(o, group, plural, now) for o in items if _is_of(o, cluster)]
        found = {(group, plural, o.name): o for o in made if o}
        for place in [place for place in known.objects if place[:2] == (group, plural)]:
            before, after = known.objects.pop(place), found.get(place)
            if after and after.uid == before.uid:
                found[place] = replace(after, known_since=before.known_since)
        known.objects |= found

    def _create(self, cluster: RayCluster, action: CreateGangObject) -> Json:
        template, body = action.template, build_gang_object(cluster, action.template, action.gang)
        group, plural, name = template.api_version, template.plural, body["metadata"]["name"]
        request = Request("create", plural, cluster.namespace, body=body, group=group, accept=METADATA_ONLY)
        try:
            return self._client.send(request)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        found = self._client.send(Request("get", plural, cluster.namespace, name, group=group))
        if not _is_of(found, cluster):
            text = f"the {template.kind} {name} is not this cluster's; delete it, or change spec.gang.objects"
            raise InvalidNodeError(text)
        metadata = found["metadata"]
        if "deletionTimestamp" in metadata:
            raise TransientError(f"the {template.kind} {name} from before is still being deleted")
        if (metadata.get("annotations") or {}).get(GANG_ANNOTATION) != action.gang.text:
            # Left by a launch for the same placement group that came to nothing, and was of another size.
            self._delete(cluster, group, plural, (name, metadata["uid"]))
            return self._client.send(request)
        return found

    def _delete(self, cluster: RayCluster, group: str, plural: str, which: tuple[str, str]) -> None:
        """``which``: name and uid."""
        name, uid = which
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            self._client.send(Request("delete", plural, cluster.namespace, name, body=body, group=group))
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def _tell(self, cluster: RayCluster, what: str, error: ApiError) -> None:
        if isinstance(typed(error), TransientError):
            return
        message = f"{what}: {error.message or error}"
        self._events.post(cluster, WARNING, "GangObjectsFailed", message, once=message)


def _is_of(obj: Json, cluster: RayCluster) -> bool:
    return any(owner.get("uid") == cluster.uid for owner in obj["metadata"].get("ownerReferences") or ())


def _refusal(template: ObjectTemplate, error: ApiError) -> ProviderError:
    """The API server's words, and what to do about them."""
    kind, remedy = typed(error), ""
    if error.status == 403 and "cannot" in error.message:
        remedy = f"; let the operator create, get, list and delete {template.resource}, or change spec.gang.objects"
    elif error.status == 404:
        remedy = f"; install what provides {template.resource} in {template.api_version}, or change spec.gang.objects"
    elif isinstance(kind, InvalidNodeError):
        remedy = "; correct spec.gang.objects"
    return type(kind)(f"a gang's {template.kind} cannot be made: {error.message or error}{remedy}")
