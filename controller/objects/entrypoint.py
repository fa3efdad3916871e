"""The program that the Ray container of a pod runs: set-up, then Ray as the container's own process.

Users' pod configs come with a command that idles, because the legacy operator started Ray through exec. Here the
start commands themselves are the container's process: when Ray ends, the container ends, and everyone can see it. The
program is ``entrypoint.sh``; what this module puts before it are the commands, rewritten where Ray needs it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from controller.raycluster.model import ClusterSpec, PodType
from controller.raycluster.shell_words import Variables
from controller.raycluster.start_commands import RAY_START, RayStart, ray_starts
from controller.raycluster.start_options import variables_of

from . import probes

HEAD_FILE_DIR = "/etc/ray-operator"
HEAD_FILE_NAME = "head-ip"
HEAD_WAIT_SECONDS = 900

# `ray stop` clears an earlier Ray out of an idling container; in a fresh one it only costs a second.
_RAY_STOP = re.compile(r"\s*ray\s+stop\b(?:\s+(?:--force|-f)\b)?\s*(?:;\s*)?")
# Where a start command sends its output: a file, no device, by a name without anything for the shell to replace.
_OUTPUT_FILE = re.compile(r">>?&?\s*(/(?!dev/|proc/)[^\s;|&<>()$`*?'\"\\]+)")
_HEAD_IP = r"(\$RAY_HEAD_IP|\$\{RAY_HEAD_IP\}|\"\$RAY_HEAD_IP\"|\"\$\{RAY_HEAD_IP\}\")"
_BRACKETED = re.compile(rf"""(?:\\?\[|'\['|"\["){_HEAD_IP}(?:\\?\]|'\]'|"\]")""")
_HOOK = "ray_operator_later && "
FOREGROUND, BACKGROUND, DAEMON = "foreground", "background", "daemon"


@dataclass(frozen=True)
class Commands:
    """Start commands as they are run. ``start``: the last one is Ray, unless ``mode`` is DAEMON: then no ``ray start``
    is to be seen, a program of the user's leaves Ray behind. ``later``: what follows, once Ray is up.
    """

    start: tuple[str, ...]
    later: tuple[str, ...]
    mode: str


def head_script(spec: ClusterSpec) -> str:
    """The head's program, for ``bash -c``."""
    commands = rewritten(spec.head_start, store_options(spec), variables_of(spec.head.pod_config))
    says = [word for pair in probes.missing(spec) for word in pair]
    return _script(spec.head.setup_commands, commands, probes.head_is_up(spec), says)


def worker_script(
    spec: ClusterSpec,
    pod_type: PodType,
    *,
    head_file: str = f"{HEAD_FILE_DIR}/{HEAD_FILE_NAME}",
    wait_seconds: int = HEAD_WAIT_SECONDS,
) -> str:
    """A worker's program, for ``bash -c``: it waits for the head's address and port, with a bound."""
    wait = {"head_file": head_file, "port": str(spec.gcs_port), "limit": str(wait_seconds)}
    return _script(
        pod_type.setup_commands,
        rewritten(spec.start_of(pod_type), variables=variables_of(pod_type.pod_config)),
        probes.worker_is_up(spec, pod_type) or "true",
        (),
        wait,
    )


def _script(
    setup: Sequence[str],
    commands: Commands,
    up: str,
    says: Sequence[str],
    wait: dict[str, str] | None = None,
) -> str:
    lists = {
        "setup": without_brackets(setup),
        "start": without_brackets(commands.start),
        "later": without_brackets(commands.later),
        "files": output_files(commands.start),
        "says": says,
    }
    values = {"head_file": "", "port": "", "limit": "", **(wait or {}), "up": up, "mode": commands.mode}
    lines = [f"ray_operator_{name}=({' '.join(map(shlex.quote, given))})" for name, given in lists.items()]
    lines += [f"ray_operator_{name}={shlex.quote(given)}" for name, given in values.items()]
    return "\n".join(lines) + "\n" + _program()


@cache
def _program() -> str:
    """Without its comments, which only cost room in each pod."""
    lines = files(__package__).joinpath("entrypoint.sh").read_text().splitlines()
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#")) + "\n"


def output_files(start: Sequence[str]) -> list[str]:
    """The files to which ``ray start`` writes its output."""
    found = [file for command in start if RAY_START.search(command) for file in _OUTPUT_FILE.findall(command)]
    return list(dict.fromkeys(found))


def without_brackets(commands: Sequence[str]) -> list[str]:
    """The commands without brackets around RAY_HEAD_IP, which has those that an address of IPv6 needs before a port."""
    return [_BRACKETED.sub(r"\1", command) for command in commands]


def store_options(spec: ClusterSpec) -> str:
    """The options of ``ray start`` on the head about its store, beside the environment."""
    redis = spec.recovery.redis if spec.recovery else None
    if redis is None or not redis.secret:
        return ""
    username = f" --redis-username={shlex.quote(redis.username)}" if redis.username else ""
    return f'{username} --redis-password="$REDIS_PASSWORD"'


def rewritten(start: Sequence[str], options: str = "", variables: Variables | None = None) -> Commands:
    """The start commands as they are run: the last ``ray start`` stays in the foreground, and what follows it runs
    beside it. ``ray stop`` and Ray's own autoscaler are left out: a head has one process less that speaks of scaling.

    ``options``: more of them for the last ``ray start``. ``variables``: those of the container.
    """
    texts = [command for command in start if not _RAY_STOP.fullmatch(command)]
    starts = ray_starts(texts, variables or Variables())
    if not starts:
        return Commands(tuple(texts), (), DAEMON)
    last = starts[-1]
    edited, later = list(texts), tuple(texts[last.command + 1 :])
    if last.elsewhere:
        # What follows runs it.
        later = ()
    else:
        edited = edited[: last.command + 1]
    if last.tail is not None and "--block" not in last.options:
        tail = edited[last.command][last.tail :].strip()
        edited[last.command] = edited[last.command][: last.tail].rstrip().removesuffix("&&").rstrip(" \t\n;")
        later = (tail, *later)
    for number, text in enumerate(edited):
        edits = [edit for ray in starts if ray.command == number for edit in _edits(ray, last, options, bool(later))]
        edited[number] = _applied(text, edits)
    return Commands(tuple(edited), later, BACKGROUND if last.background else FOREGROUND)


def _edits(ray: RayStart, last: RayStart, options: str, hook: bool) -> Iterator[tuple[int, int, str]]:
    """What to change about one ``ray start``: from where to where, and what stands there then."""
    stays = ray is last or ray.excludes(last)
    dropped = ray.options.get("--autoscaling-config")
    if dropped:
        yield dropped.start, dropped.end, ""
    added = " --block" if stays and "--block" not in ray.options else ""
    added += " --no-monitor" if ray.is_head and "--no-monitor" not in ray.options else ""
    yield ray.behind, ray.behind, added + (options if stays else "")
    if stays and hook:
        yield ray.begin, ray.begin, _HOOK


def _applied(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """From the end to the beginning: offsets stay true."""
    for start, end, new in sorted(set(edits), reverse=True):
        text = (text[:start] if new or start == end else text[:start].rstrip(" ")) + new + text[end:]
    return text


def blocking(start: Sequence[str]) -> list[str]:
    """Everything that runs, in order."""
    commands = rewritten(start)
    return [*commands.start, *commands.later]
