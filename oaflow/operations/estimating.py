"""
How long a run will still take, from what its attempts have taken so far; and how long it would take otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from psycopg import Connection

from oaflow.errors import UsageError
from oaflow.forecast import Forecast, forecast, spent
from oaflow.ledger.limits import limits
from oaflow.ledger.runs import Run, StageProgress, recent_runs
from oaflow.ledger.timings import Shift, Timing, shifts, timings, waiting_media
from oaflow.ledger.workers import workers
from oaflow.operations.databases import connection
from oaflow.operations.modelling import Capacity, Model, active, crew
from oaflow.operations.states import bound_plan, in_order, status_of, wanted_run
from oaflow.plan import BoundPlan
from oaflow.plan.params import close_to
from oaflow.quantities import duration
from oaflow.settings import Settings

# Before so many jobs have ended there is nothing to say; and of each stage in which jobs wait, so many.
_ENOUGH = 10
_ENOUGH_OF_A_STAGE = 3

# Earlier runs of the pipeline that are asked about stages to which this one has not come.
_EARLIER = 3

# How much longer work took than its attempts say, as far as that is believed.
_STRETCH = (0.5, 20.0)
_SLOWER = 3.0

_ENDED = ("finished", "incomplete")


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    How many seconds a run will still take: the median, and a range that holds it four times of five. All three are
    None where there is nothing to say, and `why` tells the reason then. `assumes` is what it takes for granted.
    """

    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    why: str | None = None
    assumes: str | None = None
    busiest: str | None = None

    def as_json(self) -> dict[str, Any]:
        """
        The public form.
        """
        return {
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "low": None if self.low is None else round(self.low, 1),
            "high": None if self.high is None else round(self.high, 1),
            "why": self.why,
            "assumes": self.assumes,
        }


@dataclass(frozen=True, slots=True)
class Variant:
    """
    What may be otherwise: workers of all stages, executors of each worker, workers of some stages alone, and limits.
    None: as it was.
    """

    workers: int | None = None
    executors: int | None = None
    own: tuple[tuple[str, int], ...] = ()
    concurrency: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """
        As it is typed.
        """
        parts = [f"--workers {self.workers}"] if self.workers is not None else []
        parts += [f"--workers {stage}={number}" for stage, number in self.own]
        parts += [f"--executors {self.executors}"] if self.executors is not None else []
        parts += [f"--concurrency {stage}={number}" for stage, number in self.concurrency]
        return " ".join(parts) or "as it was"


@dataclass(frozen=True, slots=True)
class Simulated:
    """
    How long a run would take in each of some ways. `took` is how long it was worked on in fact; `rest` says that it has
    not ended, and what is left of it was simulated.
    """

    run: Run
    took: float
    rest: bool
    variants: tuple[tuple[Variant, Forecast], ...]
    assumes: str

    def as_json(self) -> dict[str, Any]:
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


def estimate_of(
    connection: Connection[Any], run: Run, bound: BoundPlan, stages: Mapping[str, StageProgress], silent: float
) -> Estimate | None:
    """
    How long a run will still take. None where it is not going on.

    Args:
        stages: how many jobs of its stages are where.
        silent: seconds after which a worker is dead.
    """
    if run.state != "running":
        return None
    if why := _unknown_rest(run, bound, stages):
        return Estimate(why=why)
    seen = timings(connection, run.id)
    worked = shifts(connection, run.id)
    seconds = active(worked)
    own = Model(bound, seen, seconds)
    open_stages = {name: float(stage.open) for name, stage in stages.items() if stage.open}
    model, borrowed = _with_earlier(connection, run, bound, seen, own, seconds)
    if why := _too_little(model, own, open_stages):
        return Estimate(why=why)
    here = [one for one in workers(connection, silent) if one.run in (None, run.id)]
    executors = sum(one.executors or 0 for one in here)
    if not executors:
        return Estimate(why="no worker has said yet that it works on it")
    held = _limits_of(connection, bound)
    now = Capacity(executors, len(here), limits=held)
    waiting_kinds = waiting_media(
        connection, run.id, [(bound.stages[name].queue, bound.stages[name].task) for name in open_stages]
    )
    media = {
        name: waiting_kinds[pair]
        for name in open_stages
        if (pair := (bound.stages[name].queue, bound.stages[name].task)) in waiting_kinds
    }
    for name, kinds in media.items():
        if (strange := model.unseen(name, kinds)) is not None:
            return Estimate(why=f"of {strange or 'another type'} at stage {name} much waits, and none is done")
    lost = _lost(own, stages, worked, held, seconds)
    work = model.work(open_stages, now, media=media, slower=lost.slower, begun=True)
    found = forecast(work, stretch=lost.stretch)
    return Estimate(
        found.seconds,
        found.low,
        found.high,
        assumes=_assumption(len(here), executors, model, bound, borrowed),
        busiest=found.busiest,
    )


