"""The operator is killed after every single write: nobody can tell from what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.faults import KillAfterWrite
from tests.support.sampled import one_of_each, sampled
from tests.support.stage import Phase, Stage, Undisturbed, life, undisturbed

# Runs at a time: each has an operator of its own, which spends most of its time waiting.
ABREAST = 12
# A phase may be over before its last writes, which are Events.
LAST_WRITE_SECONDS = 2.0
WHEN = {False: "before its answer", True: "after its answer"}


def test_dying_after_any_write_changes_neither_the_end_nor_what_is_created_and_deleted(
    environment: Mapping[str, str], tmp_path: Path, example: dict[str, Any]
) -> None:
    """In each phase of a cluster's life, after each write in turn: before or after its answer has arrived; half of
    the writes in the short form, and either of the two.
    """
    phases = life(example)
    expected = undisturbed(Stage(environment, tmp_path, serial=True), phases)
    numbers = range(1, max(expected.writes) + 1)
    runs = one_of_each([[(number, answered) for answered in (False, True)] for number in sampled(numbers, 0.5)])
    with ThreadPoolExecutor(ABREAST) as pool:
        stages = [Stage(environment, tmp_path, serial=True) for _ in runs]
        lives = [
            pool.submit(interrupted, stage, phases, expected, *run) for stage, run in zip(stages, runs, strict=True)
        ]
    faults = [
        f"write {n}, {WHEN[answered]}: {f.exception()}"
        for f, (n, answered) in zip(lives, runs, strict=True)
        if f.exception()
    ]
    assert not faults, "\n".join(faults)
    kills = sum(f.result() for f in lives)
    print(f"{kills} kills in {len(runs)} runs; writes per phase {expected.writes}; {dict(expected.changes)}")
    there_are = sum(number <= writes for writes in expected.writes for number, _ in runs)
    assert kills >= 0.9 * there_are


def interrupted(stage: Stage, phases: list[Phase], expected: Undisturbed, number: int, answered: bool) -> int:
    """One run, with a kill in every phase that has so many writes. Returns the number of kills."""
    kills = 0
    with stage:
        stage.operator.start()
        for phase, state, writes in zip(phases, expected.states, expected.writes, strict=True):
            kill = KillAfterWrite(
                stage.proxy, number, answered=answered, kill=stage.operator.kill, restart=stage.operator.start
            )
            with stage.proxy.fault(kill):
                phase.act(stage.space)
                stage.space.wait_for(state)
                kills += number <= writes and kill.killed.wait(LAST_WRITE_SECONDS)
            stage.space.wait_for(state)
        assert stage.proxy.changes() == expected.changes
    return kills
