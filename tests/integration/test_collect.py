"""
What waits to be put together: when it is, what becomes of it, and that no job of it is ever lost or doubled.
"""

import orjson
import pytest

from tests.integration.handovers import recount
from tests.integration.shelf import Shelf


@pytest.fixture
def shelf(database: str) -> Shelf:
    shelf = Shelf(database)
    shelf.collects()
    return shelf


def test_jobs_are_put_together_in_order_as_many_as_fill_one(shelf: Shelf) -> None:
    worker = shelf.worker()
    shelf.enter(6)
    jobs = shelf.claimed(worker)
    for number, job in enumerate(jobs[:5]):
        shelf.complete(worker, shelf.brings(job, f"x{number}"))
    assert shelf.counters() == recount(shelf.connection, shelf.run)

    assert shelf.close() == "gathered"

    assert shelf.together() == [["x0", "x1", "x2"]]
    assert shelf.waiting == 2
    assert shelf.counters()["b"] == {"open": 3}
    assert shelf.counters() == recount(shelf.connection, shelf.run)
    assert shelf.close() is None  # `a` is at work still, and nobody has waited long
    (row,) = shelf.claim(worker, tasks=("t.b",))
    mark = orjson.loads(row.mark)
    assert (mark["collected"], "parent" in mark) == (3, False)


def test_one_is_not_filled_beyond_its_size(shelf: Shelf) -> None:
    worker = shelf.worker()
    jobs = shelf.enter(3)
    shelf.claimed(worker)
    for job, documents in zip(jobs, (("x0", "x1"), ("y0", "y1"), ("z0", "z1", "z2")), strict=True):
        shelf.complete(worker, shelf.brings(job, *documents))

    assert shelf.close() == "gathered"

    assert shelf.together() == [["x0", "x1"], ["y0", "y1"], ["z0", "z1", "z2"]]


def test_what_differs_is_kept_apart(shelf: Shelf) -> None:
    worker = shelf.worker()
    for number, job in enumerate(shelf.enter(6)):
        shelf.claimed(worker)
        shelf.complete(worker, shelf.brings(job, f"x{number}", key="odd" if number % 2 else "even"))

    shelf.close()

    assert sorted(shelf.together()) == [["x0", "x2", "x4"], ["x1", "x3", "x5"]]


def test_the_oldest_waits_no_longer_than_it_should(shelf: Shelf) -> None:
    worker = shelf.worker()
    jobs = shelf.enter(3)
    shelf.claimed(worker)
    shelf.complete(worker, shelf.brings(jobs[0], "x0"))
    shelf.complete(worker, shelf.brings(jobs[1], "x1"))
    assert shelf.close() is None
    shelf.sql("UPDATE oaflow.collected SET arrived = now() - interval '599 s'")
    assert shelf.close() is None

    shelf.sql(
        "UPDATE oaflow.collected SET arrived = now() - interval '601 s'"
        " WHERE id = (SELECT min(id) FROM oaflow.collected)"
    )

    assert shelf.close() == "gathered"
    assert shelf.together() == [["x0", "x1"]]


@pytest.mark.parametrize("what", ["sealed", "unsealed", "a join", "a cycle"])
def test_the_last_part_goes_when_nothing_more_can_come(database: str, what: str) -> None:
    shelf = Shelf(database)
    shelf.collects(feeders=("a", "b") if what == "a cycle" else ("a", "j") if what == "a join" else ("a",))
    if what == "a join":
        shelf.sql("INSERT INTO oaflow.joins VALUES (%s, 'j', '{other}', 'q', 't.j', 50, '{}')", shelf.run)
        shelf.sql("INSERT INTO oaflow.counters (run, stage, shard, open) VALUES (%s, 'other', 0, 1)", shelf.run)
    worker = shelf.worker()
    (job,) = shelf.enter(1, seal=what != "unsealed")
    shelf.claimed(worker)
    shelf.complete(worker, shelf.brings(job, "x0"))

    state = shelf.close()

    assert (state, shelf.waiting) == (("gathered", 0) if what in ("sealed", "a cycle") else (None, 1))
    assert shelf.state() == "running"


def test_first_jobs_are_put_together_as_they_fill_one_and_the_rest_when_no_more_will_come(shelf: Shelf) -> None:
    for number in range(4):
        shelf.begins(f"x{number}")
    assert (shelf.together(), shelf.waiting) == ([["x0", "x1", "x2"]], 1)
    assert shelf.counters() == recount(shelf.connection, shelf.run)
    assert (shelf.close(), shelf.state()) == (None, "running")

    shelf.seal()

    assert shelf.together() == [["x0", "x1", "x2"], ["x3"]]
    assert shelf.counters() == recount(shelf.connection, shelf.run)


