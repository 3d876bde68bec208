"""
`oaflow simulate`: how long a run would take with other workers, executors, or limits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from oaflow.errors import UsageError
from oaflow.forecast import Forecast, forecast
from oaflow.ledger.runs import Run
from oaflow.ledger.timings import shifts, timings
from oaflow.operations.databases import connection
from oaflow.operations.estimating import (
    ENDLESS,
    ENOUGH,
    arrived,
    crew_text,
    due_of,
    limits_of,
    losses_of,
    unknown_rest,
    unseen_joins,
)
from oaflow.operations.modelling import Capacity, Model, active, crew
from oaflow.operations.states import bound_plan, check_stage, in_order, status_of, wanted_run
from oaflow.printed.runs import Simulated as SimulatedJson
from oaflow.settings import Settings, or_environment


@dataclass(frozen=True, slots=True)
class Variant:
    """
    What is changed in an estimate; None and empty: as it was.

    Attributes:
        workers: worker processes for all stages.
        executors: of each worker.
        own: stages that get workers of their own, with how many.
        concurrency: stages with how many of their jobs may run at the same time.
    """

    workers: int | None = None
    executors: int | None = None
    own: tuple[tuple[str, int], ...] = ()
    concurrency: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """
        The variant, as users type it.
        """
        parts = [f"--workers {self.workers}"] if self.workers is not None else []
        parts += [f"--workers {stage}={number}" for stage, number in self.own]
        parts += [f"--executors {self.executors}"] if self.executors is not None else []
        parts += [f"--concurrency {stage}={number}" for stage, number in self.concurrency]
        return " ".join(parts) or "as it was"


@dataclass(frozen=True, slots=True)
class Simulated:
    """
    How long a run would take in several ways.

    Attributes:
        took: how long it was really worked on, in seconds.
        rest: whether the run has not ended, and only what is left was simulated.
        variants: each variant with its forecast.
        assumes: what the forecasts assume, in a sentence.
    """

    run: Run
    took: float
    rest: bool
    variants: tuple[tuple[Variant, Forecast], ...]
    assumes: str

    def as_json(self) -> SimulatedJson:
        """
        The public form.
        """
        return {
            "run": self.run.id,
            "took": round(self.took, 1),
            "rest": self.rest,
            "assumes": self.assumes,
            "variants": [
                {
                    "workers": variant.workers,
                    "executors": variant.executors,
                    "own": dict(variant.own),
                    "concurrency": dict(variant.concurrency),
                    "seconds": round(found.seconds, 1),
                    "low": round(found.low, 1),
                    "high": round(found.high, 1),
                    "busiest": found.busiest,
                    "share": round(found.share, 3),
                }
                for variant, found in self.variants
            ],
        }


def simulate(
    run: str | None = None, variants: Sequence[Variant] = (), *, settings: Settings | None = None
) -> Simulated:
    """
    Estimates how long a run would take with other workers, executors or limits: the whole run if it has ended,
    otherwise what is left of it.

    Args:
        variants: what to change, once for each estimate. The first result is always for the run as it was.

    Raises:
        UsageError: there is no such run or stage, or the run has not done enough to tell.
    """
    with connection(or_environment(settings)) as made:
        found = wanted_run(made, run)
        bound = bound_plan(made, found)
        for name in {stage for one in variants for stage, _ in (*one.own, *one.concurrency)}:
            check_stage(found, bound, name)
        status = status_of(made, found, in_order(bound))
        seen, worked = timings(made, found.id), shifts(made, found.id)
        held = limits_of(made, bound)
        due = due_of(made, found, bound) if found.open else 0.0
    seconds = active(worked)
    model = Model(bound, seen, seconds)
    if sum(model.jobs(name) for name in bound.stages) < ENOUGH:
        raise UsageError(
            f"run {found.id!r} has done too little to estimate how long it would take otherwise",
            help="oaflow status --all   # names other runs",
        )
    rest = found.open
    if rest and (why := unknown_rest(found, bound, status.stages)):
        raise UsageError(f"run {found.id!r}: it is not known how much is left: {why}", help="wait for it")
    there, executors = crew(worked)
    each = max(1, round(executors / there))
    before = Capacity(executors, there, limits=held)
    losses = losses_of(model, status.stages, worked, held, seconds)
    begun = (
        {name: float(stage.open) for name, stage in status.stages.items() if stage.open and name in model.stages}
        if rest
        else model.roots(arrived(status.stages))
    )
    answers: list[tuple[Variant, Forecast]] = []
    for variant in [Variant(), *variants]:
        capacity = _capacity(variant, before, there, each)
        work = model.work(begun, capacity, pause=losses.pause, held=losses.held, begun=rest)
        told = forecast(work, stretch=losses.stretch, known=not rest)
        if rest and told.endless:
            raise UsageError(f"run {found.id!r}: it is not known how much is left: {ENDLESS}", help="wait for it")
        answers.append((variant, told.not_before(due)))
    joins = unseen_joins(model, bound)
    assumes = (
        "each executor is as fast as those of this run, however many there are, and the share of time lost between"
        f" jobs stays the same; as it was: {crew_text(there, executors)}{joins}"
    )
    return Simulated(found, seconds, rest, tuple(answers), assumes)


def variants_of(workers: Iterable[str], executors: str | None, concurrency: Iterable[str]) -> list[Variant]:
    """
    The variants, from `N`, `STAGE=N` and lists of numbers, in all combinations.

    Raises:
        UsageError: a value cannot be read.
    """
    axes: list[list[tuple[str, str, int]]] = []
    asked = [("workers", text) for text in workers]
    asked += [("executors", executors)] if executors else []
    asked += [("concurrency", text) for text in concurrency]
    for option, text in asked:
        stage, equals, numbers = text.rpartition("=")
        of_a_stage = {"workers": bool(equals), "executors": False, "concurrency": True}[option]
        if of_a_stage != bool(stage) or of_a_stage != bool(equals):
            form = "STAGE=N" if of_a_stage else "N"
            raise UsageError(f"--{option} is given as {form}, not {text!r}", help=f"--{option} {form}")
        axes.append([(option, stage, _count(option, number)) for number in numbers.split(",")])
    found: list[Variant] = []
    for chosen in product(*axes):
        variant = Variant()
        for option, stage, number in chosen:
            if option == "executors":
                variant = replace(variant, executors=number)
            elif option == "concurrency":
                variant = replace(variant, concurrency=(*variant.concurrency, (stage, number)))
            elif stage:
                variant = replace(variant, own=(*variant.own, (stage, number)))
            else:
                variant = replace(variant, workers=number)
        if variant != Variant():
            found.append(variant)
    return found


def _count(option: str, text: str) -> int:
    if not text.strip().isdecimal() or not int(text):
        raise UsageError(f"--{option} takes numbers from 1, not {text!r}", help=f"--{option} 1,2,4")
    return int(text)


def _capacity(variant: Variant, before: Capacity, there: int, each: int) -> Capacity:
    executors = variant.executors or each
    count = variant.workers or there
    total = before.executors if variant.workers is None and variant.executors is None else count * executors
    held = dict(before.limits)
    for stage, number in variant.concurrency:
        held[stage] = (number, held.get(stage, (None, None))[1])
    own = {stage: (number, number * executors) for stage, number in variant.own}
    return Capacity(total, count, own=own, limits=held)
