"""
Fragment tables that others made lack the index by which what was said about a document is replaced: who is told, and
who makes it.
"""

import uuid

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from oaflow.entities.store import EntityStore
from tests.acceptance.conftest import Command
from tests.acceptance.test_commands import terminal

# As followthemoney-store makes it (tests/compat has the real one make one).
THEIRS = """
CREATE TABLE ftm_theirs (
    id VARCHAR NOT NULL, origin VARCHAR NOT NULL, fragment VARCHAR NOT NULL, timestamp TIMESTAMP WITHOUT TIME ZONE,
    entity JSONB, UNIQUE (id, origin, fragment)
)
"""


@pytest.fixture
def store(database: str) -> EntityStore:
    with psycopg.connect(database) as connection:
        connection.execute(THEIRS)
    return EntityStore(database)


def test_a_missing_index_is_named_and_made_only_when_it_is_asked_for(cli: Command, store: EntityStore) -> None:
    shown = cli("db", "migrate", "--dry-run")
    assert shown.code == 0, shown.err
    assert "ftm_theirs" in shown.err
    assert "nothing to do" in shown.err
    assert cli("db", "migrate", "--dry-run", "--entity-indexes").out == "index on ftm_theirs (origin, fragment)\n"

    unasked = cli("db", "migrate")
    assert unasked.code == 0, unasked.err
    assert "oaflow db migrate --entity-indexes" in unasked.err
    assert "--entity-indexes" not in cli("db", "migrate", "--no-entity-indexes").err
    assert not store.has_index("theirs")

    made = cli("db", "migrate", "--entity-indexes")
    assert made.code == 0, made.err
    assert made.out == "index on ftm_theirs (origin, fragment)\n"
    assert "1 step done" in made.err
    assert store.has_index("theirs")
    assert "nothing to do" in cli("db", "migrate", "--entity-indexes").err


def test_check_and_doctor_remark_on_a_missing_index_and_are_fine(cli: Command, store: EntityStore) -> None:
    checked, examined = cli("db", "check"), cli("doctor")
    assert checked.code == 0, checked.err
    assert "ftm_theirs has no index" in checked.err
    assert "ftm_theirs has no index" in examined.out
    assert "help: oaflow db migrate --entity-indexes" in examined.out
    assert cli("db", "check", "--json").json["entity_indexes_missing"] == ["ftm_theirs"]

    store.add_index("theirs")

    assert "ftm_theirs" not in cli("db", "check").err + cli("doctor").out
    assert cli("db", "check", "--json").json["entity_indexes_missing"] == []


@pytest.mark.parametrize(("answer", "there"), [("y", True), ("n", False)])
def test_in_a_terminal_it_asks(cli: Command, store: EntityStore, answer: str, there: bool) -> None:
    code, seen = terminal(cli, "db", "migrate", answer=answer, question=b"make it?")

    assert code == 0, seen
    assert "ftm_theirs" in seen
    assert store.has_index("theirs") is there


def test_it_looks_where_the_entities_are(cli: Command, store: EntityStore, empty_database: str) -> None:
    elsewhere = {"OAFLOW_ENTITIES_URI": empty_database}

    assert "ftm_theirs" not in cli("db", "check", env=elsewhere).err
    assert "ftm_theirs" in cli("db", "check", env={"OAFLOW_ENTITIES_URI": str(store.conninfo)}).err


def test_a_store_that_cannot_be_reached_is_a_remark(cli: Command) -> None:
    away = {"OAFLOW_ENTITIES_URI": "postgresql://nobody@127.0.0.1:1/nothing"}

    for command in (["db", "migrate"], ["db", "check"]):
        result = cli(*command, env=away)
        assert result.code == 0, result.err
        assert "the entity store could not be checked" in result.err
    assert "the entity store could not be checked" in cli("doctor", env=away).out


def test_who_may_not_make_it_is_told_which_table(cli: Command, store: EntityStore, database: str) -> None:
    role = f"guest_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database) as connection:
        connection.execute(f"CREATE ROLE {role}")
        connection.execute(f"GRANT USAGE ON SCHEMA public, oaflow TO {role}")
    try:
        guest = make_conninfo(database, options=f"-c role={role} -c search_path=oaflow,public")
        result = cli("db", "migrate", "--entity-indexes", env={"OAFLOW_ENTITIES_URI": guest})
    finally:
        with psycopg.connect(database) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")

    assert result.code == 3, result.err
    assert "ftm_theirs got no index" in result.error
    assert result.help == "as its owner: oaflow db migrate --entity-indexes"
    assert not store.has_index("theirs")