def test_a_run_ends_only_after_what_was_put_together(shelf: Shelf) -> None:
    worker = shelf.worker()
    (job,) = shelf.enter(1)
    shelf.claimed(worker)
    shelf.complete(worker, shelf.brings(job, "x0"))
    assert shelf.one("SELECT string_agg(event, ',') FROM oaflow.sweep_v2(true)") == "gathered"
    (row,) = shelf.claim(worker, tasks=("t.b",))

    shelf.complete(worker, shelf.done(row.id, stage="b", detail={"collected": 1}))

    assert shelf.close() == "finished"
    assert shelf.one("SELECT count(*) FROM oaflow.collected") == 0
    assert shelf.counters() == recount(shelf.connection, shelf.run)


def test_what_is_taken_apart_comes_back_each_alone_and_once(shelf: Shelf) -> None:
    worker = shelf.worker()
    for number, job in enumerate(shelf.enter(3)):
        shelf.claimed(worker)
        shelf.complete(worker, shelf.brings(job, f"x{number}"))
    shelf.close()
    (row,) = shelf.claim(worker, tasks=("t.b",))
    parted = shelf.done(row.id, "parted", stage="b", detail={"collected": 3, "error": {"type": "E", "message": "m"}})

    assert shelf.complete(worker, parted) == {row.id: "applied"}
    assert shelf.complete(worker, parted) == {row.id: "already"}

    parts = shelf.claim(worker, tasks=("t.b",))
    assert [[e["id"] for e in orjson.loads(part.args)["payload"]["entities"]] for part in parts] == [
        ["x0"],
        ["x1"],
        ["x2"],
    ]
    assert all(part.attempts == 1 and orjson.loads(part.mark)["parted"] for part in parts)
    assert shelf.counters()["b"] == {"open": 3}
    assert shelf.counters() == recount(shelf.connection, shelf.run)
    shelf.complete(worker, *(shelf.done(part.id, attempt=1, stage="b") for part in parts))
    assert shelf.close() == "finished"
    assert shelf.one("SELECT count(*) FROM oaflow.failures") == 0


def test_what_waits_is_not_taken_for_deleted_and_what_held_it_is_named(shelf: Shelf) -> None:
    worker = shelf.worker()
    jobs = shelf.enter(4)
    shelf.claimed(worker)
    for number, job in enumerate(jobs[:3]):
        shelf.complete(worker, shelf.brings(job, f"x{number}"))
    assert shelf.one("SELECT oaflow.vanish_v1(%s)", shelf.run) == 0
    assert shelf.sql("SELECT * FROM oaflow.sweep_v1(true)") == [(shelf.run, "gathered")]

    shelf.sql("DELETE FROM procrastinate_jobs WHERE task_name = 't.b'")

    assert shelf.sql("SELECT * FROM oaflow.sweep_v1(true)") == [(shelf.run, "vanished")]
    assert sorted(shelf.one("SELECT documents FROM oaflow.hops WHERE outcome = 'vanished'")) == ["x0", "x1", "x2"]
    assert shelf.counters()["b"] == {"vanished": 1}
    shelf.sql("SELECT * FROM oaflow.sweep_v2(true)")
    assert shelf.one("SELECT count(*) FROM oaflow.collected") == 0


def test_cancelling_takes_out_what_waits(shelf: Shelf) -> None:
    worker = shelf.worker()
    jobs = shelf.enter(2)
    shelf.claimed(worker)
    shelf.complete(worker, shelf.brings(jobs[0], "x0"))

    shelf.sql("SELECT oaflow.cancel_v1(%s, 'enough')", shelf.run)
    shelf.complete(worker, shelf.done(jobs[1], "cancelled"))

    assert sum(stage.get("open", 0) for stage in shelf.counters().values()) == 0
    assert shelf.one("SELECT count(*) FROM oaflow.collected") == 0
    assert shelf.sql("SELECT document FROM oaflow.receipt_v2(%s, '{}')", shelf.run) == []


def test_what_waits_of_other_runs_is_not_read(shelf: Shelf) -> None:
    shelf.sql(
        "INSERT INTO oaflow.collected (id, run, stage, key, entities, documents, args, job)"
        " SELECT -n, 'other', 'b', 'k', 1, '[]', '{}', CASE WHEN n %% 2 = 0 THEN n END FROM generate_series(1, %s) n",
        20_000,
    )
    shelf.sql("ANALYZE oaflow.collected")
    worker = shelf.worker()
    (job,) = shelf.enter(1)
    shelf.claimed(worker)
    before = shelf.one("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'oaflow.collected'::regclass")

    shelf.sql("BEGIN")
    shelf.complete(worker, shelf.brings(job, "x0"))
    shelf.close()
    read, fetched = shelf.sql(
        "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'oaflow.collected'::regclass"
    )[0]
    shelf.sql("COMMIT")

    assert before in (0, None)
    assert (read, fetched < 20) == (0, True)
