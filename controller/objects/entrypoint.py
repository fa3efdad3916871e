"""The program that the Ray container of a pod runs: set-up, then Ray as the container's own process.

Users' pod configs come with a command that idles, because the legacy operator started Ray through exec. Here the
start commands themselves are the container's process: when Ray ends, the container ends, and everyone can see it. The
program is in the folder ``program``; what this module puts before it are the commands, rewritten where Ray needs it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from controller.raycluster.head_recovery import PATH
from controller.raycluster.model import ClusterSpec, PodType
from controller.raycluster.shell_words import Variables
from controller.raycluster.start_commands import AUTOSCALING_CONFIG, RAY_START, RayStart, ray_starts
from controller.raycluster.start_options import variables_of

from . import probes
from .recovery import STORE_PATH

HEAD_FILE_DIR = "/etc/ray-operator"
HEAD_FILE_NAME = "head-ip"
HEAD_WAIT_SECONDS = 900
# Longer than a Redis takes to start again or to fail over; then the status can say what is wrong.
REDIS_WAIT_SECONDS = 30
# Nobody waits for it.
CLEANUP_WAIT_SECONDS = 300
# Kubernetes' own default.
TERMINATION_MESSAGE = "/dev/termination-log"

# `ray stop` clears an earlier Ray out of an idling container; in a fresh one it only costs a second.
_RAY_STOP = re.compile(r"\s*ray\s+stop\b(?:\s+(?:--force|-f)\b)?\s*(?:;\s*)?")
# Where a start command sends its output: a file, no device, by a name without anything for the shell to replace.
_OUTPUT_FILE = re.compile(r">>?&?\s*(/(?!dev/|proc/)[^\s;|&<>()$`*?'\"\\]+)")
_HEAD_IP = r"(\$RAY_HEAD_IP|\$\{RAY_HEAD_IP\}|\"\$RAY_HEAD_IP\"|\"\$\{RAY_HEAD_IP\}\")"
_BRACKETED = re.compile(rf"""(?:\\?\[|'\['|"\["){_HEAD_IP}(?:\\?\]|'\]'|"\]")""")
# A kubelet of Kubernetes 1.35 or older takes $ and a half of what follows where that is not ASCII.
_EXPANDED = re.compile(r"\$(?=[$(]|[^\x00-\x7f])")
_HOOK = "_ro_later && "
FOREGROUND, BACKGROUND, DAEMON = "foreground", "background", "daemon"


@dataclass(frozen=True)
class Commands:
    """Start commands as they are run. ``start``: the last one is Ray, unless ``mode`` is DAEMON: then one of them
    leaves Ray behind, because no ``ray start`` is to be seen, or because commands follow it in brackets or in a program
    of its own. ``later``: what follows, once Ray is up.
    """

    start: tuple[str, ...]
    later: tuple[str, ...]
    mode: str


def head_script(spec: ClusterSpec) -> str:
    """The head's program, for ``bash -c``."""
    commands = rewritten(spec.head_start, store_options(spec), variables_of(spec.head.pod_config))
    says = [word for pair in probes.missing(spec) for word in pair]
    return _script(spec.head.setup_commands, commands, probes.head_is_up(spec), says, store=_store_check(spec))


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


def cleanup_script(spec: ClusterSpec, command: str) -> str:
    """The program of a container that runs a command about the store of a head that is gone, for ``bash -c``."""
    commands = Commands((command,), (), FOREGROUND)
    return _script((), commands, "true", (), store=_store_check(spec, CLEANUP_WAIT_SECONDS))


def command_of(script: str) -> list[str]:
    """A container's command that runs a program. Kubernetes would put a variable's value in the place of $(NAME), and $
    in that of $$, before the shell sees them.
    """
    return ["/bin/bash", "-c", _EXPANDED.sub("$$", script)]


