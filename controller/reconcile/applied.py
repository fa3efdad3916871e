"""What became of a plan's actions, one by one and taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.provider import ConflictError, ForbiddenError, ProviderError, TransientError
from controller.planning.actions import Action, CreateGangObject, CreatePod, DeletePod, RetirePod
from controller.planning.blocked_types import LASTING


@dataclass(frozen=True)
class Carried:
    """What became of one action. Not ``done`` without an ``error``: Ray keeps the node for now."""

    action: Action
    done: bool = True
    error: ProviderError | None = None


@dataclass(frozen=True)
class Applied:
    """What became of a plan's actions, in the order of the plan's kinds."""

    results: tuple[Carried, ...]

    @property
    def done(self) -> tuple[Action, ...]:
        """What was carried out."""
        return tuple(r.action for r in self.results if r.done)

    @property
    def errors(self) -> tuple[ProviderError, ...]:
        """What is to be tried again soon, one error per message; those a person must act on first."""
        return tuple(_distinct([r.error for r in self.results if r.error and not _is_lasting(r)]))

    @property
    def refusals(self) -> list[str]:
        """What a person must see to, in the API server's words."""
        return [str(e) for e in self.errors if not isinstance(e, TransientError)]

    @property
    def waits(self) -> list[str]:
        """What passes by itself, in the API server's words."""
        return [str(e) for e in self.errors if isinstance(e, TransientError)]

    @property
    def removed(self) -> frozenset[str]:
        """The uids of the pods that are being deleted on purpose."""
        return frozenset(a.pod.uid for a in self.done if isinstance(a, DeletePod | RetirePod))

    @property
    def launched(self) -> frozenset[str]:
        """The types of which a pod was made."""
        return frozenset(a.pod_type.name for a in self.done if isinstance(a, CreatePod))

    @property
    def refused(self) -> dict[str, ProviderError]:
        """Type -> why a pod of it was not made, and why the next one will not be either."""
        lasting = ((r.action, r.error) for r in self.results if _is_lasting(r))
        return {a.pod_type.name: error for a, error in lasting if isinstance(a, CreatePod) and error}

    @property
    def taken(self) -> frozenset[str]:
        """Pod names that belong to other owners."""
        conflicts = (r.action for r in self.results if isinstance(r.error, ConflictError))
        return frozenset(a.name for a in conflicts if isinstance(a, CreatePod))


def _is_lasting(result: Carried) -> bool:
    """A pod was refused for what the next one of its type would be refused for as well."""
    return isinstance(result.action, CreatePod) and isinstance(result.error, LASTING)


def with_gangs(
    results: Sequence[Carried], creates: Mapping[str, CreatePod]
) -> tuple[list[Carried], dict[str, CreatePod]]:
    """What became of the actions so far, and the pods that can be made: without its gang's objects none is. What kept
    an object from being made is said of the pods then.
    """
    failed = {r.action.gang: r.error for r in results if isinstance(r.action, CreateGangObject) and r.error}
    held = {name: a for name, a in creates.items() if a.gang in failed}
    said = {a.gang for a in held.values()}
    kept = [_quiet(r) if isinstance(r.action, CreateGangObject) and r.action.gang in said else r for r in results]
    kept += [Carried(a, False, failed[a.gang]) for a in held.values() if a.gang]
    return kept, {name: a for name, a in creates.items() if name not in held}


def _quiet(result: Carried) -> Carried:
    return replace(result, error=None)


def _distinct(errors: Sequence[ProviderError]) -> list[ProviderError]:
    by_text = {str(e): e for e in errors}
    return sorted(by_text.values(), key=lambda e: (isinstance(e, TransientError), not isinstance(e, ForbiddenError)))
