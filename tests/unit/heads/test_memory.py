"""The limit of memory, as the files of both versions of control groups say it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from autoscaler.gcs.kept import Kept
from controller.heads import memory
from controller.heads.memory import limit, room_for_answers

MIB = 2**20


@pytest.mark.parametrize(
    ("files", "mib"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{256 * MIB}\n"}, 256),
        ({"proc/self/cgroup": "0::/pod/1\n", "sys/fs/cgroup/pod/1/memory.max": f"{64 * MIB}\n"}, 64),
        (
            {
                "proc/self/cgroup": "9:cpu,cpuacct:/pod\n8:memory:/pod\n0::/x\n",
                "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": f"{128 * MIB}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            128,
        ),
        # A container that sees its group as the root, and the path of the machine.
        (
            {
                "proc/self/cgroup": "8:memory:/kubepods/pod1\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{96 * MIB}\n",
            },
            96,
        ),
    ],
)
def test_the_least_limit_counts(files: Mapping[str, str], mib: int, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert limit(tmp_path) == mib * MIB


@pytest.mark.parametrize("text", ["max\n", "", "?"])
def test_without_a_limit_it_is_the_machines(text: str, tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(text)
    assert limit(tmp_path) == limit(tmp_path / "nothing") > 100 * MIB


def test_the_charts_limit_leaves_room_for_10_000_nodes() -> None:
    assert 4.4 * MIB < 256 * MIB // 36
    assert room_for_answers() > 0


def test_a_thousand_small_clusters_of_one_namespace_fit_in_256_mib() -> None:
    """Ten workers and a head each: about 500 bytes of answer for each node."""
    kept: Kept[tuple[str, int]] = Kept(256 * 2**20 // (memory.SHARE * memory.UNFOLDED), lambda key: key[0])
    assert all(kept.takes(("team", number), 11 * 500) for number in range(1_000))
