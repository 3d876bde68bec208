"""
`oaflow status --watch`: runs while they go on, with their counts, speed, workers and waits.

Counters only: what is read is as much after a million finished jobs as before.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import Connection

from oaflow.ledger.runs import OPEN_STATES, Run, recent_runs
from oaflow.ledger.workers import Hand, Worker, hands, oldest, workers
from oaflow.operations.databases import Database, Link, database
from oaflow.operations.estimating import Estimate, estimate_of
from oaflow.operations.following import exhausted
from oaflow.operations.states import RunStatus, bound_plan, counts_json, in_order, status_of, wanted_run
from oaflow.operations.waits import Wait, presence_of, waits_of
from oaflow.plan import BoundPlan
from oaflow.printed import runs as printed
from oaflow.settings import Settings

# How often the counters are looked at; sooner where a run begins or ends.
_LOOK = 1.0

# What keeps runs waiting, and how long they will take, is asked this often.
_ASK = 5.0

# A database that is away is tried again this often.
_RETRY = 1.0

# Rates are those of the last so many seconds.
_WINDOW = 10.0

# Runs that are shown: those that go on, and the last ones that ended.
_OPEN, _ENDED = 20, 3


@dataclass(frozen=True, slots=True)
class Watched:
    """
    A run as it stands. By stage: `rates`, in jobs a second, `running`, how many are in hand, and `waits_for`, for how
    many seconds the next job has waited. `estimate` was made `aged` seconds ago.
    """

    status: RunStatus
    rates: dict[str, float]
    running: dict[str, int]
    waits_for: dict[str, float]
    waits: tuple[Wait, ...]
    estimate: Estimate | None
    aged: float
    exhausted: bool

    def as_json(self) -> printed.WatchedRun:
        """
        The public form: as that of `status`, with what is known of each stage beside its counts.
        """
        return {
            **self.status.head_json(),
            "stages": {
                name: {
                    **counts_json(stage),
                    "rate": round(self.rates.get(name, 0.0), 2),
                    "running": self.running.get(name, 0),
                    "waits_for": None if name not in self.waits_for else round(self.waits_for[name], 1),
                }
                for name, stage in self.status.stages.items()
            },
            "waits": [wait.as_json() for wait in self.waits],
            "estimate": None if self.estimate is None else self.estimate.as_json(),
        }


@dataclass(frozen=True, slots=True)
class View:
    """
    All that is watched, at one moment. `last`: nothing of it will change any more.
    """

    runs: tuple[Watched, ...]
    workers: tuple[Worker, ...]
    hands: tuple[Hand, ...]
    last: bool = False

    def as_json(self) -> printed.View:
        """
        The public form.
        """
        return {
            "runs": [run.as_json() for run in self.runs],
            "workers": [
                {
                    "worker": one.id,
                    "host": one.host,
                    "pid": one.pid,
                    "program": one.program,
                    "executors": one.executors,
                    "memory": one.memory,
                    "tasks": one.tasks,
                    "only": one.run,
                    "stale": dict(one.stale),
                    "restart": one.restart if one.stale else None,
                    "hands": [
                        {"run": hand.run, "stage": hand.stage, "jobs": hand.jobs}
                        for hand in self.hands
                        if hand.worker == one.id
                    ],
                }
                for one in self.workers
            ],
        }


@dataclass(frozen=True, slots=True)
class Away:
    """
    The database does not answer.
    """

    reason: str


Kind = TypeVar("Kind")


class Rates(Generic[Kind]):
    """
    How many jobs a second each stage of a run ends, or what else is counted by its kind, over the last seconds.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[Kind, int]]] = deque()

    def look(self, now: float, ended: dict[Kind, int]) -> dict[Kind, float]:
        """
        The rates, with the counters of this moment.
        """
        self._seen.append((now, ended))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        if now <= then:
            return {}
        return {stage: max(0.0, (count - before.get(stage, 0)) / (now - then)) for stage, count in ended.items()}


@dataclass(slots=True)
class _Known:
    """
    What is kept of a run between two looks.
    """

    bound: BoundPlan
    order: tuple[str, ...]
    rates: Rates[str]
    asked: float | None = None
    crew: frozenset[tuple[int, int]] = frozenset()
    waits: tuple[Wait, ...] = ()
    estimate: Estimate | None = None


