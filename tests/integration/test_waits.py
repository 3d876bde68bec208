"""
What keeps a run waiting, as `status` says it: each reason from rows that a real server holds.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from oaflow.ledger import runs
from oaflow.ledger import workers as ledger_workers
from oaflow.ledger.limits import limit
from oaflow.ledger.runs import FirstJob
from oaflow.ledger.workers import session_of
from oaflow.operations.states import details_of
from oaflow.operations.waits import Wait
from oaflow.operations.watching import View, watch
from oaflow.plan import Plan, PlannedCollect, PlannedEdge, PlannedStage
from oaflow.runtime.room import GOES_ON
from oaflow.settings import Settings

SILENT = 15.0

STAGES = {
    "pours": PlannedStage(task="t.pours", queue="a", edges=(PlannedEdge(to="sips"),), emit="stream"),
    "sips": PlannedStage(task="t.sips", queue="a", edges=(PlannedEdge(to="keeps"),)),
    "keeps": PlannedStage(task="t.keeps", queue="a"),
}


class Rows:
    """
    A run of three stages in a database, and what may be said of it.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        plan = Plan(pipeline="p", start=("pours",), stages=STAGES)
        runs.store_plan(connection, plan.digest, plan.format, "p", plan.canonical())
        self.run = runs.start_run(connection, "p", plan.digest, "d", {})

    def enter(self, stage: str, count: int) -> None:
        mark = {"payload": {"context": {"oaflow": {"run": self.run, "stage": stage}}}}
        jobs = [FirstJob("a", f"t.{stage}", stage, 50, mark) for _ in range(count)]
        runs.enter(self.connection, self.run, jobs, seal=True)

    def worker(self, *, tasks: str = "{t.pours,t.sips,t.keeps}", run: str | None = None, rests: str = "[]") -> int:
        row = self.connection.execute(
            "WITH made AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)"
            " INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks, run, rests)"
            " SELECT id, 'h', 1, 'p', '{1}', %s, %s, %s::jsonb FROM made RETURNING id",
            [tasks, run, rests],
        ).fetchone()
        assert row is not None
        return row[0]

    def waits(self, *, private: bool = False) -> list[Wait]:
        found = runs.find_run(self.connection, self.run)
        assert found is not None
        return details_of(self.connection, found, SILENT, private=private).waits


@pytest.fixture
def rows(database: str) -> Iterator[Rows]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield Rows(connection)


def told(waits: list[Wait]) -> list[tuple[str, str | None, str]]:
    return [(wait.why, wait.stage, f"{wait.head} {wait.text}") for wait in waits]


def test_a_stream_that_rests_is_told_with_what_it_waits_for(rows: Rows) -> None:
    rests = f'[{{"run": "{rows.run}", "stage": "pours", "most": 12}}, {{"run": "other", "stage": "pours", "most": 99}}]'
    rows.worker(rests=rests)
    rows.enter("sips", 9)
    rows.enter("keeps", 5)

    (wait,) = rows.waits()

    assert told([wait]) == [
        ("rests", "pours", "stage pours rests: sips has 9, keeps has 5 open, and it goes on at 6 (OAFLOW_DEEP)")
    ]
    assert wait.as_json()["after"] == {"sips": 9, "keeps": 5}
    assert (wait.as_json()["open"], wait.as_json()["most"]) == (14, 12)
    # One that died says nothing any more.
    rows.connection.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    assert [wait.why for wait in rows.waits()] == ["unserved", "unserved"]


def test_jobs_that_wait_for_another_attempt_are_told_with_the_next(rows: Rows) -> None:
    rows.worker()
    rows.enter("sips", 3)
    later = "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '90 seconds'"
    rows.connection.execute(f"{later}, lock = 'l' WHERE id IN (SELECT min(id) FROM procrastinate_jobs)")
    assert told(rows.waits()) == [
        ("retry", "sips", "1 job of stage sips waits for another attempt, the next in 1 min 30 s")
    ]
    rows.connection.execute("UPDATE procrastinate_jobs SET scheduled_at = now() + id * interval '1 hour'")

    (wait,) = rows.waits()

    assert wait.as_json()["jobs"] == 3
    assert 3000 < wait.as_json()["seconds"] < 3600 * 3
    rows.connection.execute("UPDATE procrastinate_jobs SET scheduled_at = now() - interval '1 s'")
    assert rows.waits() == []  # due


