"""The image of pods' first process, which holds their namespaces and does nothing else.

It is made here, so that no registry is needed, and is one of machine code, so that no compiler is: an ELF
executable of one segment whose code asks the kernel to sleep, without end. What it need not do is end by itself:
a first process is not reached by signals it has no handler for, and containerd ends it by SIGKILL.
"""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

from localkube.images.oci import ImageConfig, ImageSpec, architecture, pack_layer, write_docker_archive
from localkube.machine.console import CannotRunHere

from .nodeconfig import PAUSE_IMAGE

_BASE = 0x400000
_HEADERS = 64 + 56
# ELF machine number (elf.h) and code.
_CODE: dict[str, tuple[int, bytes]] = {
    # sleep: mov eax, 34 (pause); syscall; jmp sleep
    "amd64": (62, bytes.fromhex("b822000000 0f05 ebf7")),
    # sleep: mov x0..x3, 0; mov x8, 73 (ppoll); svc 0; b sleep
    "arm64": (183, bytes.fromhex("000080d2 010080d2 020080d2 030080d2 280980d2 010000d4 faffff17")),
}


def executable(machine: str) -> bytes:
    """A static ELF executable that sleeps. Raises CannotRunHere on a machine whose code is not known."""
    if machine not in _CODE:
        raise CannotRunHere(f"no pause image for {machine} machines")
    number, code = _CODE[machine]
    size, entry = _HEADERS + len(code), _BASE + _HEADERS
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, number, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return identity + header + segment + code


def write_archive(path: Path) -> None:
    """The image as a docker-archive."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir()
        program = tree / "pause"
        program.write_bytes(executable(architecture()))
        program.chmod(0o755)
        layer = pack_layer(tree, Path(scratch) / "layer.tar")
        config = ImageConfig(user="65535:65535", entrypoint=("/pause",))
        write_docker_archive(path, [ImageSpec((PAUSE_IMAGE,), config, (layer,))])
