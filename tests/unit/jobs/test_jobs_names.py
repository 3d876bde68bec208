"""
File names of any encoding.
"""

import os
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.jobs import Job, encoded_name, readable_name


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"plain.txt", "plain.txt"),
        ("Zürich.pdf".encode(), "Zürich.pdf"),
        ("Zürich.pdf".encode("latin-1"), "Zürich.pdf"),
        (b"\x80 5.txt", "€ 5.txt"),
        (b"\x81.txt", "\x81.txt"),
        ("москва".encode(), "москва"),
    ],
)
def test_a_name_is_read_as_utf_8_and_else_as_windows_1252(raw, read):
    assert readable_name(raw) == read
    assert readable_name(os.fsdecode(raw)) == read


@given(st.binary(min_size=1).filter(lambda raw: 0 not in raw))
def test_any_name_reads_as_text_that_a_database_holds_and_keeps_its_bytes(raw):
    Job(queue="q", task="t", payload={"name": readable_name(raw)})

    assert readable_name(raw).encode()
    assert encoded_name(raw).isascii()
    assert unquote_to_bytes(encoded_name(raw)) == raw


def test_two_names_that_read_the_same_are_told_apart_by_their_bytes():
    one, other = "ä".encode(), "ä".encode("latin-1")

    assert readable_name(one) == readable_name(other)
    assert encoded_name(one) != encoded_name(other)
