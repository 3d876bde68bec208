"""
What is stored of a text, and which piece of it is shown.
"""

import re

import pytest
from followthemoney import model
from hypothesis import given
from hypothesis import strategies as st

from oaflow.entities.passages import passage, rows
from oaflow.entities.query import terms
from oaflow.entities.words import fold, words


def entity(schema, entity_id, **properties):
    proxy = model.make_entity(schema)
    proxy.id = entity_id
    for name, value in properties.items():
        proxy.add(name, value)
    return proxy


def lexemes(vector):
    return set(re.findall(r"'([^']+)'", vector))


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
long_texts = st.builds(lambda text, times: (text + " ") * times, texts, st.integers(1, 3000))


@given(long_texts)
def test_every_word_of_a_text_is_in_one_of_its_rows(text):
    document = entity("PlainText", "d", fileName="x.txt", bodyText=text)
    stored = set().union(*(lexemes(row.words) for row in rows(document)))
    assert {word.lexeme for word in words(fold(text.strip()))} <= stored


@pytest.mark.parametrize(
    "text", ["a " * 20_000, "北京" * 20_000, "x" * 90_000, "".join(map(chr, range(0x4E00, 0x9F00)))]
)
def test_no_row_holds_more_than_a_vector_keeps(text):
    for row in rows(entity("PlainText", "d", fileName="x.txt", bodyText=text)):
        for places in re.findall(r"':([0-9A,]+)", row.words):
            assert len(places.split(",")) < 256
            assert int(places.split(",")[-1].rstrip("A")) < 16_384
        assert len(row.words.encode()) < 1_000_000


def test_a_page_belongs_to_its_document_and_has_its_number():
    (row,) = rows(entity("Page", "p2", document="d", index="2", bodyText="second"))
    assert (row.document, row.page, row.part, row.schema) == ("d", 2, 1, "Page")


def test_names_and_mentions_are_searchable_and_check_sums_are_not():
    (row,) = rows(
        entity(
            "Pages", "d", fileName="Q3.pdf", emailMentioned="jana@example.com", contentHash="a" * 40, parent="folder"
        )
    )
    assert {"q3", "pdf", "jana", "example"} <= lexemes(row.words)
    assert not lexemes(row.words) & {"a" * 40, "folder"}
    assert re.search(r"'q3':1A", row.words)


def test_a_name_that_a_document_mentions_is_not_the_documents_own():
    own, *_ = rows(entity("PlainText", "d", fileName="x.txt", namesMentioned="Jana Novák"))
    person, *_ = rows(entity("Person", "p", name="Jana Novák"))
    assert re.search(r"'novak':\d+A", person.words)
    assert re.search(r"'novak':\d+(?!A)\b", own.words)


def test_a_person_with_an_address_is_shown_once_and_found_by_either():
    mail = entity(
        "Email",
        "m",
        **{"from": "Marta Kühn <M.Kuehn@example.org>"},
        peopleMentioned=["Marta Kühn", "Marta"],
        emailMentioned=["m.kuehn@example.org", "a@example.org"],
    )

    (row,) = rows(mail)

    assert row.text.split(" · ")[0] == "Marta Kühn <M.Kuehn@example.org>"
    assert sorted(row.text.split(" · ")[1:]) == ["Marta", "a@example.org"]
    assert {"marta", "kuhn"} < lexemes(row.words)


def test_html_is_read_where_there_is_no_text():
    page = entity("HyperText", "d", fileName="x.html", bodyHtml="<p>Har<b>bour</b></p><script>var hidden</script>")
    stored = set().union(*(lexemes(row.words) for row in rows(page)))
    assert "bour" in stored
    assert "hidden" not in stored


def test_an_entity_without_id_is_refused():
    with pytest.raises(ValueError, match="without an id"):
        list(rows(model.make_entity("Person")))


def marked(text, query, **options):
    piece = passage(text, terms(query), **options)
    return piece.text, [piece.text[start:end] for start, end in piece.marks]


def test_a_passage_marks_the_words_as_they_were_written():
    assert marked("Die Bank in ZÜRICH,\n heute.", "zurich bank") == ("Die Bank in ZÜRICH, heute.", ["Bank", "ZÜRICH"])


def test_a_passage_is_where_most_of_the_words_are():
    text = "alpha " + "x " * 500 + "the alpha and the omega " + "y " * 500
    shown, found = marked(text, "omega alpha")
    assert found == ["alpha", "omega"]
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) < 260


def test_one_chinese_character_marks_itself_and_a_phrase_all_of_it():
    assert marked("合同由北京市签署", "北")[1] == ["北"]
    assert marked("合同由北京市签署", "北京市")[1] == ["北京市"]


def test_without_a_word_of_it_the_beginning_is_shown():
    assert marked("one two three", "zebra") == ("one two three", [])


@given(texts, st.data())
def test_marks_lie_in_the_passage_in_order_and_fold_to_what_was_sought(text, data):
    found = [word.lexeme for word in words(fold(text))]
    query = data.draw(st.sampled_from(found)) if found else "x"
    piece = passage(text, terms(query), length=40)
    ends = [0]
    for start, end in piece.marks:
        assert ends[-1] <= start < end <= len(piece.text)
        ends.append(end)
    if found:
        assert piece.marks
