"""
What `status` says of how long a run will still take, and `simulate` of how long it would take otherwise, against what
then happened.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.ground import Ground, begin, chain, ground, worker
from benchmarks.harness import Figure, Report, Size, Target
from oaflow.ledger.runs import find_run
from oaflow.ledger.timings import shifts
from oaflow.operations import Variant, simulate
from oaflow.operations.estimating import estimate_of
from oaflow.operations.modelling import active
from oaflow.operations.states import bound_plan, in_order, status_of
from oaflow.plan import Plan
from oaflow.settings import Settings

# A run of each shape takes about so many seconds.
SECONDS: dict[Size, float] = {"tiny": 6.0, "small": 30.0, "full": 90.0}

PARTS = (0.1, 0.25, 0.5)
LOOK = 0.25
TARGET = 0.2
WORKERS = (2, 4)
EXECUTORS = 4


@dataclass(frozen=True)
class Shape:
    """
    A run: its plan, how many documents for each second, and with how many executors.
    """

    plan: Plan
    a_second: float
    executors: int = EXECUTORS
    media: Callable[[int], str] | None = None


def shapes() -> Mapping[str, Shape]:
    """
    Runs that wait for different things.
    """
    sleep, burn = "benchmarks.stages.sleep", "benchmarks.stages.burn"
    waits = chain([sleep, sleep], {"seconds": 0.05})
    out = chain([sleep, sleep], {"seconds": 0.05})
    out = _with(_with(out, "a", options={"seconds": 0.05, "copies": 10}), "b", options={"seconds": 0.02})
    limited = _with(chain([sleep, sleep], {"seconds": 0.05}), "b", concurrency=2)
    kinds = chain([sleep], {"seconds": 0.02, "slow": 8.0})
    asleep = chain(["benchmarks.stages.async_sleep"], {"seconds": 0.5})
    return {
        "two stages that wait": Shape(waits, EXECUTORS / 0.1),
        "work for a core": Shape(chain([burn], {"turns": 10_000}), 12.0, executors=1),
        "one becomes ten": Shape(out, EXECUTORS / 0.25),
        "a stage with concurrency 2": Shape(limited, 2 / 0.05),
        "async stages": Shape(asleep, 50 / 0.5),
        "PDFs, eight times as slow, come last": Shape(
            kinds,
            EXECUTORS / 0.0655,
            media=lambda number: "application/pdf" if number >= 750 or number % 10 == 0 else "text/plain",
        ),
    }


def measure(size: Size, rounds: int) -> Report:
    """
    The error of each shape at each part: how far what was said is from what was left, as a part of that.
    """
    seconds = SECONDS[size]
    errors: dict[tuple[str, float], list[float]] = {}
    inside: list[bool] = []
    simulated: dict[int, list[float]] = {number: [] for number in WORKERS}
    raw: list[dict[str, Any]] = []
    with ground() as place:
        for _ in range(rounds):
            for name, shape in shapes().items():
                count = max(20, round(shape.a_second * seconds))
                for part, left, said, low, high in _followed(place, shape, count):
                    errors.setdefault((name, part), []).append(abs(said - left) / left)
                    inside.append(low <= left <= high)
                    raw.append({"shape": name, "part": part, "left": left, "said": said, "low": low, "high": high})
            for number, said, took in _otherwise(place, shapes()["two stages that wait"], seconds):
                simulated[number].append(abs(said - took) / took)
                raw.append({"shape": "simulate", "workers": number, "said": said, "took": took})
    figures = [Figure(f"{name}, {part:.0%} done", "off", tuple(found)) for (name, part), found in errors.items()]
    every = tuple(error for found in errors.values() for error in found)
    figures.append(Figure("all of them, the median", "off", (statistics.median(every),), Target("at most", TARGET)))
    figures += [
        Figure(f"simulate, {number} workers from the history of one", "off", tuple(found), Target("at most", TARGET))
        for number, found in simulated.items()
    ]
    figures.append(Figure("left was within the range", "of all", (sum(inside) / len(inside),)))
    return Report(
        "estimates",
        f"How far estimates were off, as a part of what was left: runs of about {seconds:g} s",
        tuple(figures),
        raw={"estimates": raw},
    )


def _with(plan: Plan, stage: str, **changes: Any) -> Plan:
    stages = {**plan.stages, stage: plan.stages[stage].model_copy(update=changes)}
    return plan.model_copy(update={"stages": stages})


def _followed(place: Ground, shape: Shape, count: int) -> list[tuple[float, float, float, float, float]]:
    """
    Of a run that is followed to its end: at each part of its jobs, what was left then, and what was said, with its
    range.
    """
    address = place.database("estimates")
    with worker(place, address, executors=shape.executors):
        run = begin(address, shape.plan, count, media=_spread_over(shape.media, count))
        looks, ended = _looks(address, run)
    total = looks[-1][1]
    found: list[tuple[float, float, float, float, float]] = []
    for part in PARTS:
        at, _, estimate = next(look for look in looks if look[1] >= part * total and look[2] is not None)
        if ended > at:
            found.append((part, ended - at, estimate.seconds, estimate.low, estimate.high))
    return found


def _spread_over(media: Callable[[int], str] | None, count: int) -> Callable[[int], str] | None:
    return None if media is None else lambda number: media(number * 1000 // count)


def _looks(address: str, run: str) -> tuple[list[tuple[float, int, Any]], float]:
    """
    Looks at a run until it ends: (when, how many jobs were done, the estimate where there was one).
    """
    looks: list[tuple[float, int, Any]] = []
    with psycopg.connect(address, autocommit=True) as connection:
        while True:
            found = find_run(connection, run)
            assert found is not None
            if not found.open:
                assert found.finished_at is not None
                return looks, found.finished_at.timestamp()
            bound = bound_plan(connection, found)
            status = status_of(connection, found, in_order(bound))
            estimate = estimate_of(connection, found, bound, status.stages, 15.0)
            told = estimate if estimate is not None and estimate.seconds is not None else None
            looks.append((time.time(), status.total("done"), told))
            time.sleep(LOOK)


def _otherwise(place: Ground, shape: Shape, seconds: float) -> list[tuple[int, float, float]]:
    """
    A run with one worker, what `simulate` says of it with others, and what these take: (workers, said, took).
    """
    count = math.ceil(shape.a_second * seconds)
    took: dict[int, float] = {}
    said: dict[int, float] = {}
    for number in (1, *WORKERS):
        address = place.database("estimates")
        with worker(place, address, executors=shape.executors, workers=number):
            run = begin(address, shape.plan, count)
            _looks(address, run)
        with psycopg.connect(address, autocommit=True) as connection:
            took[number] = active(shifts(connection, run))
        if number == 1:
            known = Settings(db_uri=address, home=place.folder / "home")
            answer = simulate(run, [Variant(workers=one) for one in WORKERS], settings=known)
            said = {one.workers: found.seconds for one, found in answer.variants if one.workers is not None}
    return [(number, said[number], took[number]) for number in WORKERS]
