"""
The entity store on a real Postgres.
"""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from followthemoney import model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oaflow.entities.datasets import LONGEST, DatasetNameError, table_name
from oaflow.entities.errors import EntityStoreError, MissingIdError, UnknownSchemaError
from oaflow.entities.statements import for_table
from oaflow.entities.store import BATCH, EntityStore
from oaflow.entities.ways import Ways
from oaflow.jobs import ForbiddenValueError


@pytest.fixture
def store(database):
    with EntityStore(database, patience=10) as opened:
        yield opened


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def person(id, *names, **properties):
    return {"id": id, "schema": "Person", "properties": {"name": list(names), **properties}}


def rows(connection, dataset="d"):
    query = f"SELECT id, origin, fragment, entity->'properties'->'name' FROM {table_name(dataset)} ORDER BY 1, 2, 3"
    return connection.execute(query).fetchall()


def names(store, *ids, dataset="d"):
    return {entity.id: sorted(entity.get("name")) for entity in store.load(dataset, ids)}


def waits_for_a_lock(connection):
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return connection.execute(query).fetchone() == (1,)


def test_what_was_written_is_read_back(store):
    with store.writer("d", "o") as writer:
        writer.add(model.get_proxy(person("a", "Ada", country=["gb"])))
        writer.add(person("b", "Bob"))

    (one, other) = store.load("d", ["b", "a"])

    assert (one.id, other.id) == ("b", "a")
    assert other.to_dict() == {
        "id": "a",
        "schema": "Person",
        "properties": {"name": ["Ada"], "country": ["gb"]},
        "datasets": ["d"],
    }


def test_the_row_is_the_one_that_the_other_libraries_write(store, connection):
    with store.writer("d", "ingest/extract", "doc-1") as writer:
        writer.add(person("a", "Ada"))

    row = connection.execute("SELECT id, origin, fragment, timestamp, entity FROM ftm_d").fetchone()
    columns = connection.execute(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'ftm_d'"
        " ORDER BY ordinal_position"
    ).fetchall()
    now = connection.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone()[0]

    assert row[:3] == ("a", "ingest/extract", "doc-1")
    assert abs((now - row[3]).total_seconds()) < 60
    assert row[4] == {"schema": "Person", "properties": {"name": ["Ada"]}}
    assert columns == [
        ("id", "character varying", "NO"),
        ("origin", "character varying", "NO"),
        ("fragment", "character varying", "NO"),
        ("timestamp", "timestamp without time zone", "YES"),
        ("entity", "jsonb", "YES"),
    ]


def test_fragments_of_an_id_are_merged_and_the_same_triple_overwrites(store, connection):
    for origin, fragment, name in [("o", "1", "A"), ("o", "2", "B"), ("p", "1", "C"), ("o", "1", "D")]:
        with store.writer("d", origin) as writer:
            writer.put(person("a", name), fragment=fragment)

    assert [row[1:] for row in rows(connection)] == [("o", "1", ["D"]), ("o", "2", ["B"]), ("p", "1", ["C"])]
    assert names(store, "a") == {"a": ["B", "C", "D"]}


def test_put_takes_a_fragment_and_an_origin_of_its_own(store, connection):
    with store.writer("d", "o") as writer:
        writer.put(person("a", "A"), fragment="f", origin="other")
        writer.put(person("a", "B"))

    assert [row[:3] for row in rows(connection)] == [("a", "o", "default"), ("a", "other", "f")]


def test_said_twice_within_an_attempt_is_merged_also_over_batches(store, connection):
    writer = store.writer("d", "o")
    writer.add(person("a", "A"))
    writer.add(person("a", "B"))
    writer.flush()
    writer.add(person("a", "C"))
    writer.flush()

    assert names(store, "a") == {"a": ["A", "B", "C"]}
    assert rows(connection)[0][3] == ["A", "B", "C"]


def test_a_later_attempt_overwrites_and_does_not_merge(store):
    for name in ("A", "B"):
        with store.writer("d", "o") as writer:
            writer.add(person("a", name))

    assert names(store, "a") == {"a": ["B"]}


