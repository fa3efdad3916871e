"""The command line of `scripts/local-kubernetes`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import cluster, removal, status
from .machine.addresses import FAMILIES
from .machine.binaries import SETS, ensure, link_directory
from .machine.console import CannotRunHere, Failed, say
from .machine.layout import Layout, is_name, layout_of, read_spec
from .nodes import loading
from .nodes.network import MAX_NODES

_DESCRIPTION = """\
A real Kubernetes cluster of several nodes on this Linux machine, without Docker or a virtual machine.

Nodes need root and a few Debian packages, which 'up' installs. They live in their own namespaces: the
machine's firewall, sysctls and mounts stay as they are, and 'down' leaves nothing behind but the cache of
programs and images. A control plane alone (--control-plane-only) needs neither root nor packages.
"""
_EPILOG = """\
exit codes: 0 done, 1 failed, 2 wrong usage, 3 this machine cannot run it (one line says what is missing)

environment:
  RAY_OPERATOR_CACHE  where programs and images are kept that had to be built; may be removed at any time
                      (default ~/.cache/ray-kubernetes-operator)
  KUBEBUILDER_ASSETS  a directory with Kubernetes programs and etcd, used where their versions fit
"""
_KWOK_HELP = """\
fake nodes kwok-node-0, kwok-node-1, ... labelled type=kwok, on which pods look as if they ran (default: as
many as there are, 0 in a new cluster). Beside real nodes they have the taint kwok.x-k8s.io/node=fake:NoSchedule,
so that only pods which tolerate it land there; in a control plane alone they have none
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if not sys.platform.startswith("linux"):
            raise CannotRunHere(f"a local cluster needs Linux, this is {sys.platform}")
        # Where an administrator's programs are; `su` and `sudo` don't always say so.
        os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except CannotRunHere as error:
        say(f"cannot run here: {error}")
        return 3
    except Failed as error:
        say(f"error: {error}")
        return 1
    except BrokenPipeError:
        # The reader has closed the pipe. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; the same command goes on from here")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local-kubernetes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_up(commands)
    _add(commands, "down", "remove the cluster and everything it made", _down)
    _add(commands, "status", "show components and nodes; exit code 0 if all of them run", _status)
    _add(commands, "kubeconfig", "print the path of the cluster's kubeconfig", _kubeconfig)
    load = _add(commands, "load-image", "import image archives into every real node that lacks them", _load)
    load.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE.tar", help="docker-archive or OCI tar")
    load.add_argument(
        "--as",
        dest="names",
        action="append",
        default=[],
        metavar="IMAGE",
        help="let pods use the one image of the one archive by this name too; may be given several times",
    )
    for verb, what, run in (
        ("stop-node", "kill a node's kubelet, containerd and containers, as if its machine had failed", _stop),
        ("start-node", "bring a stopped node back", _start),
    ):
        _add(commands, verb, what, run).add_argument("node", type=int, help="its number, 1 for node-1")
    binaries = commands.add_parser(
        "binaries",
        help="build the programs that are missing, and print the directory that holds them",
        description="Build the programs that are missing, and print the directory that holds them.",
    )
    binaries.add_argument("--for", dest="purpose", choices=tuple(SETS), default="all", help="(default: all)")
    binaries.set_defaults(run=_binaries)
    return parser


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = _add(commands, "up", "start the cluster, or bring it to what is asked for", _up)
    up.add_argument("--nodes", type=_number(1, MAX_NODES), metavar="N", help="real nodes (default: as it is, 3 if new)")
    up.add_argument("--kwok", type=_number(0, 10_000), metavar="N", help=_KWOK_HELP)
    up.add_argument(
        "--ip-family",
        choices=tuple(FAMILIES),
        help="what addresses pods and Services have: of IPv4, of IPv6 alone, or of both, IPv4 first (default: as it "
        "is, ipv4 if new). The host finds the API server by IPv4 in any case; by IPv6, pods do not reach the internet",
    )
    up.add_argument(
        "--control-plane-only",
        action="store_true",
        help="an API server with its etcd, controllers and scheduler on loopback, without real nodes",
    )


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], verb: str, what: str, run: object
) -> argparse.ArgumentParser:
    parser = commands.add_parser(verb, help=what, description=what[0].upper() + what[1:] + ".")
    parser.add_argument("--name", type=_name, default="ray", help="which cluster (default: ray)")
    parser.set_defaults(run=run)
    return parser


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be from {least} to {most}")
        return value

    return number


def _name(text: str) -> str:
    if not is_name(text):
        raise argparse.ArgumentTypeError("up to 20 lower-case letters, digits and inner hyphens")
    return text


def _up(options: argparse.Namespace) -> int:
    if options.control_plane_only and options.nodes:
        say("error: --control-plane-only and --nodes exclude each other")
        return 2
    nodes = 0 if options.control_plane_only else options.nodes
    cluster.up(layout_of(options.name), nodes, options.kwok, options.ip_family)
    return 0


def _down(options: argparse.Namespace) -> int:
    removal.down(layout_of(options.name))
    return 0


def _status(options: argparse.Namespace) -> int:
    text, healthy = status.report(_existing(options.name))
    print(text)
    return 0 if healthy else 1


def _kubeconfig(options: argparse.Namespace) -> int:
    layout = _existing(options.name)
    if not layout.kubeconfig.exists():
        raise Failed(f"cluster {layout.name} has no kubeconfig yet: run 'up' to the end first")
    print(layout.kubeconfig)
    return 0


def _load(options: argparse.Namespace) -> int:
    if options.names and len(options.archives) != 1:
        say("error: --as gives names to the image of one archive; load the others in a call of their own")
        return 2
    loading.load(_existing(options.name), options.archives, options.names)
    return 0


def _stop(options: argparse.Namespace) -> int:
    cluster.stop_node(_existing(options.name), options.node)
    return 0


def _start(options: argparse.Namespace) -> int:
    cluster.start_node(_existing(options.name), options.node)
    return 0


def _binaries(options: argparse.Namespace) -> int:
    print(link_directory(ensure(SETS[options.purpose])))
    return 0


def _existing(name: str) -> Layout:
    layout = layout_of(name)
    if read_spec(layout) is None:
        raise Failed(f"there is no cluster {name}: make one with 'up'")
    return layout
