"""
Runs that a program starts, follows and asks about through `oaflow.operations`, in this process, with real workers.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from oaflow import Pipeline, operations
from oaflow.operations import (
    Finished,
    NoSuchRunError,
    PipelineMistakesError,
    Progress,
    Reachable,
    Settings,
    Settles,
    StopAfter,
    UnfinishedRunError,
    Unreachable,
    UsageError,
    Variant,
    following,
)
from tests.acceptance.conftest import PATIENCE, Command
from tests.chaos.proxy import Proxy

Until = Callable[[Callable[[], Any]], Any]

FILES = 6


@pytest.fixture
def known(
    tmp_path: Path, database: str, clean_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """
    Settings of a database that is migrated and empty, in an environment that says nothing of it.
    """
    for name in set(os.environ) - set(clean_environment):
        monkeypatch.delenv(name)
    for name, value in clean_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Settings(db_uri=database, home=tmp_path / "home")


def started() -> set[psutil.Process]:
    """
    The processes that this one started, and those that they started. What runs commands of other tests meanwhile is
    nobody's child (`tests/warm.py`).
    """
    return set(psutil.Process().children(recursive=True))


@pytest.fixture(autouse=True)
def nothing_left(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """
    Each of these leaves no thread, no process and no handler of a signal behind, and prints nothing.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    children = started()
    yield
    assert [thread for thread in threading.enumerate() if thread.name.startswith("oaflow")] == []
    assert started() - children == set()
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert capfd.readouterr() == ("", "")


def pipeline(folder: Path, name: str, **stages: dict[str, Any]) -> Path:
    """
    A pipeline of test stages that begins with some documents.
    """
    source = {"task": "stages_for_tests.source", "with": {"count": FILES}, "next": next(iter(stages))}
    tasks = {stage: {"task": f"stages_for_tests.{stage}", **keys} for stage, keys in stages.items()}
    path = folder / f"{name}.yml"
    path.write_text(json.dumps({"pipeline": name, "stages": {"source": source, **tasks}}))
    return path


def gated(folder: Path) -> tuple[Path, Path]:
    """
    A pipeline that goes on when there is a file.
    """
    gate = folder / "gate"
    return pipeline(folder, "gated", waits={"with": {"file": str(gate)}}), gate


def connections(database: str) -> list[str]:
    with psycopg.connect(database) as made:
        rows = made.execute(
            "SELECT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name ~ '^oaflow($| follow| run )'"
        ).fetchall()
    return [name for (name,) in rows]


async def within(events: AsyncIterator[operations.Event], kind: type, *, seconds: float = PATIENCE) -> operations.Event:
    """
    The next event of a kind.
    """
    async with asyncio.timeout(seconds):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


async def at_work(run: str, known: Settings) -> None:
    """
    Waits until a run has something in hand.
    """
    while not (await asyncio.to_thread(operations.status, run, settings=known)).running:
        await asyncio.sleep(0.05)


