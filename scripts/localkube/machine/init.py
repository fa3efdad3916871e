"""First process in a cluster's namespaces: arranges the mounts, then adopts and reaps orphans until it is killed.

A program of its own, `init.py RUN KEPT...`, that imports nothing of the package: it must go on unharmed when
the checkout that it was started from is changed or removed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

MS_BIND, MS_REC, MS_SLAVE, MS_SHARED = 0x1000, 0x4000, 0x80000, 0x100000

# Container tools keep things at fixed places here (/run/netns, /run/containerd, /var/lib/cni, /var/lib/kubelet,
# /var/log/containers); inside they see empty directories of their own instead of the host's.
MASKED = ("/run", "/var/lib", "/var/log")

# The kubelet sets these to these values, for the whole machine. Inside it finds them set, and the machine's own
# values stay as they are. (k8s.io/component-helpers/node/util/sysctl)
TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    if _libc.mount(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mounting {source} on {target}: {os.strerror(number)}")


def open_path(path: str) -> int:
    """A handle that still leads there once something else is mounted over it."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def arrange(run: Path, kept: list[str]) -> None:
    """Give this mount namespace its own /proc and /sys and its own `MASKED`, in which `kept` remain."""
    # Nothing mounted from here on reaches the host; within the namespace the kubelet needs propagation.
    mount("none", "/", flags=MS_REC | MS_SLAVE)
    mount("none", "/", flags=MS_REC | MS_SHARED)
    mount("proc", "/proc", "proc")
    with_cgroups("/sys/fs/cgroup")
    resolver = os.path.realpath("/etc/resolv.conf")
    handles = {path: open_path(path) for path in kept if any(Path(path).is_relative_to(m) for m in MASKED)}
    for masked in MASKED:
        mount("tmpfs", masked, "tmpfs", data="mode=755")
    for path, handle in handles.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        bind(handle, path)
    Path(resolver).parent.mkdir(parents=True, exist_ok=True)
    Path(resolver).touch()
    mount(str(run / "resolv.conf"), resolver, flags=MS_BIND)
    pretend_tunables(run / "tunables")


def with_cgroups(cgroups: str) -> None:
    """A /sys that shows this network namespace, with the host's cgroups, which a new one lacks."""
    handle = open_path(cgroups)
    mount("sysfs", "/sys", "sysfs")
    bind(handle, cgroups)


def bind(handle: int, target: str) -> None:
    """Mount what `handle` leads to, with everything below it."""
    mount(f"/proc/self/fd/{handle}", target, flags=MS_BIND | MS_REC)
    os.close(handle)


def pretend_tunables(directory: Path) -> None:
    """Put files with the values that the kubelet wants over the kernel's own."""
    for key, value in TUNABLES.items():
        file = directory / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
        mount(str(file), f"/proc/sys/{key}", flags=MS_BIND)


def reap_forever() -> None:
    """What orphans need of a first process: somebody who waits for them."""
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            # No child is left: all of them have been waited for.
            pass


def main() -> None:
    """`init.py RUN KEPT...`: says that it is ready by the file RUN/init.ready."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    run = Path(sys.argv[1])
    arrange(run, sys.argv[2:])
    (run / "init.ready").touch()
    reap_forever()


if __name__ == "__main__":
    main()