def test_no_ids_read_nothing_and_an_unknown_dataset_is_empty(store):
    with store.writer("d", "o") as writer:
        writer.add(person("a", "A"))

    assert list(store.load("d", [])) == []
    assert list(store.load("d", ["nobody"])) == []
    assert list(store.load("nothing_here", ["a"])) == []
    assert list(store.iterate("nothing_here")) == []


def test_more_than_a_batch_is_written_and_read_sorted_by_id(store):
    count = BATCH * 2 + 7
    with store.writer("d", "o") as writer:
        for number in range(count):
            writer.add(person(f"p-{number:05}", f"N{number}"))
        writer.add({"id": "doc", "schema": "Pages", "properties": {}})

    found = [entity.id for entity in store.iterate("d", schema="LegalEntity")]

    assert found == [f"p-{number:05}" for number in range(count)]
    assert [entity.id for entity in store.iterate("d", schema="Document")] == ["doc"]
    assert len(list(store.load("d", found))) == count


# --- replacing what was said about a document


def said(store, fragment, *names, origin="o"):
    writer = store.writer("d", origin, fragment, replace=True)
    for name in names:
        writer.add(person(name, name.upper()))
    writer.settle()


def test_what_a_stage_no_longer_says_about_a_document_is_deleted(store, connection):
    said(store, "doc-1", "a", "b")
    said(store, "doc-2", "b")
    said(store, "doc-1", "a", origin="other")

    said(store, "doc-1", "b", "c")

    assert [row[:3] for row in rows(connection)] == [
        ("a", "other", "doc-1"),
        ("b", "o", "doc-1"),
        ("b", "o", "doc-2"),
        ("c", "o", "doc-1"),
    ]


def test_a_stage_that_says_nothing_any_more_leaves_nothing(store, connection):
    said(store, "doc-1", "a")
    said(store, "doc-1")

    assert rows(connection) == []


def test_settling_a_dataset_without_a_table_does_nothing(store):
    store.writer("unheard_of", "o", "doc-1", replace=True).settle()

    assert store.datasets() == []


def test_nothing_is_deleted_before_the_end_and_settling_may_be_repeated(store, connection):
    said(store, "doc-1", "a")
    writer = store.writer("d", "o", "doc-1", replace=True)
    with writer:
        writer.add(person("b", "B"))
    assert [row[0] for row in rows(connection)] == ["a", "b"]

    with writer:
        writer.add(person("c", "C"))
    writer.settle()
    writer.settle()

    assert [row[0] for row in rows(connection)] == ["b", "c"]


def test_what_was_written_under_other_fragments_and_origins_is_not_replaced(store, connection):
    writer = store.writer("d", "o", "doc-1", replace=True)
    writer.put(person("a", "A"), fragment="mine")
    writer.settle()
    said(store, "doc-1", "b")

    assert [row[:3] for row in rows(connection)] == [("a", "o", "mine"), ("b", "o", "doc-1")]


def test_a_clock_that_was_set_back_deletes_nothing_new_and_keeps_nothing_old(store, connection):
    said(store, "doc-1", "a", "b")
    connection.execute("UPDATE ftm_d SET timestamp = timestamp + interval '1 year'")

    said(store, "doc-1", "b", "c")

    assert [row[0] for row in rows(connection)] == ["b", "c"]


def test_an_attempt_that_died_in_the_middle_leaves_nothing_behind_after_the_next(store, connection):
    half = store.writer("d", "o", "doc-1", replace=True)
    half.add(person("dead", "D"))
    half.add(person("b", "OLD"))
    half.flush()

    said(store, "doc-1", "b", "c")

    assert [(row[0], row[3]) for row in rows(connection)] == [("b", ["B"]), ("c", ["C"])]


