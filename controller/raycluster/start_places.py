"""What stands around a ``ray start`` in a shell's program: what runs after it, and of what it is a part."""

from __future__ import annotations

from collections.abc import Sequence

from .shell import SimpleCommand


def begin_of(until: Sequence[SimpleCommand]) -> int:
    """Where the last of these commands starts, or the list that it is an alternative in."""
    level, last = until[-1].depth, until[-1].place[-1]
    listed = (c.start for c in until if c.depth >= level and c.place[level].list == last.list and c.words)
    return next(listed) if last.alternative else until[-1].start


def in_background(following: Sequence[SimpleCommand]) -> bool:
    """The pipeline that begins with the first of these commands ends with &, or a compound command around it does."""
    depth, ended = following[0].depth, False
    for command in following:
        if command.depth < depth:
            depth, ended = command.depth, False
        if command.depth > depth or ended or command.after in ("|", "|&"):
            continue
        if command.after == "&":
            return True
        ended = True
    return False


def tail_of(following: Sequence[SimpleCommand]) -> int | None:
    """Where that begins which runs when the first of these commands has succeeded, or the compound command has that it
    is in.
    """
    for index, command in enumerate(following):
        if command.depth:
            continue
        if command.after in ("&&", ";", "\n"):
            return command.resume if any(c.words for c in following[index + 1 :]) else None
        if command.after in ("&", "", ";;"):
            return None
    return None


def is_followed(following: Sequence[SimpleCommand]) -> bool:
    """Inside of the compound command that it is in, more runs when the first of these commands has succeeded. A loop is
    taken as one that starts Ray again.
    """
    first, joined = following[0], False
    if first.negated and first.after in ("&&", "||"):
        return True
    if first.repeated or not first.depth:
        return False
    for command in following:
        if command.depth < first.depth or command.place[first.depth].branch != first.place[-1].branch:
            return False
        if joined and command.words:
            return True
        if command.depth == first.depth:
            joined = joined or command.after in ("&&", ";", "\n")
            if command.after in ("&", ";;"):
                return False
    return False
