"""
What is shown of a traceback that is longer than its excerpt.
"""

import traceback
from pathlib import Path

import pytest

from oaflow.cli.failures import excerpt

FRAME = '  File "/usr/lib/python3/{}.py", line {}, in {}\n    return deeper()'


def trace(*frames: str) -> str:
    return "\n".join(["Traceback (most recent call last):", *frames, "ValueError: no"])


@pytest.mark.parametrize("deep", [1, 2, 3, 4, 5, 40])
def test_the_line_of_the_author_is_shown_however_deep_the_library_is_that_failed(deep):
    text = trace(
        FRAME.format("stages/reading", 7, "read"), *[FRAME.format("library", n, "deeper") for n in range(deep)]
    )

    shown = excerpt(text, "stages.reading:read")

    assert any(line.endswith('reading.py", line 7, in read') for line in shown)
    assert shown[-1] == "ValueError: no"
    assert len(shown) <= 8


def test_the_innermost_of_several_calls_of_the_author_is_shown():
    frames = [FRAME.format("reading", number, "read") for number in (7, 9)]

    shown = excerpt(trace(*frames, *[FRAME.format("library", 1, "deeper")] * 9), "reading:Reader.read")

    assert ["line 7" in "".join(shown), "line 9" in "".join(shown)] == [False, True]


@pytest.mark.parametrize("place", [None, "", "extract", "other:read", "reading:write"])
def test_without_a_line_of_the_author_the_end_is_shown(place):
    text = trace(FRAME.format("reading", 7, "read"), *[FRAME.format("library", 1, "deeper")] * 9)

    assert excerpt(text, place) == text.splitlines()[-8:]


def test_a_real_traceback_through_a_library_shows_this_file():
    with pytest.raises(UnicodeDecodeError) as caught:
        Path("/proc/self/exe").read_text(encoding="utf-8")
    text = "".join(traceback.format_exception(caught.value))

    shown = excerpt(text, f"{__name__}:test_a_real_traceback_through_a_library_shows_this_file")

    assert any(line.endswith("in test_a_real_traceback_through_a_library_shows_this_file") for line in shown)
