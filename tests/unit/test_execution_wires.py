"""
What passes between a worker and its executors, cut anywhere.
"""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.ledger.rows import Successor
from oaflow.runtime.frames import (
    Frames,
    frame,
    plain_assignment,
    plain_handover,
    read_assignment,
    read_handover,
)
from oaflow.runtime.lines import LONGEST_LINE, MARK, Lines
from oaflow.runtime.logged import Logged, packed, unpacked
from oaflow.runtime.messages import Assignment, Handover
from oaflow.runtime.scoreboard import Scoreboard, new_scoreboard

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary()
)
messages = st.lists(st.tuples(scalars, st.lists(scalars, max_size=3)), max_size=5)
cuts = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, begin, number = [], 0, 0
    while begin < len(data):
        size = sizes[number % len(sizes)]
        found.append(data[begin : begin + size])
        begin, number = begin + size, number + 1
    return found


@given(messages, cuts)
def test_messages_arrive_whole_however_the_bytes_are_cut(sent, sizes):
    frames = Frames()
    data = b"".join(map(frame, sent))
    assert [message for piece in pieces(data, sizes) for message in frames.feed(piece)] == sent


@given(messages, st.integers(0, 200))
def test_what_a_killed_process_had_half_written_is_never_given(sent, missing):
    data = b"".join(map(frame, sent))
    kept = data[: max(0, len(data) - missing)]
    found = list(Frames().feed(kept))
    assert found == sent[: len(found)]


assignments = st.builds(
    Assignment,
    job=st.integers(1, 2**62),
    attempt=st.integers(0, 9),
    run=st.text(),
    stage=st.text(),
    args=st.binary(),
    timeout=st.none() | st.floats(0, 1e9),
    memory=st.none() | st.integers(0, 2**50),
    chunks=st.lists(st.tuples(st.integers(0, 9), st.text(), st.integers(0, 9))).map(tuple),
)
successors = st.builds(Successor, st.text(), st.text(), st.text(), st.integers(-9, 99), st.binary())
handovers = st.builds(
    Handover,
    job=st.integers(1, 2**62),
    outcome=st.sampled_from(["done", "failed", "chunk"]),
    started=st.floats(0, 1e10),
    ended=st.floats(0, 1e10),
    detail=st.binary(),
    successors=st.lists(successors, max_size=3).map(tuple),
    position=st.none() | st.integers(0, 9),
    digest=st.none() | st.text(),
    version=st.text(),
    final=st.booleans(),
    warning=st.none() | st.text(),
)


@given(assignments, handovers)
def test_assignments_and_handovers_are_the_same_at_the_other_end(assignment, handover):
    (plain,) = Frames().feed(frame(plain_assignment(assignment)))
    assert read_assignment(plain) == assignment
    (plain,) = Frames().feed(frame(plain_handover(handover)))
    assert read_handover(plain) == handover


def heard(*data: bytes) -> list[tuple[str, int | None]]:
    lines: list[tuple[str, int | None]] = []

    async def body() -> None:
        protocol = Lines(lambda text, job, _: lines.append((text, job)), asyncio.get_running_loop().create_future())
        for piece in data:
            protocol.data_received(piece)
        protocol.connection_lost(None)

    asyncio.run(body())
    return lines


@given(cuts)
def test_lines_belong_to_the_job_that_said_so_before_however_the_bytes_are_cut(sizes):
    data = b"before\n" + MARK + b"7\none\ntw\xc3\xb6\nno end" + MARK + b"0\nafter\nlast"
    expected = [("before", None), ("one", 7), ("twö", 7), ("no end", 7), ("after", None), ("last", None)]
    assert heard(*pieces(data, sizes)) == expected


@given(cuts, st.text(), st.sampled_from(["debug", "info", "warning", "error"]))
def test_what_is_logged_comes_with_level_and_logger_whatever_is_in_it(sizes, text, level):
    told = Logged(level, "my.letters", text)
    lines: list[tuple[str, int | None, Logged | None]] = []

    async def body() -> None:
        protocol = Lines(lambda *line: lines.append(line), asyncio.get_running_loop().create_future())
        for piece in pieces(MARK + b"7\nno end" + MARK + packed(told) + b"\nprinted\n", sizes):
            protocol.data_received(piece)

    asyncio.run(body())
    assert lines == [("no end", 7, None), (text, 7, told), ("printed", 7, None)]


@pytest.mark.parametrize("letter", ["x", "\x00", "\U0001f600", "\n", "\udcff"])
def test_of_a_long_message_the_end_is_kept(letter):
    line = packed(Logged("info", "my" * LONGEST_LINE, letter * 50_000 + "the end"))

    assert len(line) < LONGEST_LINE
    assert (found := unpacked(line)) is not None
    assert found.text.startswith("...")
    assert found.text.endswith("the end")


@pytest.mark.parametrize("printed", ["\x1eabc", "\x1e{}", "a\x1e[1, 2]", "\x1e", "\x1e[1, 2, 3]", '\x1e["info", "a"]'])
def test_what_only_looks_like_a_line_of_the_executor_is_printed(printed):
    assert heard(f"{printed}\n".encode()) == [(printed, None)]


def test_a_line_without_end_is_cut_and_not_kept():
    assert [len(text) for text, _ in heard(b"x" * (LONGEST_LINE * 2 + 5))] == [LONGEST_LINE, LONGEST_LINE, 5]


def test_a_slot_says_in_another_mapping_what_runs():
    descriptor = new_scoreboard()
    mine, other = Scoreboard(descriptor), Scoreboard(descriptor)
    os.close(descriptor)
    assert other.read() is None
    mine.begin(2**62, 12.5)
    assert other.read() == (2**62, 12.5)
    mine.clear()
    assert other.read() is None
    mine.close()
    other.close()
