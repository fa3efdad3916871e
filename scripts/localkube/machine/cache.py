"""Where downloaded and built things are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """``$RAY_OPERATOR_CACHE``, else ``ray-kubernetes-operator`` in the user's cache directory; not created.

    The user's cache directory is as in https://specifications.freedesktop.org/basedir-spec/latest/.
    """
    own = os.environ.get("RAY_OPERATOR_CACHE")
    if own:
        return Path(own).absolute()
    # The specification has relative values of XDG_CACHE_HOME ignored.
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "ray-kubernetes-operator"
