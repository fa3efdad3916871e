"""How often heads are asked: a pure function of what they do and of how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.model import NodeStatus, RayState


@dataclass(frozen=True)
class Pace:
    """How often heads of one kind are asked.

    One head alone every ``shortest`` seconds, many together ``rate`` times a second, each at least every ``longest``
    seconds; one that does not answer, at least every ``hopeless`` seconds if it is alone in that. Questions are due at
    multiples of ``grid`` seconds: waking up for a single one costs as much as three.
    """

    shortest: float
    longest: float
    rate: float
    grid: float
    hopeless: float

    def seconds(self, heads: int) -> float:
        """From one question to a head to the next."""
        return min(max(self.shortest, heads / self.rate), self.longest)


# A question costs 0.4 to 0.9 ms of CPU, the more at once the less. A thousand idle heads take a sixth of a core.
BUSY = Pace(shortest=0.2, longest=2.0, rate=300, grid=0.05, hopeless=1.0)

# Where something has just happened, more is likely to: the next of many small jobs is not seen seconds late.
WARM = Pace(shortest=0.4, longest=5.0, rate=150, grid=0.2, hopeless=10.0)
WARM_SECONDS = 60.0

# Work that comes to an idle cluster waits this long to be seen; hence not simply some seconds.
IDLE = Pace(shortest=0.4, longest=5.0, rate=450, grid=0.2, hopeless=10.0)

# Answers that come within this time are taken in together.
GATHER_SECONDS = 0.02
BACKOFF_BASE_SECONDS = 0.2
BACKOFF_LIMIT_SECONDS = 10.0

# Questions a second, were all heads of a pace dead.
FAILURE_RATE = 100

# Several times the CPU that a node, a shape or ten bundles cost, so that no head takes a large part of a core.
SECONDS_PER_ITEM = 0.0002

# The part of a core that reading the answers of one head may take, whatever it answers.
LARGEST_SHARE = 0.05
# While a worker idles its clock runs without any change to be seen: the key is handed out at least this often.
IDLE_NOTICE_SECONDS = 1.0


def pause(*, pace: Pace, heads: int, failures: int, items: int, jitter: float, cost: float = 0.0) -> float:
    """Seconds from an answer to the next question.

    ``heads``: how many share the pace. ``failures``: in a row, 0 after an answer. ``items``: size of the answer.
    ``cost``: the seconds of CPU that reading it took.
    ``jitter``: in [0, 1); it moves the result by a quarter up or down, never beyond the backoff's limit.
    """
    spread = 0.75 + 0.5 * jitter
    if failures:
        most = min(BACKOFF_LIMIT_SECONDS, max(pace.hopeless, heads / FAILURE_RATE))
        return max(min(BACKOFF_BASE_SECONDS * 2.0 ** min(failures, 30) * spread, most), cost / LARGEST_SHARE)
    return max(pace.seconds(heads) * spread, items * SECONDS_PER_ITEM, cost / LARGEST_SHARE)


def on_grid(due: float, grid: float) -> float:
    """The nearest time at which other heads are asked too."""
    return round(due / grid) * grid


def is_waiting(state: RayState) -> bool:
    """Whether work waits for nodes there."""
    return bool(state.demands or state.gangs)


def has_idle_worker(state: RayState | None) -> bool:
    """Whether an idle clock runs that a decision may depend on."""
    return state is not None and any(node.status is NodeStatus.IDLE and not node.is_head for node in state.nodes)


def size(state: RayState) -> int:
    """What converting and comparing such an answer costs, in items."""
    bundles = sum(demand.count for gang in state.gangs for demand in gang.bundles)
    return len(state.nodes) + len(state.demands) + bundles // 10
