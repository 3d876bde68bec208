"""
The chain without its Python: the claims and hand-overs that a worker sends for it, over the same tables and rows, and
nothing in between. One connection sends them in a loop, one after the other; or as many as a worker has send them at
the same time, on all cores, and no worker can be faster than that.

All that is sent was written before the clock starts. Successors are continued, as a worker does it: their ids are
taken beforehand, and they go out with the hand-over of their parents.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import psycopg
import uvloop
from psycopg.rows import tuple_row

from benchmarks.ground import args_of
from oaflow.ledger.handover import claim, completion_values, register, take_ids
from oaflow.ledger.rows import Completion, Successor
from oaflow.ledger.statements import sql
from oaflow.plan import FORMAT, Plan
from oaflow.runtime.completer import GROUP

LANES = 2  # statements of the hand-over on the wire at the same time, as a worker's completer has them

Connection = psycopg.AsyncConnection[Any]
Statements = list[dict[str, Any]]  # the values of one hand-over for each stage


def rate(address: str, plan: Plan, run: str, *, loop: bool = False) -> float:
    """
    Bring a run of a chain that was begun to its end, and return its jobs by the second.

    Args:
        loop: whether one connection sends all, one after the other.
    """
    return uvloop.run(_rate(address, plan, run, loop))


async def _rate(address: str, plan: Plan, run: str, loop: bool) -> float:
    connections = 1 if loop else LANES + 1
    claims, *lanes = [await psycopg.AsyncConnection.connect(address, autocommit=True) for _ in range(connections)]
    try:
        worker = await register(claims, host="bench", pid=0, program="floor", formats=[FORMAT])
        roots = await _roots(claims)
        ids = iter(await take_ids(claims, len(roots) * (len(plan.stages) - 1)))
        groups = [roots[first : first + GROUP] for first in range(0, len(roots), GROUP)]
        written = [
            _written(plan, run, worker, number, group, number * GROUP, ids) for number, group in enumerate(groups)
        ]
        began = time.monotonic()
        if loop:
            await _loop(claims, plan, run, worker, groups, written)
        else:
            await _send(claims, lanes, plan, run, worker, groups, written)
        return len(roots) * len(plan.stages) / (time.monotonic() - began)
    finally:
        for connection in (claims, *lanes):
            await connection.close()


async def _roots(connection: Connection) -> list[int]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT id FROM procrastinate_jobs ORDER BY id")
        return [id for (id,) in await cursor.fetchall()]


def _written(
    plan: Plan, run: str, worker: int, number: int, roots: Sequence[int], first: int, ids: Iterator[int]
) -> Statements:
    """
    What a group of first jobs is handed over with, stage by stage.

    Args:
        number: of the group; neighbours use different shards of the counters, as lanes do.
        first: number of the document of the first root.
        ids: of jobs to come.
    """
    statements: Statements = []
    jobs: list[int] = list(roots)
    parents: Sequence[int | None] = [None] * len(roots)
    for name in plan.stages:
        items = [
            _completion(plan, run, name, id, parent, first + index, ids)
            for index, (id, parent) in enumerate(zip(jobs, parents, strict=True))
        ]
        statements.append(completion_values(worker, number % LANES, items))
        parents, jobs = jobs, [successor.id for item in items for successor in item.successors if successor.id]
    return statements


def _completion(
    plan: Plan, run: str, name: str, id: int, parent: int | None, document: int, ids: Iterator[int]
) -> Completion:
    successors: list[Successor] = []
    for edge in plan.stages[name].edges:
        stage = plan.stages[edge.to]
        args = args_of(stage, edge.to, run, document)
        args["payload"]["context"]["oaflow"]["parent"] = id
        successors.append(Successor(stage.queue, stage.task, edge.to, 50, orjson.dumps(args), id=next(ids)))
    documents, now = [f"doc-{document}"], time.time()
    handed = [[successor.stage, documents] for successor in successors]
    return Completion(
        id, 0, "done", run, name, parent, now, now,
        version="1a5e96a0",
        detail=orjson.dumps({"documents": documents} | ({"handed": handed} if handed else {})),
        successors=tuple(successors),
    )  # fmt: skip


async def _loop(
    connection: Connection,
    plan: Plan,
    run: str,
    worker: int,
    groups: Sequence[Sequence[int]],
    written: Sequence[Statements],
) -> None:
    triples = _triples(plan, run)
    for roots, statements in zip(groups, written, strict=True):
        await _claim(connection, worker, triples, roots)
        for values in statements:
            await _hand_over(connection, values)


async def _send(
    claims: Connection,
    lanes: Sequence[Connection],
    plan: Plan,
    run: str,
    worker: int,
    groups: Sequence[Sequence[int]],
    written: Sequence[Statements],
) -> None:
    triples = _triples(plan, run)
    # Claimed and not handed over: no more than a worker's buffer holds beside what its lanes are at.
    claimed: asyncio.Queue[Statements] = asyncio.Queue(maxsize=LANES)

    async def hand_over(connection: Connection) -> None:
        while True:
            for values in await claimed.get():
                await _hand_over(connection, values)
            claimed.task_done()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(hand_over(connection)) for connection in lanes]
        for roots, statements in zip(groups, written, strict=True):
            await _claim(claims, worker, triples, roots)
            await claimed.put(statements)
        await claimed.join()
        for task in tasks:
            task.cancel()


def _triples(plan: Plan, run: str) -> list[tuple[str, str, str]]:
    return [(stage.queue, stage.task, run) for stage in plan.stages.values()]


async def _claim(
    connection: Connection, worker: int, triples: Sequence[tuple[str, str, str]], roots: Sequence[int]
) -> None:
    rows = await claim(connection, worker, triples, len(roots))
    _expect(list(roots), [row.id for row in rows])


async def _hand_over(connection: Connection, values: dict[str, Any]) -> None:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("complete"), values)
        _expect([], await cursor.fetchall())  # it answers what was not applied


def _expect(wanted: object, found: object) -> None:
    """
    Statements that do nothing are fast: a loop that does not do the work is no measure.

    Raises:
        RuntimeError: the database answered something else.
    """
    if found != wanted:
        raise RuntimeError(f"the database answered {found}, not {wanted}")
