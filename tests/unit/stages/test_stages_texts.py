"""
Bytes of any encoding become the text that was meant.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.stages.texts import cleaned, decoded, is_text

_GERMAN = "Überweisung an Müller: Größe der Zahlung für Zürich, geprüft und für richtig befunden."
_RUSSIAN = "Компания перевела деньги на счет в Цюрихе."
_CHINESE = "该公司上周将资金转入苏黎世的一个账户。"
_ARABIC = "حولت الشركة الأموال إلى حساب في زيورخ"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (_GERMAN, "utf-8"),
        (_GERMAN, "latin-1"),
        (_GERMAN, "utf-16"),
        (_GERMAN, "utf-16-le"),
        (_GERMAN, "utf-16-be"),
        (_RUSSIAN, "windows-1251"),
        (_RUSSIAN, "koi8-r"),
        (_CHINESE, "gb18030"),
        (_ARABIC, "windows-1256"),
        (_ARABIC, "utf-8-sig"),
    ],
)
def test_a_text_is_read_in_the_encoding_it_was_written_in(text, encoding):
    assert decoded(text.encode(encoding))[0] == text


def test_what_a_file_declares_is_tried_before_any_guess():
    assert decoded("Größe".encode("cp437"), "cp437") == ("Größe", "cp437")


def test_a_declared_encoding_that_does_not_exist_is_passed_over():
    assert decoded(_RUSSIAN.encode("windows-1251"), "no-such-thing")[0] == _RUSSIAN


def test_one_bad_byte_in_a_long_text_leaves_it_utf8():
    data = (_GERMAN * 100).encode() + b"\xff" + _GERMAN.encode()

    assert decoded(data)[1] == "utf-8"


@given(st.binary())
def test_any_bytes_become_a_text_that_postgres_can_hold(data):
    text, _ = decoded(data)

    assert "\x00" not in text
    text.encode()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1))
def test_cleaning_leaves_what_people_write(text):
    assert cleaned(text) == text


@pytest.mark.parametrize("data", [b"\x00\x01\x02\x03", b"", b"\x7fELF\x02\x01\x01\x00", bytes(range(32)) * 4])
def test_binary_bytes_are_no_text(data):
    assert not is_text(data)