def _script(
    setup: Sequence[str],
    commands: Commands,
    up: str,
    says: Sequence[str],
    wait: dict[str, str] | None = None,
    *,
    store: Sequence[str] = (),
) -> str:
    lists = {
        "setup": without_brackets(setup),
        "start": without_brackets(commands.start),
        "later": without_brackets(commands.later),
        "files": output_files(commands.start),
        "store": store,
        "says": says,
    }
    values = {"head_file": "", "port": "", "limit": "", **(wait or {}), "up": up, "mode": commands.mode}
    named = any("0.0.0.0" in text for text in (*setup, *commands.start, *commands.later))
    values["any_address"] = "yes" if named else ""
    lines = [f"_ro_{name}=({' '.join(map(shlex.quote, given))})" for name, given in lists.items()]
    lines += [f"_ro_{name}={shlex.quote(given)}" for name, given in values.items()]
    needed = {
        "termination": True,
        "worker": bool(wait),
        "store": bool(store),
        "background": commands.mode == BACKGROUND,
        "left_behind": commands.mode == DAEMON,
        "later": bool(commands.later),
        "missing": bool(says),
        "ipv6": bool(values["any_address"]),
        "main": True,
    }
    return "\n".join(lines) + "\n" + _program(tuple(part for part, wanted in needed.items() if wanted))


@cache
def _program(parts: tuple[str, ...]) -> str:
    """Without what only costs room in each pod: comments, and half of the space that lines begin with."""
    folder = files(__package__).joinpath("program")
    lines = "".join(folder.joinpath(f"{part}.sh").read_text() for part in parts).splitlines()
    kept = [line for line in lines if line and not line.lstrip().startswith("#")]
    return "\n".join(line[(len(line) - len(line.lstrip())) // 2 :] for line in kept) + "\n"


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


def says_more_of_redis(spec: ClusterSpec) -> bool:
    """Start commands of the head set variables about its store, which Ray alone is told then."""
    return any("RAY_REDIS_" in command or "RAY_external_storage" in command for command in spec.head_start)


def _store_check(spec: ClusterSpec, seconds: int = REDIS_WAIT_SECONDS) -> list[str]:
    """The program that looks at a head's store, and its arguments; empty where there is none to be known."""
    recovery = spec.recovery
    if recovery is None or (recovery.redis and says_more_of_redis(spec)):
        return []
    file = spec.head.pod_config["spec"]["containers"][0].get("terminationMessagePath") or TERMINATION_MESSAGE
    if redis := recovery.redis:
        return [_check("redis"), f"{seconds}", file, redis.username, redis.secret, redis.key]
    field = "claimName" if recovery.storage and recovery.storage.claim_name else "size"
    return [_check("volume"), STORE_PATH, file, f"{PATH}.storage.{field}"]


def _check(of: str) -> str:
    return files(__package__).joinpath(f"{of}_check.py").read_text()


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
    if last.elsewhere or last.leaves:
        # What follows runs it, or may need what is set around it.
        later = ()
    else:
        edited = edited[: last.command + 1]
    if last.tail is not None and not last.blocks and not last.leaves:
        tail = edited[last.command][last.tail :].strip()
        edited[last.command] = edited[last.command][: last.tail].rstrip().removesuffix("&&").rstrip(" \t\n;")
        later = (tail, *later)
    for number, text in enumerate(edited):
        here = [ray for ray in starts if ray.command == number]
        edits = [edit for ray in here for edit in _edits(text, ray, last, options, bool(later))]
        edited[number] = _applied(text, edits)
    mode = DAEMON if last.leaves else BACKGROUND if last.background else FOREGROUND
    return Commands(tuple(edited), later, mode)


def _edits(text: str, ray: RayStart, last: RayStart, options: str, hook: bool) -> Iterator[tuple[int, int, str]]:
    """What to change about one ``ray start`` of a text: from where to where, and what stands there then."""
    stays = ray is last or ray.excludes(last)
    dropped = ray.options.get(AUTOSCALING_CONFIG)
    # In a variable there may be more, which must stay.
    if dropped and AUTOSCALING_CONFIG in text[dropped.start : dropped.end]:
        yield dropped.start, dropped.end, ""
    added = " --block" if stays and not last.leaves and not ray.blocks else ""
    # A worker takes the option too, without effect.
    head = ray.is_head or (ray.vague and "--address" not in ray.options)
    added += " --no-monitor" if head and "--no-monitor" not in ray.options else ""
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
