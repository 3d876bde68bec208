"""
Workers: which are live, what they can run, and which jobs wait for a worker that can run them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from psycopg import Connection
from psycopg.rows import class_row, tuple_row

from oaflow.ledger.statements import sql

_MOST_RUNNING = 20  # how many running jobs of a run are named


@dataclass(frozen=True, slots=True)
class Worker:
    """
    A live worker. `silent` is the seconds since its last heartbeat, `doing` the number of jobs that it holds; `run` is
    the only run that it works on, None for all. `memory` is the resident memory of it and its executors, in bytes; it
    and `executors` are None until reported. `stale` has the tasks whose code has changed since it loaded it, each with
    a changed file; `restart` is what to type there to load the new code.
    """

    id: int
    host: str
    pid: int
    program: str
    tasks: list[str]
    run: str | None
    executors: int | None
    memory: int | None
    started_at: datetime
    silent: float
    doing: int
    stale: Mapping[str, str]
    restart: str | None

    @property
    def name(self) -> str:
        """
        Its id and place.
        """
        return f"worker {self.id} on {self.host} (pid {self.pid})"

    @property
    def old_code(self) -> str:
        """
        That it runs old code, if it does, to be appended to its name.
        """
        files = sorted(set(self.stale.values()))
        more = f" and {len(files) - 1} more {'file' if len(files) == 2 else 'files'}" if len(files) > 1 else ""
        tasks = ", ".join(sorted(self.stale))
        changed = "has changed since it loaded it" if len(files) == 1 else "have changed since it loaded them"
        return f"runs the old code of {tasks}: {files[0]}{more} {changed}"


@dataclass(frozen=True, slots=True)
class Able:
    """
    What a live worker has reported about tasks: what the functions that it can run take, and why it cannot run others.
    `formats` are the formats of plans that it reads.
    """

    id: int
    host: str
    formats: list[int]
    takes: Mapping[str, str | None]
    lacks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    Jobs that no live worker can run, or that no worker of their service takes (`external`). `seconds` is how long the
    oldest has waited, or None if its history is gone; `reason` is why one of the workers cannot, or None if none has
    tried; `unfit` tells whether that is because its function does not fit the plan of the run.
    """

    queue: str
    task: str
    seconds: float | None
    reason: str | None = None
    external: bool = False
    unfit: bool = False

    @property
    def trouble(self) -> str:
        """
        What is wrong, to be followed by task and queue.
        """
        return "no worker of its service takes" if self.external else "no live worker can run"

    @property
    def help(self) -> str:
        """
        What to do about it.
        """
        if self.external:
            return f"start a worker of that service, on queue {self.queue} of this database"
        if self.unfit:
            return "oaflow worker   # with the code that the run began with, or cancel the run and begin another"
        module, reason = self.task.rpartition(".")[0], self.reason or ""
        if f"importing {module!r} failed" in reason and f"No module named {module!r}" not in reason:
            then = "where the workers run: they try again by themselves, and go on once this works"
            return f"python -c 'import {module}'   # {then}"
        return "oaflow worker   # where the module of that task is installed"


@dataclass(frozen=True, slots=True)
class Retry:
    """
    Jobs that wait for another attempt, counted up to 1,000. `seconds` is the time until the next of them starts, and
    `last` the time until the last.
    """

    queue: str
    task: str
    jobs: int
    seconds: float
    last: float


@dataclass(frozen=True, slots=True)
class Gathering:
    """
    Jobs that wait to be collected with others; the first of them has waited for `seconds`.
    """

    stage: str
    jobs: int
    entities: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Locked:
    """
    Jobs that wait for locks of running jobs, counted up to 1,000, and the number of these locks.
    """

    queue: str
    task: str
    jobs: int
    locks: int


@dataclass(frozen=True, slots=True)
class Running:
    """
    A running job. `seconds` is how long ago it can have started at the earliest.
    """

    job: int
    stage: str
    worker: int | None
    seconds: float | None
    names: list[str]


@dataclass(frozen=True, slots=True)
class Hand:
    """
    The number of jobs of a stage of a run that a worker holds, and the lowest priority among them.
    """

    worker: int
    run: str
    stage: str
    jobs: int
    priority: int


class Connections(NamedTuple):
    """
    How many connections the server has, and how many it allows to users that are not superusers.
    """

    used: int
    most: int


def connections(connection: Connection[Any]) -> Connections:
    """
    Count the connections of the whole server, of all programs and databases.
    """
    with connection.cursor(row_factory=class_row(Connections)) as cursor:
        found = cursor.execute(sql("connections")).fetchone()
    assert found is not None
    return found


def hands(connection: Connection[Any], workers: Iterable[int]) -> list[Hand]:
    """
    The jobs that workers hold.
    """
    with connection.cursor(row_factory=class_row(Hand)) as cursor:
        return cursor.execute(sql("hands"), {"workers": list(workers)}).fetchall()


