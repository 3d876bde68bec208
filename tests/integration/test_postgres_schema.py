"""
Migrations and checks: nothing of others is altered, everything is said in one sentence that names what to type.
"""

import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from oaflow.postgres import check, inspect, migrate, open_database, problems, schema, scripts
from oaflow.postgres.address import Address
from oaflow.postgres.layout import layout
from oaflow.postgres.programs import installed, programs_in
from oaflow.postgres.server import Server
from oaflow.settings import Settings


def run(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ask(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query.encode()).fetchall()


# Everything of procrastinate's and OpenAleph's that a migration could alter, and no index: those are oaflow's to make.
FINGERPRINT = """
    SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE c.relname LIKE 'procrastinate%' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT 'function', proname, md5(prosrc), '' FROM pg_proc WHERE proname LIKE 'procrastinate%'
    UNION ALL SELECT 'trigger', t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT t.tgisinternal AND n.nspname <> 'oaflow'
    UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid), '' FROM pg_constraint
     WHERE conrelid::regclass::text LIKE 'procrastinate%'
    ORDER BY 1, 2, 3
"""

# What OpenAleph does to procrastinate's tables.
OPENALEPH = (
    "ALTER TABLE procrastinate_jobs ADD COLUMN dataset text, ADD COLUMN batch text",
    "ALTER TABLE procrastinate_jobs ADD COLUMN created_at timestamptz DEFAULT now(), ADD COLUMN updated_at timestamptz",
    "ALTER TABLE procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_worker_id_fkey",
    "CREATE INDEX oap_index ON procrastinate_jobs (dataset, batch)",
)


def procrastinate(conninfo: str) -> None:
    run(conninfo, scripts.procrastinate_schema().text)


def test_a_migration_names_each_step_and_a_second_one_has_none(empty_database):
    named = [str(step) for step in migrate(empty_database)]

    assert named[:2] == ["procrastinate schema.sql", "oaflow 0001_tables.sql"]
    assert "index oaflow_run_ready on procrastinate_jobs" in named
    assert migrate(empty_database) == []
    assert check(empty_database).indexes == ()


def test_a_dry_run_says_the_same_and_does_nothing(empty_database):
    foretold = migrate(empty_database, dry_run=True)

    assert ask(empty_database, "SELECT count(*) FROM pg_class WHERE relname LIKE 'procrastinate%'") == [(0,)]
    assert ask(empty_database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'oaflow'") == [(0,)]
    assert migrate(empty_database) == foretold


def test_two_who_migrate_at_once_do_each_step_once(empty_database):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(migrate, [empty_database] * 4))

    assert sorted(len(steps) for steps in done)[:3] == [0, 0, 0]
    check(empty_database)


def test_a_step_that_fails_leaves_nothing_and_can_be_repeated(empty_database, monkeypatch):
    good = scripts.oaflow_scripts()
    broken = scripts.Script("oaflow", good[1].name, good[1].text + "\nSELECT nonsense;")
    with monkeypatch.context() as patched:
        patched.setattr(scripts, "oaflow_scripts", lambda: (good[0], broken))
        with pytest.raises(psycopg.Error, match="nonsense"):
            migrate(empty_database)

    assert inspect(empty_database).applied == (good[0].name,)
    assert migrate(empty_database)[0].name == good[1].name


@pytest.fixture
def next_step(monkeypatch):
    """
    The name of a migration that comes after all others, and alters two tables that every hand-over writes.
    """
    text = "ALTER TABLE oaflow.hops ADD COLUMN x integer; ALTER TABLE oaflow.counters ADD COLUMN x integer;"
    step = scripts.Script("oaflow", "9000_next.sql", text)
    whole = (*scripts.oaflow_scripts(), step)
    monkeypatch.setattr(scripts, "oaflow_scripts", lambda: whole)
    return step.name


def test_a_migration_lets_those_pass_who_are_at_what_it_changes(database, next_step):
    with psycopg.connect(database) as worker, ThreadPoolExecutor(1) as threads:
        worker.execute("LOCK TABLE oaflow.counters IN ROW EXCLUSIVE MODE")
        migrating = threads.submit(migrate, database)
        while not ask(database, "SELECT 1 FROM pg_locks WHERE relation = 'oaflow.counters'::regclass AND NOT granted"):
            time.sleep(0.01)
        worker.execute("LOCK TABLE oaflow.hops IN ROW EXCLUSIVE MODE")  # the migration has it, and waits for the other
        worker.commit()

        assert [step.name for step in migrating.result(30)] == [next_step]


def test_a_migration_that_finds_no_moment_says_so(database, next_step, monkeypatch):
    monkeypatch.setattr(schema, "_PATIENCE", 0.5)
    with psycopg.connect(database) as somebody:
        somebody.execute("LOCK TABLE oaflow.counters IN ROW EXCLUSIVE MODE")

        with pytest.raises(problems.InUse, match=next_step):
            migrate(database)
    assert [step.name for step in migrate(database)] == [next_step]


def test_a_database_that_openaleph_set_up_before_is_not_altered(empty_database):
    procrastinate(empty_database)
    run(empty_database, *OPENALEPH)
    before = ask(empty_database, FINGERPRINT)

    assert not [step for step in migrate(empty_database) if step.component == "procrastinate"]

    assert ask(empty_database, FINGERPRINT) == before
    assert ask(empty_database, "SELECT count(*) FROM pg_class WHERE relname = 'oap_index'") == [(1,)]


def test_procrastinates_tables_stand_where_others_find_them_whatever_the_role_is_called(empty_database):
    assert ask(empty_database, "SELECT current_user::text") == [("oaflow",)], "its schema comes first for this role"

    migrate(empty_database)

    places = "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class WHERE relname LIKE 'procrastinate%'"
    assert ask(empty_database, places) == [("public",)]


def test_openaleph_may_come_afterwards_and_drop_every_index_that_it_does_not_know(empty_database):
    migrate(empty_database)
    run(empty_database, *OPENALEPH, "DROP INDEX oaflow_run_ready", "DROP INDEX oaflow_run_due")

    assert check(empty_database).indexes == ("oaflow_run_ready", "oaflow_run_due")  # slower, and no error
    assert [step.name for step in migrate(empty_database)] == ["oaflow_run_ready", "oaflow_run_due"]


def test_procrastinate_is_upgraded_on_the_own_server_only(empty_database):
    older = [script for script in scripts.procrastinate_scripts() if script.name < "03.04"]
    newer = [script.name for script in scripts.procrastinate_scripts() if script.name >= "03.04"]
    run(empty_database, scripts.query("migrations").decode())
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for script in older:
            connection.execute(script.text.encode())
            connection.execute(
                scripts.query("record"),
                {"component": "procrastinate", "name": script.name, "digest": script.digest, "program": "test"},
            )

        connection.execute("DROP INDEX procrastinate_jobs_queue_name_idx_v1")  # as it is left out there

    with pytest.raises(problems.ProcrastinateTooOld, match="procrastinate_retry_job_v2"):
        migrate(empty_database)
    steps = migrate(empty_database, own=True)

    assert [step.name for step in steps if step.component == "procrastinate"] == newer
    assert check(empty_database).lacking == ()
    index = "SELECT to_regclass('procrastinate_jobs_queue_name_idx_v1')::text"
    assert ask(empty_database, index) == [("procrastinate_jobs_queue_name_idx_v1",)], "a migration may expect it"
    migrate(empty_database, own=True, events=False)
    assert ask(empty_database, index) == [(None,)]


@pytest.mark.parametrize("wanted", [True, False])
def test_an_index_whose_making_was_interrupted_is_made_anew_or_taken_out(empty_database, wanted):
    migrate(empty_database, own=True)
    named = "indexrelid = 'procrastinate_jobs_queue_name_idx_v1'::regclass"
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(f"UPDATE pg_index SET indisvalid = false WHERE {named}")  # as CONCURRENTLY leaves it

    migrate(empty_database, own=True, events=wanted)

    usable = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('procrastinate_jobs_queue_name_idx_v1')"
    assert ask(empty_database, usable) == ([(True,)] if wanted else [])


def test_the_whole_schema_and_all_its_migrations_are_the_same(empty_database, database):
    run(empty_database, *[script.text for script in scripts.procrastinate_scripts()])

    functions = "SELECT proname FROM pg_proc WHERE proname LIKE 'procrastinate%' ORDER BY 1"
    assert set(ask(database, functions)) <= set(ask(empty_database, functions))


def test_an_index_that_was_interrupted_is_made_again(database):
    run(
        database,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'oaflow_run_ready'::regclass",
    )
    assert check(database).indexes == ("oaflow_run_ready",)

    assert [step.name for step in migrate(database)] == ["oaflow_run_ready"]
    assert check(database).indexes == ()


def test_a_database_without_the_schema_is_told_what_to_type(empty_database):
    procrastinate(empty_database)

    with pytest.raises(problems.NotMigrated, match="does not have oaflow's schema") as problem:
        check(empty_database)
    assert "oaflow db migrate" in str(problem.value.help)
    assert problem.value.exit_code == 3


def test_a_schema_that_is_older_names_what_it_lacks(database):
    last = scripts.oaflow_scripts()[-1].name
    run(database, f"DELETE FROM oaflow.migrations WHERE name = '{last}'")

    with pytest.raises(problems.SchemaOlder, match=last):
        check(database)


def test_a_schema_that_is_newer_is_left_alone(database):
    run(database, "INSERT INTO oaflow.migrations VALUES ('oaflow', '9999_future.sql', 'x', 'oaflow 9')")

    for act in (check, migrate):
        with pytest.raises(problems.SchemaNewer, match=r"9999_future\.sql") as problem:
            act(database)
        assert problem.value.help == "upgrade oaflow here"


def test_a_migration_with_another_content_is_noticed(database):
    run(database, "UPDATE oaflow.migrations SET digest = 'x' WHERE name = '0001_tables.sql'")

    with pytest.raises(problems.MigrationChanged, match=r"0001_tables\.sql"):
        check(database)


def test_a_schema_that_lost_procrastinate_is_not_current(database):
    run(database, "DROP TABLE procrastinate_jobs CASCADE")

    with pytest.raises(problems.SchemaOlder, match="procrastinate's schema"):
        check(database)


def test_an_older_postgres_is_refused_by_its_number(database, monkeypatch):
    state = replace(inspect(database), postgres=120018, release="12.18")
    monkeypatch.setattr(schema, "_state", lambda _: state)

    with pytest.raises(problems.PostgresTooOld, match=r"PostgreSQL 12\.18 is too old: oaflow needs 13"):
        check(database)


def test_a_look_that_a_timeout_of_the_server_cuts_short_is_no_answer(database):
    with psycopg.connect(database) as connection:
        name = connection.info.dbname
        connection.execute("LOCK TABLE oaflow.migrations")
        run(database, f"ALTER DATABASE \"{name}\" SET statement_timeout = '200ms'")
        try:
            with pytest.raises(problems.Unreachable, match=r"no answer \(.*statement timeout"):
                check(database)
        finally:
            run(database, f'ALTER DATABASE "{name}" RESET statement_timeout')


def test_a_database_that_does_not_answer_is_named_with_who_named_it(home, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("PROCRASTINATE_DB_URI", f"postgresql://me:secret@127.0.0.1:{port}/aleph")

    with pytest.raises(problems.Unreachable) as problem, open_database(Settings()):
        pass
    assert str(problem.value).startswith(
        f"database 'aleph' on 127.0.0.1, port {port} (from PROCRASTINATE_DB_URI): no answer"
    )
    assert "secret" not in str(problem.value) + str(problem.value.help)
    assert not (home / "postgres").exists()


@pytest.fixture
def strict(home: Path) -> Iterator[str]:
    """
    A server that asks a guest for a password, as other people's do.
    """
    rules = layout(home).root / "strict.conf"
    rules.parent.mkdir(mode=0o711)
    rules.write_text("local all oaflow peer map=oaflow\nlocal all guest scram-sha-256\n")
    rules.chmod(0o644)
    with Server(home, settings={"hba_file": str(rules)}) as server:
        run(server.address.uri, "CREATE ROLE guest LOGIN PASSWORD 'right'")
        yield server.address.uri


def test_a_wrong_password_is_named_as_such_and_not_shown(strict):
    for password in ("wrong", ""):
        address = make_conninfo(strict, user="guest", password=password)
        with pytest.raises(problems.WrongPassword, match="rejects the user 'guest'") as problem:
            check(Address(address, "OAFLOW_DB_URI", False))
        assert problem.value.help == "correct user or password in OAFLOW_DB_URI"
        assert "wrong'" not in str(problem.value)


def test_a_missing_database_is_named_with_what_makes_it_there(strict):
    elsewhere = Address(make_conninfo(strict, dbname="else where"), "OAFLOW_DB_URI", False)
    with pytest.raises(problems.NoSuchDatabase) as problem:
        check(elsewhere)

    command, _, rest = str(problem.value.help).partition(",")
    assert rest == " or correct OAFLOW_DB_URI"
    made = shlex.split(command)
    subprocess.run([programs_in(installed()) / made[0], *made[1:]], check=True)
    with pytest.raises(problems.NotMigrated):
        check(elsewhere)


def test_a_user_who_may_not_make_the_schema_is_told_who_may(strict):
    with pytest.raises(problems.NotAllowed, match="the user 'guest' may not create"):
        migrate(make_conninfo(strict, user="guest", password="right"))


def test_every_connection_says_who_it_is(database):
    address = Address(database, None, False)
    with schema.connect(address, "oaflow worker 7, ünïcode " * 5) as connection:
        shown = connection.execute("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        assert shown.fetchone()[0].startswith("oaflow worker 7")


def test_the_index_file_has_the_form_that_is_read():
    assert [script.name for script in scripts.index_scripts()] == [
        "oaflow_run_ready",
        "oaflow_run_due",
        "oaflow_lock_ready",
        "oaflow_lock_due",
    ]
    assert all(script.text.startswith("CREATE INDEX CONCURRENTLY IF NOT EXISTS") for script in scripts.index_scripts())