def test_what_waits_behind_a_higher_priority_is_told_with_what_is_before_it(rows: Rows) -> None:
    worker, other = rows.worker(), Rows(rows.connection)
    rows.enter("sips", 5)
    other.enter("pours", 1)
    rows.enter("keeps", 2)
    doing = "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s, priority = 60 WHERE task_name = %s"
    rows.connection.execute(doing, [worker, "t.pours"])
    rows.connection.execute(f"{doing} AND id %% 2 = 0", [worker, "t.sips"])
    assert rows.waits() == []  # it has just come
    rows.connection.execute("UPDATE oaflow.runs SET created_at = now() - interval '90 s'")

    of_sips, of_keeps = rows.waits()

    ahead = f"for 1 min 30 s; all workers that can run it are busy with sips and pours of {other.run}"
    assert told([of_sips, of_keeps]) == [
        ("priority", "sips", f"stage sips waits behind a higher priority: its next job {ahead}"),
        ("priority", "keeps", f"stage keeps waits behind a higher priority: its next job {ahead}"),
    ]
    assert of_keeps.as_json()["seconds"] == pytest.approx(90, abs=5)
    idle = rows.worker(tasks="{t.sips}")
    rows.connection.execute(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE task_name = 't.keeps' AND id %% 2 = 0",
        [idle],
    )
    # Somebody who can run it is at what has the same.
    assert [wait.stage for wait in rows.waits()] == ["keeps"]
    rows.connection.execute("UPDATE procrastinate_jobs SET priority = 50")
    assert rows.waits() == []


def test_what_waits_for_its_turn_is_told_with_what_came_first(rows: Rows) -> None:
    worker, other = rows.worker(), Rows(rows.connection)
    other.enter("sips", 3)
    rows.enter("sips", 2)
    rows.connection.execute("UPDATE oaflow.runs SET created_at = now() - interval '90 s'")
    assert rows.waits() == []  # nobody is at anything: it begins at once
    rows.connection.execute(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s"
        " WHERE id = (SELECT min(id) FROM procrastinate_jobs)",
        [worker],
    )

    (wait,) = rows.waits()

    first = f"its next job for 1 min 30 s; all workers that can run it are busy with sips of {other.run}"
    assert told([wait]) == [("turn", "sips", f"stage sips waits for its turn: {first}")]
    assert wait.help == "oaflow worker   # start more of them"
    assert other.waits() == []  # it goes on
    # Its limit is reason enough, and another worker would not help.
    limit(rows.connection, "a", "t.sips", 1, None)
    assert [wait.why for wait in rows.waits()] == ["limit"]
    limit(rows.connection, "a", "t.sips", 100, None)
    assert [wait.why for wait in rows.waits()] == ["turn"]
    rows.worker()
    assert rows.waits() == []  # somebody is free


def test_a_join_that_has_not_begun_is_told_with_what_is_before_it(
    rows: Rows, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STAGES, "sums", PlannedStage(task="t.sums", queue="a", join=("keeps",)))
    rows = Rows(rows.connection)
    rows.worker(tasks="{t.pours,t.sips,t.keeps,t.sums}")
    rows.enter("sips", 3)
    rows.enter("keeps", 5)

    (wait,) = rows.waits()

    assert told([wait]) == [
        ("join", "sums", "stage sums has not started: it is a join, and keeps has 5, sips has 3 open")
    ]
    assert (wait.as_json()["open"], wait.as_json()["after"]) == (8, {"keeps": 5, "sips": 3})
    views = watch(Settings(db_uri=database, home=tmp_path), rows.run, now=lambda: 0.0)
    with closing(views):
        view = next(views)
        assert isinstance(view, View)
        assert [one.why for one in view.runs[0].waits] == ["join"]
        # When it has begun, this is no reason any more, also where it was asked a while ago.
        rows.enter("sums", 1)
        view = next(views)
        assert isinstance(view, View)
        assert view.runs[0].waits == ()
    assert rows.waits() == []