def oldest(
    connection: Connection[Any], run: str, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], float | None]:
    """
    How many seconds the next job has waited, for each of the given (queue, task) pairs of a run with waiting jobs.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(sql("oldest"), {"run": run, **_columns(pairs)}).fetchall()
    return {(queue, task): seconds for queue, task, seconds in rows}


def workers(connection: Connection[Any], silent: float) -> list[Worker]:
    """
    Workers whose last heartbeat is less than `silent` seconds ago.
    """
    with connection.cursor(row_factory=class_row(Worker)) as cursor:
        return cursor.execute(sql("workers"), {"silent": silent}).fetchall()


def able(connection: Connection[Any], silent: float) -> list[Able]:
    """
    The live workers that take jobs of any run.
    """
    with connection.cursor(row_factory=class_row(Able)) as cursor:
        return cursor.execute(sql("able"), {"silent": silent}).fetchall()


def ask(connection: Connection[Any], tasks: Iterable[str]) -> None:
    """
    Ask the live workers whether they can run tasks; `able` returns their answers once they have come.
    """
    connection.execute(sql("ask"), {"tasks": sorted(set(tasks))})


def unserved(connection: Connection[Any], run: str, served: Iterable[tuple[str, str]], silent: float) -> list[Waiting]:
    """
    The given (queue, task) pairs of a run with waiting jobs that no live worker can run.
    """
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(sql("unserved"), {"run": run, "silent": silent, **_columns(served)}).fetchall()


def retries(connection: Connection[Any], run: str, pairs: Iterable[tuple[str, str]]) -> list[Retry]:
    """
    The given (queue, task) pairs of a run with jobs that wait for another attempt.
    """
    with connection.cursor(row_factory=class_row(Retry)) as cursor:
        return cursor.execute(sql("retries"), {"run": run, **_columns(pairs)}).fetchall()


def is_followed(connection: Connection[Any], run: str) -> bool:
    """
    Whether the command that owns the workers of a run is still running.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(sql("is_followed"), {"name": session_of(run)}).fetchone()
    assert row is not None
    return row[0]


def session_of(run: str) -> str:
    """
    The name of the session of a command that follows a run with its own workers, cut to the length that the database
    keeps.
    """
    return f"oaflow run {run}"[:63]


def gathering(connection: Connection[Any], run: str) -> list[Gathering]:
    """
    The jobs of a run that wait to be collected, by stage.
    """
    with connection.cursor(row_factory=class_row(Gathering)) as cursor:
        return cursor.execute(sql("gathering"), {"run": run}).fetchall()


def locked(connection: Connection[Any], run: str, pairs: Iterable[tuple[str, str]]) -> list[Locked]:
    """
    The given (queue, task) pairs of a run with jobs that wait for a lock.
    """
    with connection.cursor(row_factory=class_row(Locked)) as cursor:
        return cursor.execute(sql("locked"), {"run": run, **_columns(pairs)}).fetchall()


def streams_at_rest(connection: Connection[Any], run: str, silent: float) -> list[tuple[str, int]]:
    """
    The resting streams of a run, by stage, with the limit of open jobs after them.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(sql("at_rest"), {"run": run, "silent": silent}).fetchall()


def _columns(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    once = sorted(set(pairs))
    return {"queues": [queue for queue, _ in once], "tasks": [task for _, task in once]}


def untaken(connection: Connection[Any], run: str, asked: Iterable[tuple[str, str]]) -> list[Waiting]:
    """
    The given (queue, task) pairs of services in a run with waiting jobs, while no job of their queue is running.
    """
    pairs = sorted(set(asked))
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(
            sql("untaken"),
            {"run": run, "queues": [queue for queue, _ in pairs], "tasks": [task for _, task in pairs]},
        ).fetchall()


def running(connection: Connection[Any], run: str) -> list[Running]:
    """
    The running jobs of a run, longest first, up to a limit.
    """
    with connection.cursor(row_factory=class_row(Running)) as cursor:
        return cursor.execute(sql("running"), {"run": run, "limit": _MOST_RUNNING}).fetchall()


def recover(connection: Connection[Any], dead: Iterable[int], silent: float) -> int:
    """
    Recover the jobs of workers that are known to be dead, and delete their rows. Jobs that come back to a cancelled run
    are removed.

    Returns:
        how many jobs came back.
    """
    row = connection.execute(sql("recover"), {"dead": sorted(dead), "silent": silent}).fetchone()
    connection.execute(sql("cancel_rest"))
    return cast(int, row[0]) if row else 0


def set_down(connection: Connection[Any]) -> int:
    """
    Recover the jobs of all workers, and delete their rows. For a restored database, in which no worker runs. No job is
    charged.

    Returns:
        how many jobs came back.
    """
    known = [cast(int, id) for (id,) in connection.execute(sql("set_down")).fetchall()]
    return recover(connection, known, 0.0)
