"""Ray's generated protobuf messages, without Ray: the one place that imports them.

``import ray.core.generated.autoscaler_pb2`` runs ``ray/__init__`` first, which loads Ray's native library: 0.2 s and
over 30 MB for some small files. They refer to each other with relative imports only, so they load just as well inside
a package of another name whose path is their folder in the installed distribution.

Protobuf registers each file under its source path, once per process. A later ``import ray`` registers the same bytes
again, which protobuf takes as the no-op it is, and then shares the message classes made here.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

PACKAGE = f"{__package__}._ray_generated"


def _folder() -> str:
    """Where the installed Ray keeps its generated files. Finding a top-level package does not run it."""
    spec = find_spec("ray")
    for root in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(root, "core", "generated")
        if (folder / "autoscaler_pb2.py").is_file():
            return str(folder)
    raise ImportError("the installed ray distribution has no ray/core/generated/autoscaler_pb2.py", name="ray")


def _generated(name: str) -> Any:
    """One generated module; ``Any``, because generated code carries no types."""
    if PACKAGE not in sys.modules:
        spec = ModuleSpec(PACKAGE, None, is_package=True)
        spec.submodule_search_locations = [_folder()]
        sys.modules[PACKAGE] = module_from_spec(spec)
    return import_module(f"{PACKAGE}.{name}")


# ray/src/ray/protobuf/autoscaler.proto; it brings common.proto and runtime_environment.proto with it.
autoscaler_pb2: Any = _generated("autoscaler_pb2")


@cache
def gcs_service() -> Any:
    """ray/src/ray/protobuf/gcs_service.proto, with the tables of jobs and actors. 1.1 MB, and few clusters need it."""
    return _generated("gcs_service_pb2")
