"""
What a word is, and what a query is.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.entities.query import terms, tsquery
from oaflow.entities.words import LONGEST, Folded, fold, words

texts = st.text(st.characters(exclude_categories=["Cs"]))


def lexemes(text):
    return [word.lexeme for word in words(fold(text))]


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Zürich", "zurich"),
        ("Zu\u0308rich", "zürich"),
        ("МОСКВА", "москва"),
        ("Straße", "STRASSE"),
        ("Łódź", "lodz"),
        ("İstanbul", "istanbul"),
        ("ＱＡ１２", "qa12"),
        ("ﬁnance", "finance"),
        ("مـحـمـد", "محمد"),
        ("مُحَمَّد", "محمد"),
        ("أحمد", "احمد"),
        ("شركة", "شركه"),
        ("٢٠٢٤", "2024"),
        ("Ёлка", "елка"),
        ("co\u00adoperate", "cooperate"),
        ("ﾊﾞﾝｸ", "バンク"),
    ],
)
def test_spellings_of_one_word_are_one_word(written, typed):
    assert lexemes(written) == lexemes(typed) != []


@pytest.mark.parametrize(("one", "other"), [("が", "か"), ("किताब", "कताब"), ("1", "2")])
def test_marks_that_make_another_word_are_kept(one, other):
    assert lexemes(one) != lexemes(other)


def test_a_file_name_is_split_at_its_punctuation():
    assert lexemes("report_2024-Q3.pdf") == ["report", "2024", "q3", "pdf"]


def test_chinese_is_pairs_of_characters_and_the_last_one_alone():
    assert lexemes("北京 市\nQ3") == ["北京", "京市", "市", "q3"]


def test_a_very_long_word_is_known_by_its_beginning():
    assert lexemes("x" * 100_000) == ["x" * LONGEST]


@given(texts)
def test_folding_twice_is_folding_once(text):
    assert lexemes(fold(text)) == lexemes(text)


@given(texts)
def test_a_folded_text_that_knows_its_origin_is_the_folded_text(text):
    assert Folded(text).text == fold(text)


@given(texts)
def test_the_place_of_a_word_folds_to_the_word(text):
    folded = Folded(text)
    for word in words(folded.text):
        start, end = folded.span(word.start, word.end)
        assert fold(folded.text[word.start : word.end]) in fold(text[start:end])


@given(texts)
def test_words_are_letters_and_digits_in_rising_positions(text):
    found = list(words(fold(text)))
    assert [word.position for word in found] == list(range(len(found)))
    assert not any(c.isspace() or c in "'\\:*&|!<>()" for word in found for c in word.lexeme)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("zurich", ["'zurich'"]),
        ("Zürich Bank", ["'zurich'", "'bank'"]),
        ('"letter of intent"', ["'letter' <1> 'of' <1> 'intent'"]),
        ("„letter of“ x", ["'letter' <1> 'of'", "'x'"]),
        ("wor*", ["'wor':*"]),
        ("e-ma*", ["'e' <1> 'ma':*"]),
        ("O'Neil", ["'o' <1> 'neil'"]),
        ("北", ["'北':*"]),
        ("北京市", ["'北京' <1> '京市'"]),
        ('"北京 Q3"', ["'北京' <2> 'q3'"]),
        ("bank bank BANK", ["'bank'"]),
        ("& | ! ( ) :* <-> ' \\ *", []),
        ("a:* | !b", ["'a'", "'b'"]),
        ('"unclosed phrase', ["'unclosed' <1> 'phrase'"]),
    ],
)
def test_a_query_means(typed, meant):
    assert [tsquery(term) for term in terms(typed)] == meant


@given(texts)
def test_every_text_is_a_query(text):
    for term in terms(text):
        assert tsquery(term).count("'") == 2 * len(term.wanted)
