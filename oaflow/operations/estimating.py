"""
Estimates how much longer a run will take, from how long its attempts have taken so far.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from oaflow.forecast import Forecast, forecast, spent
from oaflow.ledger.limits import limits
from oaflow.ledger.runs import Run, StageProgress, recent_runs
from oaflow.ledger.timings import Shift, Timing, shifts, timings, waiting_media
from oaflow.ledger.workers import Worker, retries
from oaflow.operations.modelling import Capacity, Model, active, crew
from oaflow.plan import BoundPlan
from oaflow.printed.runs import Estimate as EstimateJson

# How many jobs must have ended before there is an estimate, and how many in each stage with waiting jobs.
ENOUGH = 10
_ENOUGH_OF_A_STAGE = 3

# How many earlier runs of the pipeline are consulted about stages that this run has not reached.
_EARLIER = 3

# The largest factor by which work may take longer than its attempts suggest.
_STRETCH = (0.5, 20.0)

# If archives come first, each job is followed by more than one of its own stage.
ENDLESS = "more work is found than is done so far, as when archives come first"

_ENDED = ("finished", "incomplete")


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    How many seconds a run will still take: the median, and a range that is right four times out of five. All three are
    None if there is no estimate, and `why` has the reason then. `assumes` has its assumptions.
    """

    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    why: str | None = None
    assumes: str | None = None
    busiest: str | None = None

    def as_json(self) -> EstimateJson:
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


def estimate_of(
    connection: Connection[Any],
    run: Run,
    bound: BoundPlan,
    stages: Mapping[str, StageProgress],
    live: Iterable[Worker],
) -> Estimate | None:
    """
    How long a run will still take. None if it is not progressing.

    Args:
        stages: the counts of its stages.
        live: the live workers.
    """
    if run.state != "running":
        return None
    if why := unknown_rest(run, bound, stages):
        return Estimate(why=why)
    seen = timings(connection, run.id)
    worked = shifts(connection, run.id)
    seconds = active(worked)
    own = Model(bound, seen, seconds)
    open_stages = {name: float(stage.open) for name, stage in stages.items() if stage.open}
    model, borrowed = _with_earlier(connection, run, bound, seen, own, seconds)
    if why := _too_little(model, own, open_stages):
        return Estimate(why=why)
    here = [one for one in live if one.run in (None, run.id)]
    executors = sum(one.executors or 0 for one in here)
    if not executors:
        return Estimate(why="no worker has reported yet that it works on it")
    able = {task for one in here for task in one.tasks}
    for name in open_stages:
        if not (stage := bound.stages[name]).external and stage.task not in able:
            return Estimate(why=f"no live worker can run stage {name}")
    held = limits_of(connection, bound)
    now = Capacity(executors, len(here), limits=held)
    lanes = {name: bound.stages[name].lane for name in open_stages}
    waiting_kinds = waiting_media(connection, run.id, list(lanes.values()))
    media = {name: waiting_kinds[lane] for name, lane in lanes.items() if lane in waiting_kinds}
    for name, kinds in media.items():
        if (strange := model.unseen(name, kinds)) is not None:
            return Estimate(why=f"of {strange or 'another type'} at stage {name} much waits, and none is done")
    due = due_of(connection, run, bound)
    found = rest_of(own, model, stages, worked, now, media).not_before(due)
    if found.endless:
        return Estimate(why=ENDLESS)
    return Estimate(
        found.seconds,
        found.low,
        found.high,
        assumes=_assumption(len(here), executors, model, bound, borrowed, again=due > 0),
        busiest=found.busiest,
    )


def rest_of(
    own: Model,
    model: Model,
    stages: Mapping[str, StageProgress],
    worked: Sequence[Shift],
    now: Capacity,
    media: Mapping[str, Mapping[str, int]],
) -> Forecast:
    """
    How long the open jobs will take. Pure.

    Args:
        own: the model of what this run has done; `model` also covers earlier runs.
        media: for waiting jobs, by stage, how many have which type, as far as a sample tells.
    """
    losses = losses_of(own, stages, worked, now.limits, active(worked))
    open_stages = {name: float(stage.open) for name, stage in stages.items() if stage.open}
    work = model.work(open_stages, now, media=media, pause=losses.pause, held=losses.held, begun=True)
    return forecast(work, stretch=losses.stretch)


def due_of(connection: Connection[Any], run: Run, bound: BoundPlan) -> float:
    """
    The seconds until the last job that waits for another attempt starts; 0 if none waits.
    """
    lanes = [stage.lane for stage in bound.stages.values()]
    return max((one.last for one in retries(connection, run.id, lanes)), default=0.0)


