"""The commands of ``ray-operator`` beside running it: one line here and one module of the same name each.

The module has ``parser()``, an ``argparse.ArgumentParser``, and ``run(arguments)``, which takes what that parser read
and returns the exit code: FINE, WRONG_INPUT or WRONG_USAGE. It is imported when it is asked for: the running operator
does not carry what only a command needs.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import Any

FINE, WRONG_INPUT, WRONG_USAGE = 0, 1, 2

# Name -> what it does, in a few words.
COMMANDS = {
    "validate": "say what is wrong with RayClusters in manifest files",
    "render": "print the objects that the operator would create for a RayCluster",
    "simulate": "show what would be launched and removed for a RayCluster and some demand",
    "convert": "convert the manifests of KubeRay",
    "status": "show RayClusters of a Kubernetes, one or all, once or as they change",
    "suspend": "delete the pods of RayClusters and keep all else",
    "resume": "bring suspended RayClusters back",
}

_EXIT_CODES = "exit codes: 0 fine, 1 the input is wrong, 2 wrong usage"


def run_command(name: str, arguments: Sequence[str], **connections: Any) -> int:
    """Run one of COMMANDS. Returns its exit code.

    ``connections``: how to reach a Kubernetes, for commands that do; the command finds them beside its arguments.

    Raises:
        SystemExit: the arguments are wrong, or help was asked for.
    """
    module = import_module(f".{name}", __package__)
    code: int = module.run(module.parser().parse_args(arguments, argparse.Namespace(**connections)))
    return code


def command_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser whose help says what the command does, how it is used, and what its exit codes mean."""
    return argparse.ArgumentParser(
        prog=f"ray-operator {name}",
        description=description,
        epilog=f"examples:\n{textwrap.indent(examples.rstrip(), '  ')}\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def overview() -> str:
    """The list of commands, for the help of ``ray-operator`` itself."""
    lines = [f"  {name:10} {does}" for name, does in COMMANDS.items()]
    return "\n".join(["commands (see ray-operator COMMAND --help):", *lines])
