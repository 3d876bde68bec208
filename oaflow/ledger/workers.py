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

_MOST_RUNNING = 20  # jobs that are named of those that a run is at


@dataclass(frozen=True, slots=True)
class Worker:
    """
    A live worker. `silent` is the seconds since its last heartbeat, `doing` the jobs that it holds; `run` is the only
    one that it works on, None where that is any. `memory` is what it and its executors have resident, in bytes; both
    are None until it has said so. `stale` are the tasks of which the code has changed since it loaded it, each with a
    file that has; `restart` is what is to be typed for the new code there.
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
        Its number, and where it is.
        """
        return f"worker {self.id} on {self.host} (pid {self.pid})"

    @property
    def old_code(self) -> str:
        """
        That it runs with old code, where it does, to stand after its name.
        """
        files = sorted(set(self.stale.values()))
        more = f" and {len(files) - 1} more {'file' if len(files) == 2 else 'files'}" if len(files) > 1 else ""
        tasks = ", ".join(sorted(self.stale))
        changed = "has changed since it loaded it" if len(files) == 1 else "have changed since it loaded them"
        return f"runs the old code of {tasks}: {files[0]}{more} {changed}"


@dataclass(frozen=True, slots=True)
class Able:
    """
    What a live worker has said of the tasks that it met: what the functions that it can run take, and why it cannot
    run others. `formats` are those of plans that it knows.
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
    oldest waits, or None where its history is gone; `reason` is why one of them cannot, or None where none has tried:
    because its function is `unfit` for the run, where that is so.
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
        What is wrong, to be followed by the task and the queue.
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
    Jobs that wait for another attempt, counted up to 1,000. `seconds` is in how long the next of them begins, and
    `last` in how long the last.
    """

    queue: str
    task: str
    jobs: int
    seconds: float
    last: float


@dataclass(frozen=True, slots=True)
class Gathering:
    """
    Jobs that wait to be put together with others, the first of them for so many `seconds`.
    """

    stage: str
    jobs: int
    entities: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Locked:
    """
    Jobs that wait for locks which running jobs have, counted up to 1,000; and how many locks these are.
    """

    queue: str
    task: str
    jobs: int
    locks: int


@dataclass(frozen=True, slots=True)
class Running:
    """
    A job in somebody's hands. `seconds` is how long ago it could have started at the earliest.
    """

    job: int
    stage: str
    worker: int | None
    seconds: float | None
    names: list[str]


@dataclass(frozen=True, slots=True)
class Hand:
    """
    So many jobs of a stage of a run that a worker has in hand, none of them of a lower priority than that.
    """

    worker: int
    run: str
    stage: str
    jobs: int
    priority: int


class Connections(NamedTuple):
    """
    How many connections the server has, and how many it allows to those who are not superusers.
    """

    used: int
    most: int


def connections(connection: Connection[Any]) -> Connections:
    """
    Read the connections of the whole server, whichever programs and databases they are of.
    """
    with connection.cursor(row_factory=class_row(Connections)) as cursor:
        found = cursor.execute(sql("connections")).fetchone()
    assert found is not None
    return found


def hands(connection: Connection[Any], workers: Iterable[int]) -> list[Hand]:
    """
    What workers have in hand.
    """
    with connection.cursor(row_factory=class_row(Hand)) as cursor:
        return cursor.execute(sql("hands"), {"workers": list(workers)}).fetchall()


