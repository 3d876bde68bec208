"""
What a claim takes where much lies in its way: oaflow's against procrastinate's, with nobody else in the database.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psycopg

from benchmarks.ground import Ground, begin, chain, ground
from benchmarks.harness import Figure, Report, Size, Target, interleaved
from oaflow.ledger.handover import claim, register
from oaflow.plan import FORMAT

TASK = "benchmarks.stages.async_a"

CLAIMS = 48  # in a round
AT_ONCE = 4  # jobs of one of oaflow's; procrastinate claims one
READY = 200  # jobs that can be claimed

# What lies in the way, as a part of a hundred thousand; 20,000 lie behind locks.
SHARE: dict[Size, float] = {"tiny": 0.02, "small": 0.2, "full": 1.0}

ARGS = """jsonb_build_object('dataset', 'bench', 'batch', %(run)s::text, 'number', n, 'payload', jsonb_build_object(
    'context', jsonb_build_object('oaflow', jsonb_build_object('run', %(run)s::text, 'stage', 'a'))))"""

# All more urgent than what can be claimed, of the same run and, but for the first, in the same queue.
OBSTACLES = {
    "nothing else": "SELECT",
    "100,000 in another queue": f"""
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args)
        SELECT 'elsewhere', %(task)s, 90, {ARGS} FROM generate_series(1, 100000 * %(share)s) n""",
    "100,000 scheduled": f"""
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, scheduled_at)
        SELECT 'a', %(task)s, 90, {ARGS}, now() + interval '1 day' FROM generate_series(1, 100000 * %(share)s) n""",
    "20,000 behind 200 locks that are held": f"""
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, lock, status, worker_id)
        SELECT 'a', %(task)s, 90, {ARGS}, 'lock-' || n %% 200,
               CASE WHEN n <= 200 THEN 'doing' ELSE 'todo' END::procrastinate_job_status,
               CASE WHEN n <= 200 THEN %(worker)s END
          FROM generate_series(1, 200 + 20000 * %(share)s) n""",
}

LEAST = {
    "nothing else": None,
    "100,000 in another queue": 2.0,
    "100,000 scheduled": 2.0,
    "20,000 behind 200 locks that are held": 15.0,
}


def measure(size: Size, rounds: int) -> Report:
    """
    Medians of a round, in milliseconds.
    """
    share = SHARE[size]
    variants: dict[str, Callable[[Ground], float]] = {
        f"{what}: {name}": partial(_claim, what, share, call)
        for what in OBSTACLES
        for name, call in {"oaflow": _ours, "procrastinate": _procrastinate}.items()
    }
    with ground() as place:
        found = interleaved({name: partial(call, place) for name, call in variants.items()}, rounds)
    limits = {f"{what}: oaflow": Target("at most", most) for what, most in LEAST.items() if most}
    return Report(
        "claims",
        f"a claim, with so many rows in its way times {share:g}, and {READY} jobs that can be claimed",
        tuple(Figure(name, "ms", tuple(times), limits.get(name)) for name, times in found.items()),
        (
            f"oaflow claims {AT_ONCE} jobs at once, procrastinate one. No stage of oaflow has a lock yet: its claim"
            " passes by whatever has one.",
        ),
    )


Call = Callable[[psycopg.AsyncConnection[Any], int, str], Any]


def _claim(what: str, share: float, call: Call, place: Ground) -> float:
    address = place.database("claims")
    run = begin(address, chain([TASK]), READY)
    return asyncio.run(_median(address, run, what, share, call))


async def _median(address: str, run: str, what: str, share: float, call: Call) -> float:
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        worker = await register(connection, host="bench", pid=0, program="claims", formats=[FORMAT])
        values = {"run": run, "task": TASK, "share": share, "worker": worker}
        await connection.execute("SET session_replication_role = replica")
        await psycopg.AsyncClientCursor(connection).execute(OBSTACLES[what], values)  # pyright: ignore
        await connection.execute("RESET session_replication_role")
        await connection.execute("VACUUM ANALYZE")
        times: list[float] = []
        for _ in range(CLAIMS):
            began = time.perf_counter()
            claimed = await call(connection, worker, run)
            times.append(1000 * (time.perf_counter() - began))
            if not claimed:
                raise RuntimeError("nothing was claimed")
        return statistics.median(times)


async def _ours(connection: psycopg.AsyncConnection[Any], worker: int, run: str) -> Sequence[object]:
    return await claim(connection, worker, [("a", TASK, run)], AT_ONCE)


async def _procrastinate(connection: psycopg.AsyncConnection[Any], worker: int, run: str) -> Sequence[object]:
    cursor = await connection.execute("SELECT id FROM procrastinate_fetch_job_v2(%s, %s)", [["a"], worker])
    return [id for (id,) in await cursor.fetchall() if id is not None]