def test_who_works_is_asked_once_for_all_that_status_tells(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.worker(run=rows.run)
    rows.enter("sips", 12)
    rows.connection.execute("UPDATE oaflow.counters SET done = 100")  # enough for an estimate
    asked: list[str] = []
    sql = ledger_workers.sql

    def noted(name: str) -> LiteralString:
        asked.append(name)
        return sql(name)

    monkeypatch.setattr(ledger_workers, "sql", noted)

    rows.waits(private=True)

    assert (asked.count("workers"), "hands" in asked) == (1, True)


def test_what_nobody_serves_and_what_is_at_its_limit_is_told(rows: Rows) -> None:
    rows.worker(tasks="{t.sips}")
    rows.worker(tasks="{t.keeps}", run="another")  # works on that one only
    rows.enter("sips", 2)
    rows.enter("keeps", 1)
    limit(rows.connection, "a", "t.sips", None, 1 / 60)

    unserved, limited = rows.waits()

    assert (unserved.why, unserved.stage) == ("unserved", "keeps")
    assert unserved.text.startswith("task t.keeps of queue a: its jobs wait, for 0.")
    assert limited.as_json() == {
        "why": "limit",
        "stage": "sips",
        "text": "stage sips waits for its limit: 1/m; 0 run and 2 wait, of all runs",
        "reason": None,
        "help": "oaflow limit a/t.sips --concurrency N --rate N/s   # takes effect at once",
        "concurrency": None,
        "rate": pytest.approx(1 / 60),
        "jobs": 2,
    }


def test_a_worker_that_has_just_begun_may_be_about_to_say_what_it_can_run(rows: Rows) -> None:
    rows.worker(tasks="{}")
    rows.enter("sips", 1)
    assert rows.waits() == []

    rows.connection.execute("UPDATE oaflow.workers SET started_at = now() - interval '1 hour'")
    assert [wait.why for wait in rows.waits()] == ["unserved"]

    rows.connection.execute('UPDATE oaflow.workers SET started_at = now(), lacks = \'{"t.sips": "no module t"}\'')
    assert [(wait.why, wait.more) for wait in rows.waits()] == [("unserved", "no module t")]


def test_who_watches_sees_no_reason_that_is_over(rows: Rows, database: str, tmp_path: Path) -> None:
    rows.enter("sips", 1)
    rows.enter("keeps", 1)
    known = Settings(db_uri=database, home=tmp_path)
    views = watch(known, rows.run, now=lambda: 0.0)  # no time passes after which it would be asked again

    def stages() -> list[str | None]:
        view = next(views)
        assert isinstance(view, View)
        return [wait.stage for wait in view.runs[0].waits]

    with closing(views):
        assert stages() == ["keeps", "sips"]
        rows.connection.execute("UPDATE oaflow.counters SET open = 0 WHERE stage = 'keeps'")
        assert stages() == ["sips"]
        rows.worker()
        assert stages() == []


def test_what_waits_to_be_put_together_and_for_a_lock_is_told(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGES, "sips", STAGES["sips"].model_copy(update={"lock": "'one'"}))
    collect = PlannedCollect(size=5, wait=3600)
    monkeypatch.setitem(STAGES, "keeps", STAGES["keeps"].model_copy(update={"collect": collect}))
    rows = Rows(rows.connection)
    worker = rows.worker()
    rows.enter("sips", 3)
    rows.connection.execute("UPDATE procrastinate_jobs SET lock = 'one'")
    assert rows.waits() == []  # it is free
    rows.connection.execute(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s"
        " WHERE id = (SELECT min(id) FROM procrastinate_jobs)",
        [worker],
    )
    rows.connection.execute(
        "INSERT INTO oaflow.collected (id, run, stage, key, entities, documents, args)"
        " SELECT -n, %s, 'keeps', 'k', 2, '[]', '{}' FROM generate_series(1, 2) n",
        [rows.run],
    )

    gathered, locked = rows.waits()

    assert told([locked]) == [
        ("lock", "sips", "stage sips waits for its lock: 2 jobs wait for a lock that a running job has")
    ]
    assert (gathered.why, gathered.stage) == ("collect", "keeps")
    assert gathered.text in (
        f"4 of 5 entities in 2 jobs, {left} more, or until no more can come"
        for left in ("1 h", "59 min 59 s", "59 min 58 s", "60 min")
    )
    assert gathered.as_json()["entities"] == 4


@pytest.mark.parametrize(
    ("state", "reason", "private", "why", "then"),
    [
        ("paused", "by somebody", False, "paused", "oaflow resume "),
        ("paused", f"h: the disk of /tmp is full; {GOES_ON}", False, "disk", "df -h"),
        ("interrupted", "by SIGTERM", False, "interrupted", "oaflow resume "),
        ("running", None, True, "abandoned", "oaflow resume "),
    ],
)
def test_a_run_that_is_held_as_a_whole_is_told_with_the_reason_and_what_to_type(
    rows: Rows, state: str, reason: str | None, private: bool, why: str, then: str
) -> None:
    rows.enter("sips", 1)  # which nobody can run: that is not told of a run that is held
    rows.connection.execute("UPDATE oaflow.runs SET state = %s, reason = %s", [state, reason])

    (wait,) = rows.waits(private=private)

    assert (wait.why, wait.stage) == (why, None)
    assert reason is None or reason in wait.text
    assert (wait.help or "").startswith(then)


def test_on_the_private_server_workers_of_another_run_work_on_none_but_theirs(rows: Rows) -> None:
    rows.enter("sips", 1)
    rows.worker(run=Rows(rows.connection).run)

    (wait,) = rows.waits(private=True)

    assert (wait.why, wait.help) == ("abandoned", f"oaflow resume {rows.run}")
    assert [wait.why for wait in rows.waits()] == ["unserved"]  # on another server a worker may still come


def test_a_run_is_not_left_alone_while_its_command_starts_workers(rows: Rows, database: str) -> None:
    rows.enter("sips", 1)
    with psycopg.connect(database, application_name=session_of("another")):
        assert [wait.why for wait in rows.waits(private=True)] == ["abandoned"]
    with psycopg.connect(database, application_name=session_of(rows.run)):
        assert rows.waits(private=True) == []
    rows.worker(run=rows.run)
    assert rows.waits(private=True) == []


def test_a_run_that_has_ended_waits_for_nothing(rows: Rows) -> None:
    rows.enter("sips", 1)
    runs.cancel(rows.connection, rows.run, "test")

    assert rows.waits() == []
