"""
What is mentioned is found, and what only looks alike is not.
"""

import subprocess
import sys
import time

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier, visit_counts

from oaflow.stages import mentions
from oaflow.stages.languages import _LONGEST, identifier, language_of
from oaflow.stages.names import Names, names_in, people_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to Anna.Keller+x@example.org.", ["anna.keller+x@example.org"]),
        ("a@b, @home, x@y@z", []),
        ("<a@example.org>;b@example.co.uk", ["a@example.org", "b@example.co.uk"]),
    ],
)
def test_mail_addresses(text, found):
    assert mentions.emails(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("IBAN DE89 3704 0044 0532 0130 00 BIC", ["DE89370400440532013000"]),
        ("GB29NWBK60161331926819, and", ["GB29NWBK60161331926819"]),
        ("DE89 3704 0044 0532 0130 01", []),
        ("AB12 is a seat", []),
    ],
)
def test_account_numbers_need_a_right_check_sum(text, found):
    assert mentions.ibans(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Call +44 20 7946 0117 now", ["+442079460117"]),
        ("Tel. +49 (0) 30 23125-014", ["+493023125014"]),
        ("0049 30 23125014", ["+493023125014"]),
        ("2024-03-04 12000 13000", []),
        ("020 7946 0117", []),
    ],
)
def test_telephone_numbers_are_international(text, found):
    assert mentions.phones(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from 203.0.113.41:8080 and 2001:db8::1", ["203.0.113.41", "2001:db8::1"]),
        ("at 12:30:45, version 1.2.3, 999.1.1.1, 1.2.3.4.5", []),
    ],
)
def test_ip_addresses(text, found):
    assert mentions.addresses(text) == found


def test_a_web_address_ends_before_the_end_of_the_sentence():
    text = "See https://example.org/a_(b), (http://example.org/x?y=1). And www.example.net/z!"

    assert mentions.urls(text) == ["https://example.org/a_(b)", "http://example.org/x?y=1", "www.example.net/z"]


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("From Germany to the United Arab Emirates", "eng", ["de", "ae"]),
        ("Die Schweiz und Österreich", "deu", ["ch", "at"]),
        ("Россия и Китай", "rus", ["ru", "cn"]),
        ("从瑞士到德国", "zho", ["ch", "de"]),
        ("the china plate, a turkey, the island, IT and IN", "eng", []),
        ("The Island is far", "eng", []),
    ],
)
def test_countries_are_found_in_the_language_of_the_text(text, language, found):
    assert sorted(mentions.countries(text, language)) == sorted(found)


def test_numbers_say_where_they_are_from():
    assert set(mentions.countries("", None, ["+442079460117"], ["DE89370400440532013000"])) == {"gb", "de"}


def test_companies_and_people_are_told_by_their_forms_and_titles():
    found = names_in(
        "Dear Marta, Northlight Dredging Ltd paid Nordlicht GmbH & Co. KG. Ask Dr. Anna Keller and Mr Chen Wei."
    )

    assert found.companies == ["Northlight Dredging Ltd", "Nordlicht GmbH & Co. KG"]
    assert found.people == ["Anna Keller", "Chen Wei"]


def test_two_companies_side_by_side_are_two():
    assert names_in("Northlight Ltd Baltmar Holding GmbH").companies == ["Northlight Ltd", "Baltmar Holding GmbH"]


def test_the_first_word_of_a_sentence_is_no_name_where_it_is_a_word_elsewhere():
    assert names_in("Money Laundering Report was late. The money was gone.").others == ["Laundering Report"]


def test_people_in_mail_headers():
    assert people_of(["Anna Keller <a@example.org>", "b@example.org", '"Office" <o@example.org>']) == ["Anna Keller"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The company transferred the money last week.", "eng"),
        ("Die Firma hat das Geld letzte Woche überwiesen.", "deu"),
        ("Компания перевела деньги на счет на прошлой неделе.", "rus"),
        ("Компанія переказала гроші на рахунок минулого тижня.", "ukr"),
        ("حولت الشركة الأموال إلى حساب في زيورخ", "ara"),
        ("该公司上周将资金转入一个账户。", "zho"),
        ("12 000 EUR", None),
        ("", None),
    ],
)
def test_languages(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text", ["Item Quantity EUR", "Price USD", "Ein Schiff besitzen wir nicht.", "Твой Журавль.", "Your Box is full"]
)
def test_heads_of_tables_and_things_behind_an_article_are_no_names(text):
    assert names_in(text) == Names()


