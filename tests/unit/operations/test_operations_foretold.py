"""
What is said of the rest of a run once a tenth of it is done, against what then happens: in a world with a clock of its
own, in which each job is worked on by itself. How fast the machine of the tests is does not matter.
"""

import heapq
import random
import statistics
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from oaflow.forecast import BUCKETS, bucket, forecast
from oaflow.ledger.runs import StageProgress
from oaflow.ledger.timings import Shift, Timing
from oaflow.operations.estimating import arrived, losses_of, rest_of
from oaflow.operations.modelling import Capacity, Model
from oaflow.plan import Plan, PlannedEdge, PlannedStage, bind

# What is lost between two jobs of an executor, as to the database.
LOST = 0.004

# As is asked for.
OFF = 0.2

TEXT, SCAN = "text/plain", "application/pdf"


@dataclass(frozen=True)
class Step:
    """
    A stage: seconds of a job by media type, how far they vary (of a lognormal), how many jobs come of one.
    """

    seconds: Mapping[str, float]
    spread: float = 0.3
    copies: int = 1
    limit: int | None = None


@dataclass(frozen=True)
class Shape:
    steps: Sequence[Step]
    scans: str = "none"  # "mixed": one in five; "last": they come last, with some among the others
    executors: int = 4
    jobs: int = 400
    own: int = 0  # further executors, which do nothing but the last stage, and alone do that

    def media(self, number: int) -> str:
        last = number >= self.jobs * 3 // 4 or number % 10 == 0
        return SCAN if {"none": False, "mixed": number % 5 == 0, "last": last}[self.scans] else TEXT


def alike(seconds: float, **facts: Any) -> Step:
    return Step({TEXT: seconds, SCAN: seconds}, **facts)


SHAPES = {
    "one stage": Shape([alike(0.1)]),
    "very long ones among short ones": Shape([alike(0.05, spread=1.5)], jobs=2000),
    "a chain, the last stage slow": Shape([alike(0.02), alike(0.05), alike(0.3)]),
    "one becomes ten": Shape([alike(0.2, copies=10), alike(0.03)], jobs=150),
    "a limit": Shape([alike(0.02), alike(0.1, limit=2)]),
    "scans among texts": Shape([Step({TEXT: 0.05, SCAN: 0.4}), alike(0.02)], scans="mixed"),
    "scans come last": Shape([Step({TEXT: 0.05, SCAN: 0.4})], scans="last", jobs=1000),
    "one executor": Shape([alike(0.1), alike(0.1)], executors=1, jobs=200),
    "short ones": Shape([alike(0.001), alike(0.001)], jobs=1500),
}


@dataclass
class World:
    """
    A run of a shape. A job that has ended makes the next ones; what is taken is of the first stage, or of the last.
    """

    shape: Shape
    seed: int
    now: float = 0.0
    waiting: list[deque[str]] = field(default_factory=list[deque[str]])
    running: Counter[tuple[int, str]] = field(default_factory=Counter[tuple[int, str]])
    took: dict[tuple[int, str], list[float]] = field(default_factory=dict[tuple[int, str], list[float]])
    done: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.waiting = [deque() for _ in self.shape.steps]
        self.waiting[0].extend(self.shape.media(number) for number in range(self.shape.jobs))
        self.ends: list[tuple[float, int, int, str, float]] = []
        self.total = 0
        jobs = self.shape.jobs
        for step in self.shape.steps:
            self.total += jobs
            jobs *= step.copies

    def until(self, part: float) -> float:
        """
        Goes on until so much of its jobs has ended, and says when that was.
        """
        while self.done < part * self.total:
            self._begin()
            self.now, _, stage, media, seconds = heapq.heappop(self.ends)
            self.running[stage, media] -= 1
            self.took.setdefault((stage, media), []).append(seconds)
            self.done += 1
            if stage + 1 < len(self.waiting):
                self.waiting[stage + 1].extend([media] * self.shape.steps[stage].copies)
        return self.now

    def _begin(self) -> None:
        steps, last = self.shape.steps, len(self.shape.steps) - 1
        while True:
            apart = self._at_once(last) if self.shape.own else 0
            free = [
                stage
                for stage, queue in enumerate(self.waiting)
                if queue
                and (steps[stage].limit is None or self._at_once(stage) < steps[stage].limit)
                and (
                    apart < self.shape.own
                    if self.shape.own and stage == last
                    else len(self.ends) - apart < self.shape.executors
                )
            ]
            if not free:
                return
            stage = self.chance.choice((free[0], free[-1]))
            media = self.waiting[stage].popleft()
            seconds = steps[stage].seconds[media] * self.chance.lognormvariate(0, steps[stage].spread)
            self.running[stage, media] += 1
            number = self.done * 1000 + len(self.ends)
            heapq.heappush(self.ends, (self.now + LOST + seconds, number, stage, media, seconds))

    def _at_once(self, stage: int) -> int:
        return sum(jobs for (of, _), jobs in self.running.items() if of == stage)

    # What the ledger would say of it:

    def timings(self) -> list[Timing]:
        found: list[Timing] = []
        for (stage, media), took in self.took.items():
            times = [0] * BUCKETS
            for seconds in took:
                times[bucket(seconds)] += 1
            follow = {name(stage + 1): len(took) * self.shape.steps[stage].copies}
            last = stage + 1 == len(self.shape.steps)
            count, squares = len(took), sum(one * one for one in took)
            found.append(
                Timing(
                    name(stage), media, False, count, count, count, sum(took), squares, times, {} if last else follow
                )
            )
        return found

    def stages(self) -> dict[str, StageProgress]:
        return {
            name(stage): StageProgress(
                name(stage), len(queue) + self._at_once(stage), self._ended(stage), 0, 0, 0, 0, 0, 0
            )
            for stage, queue in enumerate(self.waiting)
        }

    def media(self) -> dict[str, dict[str, int]]:
        return {name(stage): dict(Counter(queue)) for stage, queue in enumerate(self.waiting) if queue}

    def worked(self) -> list[Shift]:
        began, ended = (datetime.fromtimestamp(seconds, UTC) for seconds in (0, self.now))
        return [Shift(1, self.shape.executors, began, ended, self.now)]

    def capacity(self, executors: int) -> Capacity:
        limits = {name(stage): (step.limit, None) for stage, step in enumerate(self.shape.steps) if step.limit}
        return Capacity(executors, 1, limits=limits)

    def model(self) -> Model:
        stages = {
            name(stage): PlannedStage(
                task=f"t.{name(stage)}",
                queue="q",
                concurrency=step.limit,
                edges=(PlannedEdge(to=name(stage + 1)),) if stage + 1 < len(self.shape.steps) else (),
            )
            for stage, step in enumerate(self.shape.steps)
        }
        return Model(bind(Plan(pipeline="p", start=(name(0),), stages=stages), {}), self.timings(), self.now)

    def _ended(self, stage: int) -> int:
        return sum(len(took) for (of, _), took in self.took.items() if of == stage)


