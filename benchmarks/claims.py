"""
What a claim takes where much lies in its way: oaflow's against procrastinate's, with nobody else in the database.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import psycopg

from benchmarks.ground import Ground, begin, chain, ground
from benchmarks.harness import Figure, Report, Size, Target, interleaved
from oaflow.ledger.handover import claim, register
from oaflow.ledger.lanes import claim_lane
from oaflow.plan import FORMAT

TASK = "benchmarks.stages.async_a"

CLAIMS = 48  # in a round
AT_ONCE = 4  # jobs of one of oaflow's; procrastinate claims one
READY = 200  # jobs that can be claimed

# What lies in the way, as a part of what is asked for.
SHARE: dict[Size, float] = {"tiny": 0.02, "small": 0.2, "full": 1.0}

ARGS = """jsonb_build_object('dataset', 'bench', 'batch', %(run)s::text, 'number', n, 'payload', jsonb_build_object(
    'context', jsonb_build_object('oaflow', jsonb_build_object('run', %(run)s::text, 'stage', 'a'))))"""


class Obstacle(NamedTuple):
    """
    Rows that are more urgent than what can be claimed, of the same run and, but for the first kind, in the same queue.

    Attributes:
        rows: how many, in full size.
        what: they are.
        statement: that makes them.
        most: milliseconds that a claim may take.
    """

    rows: int
    what: str
    statement: str
    most: float | None = None


def _rows(columns: str, values: str) -> str:
    return f"""
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args{columns})
        SELECT {values} FROM generate_series(1, %(rows)s) n"""


NOTHING = Obstacle(0, "nothing else", "SELECT")
OBSTACLES = (
    NOTHING,
    Obstacle(100_000, "in another queue", _rows("", f"'elsewhere', %(task)s, 90, {ARGS}"), 2.0),
    Obstacle(
        100_000,
        "scheduled",
        _rows(", scheduled_at", f"'a', %(task)s, 90, {ARGS}, now() + interval '1 day'"),
        2.0,
    ),
)
BEHIND_LOCKS = Obstacle(
    20_000,
    "behind 200 locks that are held",
    _rows(", lock", f"'a', %(task)s, 90, {ARGS}, 'lock-' || n %% 200")
    + f""";
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, lock, status, worker_id)
        SELECT 'a', %(task)s, 90, {ARGS}, 'lock-' || n, 'doing', %(worker)s FROM generate_series(0, 199) n""",
    15.0,
)

# Then what can be claimed has locks too, each its own, and may lie between those that are held.
WITH_LOCKS = "UPDATE procrastinate_jobs SET lock = 'lock-' || id || '-free' WHERE status = 'todo'"


def measure(size: Size, rounds: int) -> Report:
    """
    Medians of a round, in milliseconds.
    """
    share = SHARE[size]
    asked = [(obstacle, call) for obstacle in OBSTACLES for call in (_ours, _procrastinate)]
    asked += [(obstacle, call) for obstacle in (NOTHING, BEHIND_LOCKS) for call in (_ours_locked, _procrastinate)]
    variants: dict[str, Callable[[Ground], float]] = {}
    limits: dict[str, Target] = {}
    for number, (obstacle, call) in enumerate(asked):
        rows, locked = int(obstacle.rows * share), number >= 2 * len(OBSTACLES)
        what = f"{rows:,} {obstacle.what}" if obstacle.rows else obstacle.what
        name = f"{'with locks, ' if locked else ''}{what}: {NAMES[call]}"
        variants[name] = partial(_claim, obstacle, rows, call, locked)
        if obstacle.most and call is not _procrastinate:
            limits[name] = Target("at most", obstacle.most)
    with ground() as place:
        found = interleaved({name: partial(claim_of, place) for name, claim_of in variants.items()}, rounds)
    return Report(
        "claims",
        f"a claim with rows in its way, and {READY} jobs that can be claimed",
        tuple(Figure(name, "ms", tuple(times), limits.get(name)) for name, times in found.items()),
        (f"oaflow claims {AT_ONCE} jobs at once, procrastinate one.",),
    )


Call = Callable[[psycopg.AsyncConnection[Any], int, str], Any]


def _claim(obstacle: Obstacle, rows: int, call: Call, locked: bool, place: Ground) -> float:
    address = place.database("claims")
    run = begin(address, chain([TASK]), READY)
    return asyncio.run(_median(address, run, obstacle, rows, call, locked))


async def _median(address: str, run: str, obstacle: Obstacle, rows: int, call: Call, locked: bool) -> float:
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        worker = await register(connection, host="bench", pid=0, program="claims", formats=[FORMAT])
        values = {"run": run, "task": TASK, "rows": rows, "worker": worker}
        await connection.execute("SET session_replication_role = replica")
        if locked:
            await connection.execute(WITH_LOCKS)
        await psycopg.AsyncClientCursor(connection).execute(obstacle.statement, values)  # pyright: ignore
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


async def _ours_locked(connection: psycopg.AsyncConnection[Any], worker: int, run: str) -> Sequence[object]:
    # From the first lock on, each time: the locks that are held come first.
    rows, _ = await claim_lane(connection, worker, "a", TASK, [run], AT_ONCE, "")
    return rows


async def _procrastinate(connection: psycopg.AsyncConnection[Any], worker: int, run: str) -> Sequence[object]:
    cursor = await connection.execute("SELECT id FROM procrastinate_fetch_job_v2(%s, %s)", [["a"], worker])
    return [id for (id,) in await cursor.fetchall() if id is not None]


NAMES: Mapping[Call, str] = {_ours: "oaflow", _ours_locked: "oaflow", _procrastinate: "procrastinate"}