def simulate(settings: Settings, run: str | None, variants: Sequence[Variant]) -> Simulated:
    """
    How long a run would take in some ways, the first of which is as it was: all of it where it has ended, else what is
    left.

    Raises:
        UsageError: there is no such run or stage, or too little of it is known.
    """
    with connection(settings) as made:
        found = wanted_run(made, run)
        bound = bound_plan(made, found)
        for name in {stage for one in variants for stage, _ in (*one.own, *one.concurrency)}:
            if name not in bound.stages:
                raise UsageError(
                    f"run {found.id!r} has no stage {name!r}",
                    help=close_to(name, bound.stages) or f"its stages are: {', '.join(in_order(bound))}",
                )
        status = status_of(made, found, in_order(bound))
        seen, worked = timings(made, found.id), shifts(made, found.id)
        held = _limits_of(made, bound)
    seconds = active(worked)
    model = Model(bound, seen, seconds)
    if sum(model.jobs(name) for name in bound.stages) < _ENOUGH:
        raise UsageError(
            f"run {found.id!r} has done too little to tell how long it would take otherwise",
            help="oaflow status --all   (names other runs)",
        )
    rest = found.open
    if rest and (why := _unknown_rest(found, bound, status.stages)):
        raise UsageError(f"of run {found.id!r} it is not known how much is left: {why}", help="wait for it")
    there, executors = crew(worked)
    each = max(1, round(executors / there))
    before = Capacity(executors, there, limits=held)
    lost = _lost(model, status.stages, worked, held, seconds)
    begun = (
        {name: float(stage.open) for name, stage in status.stages.items() if stage.open and name in model.stages}
        if rest
        else model.roots(_arrived(status.stages))
    )
    answers: list[tuple[Variant, Forecast]] = []
    for variant in [Variant(), *variants]:
        capacity = _capacity(variant, before, there, each)
        answers.append(
            (variant, forecast(model.work(begun, capacity, slower=lost.slower, begun=rest), stretch=lost.stretch))
        )
    joins = _unseen_joins(model, bound)
    assumes = (
        "each executor is as fast as those of this run were, however many there are, and what is lost between jobs"
        f" stays the same part; as it was: {_crew_text(there, executors)}{joins}"
    )
    return Simulated(found, seconds, rest, tuple(answers), assumes)


