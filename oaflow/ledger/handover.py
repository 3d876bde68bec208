"""
The ledger for workers: register, claim, complete, give back, recover, sweep. Async, one statement each.

Every statement is fenced in the database, so each may be sent again after a lost answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.rows import class_row, tuple_row

from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.ledger.statements import sql

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class OpenRun:
    """
    A run that workers may work on. `stops` tells whether it is cancelled after a number of failures (`--stop-after`).
    """

    id: str
    plan: str
    format: int
    definition: dict[str, Any]
    params: dict[str, Any]
    dataset: str
    state: str
    first: int | None = None
    places: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    stops: bool = False


# psycopg dumps lists element by element, 30 to 40 µs per job for these arrays; array literals cost a tenth of that.


def numbers(values: Sequence[float | None]) -> str:
    """
    A Postgres array literal of numbers.
    """
    # As orjson writes them, with None as `null`: a fifth of the time of str() for each.
    return "{" + orjson.dumps(values).decode()[1:-1] + "}"


def texts(values: Iterable[str | None]) -> str:
    """
    A Postgres array literal of texts.
    """
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def names(values: Iterable[str]) -> str:
    """
    A Postgres array literal of a few texts that repeat often.
    """
    return "{" + ",".join(map(_quoted_name, values)) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_quoted_name = lru_cache(maxsize=1024)(_quoted)


def json_array(items: Iterable[bytes]) -> str:
    """
    A JSON array of texts that are JSON already.
    """
    return "[" + b",".join(items).decode() + "]"


async def claim(
    connection: Connection, worker: int, triples: Sequence[tuple[str, str, str]], most: int
) -> list[Claimed]:
    """
    Claim up to `most` jobs of the given (queue, task, run) triples, highest priority first.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            sql("claim"),
            {
                "worker": worker,
                "queues": [queue for queue, _, _ in triples],
                "tasks": [task for _, task, _ in triples],
                "runs": [run for _, _, run in triples],
                "most": most,
            },
        )
        return [Claimed._make(row) for row in await cursor.fetchall()]


def completion_values(worker: int, shard: int, items: Sequence[Completion]) -> dict[str, Any]:
    """
    The values for `complete.sql`: an array for each column, and the successors.
    """
    # All columns at once: extracting one column costs as much as extracting all.
    (
        ids, attempts, outcomes, runs, stages, parents, started, ended, delays, positions, digests, versions, details,
        handed,
    ) = zip(*items, strict=True)  # fmt: skip
    queues, tasks, next_stages, priorities, args, collects, locks, next_ids = (
        zip(*chain.from_iterable(handed), strict=True) if any(handed) else ((),) * len(Successor._fields)
    )
    return {
        "worker": worker,
        "shard": shard,
        "ids": numbers(ids),
        "attempts": numbers(attempts),
        "outcomes": names(outcomes),
        "runs": names(runs),
        "stages": names(stages),
        "parents": numbers(parents),
        "started": numbers(started),
        "ended": numbers(ended),
        "delays": numbers(delays),
        "positions": numbers(positions),
        "digests": texts(digests),
        "versions": names(versions),
        "details": json_array(details),
        "next_ids": numbers(next_ids),
        "next_parents": numbers([job for job, successors in zip(ids, handed, strict=True) for _ in successors]),
        "next_queues": names(queues),
        "next_tasks": names(tasks),
        "next_stages": names(next_stages),
        "next_priorities": numbers(priorities),
        "next_collects": texts(collects),
        "next_locks": texts(locks),
        "next_args": json_array(args),
    }


def answers_of(items: Iterable[Completion], rows: Iterable[tuple[int, str]]) -> dict[int, str]:
    """
    The answer of `complete.sql` for each job. It returns nothing for applied jobs, because nearly all are applied.
    """
    return dict.fromkeys([item.job for item in items], "applied") | dict(rows)


def shard_of(lane: int) -> int:
    """
    In which shard of the counters a lane of hand-overs counts. Not in 0, where what is decided under the lock of a run
    counts, in an order of its own: the two would wait for each other in a circle.
    """
    return lane % 64 + 1