@given(st.lists(st.tuples(st.sampled_from(["d1", "d2"]), st.sets(st.sampled_from("abcd"))), max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_runs_the_store_is_what_the_last_run_of_each_document_said(store, connection, runs):
    store.make_table("d")
    connection.execute("TRUNCATE ftm_d")
    for document, what in runs:
        said(store, document, *sorted(what))

    assert {(row[2], row[0]) for row in rows(connection)} == {
        (document, name) for document, what in dict(runs).items() for name in what
    }


# --- tables


MAKER = """
import sys
from oaflow.entities.store import EntityStore
store = EntityStore(sys.argv[1])
store.run("d", "enter", lambda connection: connection.execute("SELECT 1"))
print("ready", flush=True); sys.stdin.readline()
for number in range(20):
    store.make_table(f"many_{number}")
"""


def test_eight_sessions_that_make_twenty_tables_at_once_meet_no_error(database, store):
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(8)
    ]  # fmt: skip
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.stdin.write("\n")
        maker.stdin.flush()

    assert [maker.communicate(timeout=120)[1] for maker in makers] == [""] * 8
    assert len(store.datasets()) == 20
    assert all(store.has_index(dataset) for dataset in store.datasets())


def test_the_index_is_used_and_a_table_of_others_is_found_to_lack_it(store, connection):
    said(store, "doc-1", "a")
    assert store.has_index("d")
    connection.execute("SET enable_seqscan = off")
    plan = connection.execute("EXPLAIN SELECT FROM ftm_d WHERE origin = 'o' AND fragment = 'f'").fetchall()
    assert "(origin)" in str(plan) or "ftm_d_origin_fragment_idx" in str(plan)

    connection.execute("CREATE TABLE ftm_theirs (LIKE ftm_d)")
    assert not store.has_index("theirs")
    store.add_index("theirs")
    assert store.has_index("theirs")


def test_the_way_to_a_few_documents_is_found_without_reading_the_dataset_and_a_circle_has_an_end(store, connection):
    with store.writer("d", "o") as writer:
        writer.add({"id": "root", "schema": "Folder", "properties": {"fileName": ["files"]}})
        for number in range(3000):
            said = {"fileName": [f"{number}.zip"], "parent": ["root"]}
            writer.add({"id": f"{number}", "schema": "Package", "properties": said})
        for id, above in (("in", "7"), ("a", "b"), ("b", "a")):
            writer.add({"id": id, "schema": "Package", "properties": {"fileName": [f"{id}.zip"], "parent": [above]}})
    connection.execute("SET enable_seqscan = off")

    ways = Ways(store, "d")
    plan = connection.execute(
        b"EXPLAIN (ANALYZE, TIMING OFF) " + for_table("ways", "ftm_d"), {"ids": [str(number) for number in range(100)]}
    ).fetchall()

    assert ways.to(["in", "8", "nobody"]) == {"in": "files/7.zip › ", "8": "files/"}
    assert set(ways.to(["a"])["a"].split(" › ")) == {"a.zip", "b.zip", ""}
    reads = [line for (line,) in plan if " on ftm_d" in line]
    assert reads
    assert all("(actual rows=1.00 loops=100)" in line for line in reads), plan


def test_an_index_that_was_interrupted_is_made_again(store, connection):
    store.make_table("d")
    connection.execute("CREATE TABLE ftm_theirs (LIKE ftm_d)")
    store.add_index("theirs")
    # As CREATE INDEX CONCURRENTLY leaves it where it is killed; that needs a superuser, which the test is.
    connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ftm_theirs_origin_fragment_idx'::regclass"
    )
    assert not store.has_index("theirs")

    store.add_index("theirs")

    assert store.has_index("theirs")
    left = connection.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'ftm_theirs'").fetchone()
    assert left == (1,)


def test_two_tables_with_the_longest_names_get_an_index_each(store, connection):
    for ending in "ab":
        dataset = "x" * (LONGEST - 1) + ending
        store.make_table(dataset)
        connection.execute(f"DROP INDEX {only_index(connection, dataset)}")
        assert not store.has_index(dataset)

        store.add_index(dataset)

    assert all(store.has_index(dataset) for dataset in store.datasets())


def only_index(connection, dataset):
    row = connection.execute(
        "SELECT indexname FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%(origin, fragment)'",
        [f"ftm_{dataset}"],
    ).fetchone()
    return row[0]


def test_a_table_that_was_dropped_under_a_writer_is_made_again(store, connection):
    with store.writer("d", "o") as writer:
        writer.add(person("a", "A"))
    connection.execute("DROP TABLE ftm_d")

    with store.writer("d", "o") as writer:
        writer.add(person("b", "B"))

    assert names(store, "a", "b") == {"b": ["B"]}


