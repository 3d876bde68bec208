"""
The reasons why a run waits, each with what to type next, for `status`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg import Connection

from oaflow.ledger.limits import Limit, limits
from oaflow.ledger.runs import Run, StageProgress
from oaflow.ledger.workers import (
    Gathering,
    Locked,
    Waiting,
    Worker,
    gathering,
    hands,
    is_followed,
    locked,
    oldest,
    retries,
    streams_at_rest,
    unserved,
    untaken,
)
from oaflow.operations.afresh import with_its_input
from oaflow.plan import ANSWERS, BoundCollect, BoundPlan
from oaflow.printed.runs import Wait as WaitJson
from oaflow.printed.runs import WaitFacts, Why
from oaflow.quantities import duration
from oaflow.runtime.room import DISK, GOES_ON

# Of the stages that a stream waits for, so many are named.
_NAMED = 3

# What has waited for fewer seconds is about to begin.
_PATIENCE = 10.0

# Whether a run has workers ("works"), will have them ("starts": the command that they belong to is about to start them,
# or others in place of those that died), or has none ("gone": that command was killed).
Presence = Literal["works", "starts", "gone"]


@dataclass(frozen=True, slots=True)
class Wait:
    """
    One reason, told as `head` and `text`; `more` is what somebody else said of it. `stage` is the one that waits, None
    where it is the whole run; `facts` are the numbers of the text, for programs.
    """

    why: Why
    head: str
    text: str = ""
    stage: str | None = None
    more: str | None = None
    help: str | None = None
    facts: WaitFacts = field(default_factory=lambda: WaitFacts())

    def as_json(self) -> WaitJson:
        """
        The public form.
        """
        said = " ".join(part for part in (self.head, self.text) if part)
        return {
            "why": self.why,
            "stage": self.stage,
            "text": said,
            "reason": self.more,
            "help": self.help,
            **self.facts,
        }


def presence_of(connection: Connection[Any], run: Run, crew: Iterable[Worker], *, private: bool) -> Presence:
    """
    Whether anybody works on a run, or will.

    Args:
        crew: the live workers.
        private: whether this is the private server, where each run starts its own workers.
    """
    if not private or run.state not in ("running", "paused"):
        return "works"
    if any(one.run in (None, run.id) for one in crew):
        return "works"
    return "starts" if is_followed(connection, run.id) else "gone"


def waits_of(
    connection: Connection[Any],
    run: Run,
    bound: BoundPlan,
    stages: Mapping[str, StageProgress],
    crew: Iterable[Worker],
    silent: float,
    *,
    presence: Presence,
) -> Iterator[Wait]:
    """
    All that keeps a run waiting.

    Args:
        stages: the counts of its stages.
        crew: the live workers.
        silent: seconds after which a worker is dead.
        presence: whether anybody works on it, or will.
    """
    if run.open and (presence == "gone" or run.state != "running"):
        yield held(run, abandoned=presence == "gone")
        return
    if not run.open or presence == "starts":
        return
    limited: set[str | None] = set()
    for wait in _held_up(connection, run, bound, stages, silent):
        if wait.why == "limit":
            limited.add(wait.stage)
        yield wait
    yield from _behind(connection, run, bound, stages, crew, limited)
    for name, before in bound.joins.items():
        own = stages[name]
        opened = {other: stages[other].open for other in sorted(before) if other in stages and stages[other].open}
        if opened and not own.open and not own.done and not own.failed:
            yield _joining(name, opened)


def _held_up(
    connection: Connection[Any], run: Run, bound: BoundPlan, stages: Mapping[str, StageProgress], silent: float
) -> Iterator[Wait]:
    """
    The stages that would wait with idle workers, too.
    """
    for job in waiting_of(connection, run, bound, silent):
        yield _unserved(job, bound)
    for name, limit in limited_of(connection, stages, bound):
        yield _limited(name, limit)
    for stage, most in streams_at_rest(connection, run.id, silent):
        if stage in bound.rests:
            yield _resting(stage, most, {other: stages[other].open for other in bound.rests[stage] if other in stages})
    for waits in gathering(connection, run.id) if bound.collects else ():
        if (stage := bound.stages.get(waits.stage)) is not None and stage.collect is not None:
            yield _gathering(waits, stage.collect)
    with_locks = [one.lane for one in bound.stages.values() if one.lock is not None]
    for waits in locked(connection, run.id, with_locks) if with_locks else ():
        yield _locked(waits, _of_lane(bound, waits.queue, waits.task))
    yield from retrying(connection, run, bound)


def retrying(connection: Connection[Any], run: Run, bound: BoundPlan) -> Iterator[Wait]:
    """
    The stages of a run some of whose jobs wait for another attempt.
    """
    for retry in retries(connection, run.id, [one.lane for one in bound.stages.values()]):
        names = _of_lane(bound, retry.queue, retry.task)
        jobs = "1 job" if retry.jobs == 1 else f"{retry.jobs:,} jobs"
        yield Wait(
            "retry",
            f"{jobs} of stage {' or '.join(names)}",
            f"{'waits' if retry.jobs == 1 else 'wait'} for another attempt, the next in {duration(retry.seconds)}",
            names[0] if len(names) == 1 else None,
            facts={"jobs": retry.jobs, "seconds": round(retry.seconds, 3)},
        )


def _behind(
    connection: Connection[Any],
    run: Run,
    bound: BoundPlan,
    stages: Mapping[str, StageProgress],
    crew: Iterable[Worker],
    limited: Collection[str | None],
) -> Iterator[Wait]:
    """
    The stages of which nothing begins, as all who can run them are at what has a higher priority, or came first.
    """
    here = [one for one in crew if one.run in (None, run.id)]
    if not (held := hands(connection, [one.id for one in here])):
        return
    running = {hand.stage for hand in held if hand.run == run.id}
    opened = [name for name, stage in bound.stages.items() if stages[name].open and not stage.external]
    later = {bound.stages[name].lane: name for name in opened}
    waiting = oldest(connection, run.id, later)
    for lane, name in later.items():
        able = {one.id for one in here if lane[1] in one.tasks}
        before = [hand for hand in held if hand.worker in able]
        seconds = waiting.get(lane)
        if seconds is None or seconds < _PATIENCE or able - {hand.worker for hand in before}:
            continue
        urgent = all(hand.priority > bound.stages[name].priority for hand in before)
        if not before or (not urgent and (name in running or name in limited)):
            continue
        ahead: Counter[str] = Counter()
        for hand in before:
            ahead[hand.stage if hand.run == run.id else f"{hand.stage} of {hand.run}"] += hand.jobs
        first = " and ".join(stage for stage, _ in ahead.most_common(_NAMED))
        yield Wait(
            "priority" if urgent else "turn",
            f"stage {name} waits {'behind a higher priority' if urgent else 'for its turn'}:",
            f"its next job for {duration(seconds)}; all workers that can run it are busy with {first}",
            name,
            help=None if urgent else "oaflow worker   # start more of them",
            facts={"seconds": round(seconds, 3)},
        )


def waiting_of(connection: Connection[Any], run: Run, bound: BoundPlan, silent: float) -> list[Waiting]:
    """
    What no live worker can run, and what no service takes.
    """
    ours = [stage.lane for stage in bound.stages.values() if not stage.external]
    theirs = [stage.lane for stage in bound.stages.values() if stage.external]
    if not theirs:
        return unserved(connection, run.id, ours, silent)
    return [*unserved(connection, run.id, [*ours, ANSWERS], silent), *untaken(connection, run.id, theirs)]


def limited_of(
    connection: Connection[Any], stages: Mapping[str, StageProgress], bound: BoundPlan
) -> list[tuple[str, Limit]]:
    """
    The stages of a run with open jobs whose limit keeps some waiting.
    """
    full = {
        (limit.queue, limit.task): limit
        for limit in limits(connection)
        if limit.waiting and (limit.rate is not None or limit.running >= (limit.concurrency or 0))
    }
    return [
        (name, full[stage.lane]) for name, stage in bound.stages.items() if stage.lane in full and stages[name].open
    ]


def held(run: Run, *, abandoned: bool = False) -> Wait:
    """
    Why nothing of a run begins that is not running.

    Args:
        abandoned: whether it is running, and nobody works on it.
    """
    resume = f"oaflow resume {run.id}"
    if run.cut:
        return Wait("interrupted", "it is interrupted:", run.reason or "", help=with_its_input(run))
    if abandoned:
        text = "its workers ended with the command that started them"
        return Wait("abandoned", "no worker works on it:", text, help=resume)
    reason = run.reason or ""
    if run.state == "paused" and GOES_ON in reason:
        return Wait("disk" if DISK in reason else "paused", "it is paused:", reason, help="df -h")
    return Wait("paused" if run.state == "paused" else "interrupted", f"it is {run.state}:", reason, help=resume)


def _gathering(waits: Gathering, collect: BoundCollect) -> Wait:
    jobs = "1 job" if waits.jobs == 1 else f"{waits.jobs:,} jobs"
    most = f"{waits.entities:,} of {collect.size:,} entities"
    # What nobody looked at in time is due.
    rest = max(collect.wait - waits.seconds, 0.0)
    return Wait(
        "collect",
        f"stage {waits.stage} waits for more to collect:",
        f"{most} in {jobs}, {duration(rest)} more, or until no more can come",
        waits.stage,
        facts={"jobs": waits.jobs, "entities": waits.entities, "seconds": round(rest, 3)},
    )


def _locked(waits: Locked, stages: list[str]) -> Wait:
    jobs = "1 job waits" if waits.jobs == 1 else f"{waits.jobs:,} jobs wait"
    locks = "a lock that a running job has" if waits.locks == 1 else f"{waits.locks:,} locks that running jobs have"
    return Wait(
        "lock",
        f"stage {' or '.join(stages)} waits for its lock:",
        f"{jobs} for {locks}",
        stages[0] if len(stages) == 1 else None,
        facts={"jobs": waits.jobs, "locks": waits.locks},
    )


def _of_lane(bound: BoundPlan, queue: str, task: str) -> list[str]:
    return [name for name, stage in bound.stages.items() if stage.lane == (queue, task)]


def _unserved(job: Waiting, bound: BoundPlan) -> Wait:
    names = _of_lane(bound, job.queue, job.task)
    since = f", for {duration(job.seconds)}" if job.seconds is not None else ""
    return Wait(
        "unserved",
        job.trouble,
        f"task {job.task} of queue {job.queue}: its jobs wait{since}",
        names[0] if len(names) == 1 else None,
        job.reason,
        job.help,
        {"queue": job.queue, "task": job.task, "seconds": job.seconds},
    )


def _limited(name: str, limit: Limit) -> Wait:
    at_once = f"{limit.concurrency} at once" if limit.concurrency else None
    most = " and ".join(filter(None, [at_once, limit.rate_text]))
    return Wait(
        "limit",
        f"stage {name} waits for its limit:",
        f"{most}; {limit.running} run and {limit.waiting_text} wait, of all runs",
        name,
        help=f"oaflow limit {limit.name} --concurrency N --rate N/s   # takes effect at once",
        facts={"concurrency": limit.concurrency, "rate": limit.rate, "jobs": limit.waiting},
    )


def _resting(stage: str, most: int, opened: Mapping[str, int]) -> Wait:
    total = sum(opened.values())
    return Wait(
        "rests",
        f"stage {stage} rests:",
        f"{_deepest(opened) or 'what follows it has none'} open, and it goes on at {most // 2:,} (OAFLOW_DEEP)",
        stage,
        help="oaflow worker   # start more of them, or a larger OAFLOW_DEEP for each",
        facts={"open": total, "most": most, "after": dict(opened)},
    )


def _joining(stage: str, opened: Mapping[str, int]) -> Wait:
    return Wait(
        "join",
        f"stage {stage} has not started:",
        f"it is a join, and {_deepest(opened)} open",
        stage,
        facts={"open": sum(opened.values()), "after": dict(opened)},
    )


def _deepest(opened: Mapping[str, int]) -> str:
    """
    In which stages most is open.
    """
    deep = [f"{name} has {number:,}" for name, number in sorted(opened.items(), key=lambda one: -one[1]) if number]
    return ", ".join(deep[:_NAMED]) + (f" and {len(deep) - _NAMED} more stages have open jobs" if deep[_NAMED:] else "")