def watch(
    settings: Settings,
    run: str | None,
    *,
    stopped: Callable[[], bool] = lambda: False,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[View | Away]:
    """
    Views of a run, or of all that go on and the last that ended, once a second. Of one run the last view is that of its
    end; of all there is no last one.

    Args:
        stopped: whether nobody looks any more.

    Raises:
        NoSuchRunError: there is no such run, or none at all.
    """
    with database(settings) as opened:
        watching = _Watching(opened, run, now)
        link = Link(opened, "oaflow watch")
        try:
            while not stopped():
                try:
                    view = watching.look(link.get())
                    yield view
                    if view.last:
                        return
                    link.wait(_LOOK)
                except psycopg.OperationalError as error:
                    yield Away(link.why(error))
                    time.sleep(_RETRY)
        finally:
            link.close()


class _Watching:
    def __init__(self, opened: Database, run: str | None, now: Callable[[], float]) -> None:
        self._silent, self._private = opened.settings.dead_after, opened.embedded
        self._run, self._now = run, now
        self._known: dict[str, _Known] = {}

    def look(self, connection: Connection[Any]) -> View:
        found = self._wanted(connection)
        crew = workers(connection, self._silent)
        held = hands(connection, [worker.id for worker in crew])
        shown = tuple(self._watched(connection, run, crew, held) for run in found)
        self._known = {run.id: self._known[run.id] for run in found}
        return View(shown, tuple(crew), tuple(held), last=self._run is not None and not any(run.open for run in found))

    def _wanted(self, connection: Connection[Any]) -> list[Run]:
        if self._run is not None:
            return [wanted_run(connection, self._run)]
        opened = recent_runs(connection, states=OPEN_STATES, limit=_OPEN)
        ended = [one for one in recent_runs(connection, limit=_ENDED) if not one.open]
        if not opened and not ended:
            wanted_run(connection, None)  # says that there is none
        return [*opened, *ended]

    def _watched(self, connection: Connection[Any], run: Run, crew: list[Worker], held: list[Hand]) -> Watched:
        now = self._now()
        known = self._known.get(run.id)
        if known is None:
            bound = bound_plan(connection, run)
            known = self._known[run.id] = _Known(bound, in_order(bound), Rates())
        status = status_of(connection, run, known.order)
        stages = {one.lane: name for name, one in known.bound.stages.items() if status.stages[name].open}
        # Sooner where workers have come, gone, or said what they can run: that may be what it waited for.
        able = frozenset((worker.id, len(worker.tasks)) for worker in crew)
        if run.open and (known.asked is None or now - known.asked >= _ASK or able != known.crew):
            known.asked, known.crew = now, able
            presence = presence_of(connection, run, crew, private=self._private)
            known.waits = tuple(
                waits_of(connection, run, known.bound, status.stages, crew, self._silent, presence=presence)
            )
            known.estimate = (
                None if presence == "gone" else estimate_of(connection, run, known.bound, status.stages, crew)
            )
        elif not run.open:
            known.waits, known.estimate = (), None
        waiting = oldest(connection, run.id, stages) if run.open else {}
        running: Counter[str] = Counter()
        for hand in held:
            running[hand.stage] += hand.jobs if hand.run == run.id else 0
        return Watched(
            status=status,
            rates=known.rates.look(
                now, {name: one.done + one.failed + one.diverted for name, one in status.stages.items()}
            ),
            running=running,
            waits_for={stages[pair]: seconds for pair, seconds in waiting.items() if seconds is not None},
            waits=tuple(wait for wait in known.waits if _holds(wait, status)),
            estimate=known.estimate,
            aged=0.0 if known.asked is None else now - known.asked,
            exhausted=exhausted(status, known.bound),
        )


def _holds(wait: Wait, status: RunStatus) -> bool:
    """
    Whether what kept a run waiting a while ago may still do so.
    """
    if wait.stage is None:
        return True
    stage = status.stages[wait.stage]
    return not (stage.open or stage.done) if wait.why == "join" else bool(stage.open)
