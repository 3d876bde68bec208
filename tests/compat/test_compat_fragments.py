"""
The fragment tables are read both ways by ftmq and by followthemoney-store.
"""

import psycopg
import pytest

from oaflow.entities.store import EntityStore

FRAGMENTS = [
    [{"id": "a", "schema": "Person", "properties": {"name": ["Ada"]}}, "ingest/extract", "doc-1"],
    [
        {"id": "a", "schema": "Person", "properties": {"country": ["gb"], "name": ["Ada", "Countess"]}},
        "analyze",
        "doc-2",
    ],
    [{"id": "a", "schema": "LegalEntity", "properties": {"email": ["ada@example.org"]}}, "analyze", None],
    [
        {"id": "b", "schema": "Pages", "properties": {"fileName": ["Zürich.pdf"], "bodyText": ["x" * 1000]}},
        "o",
        "doc-1",
    ],
]

MERGED = {
    "a": ("Person", {"name": {"Ada", "Countess"}, "country": {"gb"}, "email": {"ada@example.org"}}),
    "b": ("Pages", {"fileName": {"Zürich.pdf"}, "bodyText": {"x" * 1000}}),
}


def contents(entities):
    return {
        entity["id"]: (entity["schema"], {name: set(found) for name, found in entity["properties"].items()})
        for entity in entities
    }


def put(store, fragments):
    with store.writer("d", "unused") as writer:
        for entity, origin, fragment in fragments:
            writer.put(entity, fragment=fragment, origin=origin)


@pytest.fixture
def store(database):
    with EntityStore(database) as opened:
        yield opened


@pytest.fixture
def keys(database):
    def read():
        with psycopg.connect(database) as connection:
            return connection.execute("SELECT id, origin, fragment FROM ftm_d ORDER BY 1, 2, 3").fetchall()

    return read


def test_what_we_wrote_they_read(fragments, store, uri):
    put(store, FRAGMENTS)

    assert contents(fragments("get_entities", {"uri": uri, "dataset": "d"})) == MERGED
    assert contents(fragments("get_entities", {"uri": uri, "dataset": "d", "ids": ["b"]})) == {"b": MERGED["b"]}


def test_what_they_wrote_we_read(fragments, store, uri):
    fragments("put_fragments", {"uri": uri, "dataset": "d", "entities": FRAGMENTS})

    assert contents(entity.to_dict() for entity in store.iterate("d")) == MERGED
    assert contents(entity.to_dict() for entity in store.load("d", ["b", "c"])) == {"b": MERGED["b"]}
    assert store.datasets() == ["d"]


def test_both_write_the_same_rows(fragments, store, uri, database):
    def rows():
        with psycopg.connect(database) as connection:
            return connection.execute("SELECT id, origin, fragment, entity FROM ftm_d ORDER BY 1, 2, 3").fetchall()

    put(store, FRAGMENTS)
    ours = rows()
    fragments("put_fragments", {"uri": uri, "dataset": "d", "entities": FRAGMENTS})

    assert rows() == ours


def test_in_a_table_that_they_made_we_overwrite_and_replace(fragments, store, uri, keys):
    fragments("put_fragments", {"uri": uri, "dataset": "d", "entities": FRAGMENTS})

    writer = store.writer("d", "ingest/extract", "doc-1", replace=True)
    writer.add({"id": "c", "schema": "Person", "properties": {"name": ["Cy"]}})
    writer.settle()

    assert ("a", "ingest/extract", "doc-1") not in keys()
    assert ("c", "ingest/extract", "doc-1") in keys()
    assert ("b", "o", "doc-1") in keys()
    assert not store.has_index("d")

    store.add_index("d")

    assert store.has_index("d")
    fragments("put_fragments", {"uri": uri, "dataset": "d", "entities": FRAGMENTS})
    assert ("a", "ingest/extract", "doc-1") in keys()


def test_in_a_table_that_we_made_they_overwrite(fragments, store, uri, keys):
    put(store, FRAGMENTS)
    changed = [[{"id": "b", "schema": "Pages", "properties": {"fileName": ["new.pdf"]}}, "o", "doc-1"]]

    fragments("put_fragments", {"uri": uri, "dataset": "d", "entities": changed})

    (entity,) = store.load("d", ["b"])
    assert entity.get("fileName") == ["new.pdf"]
    assert len(keys()) == len(FRAGMENTS)


def test_a_missing_origin_of_theirs_is_read(fragments, store, uri, keys):
    fragments("put_fragments", {"uri": uri, "dataset": "d", "entities": [[FRAGMENTS[0][0], None, None]]})

    assert keys() == [("a", "null", "default")]
    assert [entity.id for entity in store.iterate("d")] == ["a"]