def variants_of(workers: Iterable[str], executors: str | None, concurrency: Iterable[str]) -> list[Variant]:
    """
    What is asked for, from `N`, `STAGE=N` and lists of numbers; each number is a variant, in all combinations.

    Raises:
        UsageError: something of it cannot be read.
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
            raise UsageError(f"--{option} is given as {form}, and {text!r} is not", help=f"--{option} {form}")
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
        raise UsageError(f"--{option} takes numbers from 1 on, and {text!r} is none", help=f"--{option} 1,2,4")
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


def _unknown_rest(run: Run, bound: BoundPlan, stages: Mapping[str, StageProgress]) -> str | None:
    """
    Why nobody knows how much is left, or None.
    """
    if not run.sealed:
        return "its input is still read"
    for name in bound.start:
        if bound.stages[name].emit == "stream" and name in stages and stages[name].open:
            return f"stage {name} still finds more"
    return None


def _too_little(model: Model, own: Model, waiting: Mapping[str, float]) -> str | None:
    for name in waiting:
        if model.jobs(name) < min(_ENOUGH_OF_A_STAGE, waiting[name]):
            return f"too little of stage {name} is done"
    # What an earlier run took says nothing of what is lost between the jobs of this one.
    if sum(own.jobs(name) for name in own.stages) < _ENOUGH:
        return "too little of it is done"
    return None


def _with_earlier(
    connection: Connection[Any], run: Run, bound: BoundPlan, seen: Sequence[Timing], own: Model, seconds: float
) -> tuple[Model, frozenset[str]]:
    """
    The model, in which stages that this run has not come to are as in the latest run that did; and which these are.
    """
    missing = set(bound.stages) - own.stages
    borrowed: list[Timing] = []
    if missing:
        for earlier in recent_runs(connection, pipeline=run.pipeline, states=_ENDED, limit=_EARLIER):
            found = [timing for timing in timings(connection, earlier.id) if timing.stage in missing and timing.jobs]
            borrowed += found
            missing -= {timing.stage for timing in found}
    if not borrowed:
        return own, frozenset()
    return Model(bound, [*seen, *borrowed], seconds), frozenset(timing.stage for timing in borrowed)


def _arrived(stages: Mapping[str, StageProgress]) -> dict[str, float]:
    return {name: float(one.open + one.done + one.failed + one.diverted + one.vanished) for name, one in stages.items()}


@dataclass(frozen=True, slots=True)
class _Lost:
    """
    How much longer work took than its attempts say, and by how much more jobs of some stages did.
    """

    stretch: float = 1.0
    slower: Mapping[str, float] = field(default_factory=dict[str, float])


def _lost(
    model: Model,
    stages: Mapping[str, StageProgress],
    worked: Sequence[Shift],
    held: Mapping[str, tuple[int | None, float | None]],
    seconds: float,
) -> _Lost:
    """
    How much longer the work so far took than the same simulation says of it: what is lost between jobs, to the
    database, and to other runs. Stages with a limit lose more, as each of their jobs is claimed by itself.
    """
    there, executors = crew(worked)
    before = model.work(model.roots(_arrived(stages)), Capacity(executors, there, limits=held))
    said, ended = spent(before, model.busy)
    if said <= 0 or not seconds:
        return _Lost()
    slower = {
        name: min(max(ended[name] / model.busy_in(name), 1.0), _SLOWER)
        for name in held
        if ended.get(name) and model.busy_in(name)
    }
    return _Lost(min(max(seconds / said, _STRETCH[0]), _STRETCH[1]), slower)


def _limits_of(connection: Connection[Any], bound: BoundPlan) -> dict[str, tuple[int | None, float | None]]:
    """
    The limits that hold for stages of a run; of one that has ended, those of its plan.
    """
    now = {(one.queue, one.task): (one.concurrency, one.rate) for one in limits(connection)}
    held = {
        name: now.get((stage.queue, stage.task), (stage.concurrency, stage.rate))
        for name, stage in bound.stages.items()
    }
    return {name: limit for name, limit in held.items() if limit != (None, None)}


def _unseen_joins(model: Model, bound: BoundPlan) -> str:
    joins = [name for name, stage in bound.stages.items() if stage.join and name not in model.stages]
    return f"; without {' and '.join(joins)}, which no run has come to" if joins else ""


def _crew_text(count: int, executors: int) -> str:
    who = "1 worker" if count == 1 else f"{count} workers"
    return f"{who} with {executors} executor{'s' if executors != 1 else ''}" + (" in all" if count > 1 else "")


def _assumption(count: int, executors: int, model: Model, bound: BoundPlan, borrowed: frozenset[str]) -> str:
    text = f"what is left is like what this run has done, and {_crew_text(count, executors)} work on at its pace"
    if borrowed:
        text += f"; {' and '.join(sorted(borrowed))} as in an earlier run"
    return text + _unseen_joins(model, bound)


def text_of(estimate: Estimate) -> str:
    """
    An estimate in words.
    """
    if estimate.seconds is None or estimate.low is None or estimate.high is None:
        return f"no estimate yet: {estimate.why}"
    low, high = duration(estimate.low), duration(estimate.high)
    spread = f" ({low} to {high})" if low != high else ""
    return f"about {duration(estimate.seconds)} left{spread}"