async def complete(connection: Connection, worker: int, shard: int, items: Sequence[Completion]) -> dict[int, str]:
    """
    Finish attempts and hand over what they returned, in one statement.

    Returns:
        For each job `applied`, `already`, `fenced` or `gone`.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("complete"), completion_values(worker, shard, items))
        return answers_of(items, await cursor.fetchall())


async def take_ids(connection: Connection, count: int) -> list[int]:
    """
    Take ids of future jobs from their sequence.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("take_ids"), {"count": count})
        return [id for (id,) in await cursor.fetchall()]


async def release(connection: Connection, worker: int, jobs: Sequence[int]) -> None:
    """
    Give back jobs that were claimed but not started; this uses up no attempt.
    """
    await connection.execute("SELECT oaflow.release_v1(%s, %s::bigint[])", (worker, list(jobs)))


async def lock(connection: Connection, worker: int, job: int, lock: str) -> None:
    """
    Give back a job that was not started, with the lock that it came without; this uses up no attempt.
    """
    await connection.execute("SELECT oaflow.lock_v1(%s, %s, %s)", (worker, job, lock))


async def alone(connection: Connection, worker: int, job: int, attempt: int) -> None:
    """
    Record that a suspect starts to run alone: if this worker dies now, the suspect was the cause.
    """
    await connection.execute(
        sql("run_alone"),
        {"job": job, "worker": worker, "attempt": attempt},
    )


async def close(connection: Connection, runs: Sequence[str]) -> list[tuple[str, str]]:
    """
    End those of the runs that are finished, collect jobs that have waited, and start joins. Call this after the commit
    of a hand-over that left no successor, or only a waiting one.

    Returns:
        each run in which something happened, with its state, or with `joined` or `gathered` if it created jobs.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("close_quiet"), {"runs": sorted(runs)})
        return [(run, state) for run, state in await cursor.fetchall() if state]


async def recover(connection: Connection, silence: float) -> int:
    """
    Recover the jobs of workers that have been silent for `silence` seconds.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT job FROM oaflow.recover_v1(make_interval(secs => %s), '{}')",
            (silence,),
        )
        return len(await cursor.fetchall())


async def sweep(connection: Connection, rows: bool) -> list[tuple[str, str]]:
    """
    Finish what a kill left unfinished, and cancel runs with more failures than `--stop-after` allows; with `rows`, also
    find jobs whose rows were deleted, and remove what ended runs left behind.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT run, event FROM oaflow.sweep_v2(%s)", (rows,))
        return list(await cursor.fetchall())


async def stop(connection: Connection, run: str) -> None:
    """
    Cancel a run if it has more failures than `--stop-after` allows.
    """
    await connection.execute(sql("stop"), {"run": run})


async def cancel_rest(connection: Connection) -> None:
    """
    Remove jobs that came back to runs after they were cancelled.
    """
    await connection.execute(sql("cancel_rest"))


async def make_partitions(connection: Connection, days: int) -> None:
    """
    Make sure that the history has a partition for each of the coming days.
    """
    await connection.execute("SELECT oaflow.partitions_v1(%s)", (days,))


async def forget(connection: Connection, days: int, rows: int) -> str | None:
    """
    Delete a portion of the history that is older than a number of days: a partition, or a number of rows of the default
    one. The history of unfinished runs stays.

    Returns:
        the table that it was deleted from; None if nothing was deleted.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT oaflow.forget_v1(%s, %s)", (days, rows))
        row = await cursor.fetchone()
        return row[0] if row else None


async def prune(connection: Connection, after: int, rows: int, seconds: float) -> tuple[int | None, int]:
    """
    Delete the rows of jobs that ended at least a number of seconds ago, among the next rows after an id.

    Returns:
        the last id that was checked, None at the end; and how many rows were deleted.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("prune"), {"after": after, "rows": rows, "seconds": seconds, "dry": False})
        row = await cursor.fetchone()
        return (row[0], row[1]) if row else (None, 0)


async def open_run_ids(connection: Connection) -> frozenset[str]:
    """
    The ids of all unfinished runs.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("open_run_ids"))
        return frozenset(id for (id,) in await cursor.fetchall())


