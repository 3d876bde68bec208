"""
A log is read by pages, from its end back, and from a place on.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.operations import logs
from oaflow.operations.logs import LogFilter, LogPage, log_after, log_lines, log_page


def written(folder: Path, texts: list[str]) -> Path:
    file = folder / "run.jsonl"
    lines = [{"stage": "ab"[number % 2], "job": number, "text": text} for number, text in enumerate(texts)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def jobs(page: LogPage) -> list[int]:
    return [line["job"] for line in page.lines]


@pytest.mark.parametrize("wanted", [LogFilter(), LogFilter(stage="b")])
@given(texts=st.lists(st.text(max_size=40), max_size=30), limit=st.integers(1, 7), bytes=st.integers(200, 4000))
def test_each_line_is_on_one_page_in_its_order(
    wanted: LogFilter, texts: list[str], limit: int, bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = written(tmp_path_factory.mktemp("log"), texts)
    with pytest.MonkeyPatch.context() as patched:
        # A line in JSON is at most 290 bytes: what is read at once holds at least one that is whole.
        patched.setattr(logs, "_PAGE_BYTES", bytes + 600)
        met: list[int] = []
        before: int | None = None
        while before != 0:
            page = log_page(file, wanted, before, limit)
            assert len(page.lines) <= limit
            assert before is None or page.start < before
            met = jobs(page) + met
            before = page.start
    assert met == [number for number in range(len(texts)) if wanted.stage is None or number % 2]


def test_what_comes_is_read_from_where_the_page_ended_and_half_a_line_waits(tmp_path: Path) -> None:
    file = written(tmp_path, ["one", "two"])
    page = log_page(file, LogFilter())
    assert jobs(page) == [0, 1]

    with file.open("a") as handle:
        handle.write('{"job": 2}\n{"job"')
    came = log_after(file, LogFilter(), page.end)
    assert jobs(came) == [2]
    assert jobs(log_page(file, LogFilter())) == [0, 1, 2]
    with file.open("a") as handle:
        handle.write(": 3}\n")
    assert jobs(log_after(file, LogFilter(), came.end)) == [3]
    assert jobs(log_after(file, LogFilter(job=2), page.end)) == [2]


def test_what_is_no_log_and_a_line_without_an_end_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_PAGE_BYTES", 100)
    file = tmp_path / "run.jsonl"
    assert log_page(file, LogFilter()) == LogPage([], 0, 0)
    assert log_after(file, LogFilter(), 50) == LogPage([], 0, 0)

    file.write_bytes(b"\x00\xff no JSON\n[1]\n" + b"x" * 250 + b"\n" + b'{"job": 1}\n')
    at, met = 0, list[int]()
    for _ in range(6):
        page = log_after(file, LogFilter(), at)
        met += jobs(page)
        at = page.end
    assert (met, at) == ([1], file.stat().st_size)
    before, met = file.stat().st_size, list[int]()
    while before:
        page = log_page(file, LogFilter(), before)
        met += jobs(page)
        before = page.start
    assert met == [1]
    # Another file in its place, that is shorter.
    assert jobs(log_after(file, LogFilter(), 10_000)) == []


@pytest.mark.parametrize("wanted", [LogFilter(), LogFilter(stage="a")])
def test_a_whole_log_is_told_as_it_is_read(wanted: LogFilter, tmp_path: Path) -> None:
    file = written(tmp_path, ["one", "two"])
    lines = log_lines(file, None, follow=False, wanted=wanted)
    met = [next(lines)["text"]]
    with file.open("a") as more:
        more.write('{"stage": "a", "text": "three"}\n')

    assert met + [line["text"] for line in lines if line["stage"] == "a"] == ["one", "three"]


@pytest.mark.parametrize(
    ("wanted", "texts"), [(LogFilter(), ["four", "five"]), (LogFilter(stage="a"), ["three", "five"])]
)
def test_the_last_lines_are_those_that_are_wanted(wanted: LogFilter, texts: list[str], tmp_path: Path) -> None:
    file = written(tmp_path, ["one", "two", "three", "four", "five"])

    assert [line["text"] for line in log_lines(file, 2, follow=False, wanted=wanted)] == texts