def test_other_tables_that_begin_alike_are_no_datasets(store, connection):
    store.make_table("d")
    connection.execute("CREATE TABLE ftm_something (a int)")
    connection.execute("CREATE TABLE ftmx (LIKE ftm_d)")

    assert store.datasets() == ["d"]


@pytest.mark.parametrize(
    "dataset", ["", "Ümlaut", "a b", "a-b", "A", "_a", "a__b", "a_", "x" * (LONGEST + 1), 'a"; DROP']
)
def test_a_dataset_that_the_store_cannot_hold_is_refused_in_one_sentence(store, dataset):
    with pytest.raises(DatasetNameError) as caught:
        store.writer(dataset, "o")

    assert repr(dataset) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_longest_name_has_its_own_table_and_index(store):
    for ending in "ab":
        dataset = "x" * (LONGEST - 1) + ending
        with store.writer(dataset, "o") as writer:
            writer.add(person(ending, ending))

    assert len(store.datasets()) == 2
    assert all(store.has_index(dataset) for dataset in store.datasets())


# --- what goes wrong


def test_an_entity_without_an_id_is_refused(store):
    with pytest.raises(MissingIdError, match="schema Person has no id"):
        store.writer("d", "o").add(model.make_entity("Person"))


def test_an_entity_of_a_schema_that_does_not_exist_is_refused_as_its_dataset_could_not_be_read_any_more(store):
    with store.writer("d", "o") as writer:
        writer.add(person("a", "Ada"))
        with pytest.raises(UnknownSchemaError, match="entity 'b' is of schema 'Persn'") as caught:
            writer.add(person("b", "Bob") | {"schema": "Persn"})
        with pytest.raises(UnknownSchemaError, match="entity 'c' is of schema None"):
            writer.add({"id": "c", "properties": {}})

    assert caught.value.help == "did you mean 'Person'?"
    assert names(store, "a", "b", "c") == {"a": ["Ada"]}


def test_a_schema_of_an_own_model_of_followthemoney_is_none_that_does_not_exist(store, monkeypatch):
    monkeypatch.setitem(model.schemata, "Spell", model.get("Person"))

    with store.writer("d", "o") as writer:
        writer.add({"id": "a", "schema": "Spell", "properties": {}})


def test_what_postgres_cannot_hold_is_refused_with_the_entity_and_the_property(store):
    with pytest.raises(ForbiddenValueError) as caught:
        store.writer("d", "o").add(person("a", "A\0"))

    assert caught.value.place == "entity a.properties.name[0]"


def test_a_flush_that_fails_raises_and_keeps_what_it_holds(store, connection):
    store.make_table("d")
    connection.execute("ALTER TABLE ftm_d ADD CHECK (origin <> 'refused')")
    writer = store.writer("d", "refused")
    writer.add(person("a", "A"))

    with pytest.raises(EntityStoreError, match=r"could not write to dataset 'd'.*check constraint"):
        writer.flush()

    connection.execute("ALTER TABLE ftm_d DROP CONSTRAINT ftm_d_origin_check")
    writer.flush()
    assert names(store, "a") == {"a": ["A"]}


def test_leaving_the_block_raises_where_nothing_was_written(store, connection):
    store.make_table("d")
    connection.execute("ALTER TABLE ftm_d ADD CHECK (origin <> 'refused')")

    with pytest.raises(EntityStoreError), store.writer("d", "refused") as writer:
        writer.add(person("a", "A"))


def test_an_error_in_the_block_is_the_one_that_is_raised(store, connection):
    store.make_table("d")
    connection.execute("ALTER TABLE ftm_d ADD CHECK (origin <> 'refused')")

    def block():
        with store.writer("d", "refused") as writer:
            writer.add(person("a", "A"))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        block()

    assert "could not write" in caught.value.__notes__[0]


def test_a_cut_connection_is_opened_again(store, connection):
    writer = store.writer("d", "o")
    writer.add(person("a", "A"))
    writer.flush()
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'oaflow entities' AND datname = current_database()"
    )

    writer.add(person("b", "B"))
    writer.settle()

    assert names(store, "a", "b") == {"a": ["A"], "b": ["B"]}