def test_a_run_is_followed_to_its_end_and_what_is_counted_is_in_the_ledger(known, tmp_path, database):
    path = pipeline(tmp_path, "small", work={"next": "end"}, end={})

    async def main() -> list[operations.Event]:
        async with operations.workers(executors=1, settings=known):
            begun = await asyncio.to_thread(operations.start, path, "d", settings=known)
            assert begun.jobs == 1
            async with asyncio.timeout(PATIENCE):
                return [event async for event in operations.follow(begun.run, settings=known)]

    events = asyncio.run(main())

    last = events[-1]
    assert isinstance(last, Finished)
    assert [type(event) for event in events].count(Finished) == 1
    done = [event.status.total("done") for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert last.status.run.state == "finished"
    assert not last.interrupted
    assert last.account is not None
    assert last.account.receipt.found == FILES
    with psycopg.connect(database) as made:
        counted = made.execute(
            "SELECT stage, sum(done)::int FROM oaflow.counters WHERE run = %s GROUP BY stage", [last.status.run.id]
        ).fetchall()
    assert {name: stage.done for name, stage in last.status.stages.items()} == dict(counted)
    assert dict(counted) == {"source": 1, "work": FILES, "end": FILES}


@pytest.mark.parametrize("crawls", [True, False])
def test_a_large_run_says_that_its_files_are_written_down_where_it_has_some(known, tmp_path, monkeypatch, crawls):
    monkeypatch.setattr(following, "_MANY", FILES)
    (tmp_path / "letter.txt").write_text("x")
    source = {"crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["letter.txt"]}, "next": "source"}}
    stages = {
        **(source if crawls else {}),
        "source": {"task": "stages_for_tests.source", "with": {"count": FILES}, "next": "end"},
        "end": {"task": "stages_for_tests.end"},
    }
    (tmp_path / "large.yml").write_text(json.dumps({"pipeline": "large", "stages": stages}))

    with operations.workers(executors=1, settings=known):
        run = operations.start(tmp_path / "large.yml", "d", settings=known).run
        events = list(operations.follow(run, settings=known))

    assert any(isinstance(event, Settles) for event in events) is crawls


def test_a_run_in_which_nothing_ends_any_more_says_what_waits_for_another_attempt(known, tmp_path):
    path = pipeline(tmp_path, "again", fails_first={"with": {"log": str(tmp_path / "log")}, "retry": {"base": "5s"}})

    with operations.workers(executors=1, settings=known):
        begun = operations.start(path, "d", settings=known)
        events = [one for one in operations.follow(begun.run, settings=known) if isinstance(one, Progress)]

    (wait,) = {one.stage for event in events for one in event.retries}
    assert wait == "fails_first"
    said = next(event for event in events if event.retries)
    assert (said.status.total("done"), said.status.run.open) == (FILES, 1)  # all but one, with the source
    assert "waits for another attempt, the next in" in said.retries[0].text
    assert events[-1].retries == ()


def test_the_same_without_a_loop_of_events_in_a_thread_that_is_not_the_main_one(known, tmp_path):
    path = pipeline(tmp_path, "small", end={})
    found: list[Any] = []

    def program() -> None:
        with operations.workers(executors=1, settings=known):
            begun = operations.start(path, "d", settings=known)
            found.extend(operations.follow(begun.run, settings=known))

    thread = threading.Thread(target=program)
    thread.start()
    thread.join(PATIENCE)

    assert isinstance(found[-1], Finished)
    assert found[-1].status.run.state == "finished"


def test_who_leaves_leaves_nothing_and_the_run_goes_on(known, tmp_path, database, until):
    path, gate = gated(tmp_path)

    async def main() -> str:
        async with operations.workers(executors=1, settings=known):
            run = (await asyncio.to_thread(operations.start, path, "d", settings=known)).run
            async for _ in operations.follow(run, settings=known):
                break
            async with operations.follow(run, settings=known) as events:
                await within(events, Progress)
            with pytest.raises(TimeoutError):
                await within(operations.follow(run, settings=known).__aiter__(), Finished, seconds=1)
            following = asyncio.create_task(at_end(run))
            await at_work(run, known)
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
            await asyncio.to_thread(until, lambda: not connections(database))
            assert [one.name for one in threading.enumerate() if one.name.startswith("oaflow")] == ["oaflow workers"]
            gate.touch()
            await at_end(run)
            return run

    async def at_end(run: str) -> None:
        await within(operations.follow(run, settings=known).__aiter__(), Finished)

    run = asyncio.run(main())

    assert operations.status(run, settings=known).status.run.state == "finished"


def test_several_follow_at_once_in_one_loop(known, tmp_path):
    path, gate = gated(tmp_path)
    followed: Counter[int] = Counter()

    async def main() -> list[list[Any]]:
        async with operations.workers(executors=1, settings=known):
            runs = [
                (await asyncio.to_thread(operations.start, path, name, settings=known)).run for name in ("one", "two")
            ]
            tasks = [asyncio.create_task(to_end(number, runs[number % 2])) for number in range(5)]
            # One that held the loop up would wait for ever for what comes here.
            async with asyncio.timeout(PATIENCE):
                while len(followed) < len(tasks) or min(followed.values()) < 3:
                    await asyncio.sleep(0.05)
            gate.touch()
            return await asyncio.gather(*tasks)

    async def to_end(number: int, run: str) -> list[Any]:
        events: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            async for event in operations.follow(run, settings=known):
                events.append(event)
                followed[number] += 1
        return events

    found = asyncio.run(main())

    assert all(isinstance(events[-1], Finished) for events in found)
    assert len({events[-1].status.run.id for events in found}) == 2


def test_a_database_that_goes_away_is_told_and_waited_for(known, tmp_path, database):
    path, gate = gated(tmp_path)

    async def main(proxy: Proxy) -> list[type]:
        through = known.model_copy(update={"db_uri": proxy.address})
        async with operations.workers(executors=1, settings=known):
            run = (await asyncio.to_thread(operations.start, path, "d", settings=known)).run
            kinds: list[type] = []
            async with asyncio.timeout(PATIENCE):
                async for event in operations.follow(run, settings=through):
                    if not kinds or kinds[-1] is not type(event):
                        kinds.append(type(event))
                    if kinds == [Progress]:
                        proxy.leave()
                    if isinstance(event, Unreachable):
                        proxy.away = False
                    if isinstance(event, Reachable):
                        gate.touch()
            return kinds

    with Proxy(database) as proxy:
        kinds = asyncio.run(main(proxy))

    assert [kind for kind in kinds if kind is not Progress] == [Unreachable, Reachable, Finished]


def test_who_leaves_while_the_database_does_not_answer_is_not_kept(known, tmp_path, database, until):
    path, _ = gated(tmp_path)
    run = operations.start(path, "d", settings=known).run

    async def main() -> None:
        events = operations.follow(run, settings=known).__aiter__()
        await within(events, Progress)
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("BEGIN; LOCK TABLE oaflow.counters, oaflow.runs IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(TimeoutError):
                await within(events, Finished, seconds=1)
            await events.aclose()
            await asyncio.to_thread(until, lambda: not threads())

    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("oaflow")]

    asyncio.run(main())
    until(lambda: not connections(database))
    operations.cancel(run, settings=known)


def test_what_failed_is_listed_and_sent_again(known, tmp_path):
    path = pipeline(tmp_path, "failing", fails_once={"with": {"marker": str(tmp_path / "seen")}})

    with operations.workers(executors=1, settings=known):
        run = operations.start(path, "d", settings=known).run
        *_, first = operations.follow(run, settings=known)
        failed = list(operations.failures(run, settings=known))
        (cause,) = operations.causes(run, settings=known)
        assert isinstance(first, Finished)
        assert first.status.total("failed") == FILES
        assert {failure.message for failure in failed} == {"not yet"}
        assert len({failure.job for failure in failed}) == FILES == cause.count
        again = operations.retry(run, cause=cause.fingerprint, settings=known)
        assert (again.run, again.jobs) == (run, FILES)
        *_, last = operations.follow(run, settings=known)

    assert isinstance(last, Finished)
    assert (last.status.total("failed"), last.status.run.state) == (0, "finished")
    assert list(operations.failures(run, settings=known)) == []
    assert operations.receipt(run, settings=known).balanced


def test_the_history_is_read_by_pages_and_is_what_the_table_has(known, tmp_path, database, monkeypatch):
    path = pipeline(tmp_path, "small", fails={"with": {"on": ["doc-0"]}, "next": "end"}, end={})
    with operations.workers(executors=1, settings=known):
        run = operations.start(path, "d", settings=known).run
        list(operations.follow(run, settings=known))
    with psycopg.connect(database) as made:
        table = made.execute(
            "SELECT stage, job, outcome, documents FROM oaflow.hops WHERE run = %s"
            " ORDER BY job NULLS FIRST, at, tableoid, ctid",
            [run],
        ).fetchall()
    whole = list(operations.hops(run, settings=known))

    for lines in (1, 2, 3, len(table), len(table) + 1):
        monkeypatch.setattr("oaflow.ledger.history.hops.__kwdefaults__", {**_defaults(), "lines": lines})
        assert list(operations.hops(run, settings=known)) == whole
        for wanted in ({"stage": "fails"}, {"outcome": "failed"}, {"document": "doc-1"}, {"job": whole[-1].job}):
            ((name, value),) = wanted.items()
            found = list(operations.hops(run, settings=known, **wanted))
            assert found == [hop for hop in whole if value in (getattr(hop, name, None), *_documents(hop, name))]
            assert found
    assert [(hop.stage, hop.job, hop.outcome, hop.documents) for hop in whole] == table
    assert Counter(hop.outcome for hop in whole if hop.stage == "fails") == {"done": FILES - 1, "failed": 1}
    for number, hop in enumerate(whole):
        assert list(operations.hops(run, after=hop.id, settings=known)) == whole[number + 1 :]

    async def first() -> str:
        async with operations.hops(run, settings=known) as hops:
            return (await anext(hops)).id

    assert asyncio.run(first()) == whole[0].id


def _defaults() -> dict[str, Any]:
    from oaflow.ledger import history

    return dict(history.hops.__kwdefaults__ or {})


def _documents(hop: operations.Hop, name: str) -> list[str]:
    return list(hop.documents or ()) if name == "document" else []


def test_a_run_is_paused_resumed_and_cancelled(known, tmp_path):
    path, _ = gated(tmp_path)
    begun = operations.start(path, "d", stop_after=StopAfter(percent=50), settings=known)

    assert operations.pause(begun.run, settings=known).state == "paused"
    assert operations.resume(begun.run, settings=known).run == begun.run
    with pytest.raises(UnfinishedRunError) as refused:
        operations.start(path, "d", settings=known)
    assert refused.value.run.id == begun.run
    assert operations.start(path, "d", unfinished="resume", settings=known).run == begun.run
    other = operations.start(path, "d", unfinished="new", settings=known)
    assert other.remarks == (f"run {begun.run} is cancelled",)
    run, waiting = operations.cancel(other.run, settings=known)

    assert (run.state, waiting) == ("cancelled", 1)
    assert [one.state for one in operations.runs(dataset="d", settings=known)] == ["cancelled", "cancelled"]
    assert [one.name for one in operations.list_datasets(settings=known)] == ["d"]
    assert operations.limit("q/t", concurrency=2, settings=known).limits[0].concurrency == 2


def test_a_part_is_done_again_where_that_is_agreed_to(known, tmp_path):
    path = pipeline(tmp_path, "small", work={"next": "end"}, end={})
    with operations.workers(executors=1, settings=known):
        run = operations.start(path, "d", settings=known).run
        list(operations.follow(run, settings=known))
        much: list[int] = []
        assert (
            operations.rerun(run, stage="end", agreed=lambda found: much.append(found.chosen), settings=known) is None
        )
        begun = operations.rerun(run, stage="end", settings=known)
        assert begun is not None
        *_, last = operations.follow(begun.run, settings=known)
    (traced,) = operations.trace("doc-0", run=begun.run, settings=known).passports

    assert much == [FILES]
    assert isinstance(last, Finished)
    assert (last.status.run.rerun_of, last.status.stages["end"].done) == (run, FILES)
    assert traced.document == "doc-0"


def test_a_pipeline_is_an_object_of_the_program_too(known, tmp_path):
    (tmp_path / "greeting.py").write_text(
        "from oaflow import Job, Pipeline, stage, Param\n"
        "@stage\n"
        "def greet(job: Job, *, names: list[str], often: int, loud: bool) -> None:\n"
        "    print(names, often, loud)\n"
        "pipeline = Pipeline('greeting', stages={'greet': greet.stage(with_={\n"
        "    'names': '${params.names}', 'often': '${params.often}', 'loud': '${params.loud}'})},\n"
        "    params={'names': Param(list[str], positional=True), 'often': Param(int, default=1),\n"
        "            'loud': Param(bool, default=False)})\n"
    )
    program = (
        "from greeting import pipeline\n"
        "from oaflow import operations\n"
        "with operations.workers():\n"
        "    run = operations.start(pipeline, 'd', 'Anna', 'Bea', params={'often': 2, 'loud': True}).run\n"
        "    assert operations.start('greeting:pipeline', 'd', 'Eva', params={'often': 2, 'loud': True},\n"
        "                            unfinished='new').run != run\n"
        "    *_, last = operations.follow(run)\n"
        "    assert isinstance(last, operations.Finished)\n"
        "    print(operations.status(run).status.run.params)\n"
    )
    environment = {**os.environ, "OAFLOW_DB_URI": str(known.db_uri), "OAFLOW_HOME": str(known.home)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert done.stdout == "{'loud': True, 'names': ['Anna', 'Bea'], 'often': 2}\n"


def test_what_is_in_a_dataset_is_found_read_and_taken_out(known, tmp_path):
    entities = [
        {"id": f"e{number}", "schema": "Document", "properties": {"fileName": [f"letter {number}"]}}
        for number in range(3)
    ]
    path = tmp_path / "keeps.yml"
    path.write_text(json.dumps({"pipeline": "keeps", "stages": {"keep": {"task": "oaflow.stages.index"}}}))
    (tmp_path / "entities").write_text("\n".join(map(json.dumps, entities)))
    with operations.workers(settings=known):
        begun = operations.start(path, "d", entities=tmp_path / "entities", settings=known)
        *_, last = operations.follow(begun.run, settings=known)
    assert isinstance(last, Finished)
    assert last.status.run.state == "finished"

    async def ids() -> list[str]:
        async with operations.entities("d", settings=known) as stream:
            return [entity["id"] async for entity in stream]

    assert [hit.entity for hit in operations.search("d", "letter 1", settings=known).hits] == ["e1"]
    (missing,) = operations.search("d", "lettre", settings=known).missing
    assert (missing.term, missing.near) == ("lettre", ("letter",))
    assert asyncio.run(ids()) == [entity["id"] for entity in operations.entities("d", settings=known)]
    assert asyncio.run(ids()) == ["e0", "e1", "e2"]

    much: list[int] = []
    assert operations.delete("d", agreed=lambda held: bool(much.append(held.sizes.entities)), settings=known) is None
    assert (much, len(operations.search("d", "letter", settings=known).hits)) == ([3], 3)
    deleted = operations.delete("d", settings=known)
    assert deleted is not None
    assert (deleted.dataset, operations.list_datasets(settings=known), operations.runs(settings=known)) == ("d", [], [])
    with pytest.raises(operations.NoSuchDatasetError, match="there is no dataset 'd'"):
        next(iter(operations.entities("d", settings=known)))


def test_pipelines_are_checked_alone_and_beside_the_database(known, tmp_path):
    path = pipeline(tmp_path, "small", end={})
    wrong = pipeline(tmp_path, "wrong", end={"next": "ende"})

    good, bad, own = operations.check(path, wrong, Pipeline("own", stages={}))
    (deployed,) = operations.check(path, imports=False, db=True, settings=known)

    assert (good.pipeline, good.stages, good.diagnostics, good.database) == (str(path), 2, (), None)
    assert (bad.stages, bad.mistakes) == (None, 1)
    assert [(one.code, one.help) for one in bad.diagnostics] == [("OAF201", "did you mean 'end'?")]
    assert (own.pipeline, own.mistakes) == ("own", 1)
    assert (deployed.mistakes, deployed.warnings, deployed.workers) == (1, 0, 0)
    assert [one.code for one in deployed.diagnostics] == ["OAF501"]
    with pytest.raises(UsageError, match="'no'"):
        operations.check(path, db=True, params={"no": [1, 2]}, settings=known)


def test_how_long_a_run_would_take_otherwise_is_told(known, tmp_path):
    path = pipeline(tmp_path, "slow", work={"with": {"seconds": 0.05}, "next": "end"}, end={})
    with operations.workers(executors=1, settings=known):
        run = operations.start(path, "d", settings=known).run
        *_, _ = operations.follow(run, settings=known)

    two = Variant(own=(("work", 2),))
    found = operations.simulate(run, [two], settings=known)

    (before, before_takes), (other, other_takes) = found.variants
    assert (found.run.id, found.rest, before, other) == (run, False, Variant(), two)
    assert 0 < other_takes.seconds < before_takes.seconds
    with pytest.raises(UsageError, match="has no stage 'wurk'"):
        operations.simulate(run, [Variant(own=(("wurk", 2),))], settings=known)


def test_runs_are_scheduled_with_the_values_of_a_program(known, tmp_path):
    path = pipeline(tmp_path, "small", end={})

    made = operations.add_schedule(path, "d", cron="0 3 * * *", zone="Europe/Berlin", name="nightly", settings=known)

    assert operations.list_schedules(settings=known) == [replace(made, asked_at=ANY)]
    assert (made.name, made.dataset, made.cron, made.zone) == ("nightly", "d", "0 3 * * *", "Europe/Berlin")
    with pytest.raises(UsageError, match="schedule 'nightly' already exists"):
        operations.add_schedule(path, "d", cron="0 3 * * *", name="nightly", settings=known)
    operations.remove_schedule("nightly", settings=known)
    with pytest.raises(operations.NoSuchScheduleError):
        operations.remove_schedule("nightly", settings=known)
    assert operations.list_schedules(settings=known) == []


def test_webhooks_are_added_tried_and_removed(known):
    signing = known.model_copy(update={"webhook_secret": SecretStr("whsec_" + "A" * 32)})

    made = operations.add_webhook("http://127.0.0.1:1/hook", name="here", pipeline="ingest", settings=known)

    assert operations.list_webhooks(settings=known) == [made]
    with pytest.raises(operations.EnvironmentProblem, match="OAFLOW_WEBHOOK_SECRET is not set"):
        operations.try_webhook("here", settings=known)
    tried = operations.try_webhook("here", settings=signing)
    assert (tried.problem, tried.again) == ("it refused or closed the connection", 0)
    operations.remove_webhook("here", settings=known)
    with pytest.raises(operations.NoSuchWebhookError):
        operations.remove_webhook("here", settings=known)


def test_a_backup_is_written_and_restored_by_a_program(private: Command, home: Path, again: Path, tmp_path):
    there, here = Settings(home=home), Settings(home=again)
    operations.add_webhook("http://127.0.0.1:1/hook", name="kept", settings=there)

    written = operations.backup(tmp_path, settings=there)
    restored = operations.restore(str(written.file), settings=here)

    assert written.file.parent == tmp_path
    assert (restored.facts, restored.database) == (written.facts, written.database)
    assert [one.name for one in operations.list_webhooks(settings=here)] == ["kept"]
    with pytest.raises(UsageError, match="is not empty"):
        operations.restore(written.file, settings=here)


def test_what_is_wrong_is_a_sentence_with_the_next_thing_to_do(known, tmp_path):
    here = Pipeline("here", stages={})
    path = pipeline(tmp_path, "small", end={})
    wrong: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: operations.start("nothing", "d", settings=known), UsageError, "no pipeline is named 'nothing'"),
        (lambda: operations.start(here, "d", settings=known), PipelineMistakesError, "pipeline 'here' has 1 mistake"),
        (lambda: operations.start(path, "D D", settings=known), UsageError, "dataset"),
        (lambda: operations.start(path, "d", at="ende", settings=known), UsageError, "no stage is named 'ende'"),
        (lambda: operations.start(path, "d", params={"no": 1}, settings=known), UsageError, "'no'"),
        (lambda: operations.status("small-aaaaaa", settings=known), NoSuchRunError, "there is no run 'small-aaaaaa'"),
        (lambda: next(iter(operations.follow(settings=known))), NoSuchRunError, "there is no run yet"),
        (lambda: next(iter(operations.hops("x", settings=known))), NoSuchRunError, "there is no run 'x'"),
        (lambda: operations.retry("x", settings=known), NoSuchRunError, "there is no run 'x'"),
        (lambda: operations.workers(0, settings=known), UsageError, "0 workers cannot be started: at least one"),
        (lambda: operations.status("a\0", settings=known), UsageError, "a NUL character"),
        (lambda: operations.trace("a\0", settings=known), UsageError, "a NUL character"),
        (lambda: next(iter(operations.hops("a\0", settings=known))), UsageError, "a NUL character"),
    ]
    for call, kind, sentence in wrong:
        with pytest.raises(kind, match=sentence) as raised:
            call()
        assert isinstance(raised.value, operations.OaflowError)
    run = operations.start(path, "d", settings=known).run
    for bad in ("x", "1-2-3-4", "1-2-3-4-x", f"{2**63}-2-3-4-5", f"1-2-3-{2**32}-5", f"1-2-3-4-{2**16}"):
        with pytest.raises(UsageError, match="no line of a history has the id"):
            next(iter(operations.hops(run, after=bad, settings=known)))
    with pytest.raises(UsageError, match="has no stage 'ende'") as raised:
        next(iter(operations.failures(run, stage="ende", settings=known)))
    assert raised.value.help == "did you mean 'end'?"


def test_where_there_is_no_database_each_call_says_so(known, tmp_path):
    nobody = known.model_copy(update={"db_uri": "postgresql://nobody@127.0.0.1:1/nothing"})

    async def following() -> None:
        async for _ in operations.follow(settings=nobody):
            pass

    async def working() -> None:
        async with operations.workers(settings=nobody):
            pass

    for call in (
        lambda: operations.runs(settings=nobody),
        lambda: asyncio.run(following()),
        lambda: asyncio.run(working()),
        lambda: operations.workers(settings=nobody).__enter__(),
    ):
        with pytest.raises(operations.EnvironmentProblem):
            call()


def test_a_setting_that_cannot_be_is_named(known, monkeypatch):
    monkeypatch.setenv("OAFLOW_KEEP", "long")

    with pytest.raises(operations.EnvironmentProblem, match="setting OAFLOW_KEEP is 'long'"):
        operations.runs()
