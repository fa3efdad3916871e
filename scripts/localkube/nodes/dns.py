"""Asks a name server one question, to see whether it answers."""

from __future__ import annotations

import socket
import struct

_ANSWER_WITHOUT_ERROR = 0x8000
_MASK = 0x800F
_A, _AAAA = 1, 28


def question(name: str, number: int, ipv6: bool = False) -> bytes:
    """A query for an address of `name` (RFC 1035, section 4, and RFC 3596)."""
    kind = _AAAA if ipv6 else _A
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)


def is_answer(message: bytes, number: int) -> bool:
    """Whether `message` answers question `number` with at least one record."""
    if len(message) < 12:
        return False
    given, flags, _, answers = struct.unpack(">HHHH", message[:8])
    return bool(given == number and flags & _MASK == _ANSWER_WITHOUT_ERROR and answers > 0)


def resolves(server: str, name: str, ipv6: bool = False) -> bool:
    """Whether the server has an address for `name`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        try:
            client.connect((server, 53))
            client.send(question(name, 7, ipv6))
            return is_answer(client.recv(512), 7)
        except OSError:
            return False