def name(stage: int) -> str:
    return f"s{stage}"


def foretold(shape: Shape, seed: int, part: float) -> float:
    """
    How far what is said is from what was left, as a part of that.
    """
    world = World(shape, seed)
    then = world.until(part)
    model = world.model()
    said = rest_of(model, model, world.stages(), world.worked(), world.capacity(shape.executors), world.media())
    left = world.until(1.0) - then
    return abs(said.seconds - left) / left


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_rest_of_a_run_is_foretold_from_a_tenth_of_it(shape: Shape) -> None:
    errors = [foretold(shape, seed, 0.1) for seed in range(5)]

    assert statistics.median(errors) < OFF, errors


@pytest.mark.parametrize("executors", [1, 8])
@pytest.mark.parametrize("kind", ["one stage", "a limit", "scans among texts", "one becomes ten"])
def test_how_long_a_run_would_take_otherwise_is_what_it_takes_then(kind: str, executors: int) -> None:
    shape = SHAPES[kind]
    errors: list[float] = []
    for seed in range(3):
        world = World(shape, seed)
        seconds = world.until(1.0)
        other = World(Shape(shape.steps, shape.scans, executors, shape.jobs), seed + 100)
        model, capacity = world.model(), world.capacity(executors)
        losses = losses_of(model, world.stages(), world.worked(), capacity.limits, seconds)
        work = model.work(model.roots(arrived(world.stages())), capacity, pause=losses.pause, held=losses.held)
        took = other.until(1.0)
        errors.append(abs(forecast(work, stretch=losses.stretch, known=True).seconds - took) / took)

    assert statistics.median(errors) < OFF, errors


@pytest.mark.parametrize("kind", ["a chain, the last stage slow", "one becomes ten"])
def test_how_long_a_run_would_take_with_workers_of_its_own_for_a_stage_is_what_it_takes_then(kind: str) -> None:
    shape = SHAPES[kind]
    last, errors, sooner = len(shape.steps) - 1, list[float](), list[float]()
    for seed in range(3):
        world = World(shape, seed)
        seconds = world.until(1.0)
        other = World(replace(shape, own=8), seed + 100)
        model = world.model()
        capacity = replace(world.capacity(shape.executors), own={name(last): (8, 8)})
        losses = losses_of(model, world.stages(), world.worked(), capacity.limits, seconds)
        work = model.work(model.roots(arrived(world.stages())), capacity, pause=losses.pause, held=losses.held)
        took = other.until(1.0)
        errors.append(abs(forecast(work, stretch=losses.stretch, known=True).seconds - took) / took)
        sooner.append(took / seconds)

    assert statistics.median(errors) < OFF, errors
    assert statistics.median(sooner) < 0.8  # so that to say the same as before is wrong
