"""
Workers of two versions of the program, and migrations while they work.
"""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import executors_of
from tests.chaos.crew import WORKER, Post, crew
from tests.chaos.history import findings, read
from tests.chaos.next_program import MARK, next_program
from tests.chaos.passages import begin, ended
from tests.chaos.test_kills import SEED, workers_of
from tests.chaos.test_statements import still_open, wait
from tests.warm import Warm

KILLS = 6

DONE = "SELECT coalesce(sum(done), 0)::int FROM oaflow.counters"
MARKED = f"SELECT count(*) FROM oaflow.hops WHERE mark = '{MARK}'"
UNMARKED = "SELECT count(*) FROM oaflow.hops WHERE outcome = 'done' AND mark IS NULL"


@pytest.fixture
def warm_next() -> Iterator[Callable[[Path], Warm]]:
    """
    Makes what runs commands of the next program without importing it for each.
    """
    with TemporaryDirectory() as short, ExitStack() as stack:

        def made(program: Path) -> Warm:
            warm = Warm(Path(short) / "warm", first=program)
            stack.callback(warm.leave)
            return warm

        yield made


@pytest.mark.slow
def test_workers_of_two_versions_share_a_run_and_migrations_stop_none(
    database: str,
    tmp_path: Path,
    clean_environment: dict[str, str],
    warm: Warm,
    warm_next: Callable[[Path], Warm],
) -> None:
    print(f"OAFLOW_SEED={SEED}")
    chance = random.Random(SEED)
    environment = clean_environment | {"OAFLOW_CRASHES": "1000"}
    program = next_program(tmp_path)
    places = os.pathsep.join([str(program), environment["PYTHONPATH"]])
    old = Post(database, database, tmp_path, environment, warm)
    new = Post(database, database, tmp_path, environment | {"PYTHONPATH": places}, warm_next(program))

    def migrated(post: Post) -> str:
        result = Command(tmp_path, {**post.environment, "OAFLOW_DB_URI": database}, post.warm)("db", "migrate")
        return result.out + result.err

    passage = begin(database, tmp_path, seconds=0.02, fails_every=5)
    with psycopg.connect(database, autocommit=True) as connection:

        def one(statement: str) -> int:
            row = connection.execute(statement).fetchone()  # pyright: ignore[reportArgumentType]
            return row[0] if row else 0

        def more(statement: str, jobs: int) -> None:
            # Workers that start, and migrations, take their time on a busy machine: there is work as long as that.
            before = one(statement)

            def there() -> bool:
                if still_open(passage) < 40:
                    passage.enter(10)
                return one(statement) > before + jobs

            wait(there, lambda: f"{jobs} jobs more")

        connection.execute("DROP INDEX oaflow_run_ready")
        passage.enter(20)
        with crew(old, *WORKER, "--workers", "2") as of_old:
            wait(lambda: one("SELECT count(*) FROM oaflow.workers") == 2, lambda: "two workers")
            more(DONE, 50)
            assert "index oaflow_run_ready" in migrated(old)
            assert "nothing to do" in migrated(old)
            more(DONE, 20)
            passage.enter(40)
            said = migrated(new)
            assert "oaflow 9006_columns.sql" in said, said
            assert "upgrade oaflow here" in migrated(old)
            more(DONE, 50)
            assert one(MARKED) == 0
            since = one("SELECT extract(epoch FROM clock_timestamp())::float8")
            with crew(new, *WORKER, "--workers", "2") as of_new:
                more(MARKED, 20)
                for number in range(KILLS):
                    supervisor = chance.choice([*of_old, *of_new]).pid
                    kind = workers_of if number % 2 else executors_of
                    for pid in kind(supervisor)[:1]:
                        os.kill(pid, signal.SIGKILL)
                    more(DONE, 30)
                # Who comes back first after a kill takes most: each has its share before the end.
                more(MARKED, 30)
                more(UNMARKED, 30)
                passage.seal()

                assert ended(database, passage.id, 120.0) == "finished"
        handed = "SELECT count(*) FROM oaflow.hops WHERE outcome = 'done' AND at > to_timestamp(%s) AND mark IS"
        ((by_old,),) = connection.execute(f"{handed} NULL", (since,)).fetchall()
        ((by_new,),) = connection.execute(f"{handed} NOT NULL", (since,)).fetchall()
        print(f"{by_old} by the old program, {by_new} by the new one")
        assert min(by_old, by_new) > 30
    assert findings(read(passage)) == []


def test_jobs_of_a_plan_of_a_later_format_are_left_to_who_knows_it(
    database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    known, later = begin(database, tmp_path), begin(database, tmp_path, seconds=0.02)
    for passage in (known, later):
        passage.enter(5)
        passage.seal()
    post = Post(database, database, tmp_path, clean_environment, warm)
    with psycopg.connect(database, autocommit=True) as connection:
        written = "UPDATE oaflow.plans SET format = {0}, definition = jsonb_set(definition, '{{format}}', '{0}') "
        written += f"WHERE digest = '{later.bound.digest}'"
        connection.execute(written.format(2))  # pyright: ignore[reportArgumentType]
        with crew(post, *WORKER):
            assert ended(database, known.id, 60.0) == "finished"
            left = "SELECT status::text, attempts, count(*) FROM procrastinate_jobs"
            left += " WHERE args #>> '{payload,context,oaflow,run}' = %s GROUP BY 1, 2"
            assert connection.execute(left, (later.id,)).fetchall() == [("todo", 0, 5)]
            asked = Command(tmp_path, {**post.environment, "OAFLOW_DB_URI": database}, warm)
            status, doctor = asked("status", later.id), asked("doctor")
            assert "has format 2, but this program reads format 1" in status.error
            assert status.help == "install the version of oaflow that made the plan"
            assert f"{later.id}: the plan of pipeline 'chaos' has format 2" in doctor.out

            connection.execute(written.format(1))  # pyright: ignore[reportArgumentType]
            connection.execute("SELECT pg_notify('oaflow', '{\"event\": \"run.begun\"}')")
            assert ended(database, later.id, 60.0) == "finished"
    assert findings(read(known)) + findings(read(later)) == []
