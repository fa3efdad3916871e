"""How the log looks: for people or as JSON, every line with its cluster, nothing again and again, no secrets.

A message about a cluster begins with the cluster's prefix, ``<cluster>,<namespace>:``, given as its first argument.
Levels: DEBUG for what only a developer asks for, INFO for a decision and its reason, WARNING for what a person may
have to look at, ERROR for a defect.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TextIO

import orjson

FORMATS = ("human", "json")
# Whose loggers the level is for. What other packages log below WARNING is of use only to their authors.
OWN = ("controller", "autoscaler")
# The same line is written once in so many seconds; the next one says how many were left out.
QUIET_SECONDS = 60.0
# Lines that are remembered, the latest ones.
MAX_LINES = 1000

_PREFIX = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?),([a-z0-9]([-a-z0-9]*[a-z0-9])?):")
# Longer messages are cut before anything else is done with them: names and values in them come from anybody.
MAX_CHARACTERS = 16_384
CUT = " … [cut]"
# A header with its value.
_CREDENTIALS = re.compile(r"((?i:bearer|basic)\s{1,8})[\w.~+/=-]{6,}")
# What has the form of a JSON Web Token: service accounts and most of what kubeconfigs hold. A match begins where a
# run of its letters does, so that the search takes time in proportion to the text.
_TOKENS = re.compile(r"(?<![\w-])([\w-]+)\.[\w-]+\.[\w-]*")
# How a token's header, an object in base64, begins, and how long it is at least.
_TOKEN_START, _TOKEN_LENGTH = "eyJ", 11
# What moves the cursor of a terminal, ends a line or turns the direction of a text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def set_up(level: str, form: str, stream: TextIO | None = None) -> None:
    """Log to ``stream`` (default: standard output) from ``level`` up, as one of FORMATS.

    Packages that are used here are heard from WARNING up, or from ``level`` if that is higher.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else HumanFormatter())
    handler.addFilter(Repeats())
    own = [logging.getLogger(name) for name in OWN]
    for logger in own:
        logger.setLevel(level.upper())
    logging.basicConfig(handlers=[handler], level=max(own[0].level, logging.WARNING), force=True)
    # The connection pool's own chatter says nothing that the watchers do not say better.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


class HumanFormatter(logging.Formatter):
    """``<time> TAB <LEVEL> <message>``, and the same with the cluster's prefix before each further line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        stamp = f"{self.formatTime(record)}\t{record.levelname} "
        cluster = cluster_of(record)
        first, *more = text_of(record, self).splitlines() or [""]
        prefix = f"{','.join(cluster)}: " if cluster else ""
        return "\n".join([stamp + first, *(f"{stamp}{prefix}{line}" for line in more)])


class JsonFormatter(logging.Formatter):
    """One object a line: time (RFC 3339, UTC), level, logger, message; cluster and namespace where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        stamp = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        entry = {"time": stamp, "level": record.levelname, "logger": record.name}
        message = text_of(record, self)
        if cluster := cluster_of(record):
            entry |= {"cluster": cluster[0], "namespace": cluster[1]}
            message = message.removeprefix(f"{','.join(cluster)}:").lstrip(" ")
        # Anything may be in a message, also what is no Unicode.
        entry["message"] = message.encode(errors="replace").decode()
        return orjson.dumps(entry).decode()


class Repeats(logging.Filter):
    """Lets the same line through once in QUIET_SECONDS, and then says how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        # Digest of a line -> when it was written last, and how often it was left out since. Called under the
        # handler's lock.
        self._written: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        said = f"{record.levelno} {record.getMessage()}"[:MAX_CHARACTERS]
        line = hashlib.blake2b(said.encode(errors="replace"), digest_size=16).digest()
        now = self._clock()
        last, left_out = self._written.get(line, (-QUIET_SECONDS, 0))
        if now - last < QUIET_SECONDS:
            self._written[line] = (last, left_out + 1)
            return False
        self._written[line] = (now, 0)
        self._written.move_to_end(line)
        if len(self._written) > MAX_LINES:
            self._written.popitem(last=False)
        record.left_out = left_out
        return True


def cluster_of(record: logging.LogRecord) -> tuple[str, str] | None:
    """Name and namespace of the cluster that a record is about."""
    first = record.args[0] if isinstance(record.args, tuple) and record.args else None
    found = _PREFIX.fullmatch(first) if isinstance(first, str) else None
    return (found[1], found[3]) if found else None


def text_of(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    """Message and traceback: of bounded length, without secrets, and without a terminal's control characters."""
    text = _cut(record.getMessage())
    if left_out := getattr(record, "left_out", 0):
        text += f" ({left_out} more like this since)"
    if record.exc_info:
        text += "\n" + _cut(formatter.formatException(record.exc_info))
    return _CONTROL.sub(_escaped, without_secrets(text))


def without_secrets(text: str) -> str:
    """The text with credentials and tokens left out, in time proportional to its length."""
    return _TOKENS.sub(_without_token, _CREDENTIALS.sub(r"\1[secret]", text))


def _without_token(found: re.Match[str]) -> str:
    start = found[1].find(_TOKEN_START)
    return f"{found[1][:start]}[secret]" if 0 <= start <= len(found[1]) - _TOKEN_LENGTH else found[0]


def _cut(text: str) -> str:
    """At most MAX_CHARACTERS, up to white space: half a token is a secret too, and does not look like one."""
    if len(text) <= MAX_CHARACTERS:
        return text
    kept = text[:MAX_CHARACTERS]
    return kept[: max(kept.rfind(" "), kept.rfind("\n"), 0)] + CUT


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
