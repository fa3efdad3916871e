"""Takes a cluster away, and makes sure that nothing of it is left."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

from .machine import cgroups
from .machine.components import running
from .machine.console import Failed, say, step
from .machine.layout import Layout, locked, read_spec
from .machine.processes import read_record, wait_gone
from .nodes.network import link_name, wait_for_link_to_go


def down(layout: Layout) -> None:
    """Remove the cluster: processes, what they made of the machine, state. Again is no error.

    Raises Failed with what is left, if anything is.
    """
    if not layout.state.exists() and not layout.run.exists() and not cgroups.groups(layout):
        say(f"there is no cluster {layout.name}")
        return
    with locked(layout):
        link = _link(layout)
        with step(f"removing cluster {layout.name}"):
            _kill(layout)
            cgroups.remove(layout)
            if link and not wait_for_link_to_go(link, 10):
                subprocess.run(["ip", "link", "del", link], capture_output=True, check=False)
            for directory in (layout.run, layout.state):
                if directory.exists():
                    shutil.rmtree(directory)
        left = leftovers(layout, link)
        if left:
            raise Failed(f"of cluster {layout.name} there is still: {', '.join(left)}")
    say(f"nothing of cluster {layout.name} is left: no process, mount, link, route, control group or file")


def leftovers(layout: Layout, link: str | None) -> list[str]:
    """What is still there of a removed cluster."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    places = (f"{layout.state}/", f"{layout.run}/")
    left = [f"mount {line.split(' ')[4]}" for line in mounts if f"{line.split(' ')[4]}/".startswith(places)]
    left += [f"control group {group}" for group in cgroups.groups(layout)]
    left += [f"process {pid}" for pid in _mentioning(layout)]
    left += [f"directory {path}" for path in (layout.state, layout.run) if path.exists()]
    if link and not wait_for_link_to_go(link, 0):
        left.append(f"link {link}")
    return left


def _kill(layout: Layout) -> None:
    """End everything. Nothing of it is needed afterwards, so nothing is asked to end."""
    records = [read_record(path) for path in layout.pids.glob("*.json")]
    processes = [record.process for record in records if record]
    # The init process first: with it, all that is inside is killed by the kernel at once.
    init = running(layout, "init")
    if init:
        init.process.kill(signal.SIGKILL)
        if not wait_gone(init.process, 20):
            raise Failed(f"the cluster's init process {init.process.pid} does not end")
    for process in processes:
        process.kill(signal.SIGKILL)
    for process in processes:
        if not wait_gone(process, 10):
            raise Failed(f"process {process.pid} does not end")


def _link(layout: Layout) -> str | None:
    try:
        spec = read_spec(layout)
    except Failed:
        return None
    return link_name(spec) if spec and spec.nodes else None


def _mentioning(layout: Layout) -> list[int]:
    """Processes that were started with a path of this cluster's, as all of its daemons are."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if f"={layout.state}/" in command or f"={layout.run}/" in command:
                found.append(int(entry.name))
    return found
