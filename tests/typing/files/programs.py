"""
A program that starts runs, and follows them.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import assert_never, assert_type

from letters import documents

from oaflow import operations
from oaflow.operations import (
    Backup,
    Begun,
    Checked,
    Deleted,
    Event,
    Failure,
    Finished,
    Hit,
    Hop,
    Paused,
    Progress,
    Reachable,
    Run,
    Schedule,
    Settings,
    Settles,
    Simulated,
    StopAfter,
    Unreachable,
    Unsettled,
    Variant,
    Waits,
)

known = Settings(db_uri="postgresql://localhost/oaflow", home=Path("/srv/oaflow"), executors=4)

begun = operations.start(
    documents, "d", Path("a"), "b", params={"wait": "3s", "kind": "a"}, stop_after=StopAfter(percent=5), settings=known
)
assert_type(begun, Begun)
assert_type(operations.runs(limit=3), list[Run])
operations.start("ingest", "d", unfinished="perhaps")  # refused
operations.start(documents)  # refused
operations.retry(begun.run, stages="a")  # refused
operations.hops(begun.run, after=3)  # refused
unknown = operations.begin_run  # refused


def said(event: Event) -> str:
    match event:
        case Progress(status=status, estimate=estimate):
            return f"{status.total('done')} {estimate and estimate.seconds}"
        case Waits(waiting=waiting):
            return ", ".join(one.task for one in waiting)
        case Unreachable(reason=reason):
            return reason
        case Paused(reason=reason):
            return reason or "it goes on"
        case Reachable() | Settles() | Unsettled():
            return ""
        case Finished(account=account):
            return "" if account is None else str(account.receipt.balanced)
        case _:
            assert_never(event)


for event in operations.follow(begun.run):
    print(said(event))
assert_type(iter(operations.hops(begun.run)), Generator[Hop])
assert_type(operations.check(documents, "ingest.yml", Path("a.yml"), db=True, params={"wait": "3s"}), list[Checked])
assert_type(operations.search("d", "words").hits, list[Hit])
assert_type(operations.simulate(None, [Variant(workers=4)]), Simulated)
assert_type(operations.delete("d", with_files=False), Deleted | None)
assert_type(operations.backup(Path("a.tar")), Backup)
assert_type(operations.restore("a.tar"), Backup)
assert_type(operations.add_schedule(documents, "d", Path("a"), cron="@daily"), Schedule)
operations.add_schedule(documents, "d")  # refused
assert_type(operations.try_webhook("here").problem, str | None)
assert_type(iter(operations.failures(begun.run)), Generator[Failure])


async def main() -> None:
    async with operations.workers(2, folders=["stages"]), operations.follow(begun.run) as events:
        assert_type(events, AsyncGenerator[Event])
        async for event in events:
            print(said(event))
    details = await asyncio.to_thread(operations.status, begun.run, settings=known)
    print(details.status.run.state)
