"""The objects that ``spec.gang`` asks for: made before a gang's pods, deleted when the last of these is gone. Pure.

An object that was made and whose gang got no pods, for whatever reason, is either used by the next launch for the same
placement group or deleted. One that somebody else has deleted is made anew while pods of its gang wait for a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from controller.objects.gang import PodGang, object_name
from controller.raycluster.gang import ObjectTemplate

from .actions import MAX_PER_KIND, Action, CreateGangObject, CreatePod, DeleteGangObject
from .observed import Observed

# An object without pods is kept for so long: those that another process has made may not be seen yet.
SETTLE_SECONDS = 10.0


def create_gang_objects(seen: Observed, actions: Sequence[Action]) -> Iterator[CreateGangObject]:
    """What the gangs of the pods that are to be created lack, and those whose pods wait for a node.

    Without a bound of its own: no pod may come before its gang's objects.
    """
    templates = seen.spec.gang.objects if seen.spec.gang else ()
    if not templates:
        return
    there = {(o.api_version, o.plural, o.name): o.gang for o in seen.gang_objects}
    for gang in dict.fromkeys([*_launched(actions), *_waiting(seen)]):
        for template in templates:
            if there.get(_place(seen, template, gang)) != gang:
                yield CreateGangObject(template, gang)


def delete_gang_objects(seen: Observed, actions: Sequence[Action]) -> tuple[list[DeleteGangObject], float | None]:
    """The objects of gangs without pods, and when the next one is due (seconds since the epoch)."""
    if not seen.gang_objects:
        return [], None
    held = {gang.name for gang in (*_launched(actions), *_of([p.gang for p in seen.pods]))}
    # While pods of a type are refused, what they need is kept for the next try.
    refused = any(block.refuses for block in seen.blocks.values())
    left = [] if refused else [o for o in seen.gang_objects if o.gang.name not in held]
    due = [o for o in left if o.known_since + SETTLE_SECONDS <= seen.now]
    later = [o.known_since + SETTLE_SECONDS for o in left if o not in due]
    return [DeleteGangObject(o) for o in due[:MAX_PER_KIND]], min(later, default=None)


def _launched(actions: Sequence[Action]) -> Iterator[PodGang]:
    yield from (a.gang for a in actions if isinstance(a, CreatePod) and a.gang)


def _waiting(seen: Observed) -> Iterator[PodGang]:
    return _of([p.gang for p in seen.pods if p.live and not p.node])


def _of(notes: Iterable[str]) -> Iterator[PodGang]:
    yield from filter(None, map(PodGang.read, filter(None, notes)))


def _place(seen: Observed, template: ObjectTemplate, gang: PodGang) -> tuple[str, str, str]:
    return template.api_version, template.plural, object_name(template, gang, seen.cluster)
