"""
Three stages that do nothing, with counters and history, against procrastinate as it comes, against the real
openaleph-procrastinate, and against the statements without a worker: in a database as others have it, and on a server
of oaflow's own, where rows of events are left out.

procrastinate as it comes has its own pool of connections. With a pool that checks nothing and needs no transaction for
each statement, which nothing in its docs names, it is faster: that is shown, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.ground import ground
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.rates import (
    ASYNC,
    SYNC,
    Rate,
    executors_of_all_cores,
    openaleph_procrastinate,
    ours,
    procrastinate,
    statements_alone,
)

# Roots; there are three times as many jobs. procrastinate gets fewer: it is the slower one, and its rate does not
# depend on it.
ROOTS: dict[Size, int] = {"tiny": 200, "small": 3_000, "full": 15_000}
STOCK_SHARE = 3


@dataclass(frozen=True)
class Goal:
    """
    What a variant must reach: so many times another, in the same round. None: it is shown.
    """

    variant: str
    other: str
    least: float | None = None


GOALS = (
    Goal("async stages", "procrastinate", 15.0),
    Goal("async stages, own server", "procrastinate", 20.0),
    Goal("async stages", "SQL loop", 0.7),
    Goal("async stages, own server", "SQL loop, own server", 0.7),
    Goal("two processes: async stages", "two processes: procrastinate", 20.0),
    Goal("two processes: async stages, own server", "two processes: procrastinate", 28.0),
    Goal("sync stages in executors", "openaleph-procrastinate", 20.0),
    Goal("sync stages in executors, own server", "openaleph-procrastinate", 20.0),
    Goal("async stages", "procrastinate, lean pool"),
    Goal("async stages, own server", "procrastinate, lean pool"),
    Goal("two processes: async stages", "two processes: procrastinate, lean pool"),
    Goal("two processes: async stages, own server", "two processes: procrastinate, lean pool"),
    Goal("sync stages in executors", "procrastinate"),
    Goal("sync stages in executors, own server", "procrastinate"),
    Goal("async stages", "statements alone"),
    Goal("async stages, own server", "statements alone, own server"),
)


def measure(size: Size, rounds: int) -> Report:
    """
    Rates of the chain, side by side.
    """
    roots = ROOTS[size]
    fewer = roots // STOCK_SHARE
    cores = executors_of_all_cores()
    with ground() as place:
        variants: dict[str, Callable[[], Rate]] = {
            "procrastinate": partial(procrastinate, place, "pool", fewer),
            "procrastinate, lean pool": partial(procrastinate, place, "lean", fewer),
            "openaleph-procrastinate": partial(openaleph_procrastinate, place, fewer),
            "SQL loop": partial(statements_alone, place, roots, loop=True),
            "SQL loop, own server": partial(statements_alone, place, roots, events=False, loop=True),
            "statements alone": partial(statements_alone, place, roots),
            "statements alone, own server": partial(statements_alone, place, roots, events=False),
            "async stages": partial(ours, place, ASYNC, roots, cores),
            "async stages, own server": partial(ours, place, ASYNC, roots, cores, events=False),
            "sync stages in executors": partial(ours, place, SYNC, roots, cores),
            "sync stages in executors, own server": partial(ours, place, SYNC, roots, cores, events=False),
            "two processes: procrastinate": partial(procrastinate, place, "pool", fewer, workers=2),
            "two processes: procrastinate, lean pool": partial(procrastinate, place, "lean", fewer, workers=2),
            "two processes: async stages": partial(ours, place, ASYNC, roots, 1, workers=2),
            "two processes: async stages, own server": partial(ours, place, ASYNC, roots, 1, workers=2, events=False),
        }
        found = interleaved(variants, rounds)
    rates = {name: tuple(rate for rate, _ in of_rounds) for name, of_rounds in found.items()}
    return Report(
        "chain",
        f"a chain of three empty stages, {roots:,} roots, one worker process where not said, {cores} executors",
        (
            *(Figure(name, "jobs/s", rate) for name, rate in rates.items()),
            *(
                Figure(f"{name}: CPU of the database", "µs a job", tuple(1e6 * cpu for _, cpu in of_rounds))
                for name, of_rounds in found.items()
            ),
            *(_reached(goal, rates) for goal in GOALS),
        ),
        (
            "SQL loop: what a worker sends for the chain, with no Python in between, from one connection. Statements"
            " alone: the same from three at the same time, as a worker has them.",
        ),
    )


def _reached(goal: Goal, rates: dict[str, tuple[float, ...]]) -> Figure:
    target = Target("at least", goal.least) if goal.least else None
    other = goal.other.removeprefix("two processes: ")
    return Figure(f"{goal.variant} to {other}", "times", ratios(rates[goal.variant], rates[goal.other]), target)