def test_a_database_that_stays_away_is_an_error_within_the_stores_patience():
    started = time.monotonic()
    with EntityStore("postgresql://localhost:1/x", patience=0.5) as away, pytest.raises(EntityStoreError):
        list(away.load("d", ["a"]))

    assert time.monotonic() - started < 25  # the patience of others is 30


def test_writers_of_the_same_entities_in_any_order_do_not_stop_each_other(database):
    ids = [f"p-{number}" for number in range(200)]
    problems = []

    def write(number):
        try:
            with EntityStore(database) as store:
                for _ in range(5):
                    writer = store.writer("d", "o", "doc", replace=True)
                    for id in ids if number % 2 else reversed(ids):
                        writer.add(person(id, id))
                    writer.settle()
        except Exception as error:
            problems.append(error)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))

    assert problems == []
    with EntityStore(database) as store:
        assert len(list(store.load("d", ids))) == 200


def test_an_attempt_that_is_alone_asks_what_to_delete_only_where_something_was_before(store, monkeypatch):
    asked: list[bytes] = []
    rows = store.rows

    def noted(dataset, statement, values):
        asked.append(statement)
        return rows(dataset, statement, values)

    def attempt(*ids, alone=True):
        asked.clear()
        with store.writer("d", "o", "doc", replace=True) as writer:
            for id in ids:
                writer.add(person(id, "A"))
                writer.flush()
        writer.settle(alone=alone)
        return asked

    unsettled, settle = (for_table(name, table_name("d")) for name in ("unsettled", "settle"))
    monkeypatch.setattr(store, "rows", noted)
    assert attempt("a", "b") == []
    assert attempt("a", "b") == [unsettled]
    assert attempt("a") == [unsettled, settle]
    assert names(store, "a", "b") == {"a": ["A"]}

    store.take_out("d", for_table("withdraw", table_name("d")), {"origins": ["o"], "fragments": ["doc"], "since": None})
    assert attempt("a", alone=False) == [unsettled]


def test_an_attempt_that_waited_for_a_later_one_does_not_make_its_entities_look_old(store, database, connection):
    statement = for_table("write", table_name("d"))
    with store.writer("d", "o", "doc", replace=True) as first:
        first.add(person("a", "A"))
    scope = {"origin": "o", "fragment": "doc", "begun": None}
    row = {"id": "a", "origin": "o", "fragment": "doc", "entity": person("a", "A")}

    with psycopg.connect(database) as later, ThreadPoolExecutor(1) as pool:
        later.execute(f"SELECT FROM {table_name('d')} FOR UPDATE")
        slower = store.writer("d", "o", "doc", replace=True)
        slower.add(person("a", "A"))
        written = pool.submit(slower.flush)
        while not written.done() and not waits_for_a_lock(connection):
            pass
        ((begun, _),) = later.execute(statement, {**scope, "rows": json.dumps([row])}).fetchall()
        later.commit()
        written.result(30)
        later.execute(for_table("settle", table_name("d")), {**scope, "begun": begun})

    assert names(store, "a") == {"a": ["A"]}


def test_threads_may_share_a_store(store):
    def write(number):
        with store.writer("d", f"o{number}") as writer:
            for item in range(50):
                writer.add(person(f"{item}", f"N{number}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert names(store, "7") == {"7": [f"N{number}" for number in range(8)]}


def test_addresses_that_name_a_driver_of_sqlalchemy_are_understood(database):
    parts = psycopg.conninfo.conninfo_to_dict(database)
    address = (
        f"postgresql+psycopg2://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts.get('port', 5432)}"
    )
    with EntityStore(address) as store, store.writer("d", "o") as writer:
        writer.add(person("a", "A"))
        writer.flush()
        assert names(store, "a") == {"a": ["A"]}


def test_entities_of_schemata_that_do_not_go_together_are_named_when_read(store):
    for origin, schema in (("o", "Person"), ("p", "Vessel")):
        with store.writer("d", origin) as writer:
            writer.add({"id": "a", "schema": schema, "properties": {}})

    with pytest.raises(EntityStoreError, match="a"):
        list(store.load("d", ["a"]))
