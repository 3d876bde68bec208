"""
Decides whether workers are live and ready, from the last reports of their processes. Pure: the time is an argument.

A worker that is not live needs a restart: its loop or its heartbeat stands still. One that is not ready would not
profit from a restart: the database does not answer, or the worker has not yet registered or read the plans of the runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Phase = Literal["waits", "works", "drains"]

# A multiple of the silence that makes a worker dead for others: an async stage that blocks the loop for a moment is a
# fault of the stage, and a restart would interrupt everything else, too.
LENIENCE = 4


@dataclass(frozen=True, slots=True)
class Pulse:
    """
    The state that a worker process reported. Its arrival shows that the loop turns.

    Attributes:
        heard: when it arrived, on the clock of the receiver.
        heart: seconds since the last try of its heartbeat; None before the first.
        database: seconds since the database last answered the heartbeat; None if it never did.
        plans: whether it has read the plans of the runs.
    """

    heard: float
    heart: float | None = None
    database: float | None = None
    plans: bool = False


@dataclass(frozen=True, slots=True)
class Vital:
    """
    A worker process as its supervisor knows it. `pulse` is the last one, None if none has come yet.
    """

    pid: int
    started: float
    registered: bool
    pulse: Pulse | None

    def silence(self, now: float) -> float:
        """
        Seconds since its last report.
        """
        return now - (self.started if self.pulse is None else self.pulse.heard)


@dataclass(frozen=True, slots=True)
class Health:
    """
    The reasons why it is not live, and why it is not ready; each empty if there are none.
    """

    not_live: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        """
        Whether a restart would not help.
        """
        return not self.not_live

    @property
    def ready(self) -> bool:
        """
        Whether all of its workers take jobs.
        """
        return self.live and not self.not_ready


@dataclass(frozen=True, slots=True)
class Observation:
    """
    What a supervisor saw when its loop last turned.

    Attributes:
        count: how many worker processes there should be.
        phase: whether it waits for the database, works, or drains.
    """

    turned: float
    count: int
    phase: Phase
    workers: tuple[Vital, ...] = ()


def judge(seen: Observation, now: float, dead_after: float) -> Health:
    """
    Whether a supervisor and its workers are live and ready.

    Args:
        dead_after: seconds of silence after which others consider a worker dead.
    """
    live, ready = tuple(_not_live(seen, now, dead_after * LENIENCE)), tuple(_not_ready(seen, now, dead_after))
    return Health(live, tuple(dict.fromkeys([*live, *ready])))


def _not_live(seen: Observation, now: float, limit: float) -> Iterator[str]:
    # The private server may recover for minutes before it answers, and the loop waits for it.
    if seen.phase != "waits" and now - seen.turned > limit:
        yield f"the supervisor stands still for {now - seen.turned:.0f} s"
    for worker in seen.workers:
        if worker.silence(now) > limit:
            yield f"worker process {worker.pid} says nothing for {worker.silence(now):.0f} s"
        elif (heart := _age(worker, now, "heart")) is not None and heart > limit:
            yield f"the heart of worker process {worker.pid} stands still for {heart:.0f} s"


def _not_ready(seen: Observation, now: float, limit: float) -> Iterator[str]:
    match seen.phase:
        case "waits":
            yield "the database does not answer yet"
        case "drains":
            yield "it drains: nothing more is claimed"
        case "works":
            yield from _unfit(seen.workers, seen.count, now, limit)


def _unfit(workers: Sequence[Vital], count: int, now: float, limit: float) -> Iterator[str]:
    if len(workers) < count:
        yield f"of {count} worker processes there are {len(workers)}"
    for worker in workers:
        if worker.silence(now) > limit:
            yield f"worker process {worker.pid} says nothing for {worker.silence(now):.0f} s"
        elif not worker.registered:
            yield f"worker process {worker.pid} is not registered yet"
        elif (database := _age(worker, now, "database")) is not None and database > limit:
            yield f"the database does not answer worker process {worker.pid} for {database:.0f} s"
        elif worker.pulse is None or not worker.pulse.plans:
            yield f"worker process {worker.pid} has not read the plans yet"


def _age(worker: Vital, now: float, what: Literal["heart", "database"]) -> float | None:
    """
    How long ago it was, including the time since the report.
    """
    pulse = worker.pulse
    then = None if pulse is None else pulse.heart if what == "heart" else pulse.database
    return None if pulse is None or then is None else now - pulse.heard + then
