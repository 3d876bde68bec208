"""
What the database keeps of how long attempts take, and what reading it costs.
"""

from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest

from oaflow.forecast import BUCKETS
from oaflow.ledger import runs
from oaflow.ledger.runs import find_run
from oaflow.ledger.timings import shifts, timings, waiting_media
from oaflow.ledger.workers import hands, oldest, workers
from oaflow.operations.estimating import estimate_of
from oaflow.operations.simulating import Variant, simulate
from oaflow.operations.states import bound_plan, in_order, status_of
from oaflow.plan import Plan, PlannedEdge, PlannedStage
from oaflow.settings import Settings

PLAN = Plan(
    pipeline="p",
    start=("a",),
    stages={
        "a": PlannedStage(task="t.a", queue="q", edges=(PlannedEdge(to="b"),)),
        "b": PlannedStage(task="t.b", queue="q"),
    },
)


class Rows:
    """
    A run of two stages, with one worker.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        runs.store_plan(connection, PLAN.digest, PLAN.format, "p", PLAN.canonical())
        self.run = runs.start_run(connection, "p", PLAN.digest, "d", {})
        row = connection.execute(
            "WITH made AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)"
            " INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks)"
            " SELECT id, 'h', 1, 'p', '{1}', '{t.a,t.b}' FROM made"
            " RETURNING id"
        ).fetchone()
        assert row is not None
        self.worker = row[0]

    def keep(self, *said: dict[str, Any], shifts: tuple[dict[str, Any], ...] = (), run: str | None = None) -> None:
        whole = {"run": run or self.run, "media": "", "in_loop": False, "attempts": 0, "jobs": 0, "members": 0}
        whole |= {"seconds": 0.0, "squares": 0.0, "times": [0] * BUCKETS, "successors": {}}
        self.connection.execute(
            "SELECT oaflow.keep_timings_v1(%s, 4, 1000, %s::jsonb, %s::jsonb)",
            [
                self.worker,
                orjson.dumps([whole | one for one in said]).decode(),
                orjson.dumps([{"run": run or self.run} | one for one in shifts]).decode(),
            ],
        )

    def waiting(self, stage: str, count: int, media: str = "text/plain") -> None:
        args = {
            "payload": {
                "entities": [{"id": "x", "properties": {"mimeType": [media]}}],
                "context": {"oaflow": {"run": self.run, "stage": stage}},
            }
        }
        self.connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args)"
            " SELECT 'q', %s, 50, %s FROM generate_series(1, %s)",
            [f"t.{stage}", orjson.dumps(args).decode(), count],
        )
        self.connection.execute(
            "INSERT INTO oaflow.counters AS k (run, stage, shard, open) VALUES (%s, %s, 0, %s)"
            " ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open",
            [self.run, stage, count],
        )

    def done(self, stage: str, count: int, each: float) -> None:
        self.connection.execute(
            "INSERT INTO oaflow.counters AS k (run, stage, shard, done) VALUES (%s, %s, 1, %s)"
            " ON CONFLICT (run, stage, shard) DO UPDATE SET done = k.done + excluded.done",
            [self.run, stage, count],
        )
        times = [count if number == 40 else 0 for number in range(BUCKETS)]
        sums = {"attempts": count, "jobs": count, "members": count, "times": times, "media": "text/plain"}
        sums |= {"seconds": count * each, "squares": count * each**2}
        self.keep({"stage": stage, **sums, "successors": {"b": count} if stage == "a" else {}})

    def estimate(self) -> Any:
        found = find_run(self.connection, self.run)
        assert found is not None
        bound = bound_plan(self.connection, found)
        status = status_of(self.connection, found, in_order(bound))
        return estimate_of(self.connection, found, bound, status.stages, workers(self.connection, 15.0))

    def seal(self) -> None:
        self.connection.execute("UPDATE oaflow.runs SET sealed = true WHERE id = %s", [self.run])


@pytest.fixture
def rows(database: str) -> Iterator[Rows]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield Rows(connection)


def test_what_workers_say_is_added_up_and_of_a_run_that_is_gone_nothing_is_kept(rows: Rows) -> None:
    times = [1] + [0] * (BUCKETS - 1)
    first = {"stage": "a", "attempts": 2, "jobs": 1, "members": 3, "seconds": 1.5, "squares": 2.0, "times": times}
    second = {"stage": "a", "attempts": 1, "jobs": 1, "seconds": 0.5, "squares": 0.25, "times": times[::-1]}
    rows.keep(first | {"successors": {"b": 5}}, shifts=({"began": 0.0, "ended": 10.0, "seconds": 10.0},))
    rows.keep(
        second | {"successors": {"b": 1, "c": 2}, "in_loop": True},
        {"stage": "a", "media": "text/plain", "attempts": 7},
        shifts=({"began": 20.0, "ended": 25.0, "seconds": 5.0},),
    )
    rows.keep(first, run="nobody")

    whole, plain = timings(rows.connection, rows.run)
    (shift,) = shifts(rows.connection, rows.run)

    assert (whole.attempts, whole.jobs, whole.members, whole.seconds, whole.squares) == (3, 2, 3, 2.0, 2.25)
    assert whole.in_loop
    assert whole.times == [1, *[0] * (BUCKETS - 2), 1]
    assert whole.successors == {"b": 6, "c": 2}
    assert (plain.media, plain.attempts, plain.successors) == ("text/plain", 7, {})
    assert (shift.executors, shift.seconds, shift.ended.timestamp()) == (4, 15.0, 25.0)
    assert timings(rows.connection, "nobody") == []
    (worker,) = workers(rows.connection, 15.0)
    assert (worker.executors, worker.memory, worker.run) == (4, 1000, None)


def test_media_types_of_what_waits_are_those_of_a_sample_that_is_spread_over_it(rows: Rows) -> None:
    rows.waiting("a", 100, "text/plain")
    rows.waiting("a", 300, "image/png")
    rows.waiting("a", 100, "application/pdf")

    found = waiting_media(rows.connection, rows.run, [("q", "t.a"), ("q", "t.b")], points=10, each=5)

    (sample,) = found.values()
    # A point between two of them may have one more or less.
    assert sample == {
        "text/plain": pytest.approx(10, abs=2),
        "image/png": pytest.approx(30, abs=2),
        "application/pdf": pytest.approx(10, abs=2),
    }


def test_nothing_is_said_before_there_is_enough_to_say(rows: Rows) -> None:
    rows.waiting("a", 100)
    assert rows.estimate().why == "its input is still being read"
    rows.seal()
    assert rows.estimate().why == "too few jobs of stage a are done"
    rows.done("a", 9, 1.0)
    assert rows.estimate().why == "too few of its jobs are done"
    rows.done("a", 1, 1.0)
    rows.keep(shifts=({"began": 0.0, "ended": 2.5, "seconds": 2.5},))
    told = rows.estimate()
    # 100 of one second on four executors; of `b` nothing is known yet.
    assert told.seconds == pytest.approx(25, rel=0.3)
    assert told.low <= told.seconds <= told.high
    assert told.assumes.startswith("the rest is like what this run has done, and 1 worker with 4 executors")
    rows.waiting("a", 100, "application/pdf")
    assert rows.estimate().why == "of application/pdf at stage a much waits, and none is done"
    rows.connection.execute("UPDATE oaflow.runs SET state = 'paused' WHERE id = %s", [rows.run])
    assert rows.estimate() is None


def test_a_run_that_nobody_can_go_on_with_has_no_time_left(rows: Rows) -> None:
    rows.waiting("a", 100)
    rows.seal()
    rows.done("a", 10, 1.0)
    rows.keep(shifts=({"began": 0.0, "ended": 2.5, "seconds": 2.5},))
    assert rows.estimate().seconds is not None

    # As where the new code of `a` cannot be imported.
    rows.connection.execute("UPDATE oaflow.workers SET tasks = '{t.b}'")

    assert rows.estimate().why == "no live worker can run stage a"


def test_a_run_does_not_end_before_the_last_job_that_waits_for_another_attempt(rows: Rows, database: str) -> None:
    rows.seal()
    rows.done("a", 20, 1.0)
    rows.waiting("a", 3)
    rows.keep(shifts=({"began": 0.0, "ended": 5.0, "seconds": 5.0},))
    assert rows.estimate().high < 60
    assert "attempt" not in rows.estimate().assumes

    later = "UPDATE procrastinate_jobs SET scheduled_at = now() + id * interval '10 min'"
    last = rows.connection.execute(f"{later} RETURNING id").fetchall()[-1][0] * 600

    told = rows.estimate()
    assert last - 60 < told.low <= told.seconds <= told.high <= last
    assert told.assumes.endswith("; jobs that wait for another attempt succeed with it")
    (_, same), (_, more) = simulate(rows.run, [Variant(workers=9)], settings=Settings(db_uri=database)).variants
    assert last - 60 < same.low <= same.high <= last
    assert last - 60 < more.seconds <= last
    rows.connection.execute("UPDATE procrastinate_jobs SET scheduled_at = now() - interval '1 s'")
    assert rows.estimate().high < 60  # due


def test_a_stage_that_a_run_has_not_come_to_is_as_in_an_earlier_run(rows: Rows) -> None:
    rows.done("b", 50, 3.0)
    rows.connection.execute("UPDATE oaflow.runs SET state = 'finished', finished_at = now() WHERE id = %s", [rows.run])
    later = Rows(rows.connection)
    later.seal()
    later.waiting("a", 100)
    later.done("a", 20, 1.0)
    later.keep(shifts=({"began": 0.0, "ended": 5.0, "seconds": 5.0},))

    told = later.estimate()

    # A hundred of four seconds, and twenty of three, on eight executors.
    assert told.seconds == pytest.approx(57, rel=0.25)
    assert "b as in an earlier run" in told.assumes


def test_what_comes_next_waits_since_its_parent_handed_it_over_or_since_the_run_began(rows: Rows) -> None:
    connection = rows.connection
    connection.execute("UPDATE oaflow.runs SET created_at = now() - interval '1 h' WHERE id = %s", [rows.run])
    rows.waiting("a", 1)
    rows.waiting("b", 2)
    connection.execute(
        "UPDATE procrastinate_jobs SET args = jsonb_set(args, '{payload,context,oaflow,parent}', id::text::jsonb)"
        " WHERE task_name = 't.b'"
    )
    # Of the two of `b` the parent of the first ended 40 s ago, that of the second just now.
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, at)"
        " SELECT %s, 'a', id, 'done', now() - interval '40 s' / row_number() OVER (ORDER BY id) ^ 4"
        " FROM procrastinate_jobs WHERE task_name = 't.b'",
        [rows.run],
    )

    waited = oldest(connection, rows.run, [("q", "t.a"), ("q", "t.b")])

    assert waited["q", "t.a"] == pytest.approx(3600, abs=30)
    assert waited["q", "t.b"] == pytest.approx(40, abs=30)
    # What is in hand does not wait.
    connection.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = 't.b'")
    assert oldest(connection, rows.run, [("q", "t.b")]) == {}


def test_what_is_watched_costs_as_much_after_many_finished_jobs_as_before(rows: Rows) -> None:
    connection = rows.connection
    rows.seal()
    rows.waiting("a", 50)
    rows.done("a", 20, 1.0)
    rows.keep(shifts=({"began": 0.0, "ended": 5.0, "seconds": 5.0},))
    connection.execute(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s"
        " WHERE id IN (SELECT id FROM procrastinate_jobs ORDER BY id LIMIT 3)",
        [rows.worker],
    )
    pairs = [("q", "t.a"), ("q", "t.b")]

    def look() -> None:
        assert rows.estimate().seconds
        assert workers(connection, 15.0)
        assert [(hand.stage, hand.jobs) for hand in hands(connection, [rows.worker])] == [("a", 3)]
        assert set(oldest(connection, rows.run, pairs)) == {("q", "t.a")}

    def read() -> int:
        count = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables"
        with connection.transaction():
            ((before,),) = connection.execute(count).fetchall()
            look()
            ((after,),) = connection.execute(count).fetchall()
        return after - before

    connection.execute("ANALYZE")
    young = read()
    connection.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status)"
        " SELECT 'q', 't.a', 50, %s, 'succeeded' FROM generate_series(1, 20000)",
        [orjson.dumps({"payload": {"context": {"oaflow": {"run": rows.run, "stage": "a"}}}}).decode()],
    )
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome) SELECT %s, 'a', n, 'done' FROM generate_series(1, 20000) n",
        [rows.run],
    )
    connection.execute("ANALYZE")

    assert read() <= young + 20