def oldest(
    connection: Connection[Any], run: str, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], float | None]:
    """
    For how many seconds the job that comes next has waited, of each of the given (queue, task) pairs of a run in which
    one waits.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(sql("oldest"), {"run": run, **_columns(pairs)}).fetchall()
    return {(queue, task): seconds for queue, task, seconds in rows}


def workers(connection: Connection[Any], silent: float) -> list[Worker]:
    """
    Workers whose last heartbeat is younger than `silent` seconds.
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
    Asks the live workers whether they can run tasks; what they find stands in `able`, in its time.
    """
    connection.execute(sql("ask"), {"tasks": sorted(set(tasks))})


def unserved(connection: Connection[Any], run: str, served: Iterable[tuple[str, str]], silent: float) -> list[Waiting]:
    """
    Which of the given (queue, task) pairs of a run have jobs waiting that no live worker can run.
    """
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(sql("unserved"), {"run": run, "silent": silent, **_columns(served)}).fetchall()


def retries(connection: Connection[Any], run: str, pairs: Iterable[tuple[str, str]]) -> list[Retry]:
    """
    Which of the given (queue, task) pairs of a run have jobs that wait for another attempt.
    """
    with connection.cursor(row_factory=class_row(Retry)) as cursor:
        return cursor.execute(sql("retries"), {"run": run, **_columns(pairs)}).fetchall()


def is_followed(connection: Connection[Any], run: str) -> bool:
    """
    Whether the command that workers of a run belong to is there.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(sql("is_followed"), {"name": session_of(run)}).fetchone()
    assert row is not None
    return row[0]


def session_of(run: str) -> str:
    """
    How the database lists the session of a command that follows a run with workers of its own: of longer names it
    keeps as much.
    """
    return f"oaflow run {run}"[:63]


def gathering(connection: Connection[Any], run: str) -> list[Gathering]:
    """
    What waits in a run to be put together, by stage.
    """
    with connection.cursor(row_factory=class_row(Gathering)) as cursor:
        return cursor.execute(sql("gathering"), {"run": run}).fetchall()


def locked(connection: Connection[Any], run: str, pairs: Iterable[tuple[str, str]]) -> list[Locked]:
    """
    Which of the given (queue, task) pairs of a run have jobs that wait for a lock.
    """
    with connection.cursor(row_factory=class_row(Locked)) as cursor:
        return cursor.execute(sql("locked"), {"run": run, **_columns(pairs)}).fetchall()


def streams_at_rest(connection: Connection[Any], run: str, silent: float) -> list[tuple[str, int]]:
    """
    The streams of a run that rest, by stage, and above how many open jobs in what follows them they do.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(sql("at_rest"), {"run": run, "silent": silent}).fetchall()


def _columns(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    once = sorted(set(pairs))
    return {"queues": [queue for queue, _ in once], "tasks": [task for _, task in once]}


def untaken(connection: Connection[Any], run: str, asked: Iterable[tuple[str, str]]) -> list[Waiting]:
    """
    Which of the given (queue, task) pairs of a run, which services work on, have jobs waiting while none of their queue
    is being worked on.
    """
    pairs = sorted(set(asked))
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(
            sql("untaken"),
            {"run": run, "queues": [queue for queue, _ in pairs], "tasks": [task for _, task in pairs]},
        ).fetchall()


def running(connection: Connection[Any], run: str) -> list[Running]:
    """
    Jobs of a run that are being worked on, the longest first; of many, the first.
    """
    with connection.cursor(row_factory=class_row(Running)) as cursor:
        return cursor.execute(sql("running"), {"run": run, "limit": _MOST_RUNNING}).fetchall()


def recover(connection: Connection[Any], dead: Iterable[int], silent: float) -> int:
    """
    Takes back what workers had that are known to be dead, and deletes their rows. What comes back to a run that was
    cancelled meanwhile is taken out of it.

    Returns:
        how many jobs came back.
    """
    row = connection.execute(sql("recover"), {"dead": sorted(dead), "silent": silent}).fetchone()
    connection.execute(sql("cancel_rest"))
    return cast(int, row[0]) if row else 0


def set_down(connection: Connection[Any]) -> int:
    """
    Takes back what all workers had, and forgets these. For a database in which nobody works: one that was restored.
    Nobody is charged.

    Returns:
        how many jobs came back.
    """
    known = [cast(int, id) for (id,) in connection.execute(sql("set_down")).fetchall()]
    return recover(connection, known, 0.0)
