"""
Search on a real server: what is indexed is found, by whatever words it has.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from followthemoney import model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oaflow.entities.search import (
    be_certain,
    doubtful,
    drop,
    expire,
    index,
    known,
    older,
    prune,
    refresh,
    remove,
    search,
    suggest,
)
from oaflow.entities.statements import text as statement
from oaflow.entities.words import fold, words


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def entity(schema: str, entity_id: str, **properties: str):
    proxy = model.make_entity(schema)
    proxy.id = entity_id
    for name, value in properties.items():
        proxy.add(name, value)
    return proxy


def letters():
    """A document of two pages, and the entity of a person."""
    return [
        entity("Page", "b-1", document="b", index="1", bodyText="The harbour authority, Zürich branch."),
        entity("Page", "b-2", document="b", index="2", bodyText="A letter of intent. 合同由北京市朝阳区签署"),
        entity("Pages", "b", fileName="report_2024-Q3.pdf", title="Quarterly"),
        entity("Person", "p", name="Jana Novák"),
    ]


def files(connection, query: str, dataset: str = "d") -> list[str]:
    return [hit.file for hit in search(connection, dataset, query)]


@pytest.mark.parametrize(
    "query",
    [
        "zurich",
        "ZÜRICH harbour",
        "Q3",
        "q3 harbour intent",  # each on another page, or in the name
        '"letter of intent"',
        "harb*",
        "北",
        "署",
        "北京",
        "朝阳区",
        "北京市朝",
        "北京市朝阳区签署",
        "quarterly",
    ],
)
def test_a_document_is_found_by(connection, query):
    index(connection, "d", letters())
    assert files(connection, query) == ["report_2024-Q3.pdf"]


@pytest.mark.parametrize(
    "query", ['"intent of letter"', "harbour zebra", "harb", "京北", "", "  ", "!|&():*<->'\\", "%", "\x00"]
)
def test_a_document_is_not_found_by(connection, query):
    index(connection, "d", letters())
    assert files(connection, query) == []


def test_a_hit_names_the_page_and_marks_the_words_as_written(connection):
    index(connection, "d", letters())
    (hit,) = search(connection, "d", "intent")
    assert json.loads(json.dumps(hit.as_json())) == {
        "file": "report_2024-Q3.pdf",
        "page": 2,
        "passage": "A letter of intent. 合同由北京市朝阳区签署",
        "entity": "b",
        "schema": "Pages",
        "score": hit.score,
    }
    assert [hit.passage[start:end] for start, end in hit.marks] == ["intent"]


def test_a_word_in_the_name_counts_more_than_one_in_the_text(connection):
    one = entity("PlainText", "one", fileName="one.txt", bodyText="the harbour, the harbour and the harbour")
    two = entity("PlainText", "two", fileName="harbour.txt", bodyText="something else")
    index(connection, "d", [one, two])
    assert files(connection, "harbour") == ["harbour.txt", "one.txt"]


def test_a_word_that_is_only_in_the_name_shows_the_beginning_of_the_text(connection):
    index(connection, "d", letters())
    (hit,) = search(connection, "d", "q3")
    assert hit.passage == "The harbour authority, Zürich branch."
    assert [hit.file[start:end] for start, end in hit.file_marks] == ["Q3"]


def test_datasets_do_not_see_each_other(connection):
    index(connection, "d", letters())
    assert files(connection, "zurich", "other") == []


def test_the_limit_holds_and_the_best_come_first(connection):
    documents = [entity("PlainText", f"t{n}", fileName=f"{n}.txt", bodyText="ship " * n) for n in range(1, 31)]
    index(connection, "d", documents)
    hits = search(connection, "d", "ship", limit=7)
    assert len(hits) == 7
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_indexing_again_replaces_the_whole_entity(connection):
    index(connection, "d", [entity("PlainText", "t", fileName="old.txt", bodyText="walrus " * 9000)])
    index(connection, "d", [entity("PlainText", "t", fileName="new.txt", bodyText="penguin")])
    assert files(connection, "walrus") == []
    assert files(connection, "penguin") == ["new.txt"]


def test_an_entity_that_fails_leaves_what_was_there(connection):
    index(connection, "d", letters())

    with pytest.raises(ValueError, match="without an id"):
        index(connection, "d", [entity("PlainText", "b", fileName="b.txt"), model.make_entity("Person")])

    assert files(connection, "q3") == ["report_2024-Q3.pdf"]


def test_removing_a_document_takes_its_pages_along(connection):
    index(connection, "d", letters())
    assert remove(connection, "d", ["b"]) == 3
    assert files(connection, "zurich") == []
    assert files(connection, "novak") == ["Jana Novák"]


def test_removing_nothing_removes_nothing(connection):
    index(connection, "d", letters())
    assert remove(connection, "d", []) == 0
    assert files(connection, "zurich") == ["report_2024-Q3.pdf"]


def test_pages_that_a_document_lost_can_be_pruned(connection):
    index(connection, "d", letters())
    assert prune(connection, "d", "b", ["b-1"]) == 1
    assert files(connection, "intent") == []
    assert files(connection, "zurich") == ["report_2024-Q3.pdf"]


def test_a_dataset_can_be_dropped(connection):
    index(connection, "d", letters())
    index(connection, "e", letters())
    assert drop(connection, "d") == 4
    assert files(connection, "zurich") == []
    assert files(connection, "zurich", "e") == ["report_2024-Q3.pdf"]


def test_a_search_that_finds_nothing_has_words_to_offer(connection):
    index(connection, "d", letters())
    (missing,) = suggest(connection, "d", "harbuor zurich")
    assert (missing.term, missing.near[0]) == ("harbuor", "harbour")


def test_where_every_word_occurs_but_not_together_nothing_is_missing(connection):
    index(connection, "d", letters())
    assert files(connection, "novak zurich") == []
    assert suggest(connection, "d", "novak zurich") == []


def test_the_last_word_of_a_text_that_is_too_long_for_one_vector_is_found(connection):
    # 150,000 distinct words. One of 20 MB goes through `oaflow run` in tests/acceptance.
    text = " ".join(f"wort{n}" for n in range(150_000)) + " zebrafinch"
    index(connection, "d", [entity("PlainText", "big", fileName="big.txt", bodyText=text)])

    (hit,) = search(connection, "d", "zebrafinch wort1")

    assert hit.file == "big.txt"
    assert search(connection, "d", "zebrafinch")[0].passage.endswith("zebrafinch")


def test_two_that_index_the_same_entities_at_once_take_turns(database):
    def work(order: int) -> None:
        with psycopg.connect(database) as own:
            for _ in range(20):
                index(own, "d", letters()[::order])
                own.commit()

    threads = [threading.Thread(target=work, args=(order,)) for order in (1, -1, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM oaflow.passages").fetchone() == (4,)


def test_what_is_indexed_anew_for_others_keeps_the_time_at_which_it_came(connection):
    index(connection, "d", [entity("Person", name, name=name) for name in ("p", "q")])
    index(connection, "other", [entity("Person", "p", name="p")])
    begun = connection.execute("SELECT clock_timestamp()").fetchone()[0]
    index(connection, "d", [entity("Person", "q", name="q")])

    refresh(connection, "d", [entity("Person", name, name=f"{name} Novák") for name in ("p", "q", "unknown")])

    assert [hit.entity for hit in search(connection, "d", "novak")] == ["p", "q"]
    assert older(connection, "d", ["p", "q", "unknown"], begun) == ["p"]
    # Whether they are to be found is asked until somebody says so, and of what was not indexed anew, never.
    assert doubtful(connection, "d", "", 10) == ["p", "q"]
    assert (doubtful(connection, "d", "p", 10), doubtful(connection, "d", "", 1)) == (["q"], ["p"])
    assert doubtful(connection, "other", "", 10) == []
    be_certain(connection, "d", ["q"])
    assert doubtful(connection, "d", "", 10) == ["p"]
    expire(connection, "d", ["p", "q"], begun)
    assert known(connection, "d", ["p", "q"]) == {"q"}
    # What is in doubt goes whenever it came, unless it has come again.
    refresh(connection, "d", [entity("Person", "q", name="q")])
    index(connection, "d", [entity("Person", "r", name="r")])
    refresh(connection, "d", [entity("Person", "r", name="r")])
    index(connection, "d", [entity("Person", "r", name="r")])
    expire(connection, "d", ["q", "r"], begun)
    assert known(connection, "d", ["q", "r"]) == {"r"}
    assert known(connection, "other", ["p"]) == {"p"}


def test_the_words_are_looked_up_in_the_index(connection):
    index(connection, "d", [entity("PlainText", f"t{n}", fileName=f"{n}.txt", bodyText=f"w{n}") for n in range(2000)])
    connection.execute("ANALYZE oaflow.passages")
    query = statement("search_find")
    plan = connection.execute("EXPLAIN " + query, {"dataset": "d", "terms": ["'w7'", "'txt'"], "limit": 20}).fetchall()
    assert "passages_words" in "\n".join(line for (line,) in plan)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, min_size=1, max_size=3), texts, st.data())
def test_what_is_indexed_is_found_by_each_of_its_words(connection, pages, name, data):
    drop(connection, "law")
    document = [entity("Pages", "doc", fileName=name)]
    document += [
        entity("Page", f"page-{n}", document="doc", index=str(n), bodyText=page) for n, page in enumerate(pages, 1)
    ]
    index(connection, "law", data.draw(st.permutations(document)))
    # What FollowTheMoney cleaned out of a value (spaces, unprintable letters) was not indexed.
    kept = [value for one in document for value in (*one.get("fileName", quiet=True), *one.get("bodyText"))]
    for value in kept:
        for word in words(fold(value)):
            (hit,) = search(connection, "law", word.lexeme)
            assert hit.entity == "doc"
        if list(words(fold(value))):
            assert search(connection, "law", f'"{value}"'.replace("\n", " "))[0].entity == "doc"