@pytest.mark.parametrize("name", ["Una Healy", "Su Wei", "My Nguyen", "Los Angeles"])
def test_names_that_begin_like_an_article_stay_whole(name):
    assert names_in(f"we saw {name}, who knows.").others == [name]


def test_the_model_of_languages_is_loaded_without_writing_a_byte_to_any_disk():
    # A limit on the size of files stops a write into one without a name too; pipes are not touched by it.
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
        "from oaflow.stages.languages import identifier, language_of; "
        "print(language_of('The company transferred the money last week.'))"
    )

    said = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=60)

    assert said.stdout.strip() == "eng", said.stderr


@pytest.fixture(scope="module")
def theirs():
    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found.set_languages([label for label in found.labels if len(label) == 2])
    return found


def _agree(text, theirs):
    label, certainty = theirs.classify(text)
    ours = identifier().classify(text)
    if not visit_counts(theirs.tk_nextmove, theirs._rowbase, theirs.tk_output, theirs._encode(text)):
        assert ours[1] == 0  # nothing in it is known: theirs is as certain of each language
        return
    assert ours[1] == pytest.approx(certainty, abs=1e-4)
    # As certain of two, they may be told apart by the last digit of a sum.
    assert ours[0] == label or certainty < 0.05


@pytest.mark.parametrize(
    "text",
    [
        *("Die Firma hat das Geld überwiesen.", "Компания перевела деньги.", "资金转入", "12", "A", "e\u0301te"),
        *("THE COMPANY TRANSFERRED THE MONEY", "Фирма је пребацила новац", "Firma je prebacila novac", "Tvrtka " * 900),
    ],
)
def test_the_languages_are_those_that_the_library_finds_itself(text, theirs):
    _agree(text, theirs)


@given(st.text(min_size=1, max_size=200))
def test_of_any_text_the_language_is_the_one_that_the_library_finds(theirs, text):
    _agree(text, theirs)


def test_the_model_remembers_no_more_bytes_than_a_text_is_walked_in(theirs):
    # Each state is reached from the beginning by the bytes that it remembers; without the first of these, by fewer, it
    # would be at `less`. Where a byte makes none longer, it must lead where it leads from `less`.
    row = numpy.asarray(theirs.tk_row)
    following = numpy.asarray(theirs.tk_nextmove).reshape(-1, 256)[row]
    depth, less = numpy.full(len(row), -1), numpy.zeros(len(row), dtype=int)
    longer = numpy.zeros((len(row), 256), dtype=bool)
    depth[0], reached = 0, numpy.array([0])
    while len(reached):
        at, letters = numpy.nonzero(depth[following[reached]] == -1)
        above, states = reached[at], following[reached[at], letters]
        depth[states] = depth[above] + 1
        longer[above, letters] = True
        less[states] = numpy.where(above == 0, 0, following[less[above], letters])
        reached = states

    assert depth.max() == _LONGEST
    assert (depth[less[1:]] < depth[1:]).all()
    assert (longer | (following == following[less]))[1:].all()


@given(st.text(max_size=300))
def test_no_text_makes_any_of_them_fail(text):
    for find in (mentions.emails, mentions.urls, mentions.ibans, mentions.phones, mentions.addresses, names_in):
        find(text)
    mentions.countries(text, "eng")
    language_of(text)


@pytest.mark.parametrize("unit", ["A", "A1 ", "1.", "+1 ", "a@", "AB12 ", "Ab Cd ", "http://", ":1", "(", "x.y-"])
def test_time_grows_with_the_text_and_not_with_its_square(unit):
    text = unit * (200_000 // len(unit))
    begun = time.perf_counter()

    for find in (mentions.emails, mentions.urls, mentions.ibans, mentions.phones, mentions.addresses, names_in):
        find(text)
    mentions.countries(text, "eng")

    # A hang guard: the slowest takes a second on an idle machine, a square would take hours.
    assert time.perf_counter() - begun < 120
