"""How a cluster outlives its head: where Ray keeps what the head knows, as ``spec.headRecovery`` says it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .problem import Problem
from .quantities import QuantityError, parse_quantity
from .spelling import quoted

PATH = "spec.headRecovery"
DEFAULT_SIZE = "1Gi"
DEFAULT_ACCESS_MODES = ("ReadWriteOnce",)
ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")
CLAIM_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]+")
ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?):([0-9]{1,5})")
# Characters of an object's name.
MAX_NAME = 253
# The version in a tag such as rayproject/ray:2.60.0-py311.
_VERSION = re.compile(r"\d+\.\d+\.\d+")
# No registry takes a longer tag.
_MAX_TAG = 128

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Storage:
    """A volume. ``claim_name``: of a claim that the user has made; empty where the operator makes one.

    ``storage_class``: None for the default one, "" for volumes without a class.
    """

    size: str = DEFAULT_SIZE
    storage_class: str | None = None
    access_modes: tuple[str, ...] = DEFAULT_ACCESS_MODES
    claim_name: str = ""
    retain: bool = False


@dataclass(frozen=True)
class Redis:
    """A Redis server. ``address``: host:port; ``secret``, ``key``: where the password is, empty without one."""

    address: str
    username: str = ""
    secret: str = ""
    key: str = ""
    tls: bool = False


@dataclass(frozen=True)
class HeadRecovery:
    """One of the two."""

    storage: Storage | None = None
    redis: Redis | None = None

    @property
    def credentials(self) -> dict[str, str]:
        """What of the store only the head's pod has."""
        redis = self.redis
        return {"username": redis.username, "secret": redis.secret, "key": redis.key} if redis else {}

    def token(self, image: str) -> str:
        """Identifies what a head and its workers have to agree on. ``image``: the head's.

        A head with another token finds nothing of what its workers know, or speaks another version of Ray.
        """
        where: list[Any] = [self.storage.claim_name if self.storage else None]
        where += [self.redis.address, self.redis.tls] if self.redis else []
        parts = [*where, ray_version(image)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def ray_version(image: str) -> str:
    """The version of Ray in an image's tag; empty where the tag has none."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = _VERSION.search(tag[:_MAX_TAG])
    return found[0] if found else ""


def parse_recovery(raw: Json | None) -> HeadRecovery | None:
    """``spec.headRecovery`` with its defaults. Call only with one in which ``recovery_problems`` finds nothing."""
    if not raw:
        return None
    storage, redis = raw.get("storage") or {}, raw.get("redis")
    if redis is not None:
        secret = redis.get("passwordSecret") or {}
        return HeadRecovery(
            redis=Redis(
                address=redis["address"],
                username=redis.get("username") or "",
                secret=secret.get("name") or "",
                key=secret.get("key") or "",
                tls=bool(redis.get("tls")),
            )
        )
    return HeadRecovery(
        storage=Storage(
            size=str(storage.get("size") or DEFAULT_SIZE),
            storage_class=storage.get("storageClassName"),
            access_modes=tuple(storage.get("accessModes") or DEFAULT_ACCESS_MODES),
            claim_name=storage.get("claimName") or "",
            retain=bool(storage.get("retain")),
        )
    )


def recovery_problems(raw: Json | None) -> Iterator[Problem]:
    """Everything wrong with ``spec.headRecovery``.

    Raises:
        AttributeError, TypeError: a part of it is of a wrong kind.
    """
    if raw is None:
        return
    given = [name for name in ("storage", "redis") if raw.get(name) is not None]
    if len(given) != 1:
        found = "has both storage and redis" if given else "has neither storage nor redis"
        yield Problem(PATH, f"{found}; set one of them")
        return
    yield from _storage(raw["storage"]) if given == ["storage"] else _redis(raw["redis"])


def _storage(raw: Json) -> Iterator[Problem]:
    path = f"{PATH}.storage"
    claim = raw.get("claimName")
    beside = [name for name in ("size", "storageClassName", "accessModes", "retain") if raw.get(name) is not None]
    if claim is not None and beside:
        yield Problem(f"{path}.claimName", f"names a claim that exists, which {beside[0]} does not change; remove one")
    if claim is not None and not (len(claim) <= MAX_NAME and CLAIM_NAME.fullmatch(claim)):
        yield Problem(
            f"{path}.claimName", f"{quoted(claim)} cannot be the name of a PersistentVolumeClaim; use a-z, 0-9, '-'"
        )
    if raw.get("size") is not None:
        yield from _size(f"{path}.size", raw["size"])
    for mode in raw.get("accessModes") or ():
        if mode not in ACCESS_MODES:
            message = f"{quoted(mode)} is none of {', '.join(ACCESS_MODES)}; the head writes to the volume"
            yield Problem(f"{path}.accessModes", message)


def _size(path: str, size: Any) -> Iterator[Problem]:
    try:
        if parse_quantity(size) <= 0:
            yield Problem(path, f"{quoted(size)} is not more than 0; write for example {DEFAULT_SIZE}")
    except QuantityError as error:
        yield Problem(path, str(error))


def _redis(raw: Json) -> Iterator[Problem]:
    path = f"{PATH}.redis"
    address = raw.get("address")
    found = ADDRESS.fullmatch(address) if address is not None else None
    if found is None or not 1 <= int(found[3]) <= 65535:
        what = "is missing" if address is None else f"{quoted(address)} is not host:port"
        message = f"{what}; write for example redis.default.svc:6379"
        yield Problem(f"{path}.address", message)
    secret = raw.get("passwordSecret")
    if secret is None:
        if raw.get("username"):
            yield Problem(f"{path}.username", "needs a password; set passwordSecret")
        return
    if not (secret.get("name") and len(secret["name"]) <= MAX_NAME and CLAIM_NAME.fullmatch(secret["name"])):
        yield Problem(f"{path}.passwordSecret.name", f"{quoted(secret.get('name'))} cannot be the name of a Secret")
    if not (secret.get("key") and SECRET_KEY.fullmatch(secret["key"])):
        yield Problem(f"{path}.passwordSecret.key", f"{quoted(secret.get('key'))} cannot be a key of a Secret")
