"""
oaflow in the database of the real openaleph-procrastinate, which changes procrastinate's tables and functions.
"""

import psycopg
import pytest

from tests.acceptance.conftest import Command, clean_environment, unbalanced

__all__ = ["clean_environment"]

# What they replace and add, and no index: those are oaflow's to make and theirs to drop.
THEIRS = """
    SELECT proname::text, prosrc FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace AND proname LIKE '%procrastinate%'
     UNION ALL
    SELECT t.tgname::text, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
     UNION ALL
    SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE conrelid = 'public.procrastinate_jobs'::regclass
     UNION ALL
    SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
     WHERE attrelid = 'public.procrastinate_jobs'::regclass AND attnum > 0
     ORDER BY 1, 2
"""

# In words that only their versions of the two functions have.
REPLACED = {"procrastinate_fetch_job_v2": "FAST PATH", "procrastinate_prune_stalled_workers_v1": "worker_id = NULL"}


@pytest.fixture
def oaflow(tmp_path, empty_database, clean_environment, warm):
    """
    The command in the database that both share.
    """
    places = {"OAFLOW_DB_URI": empty_database, "OAFLOW_HOME": str(tmp_path / "home")}
    return Command(tmp_path, clean_environment | places, warm)


def theirs(database):
    with psycopg.connect(database) as connection:
        return connection.execute(THEIRS).fetchall()


def ok(result):
    assert result.code == 0, result.err
    return result


@pytest.mark.slow
@pytest.mark.parametrize("first", ["openaleph", "oaflow"])
def test_a_run_in_the_database_of_openaleph_finishes_and_is_a_batch_to_it(first, shared_oap, oaflow, empty_database):
    if first == "openaleph":
        shared_oap("init_db", {})
        before = theirs(empty_database)
        ok(oaflow("db", "migrate"))
        assert theirs(empty_database) == before
    else:
        ok(oaflow("db", "migrate"))
        shared_oap("init_db", {})
        before = theirs(empty_database)
    shared_oap("ensure_indexes", {})
    name = oaflow.pipeline(
        "chain", {"source": {"with": {"count": 7}, "next": "work"}, "work": {"next": "end"}, "end": {}}
    )

    run = ok(oaflow("run", name, "-d", "demo", "--workers", "1", "--json")).json

    assert run["state"] == "finished"
    assert unbalanced(empty_database) == []
    assert theirs(empty_database) == before
    for function, words in REPLACED.items():
        assert words in dict(before)[function]
    ((batch, queues),) = shared_oap("status", {"dataset": "demo"}).items()
    assert batch == run["run"]
    assert sum(queues.values()) == 1 + 7 + 7


@pytest.mark.slow
def test_the_indexes_that_openaleph_drops_are_made_again_by_migrate(shared_oap, oaflow, empty_database):
    def ours():
        with psycopg.connect(empty_database) as connection:
            return connection.execute(
                "SELECT indexname FROM pg_indexes WHERE tablename = 'procrastinate_jobs' AND indexname LIKE 'oaflow%'"
            ).fetchall()

    ok(oaflow("db", "migrate"))
    made = ours()
    shared_oap("ensure_indexes", {})
    assert made
    assert ours() == []

    ok(oaflow("db", "migrate"))

    assert sorted(ours()) == sorted(made)