def unknown_rest(run: Run, bound: BoundPlan, stages: Mapping[str, StageProgress]) -> str | None:
    """
    Why the rest is not known, or None.
    """
    if not run.sealed:
        return "its input is still being read"
    for name in bound.start:
        if bound.stages[name].emit == "stream" and name in stages and stages[name].open:
            return f"stage {name} is still finding more"
    return None


def _too_little(model: Model, own: Model, waiting: Mapping[str, float]) -> str | None:
    for name in waiting:
        if model.jobs(name) < min(_ENOUGH_OF_A_STAGE, waiting[name]):
            return f"too few jobs of stage {name} are done"
    # The times of an earlier run do not tell what is lost between the jobs of this one.
    if sum(own.jobs(name) for name in own.stages) < ENOUGH:
        return "too few of its jobs are done"
    return None


def _with_earlier(
    connection: Connection[Any], run: Run, bound: BoundPlan, seen: Sequence[Timing], own: Model, seconds: float
) -> tuple[Model, frozenset[str]]:
    """
    The model, with stages that this run has not reached taken from the latest run that did; and which these are.
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


def arrived(stages: Mapping[str, StageProgress]) -> dict[str, float]:
    return {name: float(one.open + one.done + one.failed + one.diverted + one.vanished) for name, one in stages.items()}


@dataclass(frozen=True, slots=True)
class Losses:
    """
    The seconds lost with each job, and for how many seconds each job of a stage holds its place under a limit after its
    end. `stretch` is below one if work took less time than its attempts suggest, because more ran at once than is
    known.
    """

    stretch: float = 1.0
    pause: float = 0.0
    held: Mapping[str, float] = field(default_factory=dict[str, float])


def losses_of(
    model: Model,
    stages: Mapping[str, StageProgress],
    worked: Sequence[Shift],
    limits: Mapping[str, tuple[int | None, float | None]],
    seconds: float,
) -> Losses:
    """
    What was lost so far between jobs, to the database, and to other runs: the difference between the real time and the
    same simulation. It is lost per job, not per second of a job: if short jobs come first, the long ones do not lose
    more. Each job of a stage with a limit is claimed separately, and so loses more.
    """
    there, executors = crew(worked)
    roots, capacity = model.roots(arrived(stages)), Capacity(executors, there, limits=limits)
    said, ended = spent(model.work(roots, capacity), model.busy)
    if said <= 0 or not seconds:
        return Losses()
    held: dict[str, float] = {}
    for name, (most, _rate) in limits.items():
        # Only if all places were taken all the time; otherwise no job waited for them.
        if most and ended.get(name) and name in stages and stages[name].open > 2 * most:
            cycle = most * seconds / model.jobs(name)
            held[name] = max(cycle - most * said * model.each(name) / ended[name], 0.0)
    if any(held.values()):
        said, _ = spent(model.work(roots, capacity, held=held), model.busy)
    stretch = min(max(seconds / said, _STRETCH[0]), _STRETCH[1])
    jobs = sum(model.jobs(name) for name in model.stages)
    return Losses(min(stretch, 1.0), max(stretch - 1.0, 0.0) * model.busy / jobs, held)


def limits_of(connection: Connection[Any], bound: BoundPlan) -> dict[str, tuple[int | None, float | None]]:
    """
    The limits that apply to the stages of a run; for a run that has ended, those of its plan.
    """
    now = {(one.queue, one.task): (one.concurrency, one.rate) for one in limits(connection)}
    held = {name: now.get(stage.lane, (stage.concurrency, stage.rate)) for name, stage in bound.stages.items()}
    return {name: limit for name, limit in held.items() if limit != (None, None)}


def unseen_joins(model: Model, bound: BoundPlan) -> str:
    joins = [name for name, stage in bound.stages.items() if stage.join and name not in model.stages]
    return f"; without {' and '.join(joins)}, which no run has come to" if joins else ""


def crew_text(count: int, executors: int) -> str:
    who = "1 worker" if count == 1 else f"{count} workers"
    return f"{who} with {executors} executor{'s' if executors != 1 else ''}" + (" in all" if count > 1 else "")


def _assumption(
    count: int, executors: int, model: Model, bound: BoundPlan, borrowed: frozenset[str], *, again: bool
) -> str:
    text = f"the rest is like what this run has done, and {crew_text(count, executors)} keep the pace"
    if borrowed:
        text += f"; {' and '.join(sorted(borrowed))} as in an earlier run"
    if again:
        text += "; jobs that wait for another attempt succeed with it"
    return text + unseen_joins(model, bound)