async def open_runs(connection: Connection) -> list[OpenRun]:
    """
    All unfinished runs, with their plans.
    """
    async with connection.cursor(row_factory=class_row(OpenRun)) as cursor:
        await cursor.execute(sql("open_runs"))
        return await cursor.fetchall()


async def read_run(connection: Connection, run: str) -> OpenRun | None:
    """
    One run with its plan, in any state.
    """
    async with connection.cursor(row_factory=class_row(OpenRun)) as cursor:
        await cursor.execute(sql("read_run"), {"run": run})
        return await cursor.fetchone()


async def chunks(connection: Connection, job: int) -> list[tuple[int, str, int]]:
    """
    The chunks of a stream that earlier attempts handed over: (position, digest, size).
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("chunks"), {"job": job})
        return list(await cursor.fetchall())


async def register(
    connection: Connection, *, host: str, pid: int, program: str, formats: Sequence[int], only: str | None = None
) -> int:
    """
    Insert a worker's rows, procrastinate's and ours, and return the id that they share.

    Args:
        only: the only run that it works on; None: all runs.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            sql("register"),
            {"host": host, "pid": pid, "program": program, "formats": list(formats), "run": only},
        )
        row = await cursor.fetchone()
        assert row is not None
        return row[0]


async def advertise(
    connection: Connection,
    worker: int,
    takes: Mapping[str, str | None],
    async_tasks: Sequence[str],
    lacks: Mapping[str, str],
    unfit: Mapping[str, Mapping[str, str]],
) -> None:
    """
    Publish what a worker can run and what each of these functions takes, why it cannot run what it `lacks`, and, by run
    and task, which functions are `unfit` for a run.
    """
    await connection.execute(
        sql("advertise"),
        {
            "tasks": sorted(takes),
            "takes": _json(takes),
            "async_tasks": list(async_tasks),
            "lacks": _json(lacks),
            "unfit": _json(unfit),
            "worker": worker,
        },
    )


async def keep_timings(
    connection: Connection,
    worker: int,
    executors: int,
    memory: int,
    timings: Sequence[Mapping[str, Any]],
    shifts: Sequence[Mapping[str, Any]],
) -> None:
    """
    Add what a worker has measured about attempts, and record its resident memory.
    """
    await connection.execute(
        "SELECT oaflow.keep_timings_v1(%s, %s, %s, %s::jsonb, %s::jsonb)",
        (worker, executors, memory, orjson.dumps(list(timings)).decode(), orjson.dumps(list(shifts)).decode()),
    )


async def say_rests(connection: Connection, worker: int, rests: Sequence[tuple[str, str, int]]) -> None:
    """
    Record which streams rest in a worker: run, stage, and the limit of open jobs.
    """
    said = [{"run": run, "stage": stage, "most": most} for run, stage, most in rests]
    await connection.execute(sql("say_rests"), {"rests": orjson.dumps(said).decode(), "worker": worker})


async def say_stale(connection: Connection, worker: int, stale: Mapping[str, str], restart: str) -> None:
    """
    Record the tasks whose code has changed since a worker loaded it, each with the file, and how to restart the worker.
    """
    await connection.execute(sql("say_stale"), {"stale": _json(stale), "restart": restart, "worker": worker})


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(value)).decode()


async def unregister(connection: Connection, worker: int) -> None:
    """
    Delete a worker that no longer holds a job.
    """
    await connection.execute(sql("unregister"), {"id": worker})


async def pause(connection: Connection, reason: str) -> None:
    """
    Mark all running runs as paused, with the reason.
    """
    await connection.execute(sql("pause_all"), {"reason": reason})


async def unpause(connection: Connection, reason: str) -> None:
    """
    Continue runs that were paused for a reason with this prefix.
    """
    await connection.execute(sql("unpause_all"), {"reason": reason})
