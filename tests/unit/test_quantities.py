import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.quantities import data_size, duration_text, per_second, rate_text, seconds, size, size_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", 0.5),
        ("2s", 2),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1 d", 86400),
        ("3", 3),
        (3, 3),
        (0.5, 0.5),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_in_seconds(text, expected):
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "soon", "1h x", "-1s", "1m30", True, None, -1, math.inf, math.nan, [], "s"])
def test_what_is_no_duration_is_none(text):
    assert seconds(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2GiB", 2**31), ("16kB", 16_000), ("16 KB", 16_000), ("1k", 1000), ("12", 12), ("1.5M", 1_500_000), (7, 7)],
)
def test_a_size_is_read_in_bytes_and_gib_differs_from_gb(text, expected):
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "big", "1 XB", "-1", True, None, -1, 1.5, "1GiB2"])
def test_what_is_no_size_is_none(text):
    assert size(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50/s", 50), ("1000/m", 1000 / 60), ("1/10s", 0.1), ("0.5 / h", 0.5 / 3600), ("3/1m30s", 1 / 30)],
)
def test_a_rate_is_read_in_a_second(text, expected):
    assert per_second(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "50", 50, "50/1", "/s", "0/s", "5/0s", "-1/s", "5/soon", None, "9" * 400 + "/s"])
def test_what_is_no_rate_is_none(text):
    assert per_second(text) is None


@given(st.integers(0, 10_000), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_of_a_duration_add_up(hours, minutes, rest):
    assert seconds(f"{hours}h{minutes}m{rest}s") == hours * 3600 + minutes * 60 + rest


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000) | st.floats(0, 1e9))
def test_a_duration_that_is_written_is_read_as_the_same(value):
    assert seconds(duration_text(value)) == value


@given(st.integers(0, 2**63) | st.integers(0, 2**20).map(lambda number: number * 1024**2))
def test_a_size_that_is_written_is_read_as_the_same(value):
    assert size(size_text(value)) == value


@given(st.integers(1, 10**6), st.sampled_from(["s", "m", "h", "d", "7s", "3ms", "1m30s"]))
def test_a_rate_that_is_written_is_read_as_the_same(number, unit):
    value = per_second(f"{number}/{unit}")

    assert per_second(rate_text(value)) == value


def test_quantities_are_written_as_an_author_writes_them():
    assert [duration_text(value) for value in (5400, 0.5, 2, 0, 90)] == ["1h30m", "500ms", "2s", "0s", "1m30s"]
    assert [size_text(value) for value in (2**31, 16_000, 1536, 7)] == ["2GiB", "16kB", "1536B", "7B"]
    assert [rate_text(value) for value in (50, 1000 / 60, 0.1, 1 / 7)] == ["50/s", "1000/m", "6/m", "1/7s"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (812, "812 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5 * 10**15, "5,000.0 TB")],
)
def test_bytes_are_said_in_a_unit_that_people_read(number, text):
    assert data_size(number) == text
