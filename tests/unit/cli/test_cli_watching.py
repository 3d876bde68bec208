"""
What `status --watch` draws, and the lines that it prints where there is no terminal.
"""

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from rich.console import Console
from rich.text import Text

from oaflow.cli import progress
from oaflow.cli.output import table
from oaflow.cli.summary import print_details, time_left
from oaflow.cli.watching import picture, print_lines
from oaflow.ledger.runs import Run, StageProgress
from oaflow.ledger.workers import Hand, Running, Worker
from oaflow.operations.estimating import Estimate
from oaflow.operations.states import Details, RunStatus
from oaflow.operations.waits import Wait
from oaflow.operations.watching import Away, Rates, View, Watched

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run_of(state: str = "running") -> Run:
    return Run(
        id="ingest-k3m7qa", pipeline="ingest", plan="d", dataset="a\x1b[31mred", params={}, folders=(), first=None,
        state=state, reason=None, round=1, sealed=True, unchanged=0, gone=0, gone_names=(), prune=False, rerun_of=None,
        created_at=NOW, finished_at=None, seconds=75.0,
    )  # fmt: skip


def view_of(state: str = "running", estimate: Estimate | None = None, *, last: bool = False) -> View:
    stages = {
        "crawl": StageProgress("crawl", 0, 1, 0, 0, 0, 0, 0, 0),
        "extract": StageProgress("extract", 1_234_567, 89_012, 3, 0, 0, 0, 0, 0),
    }
    wait = Wait("limit", "stage extract waits for its limit:", "2 at once", "extract", "said", "oaflow limit a/b")
    watched = Watched(
        status=RunStatus(run_of(state), stages),
        rates={"extract": 123.4},
        running={"extract": 7},
        waits_for={"extract": 42.0},
        waits=(wait,),
        estimate=estimate,
        aged=10.0,
        exhausted=True,
    )
    worker = Worker(3, "box", 4711, "oaflow", ["t.crawl", "t.extract"], None, 4, 345_000_000, NOW, 1.0, 7, {}, None)
    return View((watched,), (worker,), (Hand(3, "ingest-k3m7qa", "extract", 7, 50),), last=last)


def drawn(view: View, width: int, height: int = 24) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(picture(view, width, height))
    return captured.get()


@pytest.mark.parametrize("width", [200, 50])
def test_workers_with_old_code_are_told_the_first_of_many_with_what_to_type(width: int) -> None:
    view = view_of()
    old = [
        replace(view.workers[0], id=number, stale={"t.crawl": "/a/s.py"}, restart="kill 4711") for number in range(8)
    ]

    words = " ".join(drawn(replace(view, workers=(*view.workers, *old)), width, 60).split())

    assert "worker 4 on box (pid 4711) runs the old code of t.crawl: /a/s.py has changed since it loaded it" in words
    assert words.count("help: kill 4711") == 5
    assert words.endswith("and 3 more workers with old code")


@pytest.mark.parametrize("width", [200, 80, 50])
def test_all_of_it_is_drawn_at_any_width(width: int) -> None:
    shown = drawn(view_of(estimate=Estimate(100.0, 80.0, 130.0, assumes="all stays")), width)
    words = " ".join(shown.split())

    assert all(len(line) <= width for line in shown.splitlines())
    for text in ("ingest-k3m7qa running", "1,234,560", "89,012", "123/s", "345.0 MB", "oaflow limit a/b"):
        assert text in words
    # It was estimated ten seconds ago.
    assert "about 1 min 30 s left (1 min 10 s to 2 min)" in words
    assert "this assumes that all stays" in words
    assert "\x1b[31m" not in shown
    assert "extract 7" in words
    assert "2 at once said help: oaflow limit a/b" in words
    assert ("42 s" in words) == (width >= 80)
    assert ("crawl, extract" in words) == (width >= 100)


@pytest.mark.parametrize("width", [40, 30])
def test_where_there_is_little_room_columns_are_left_out_and_no_name_or_number_is_cut(width: int) -> None:
    lines = drawn(view_of(), width).splitlines()

    (header,) = [line.split() for line in lines if "stage" in line and "waiting" in line]
    (extract,) = [line.split() for line in lines if line.strip().startswith("extract")]
    assert dict(zip(header, extract, strict=False))["waiting"] == "1,234,560"
    assert extract[0] == "extract"
    assert ("89,012" in extract) == ("done" in header) == (width >= 40)
    assert extract[header.index("failed")] == "3"
    assert any("4711" in line for line in lines)
    assert all(len(line) <= width for line in lines)


def test_a_number_that_is_cut_says_so() -> None:
    console = Console(width=6, color_system=None)
    with console.capture() as captured:
        console.print(table([("n", True)], [["12,345,678"]]))

    assert "12,34…" in captured.get()


def test_a_live_table_says_what_the_terminal_has_no_room_for_and_how_the_run_stands() -> None:
    stages = {f"s{number}": StageProgress(f"s{number}", int(number == 40), 1, 0, 0, 0, 0, 0, 0) for number in range(60)}
    status = RunStatus(run_of(), stages)
    console = Console(width=80, height=24, color_system=None)
    with console.capture() as captured:
        console.print(progress.picture(status, "7 % · 3 done", 24))

    lines = captured.get().splitlines()
    assert len(lines) <= 24
    assert any(line.startswith("s40 ") for line in lines)
    assert "and 43 stages more" in lines
    assert lines[-1].endswith("7 % · 3 done")

    below = [Text("1 job of stage s40 waits for another attempt"), Text("what went wrong: oaflow logs")]
    with console.capture() as captured:
        console.print(progress.picture(status, "7 % · 3 done", 24, below))

    lines = captured.get().splitlines()
    assert len(lines) <= 24
    assert lines[-3].endswith("7 % · 3 done")
    assert lines[-2:] == [str(one) for one in below]


def test_of_many_stages_those_that_have_something_open_are_watched_and_what_keeps_them_waiting_is_seen() -> None:
    view = view_of()
    (watched,) = view.runs
    stages = {f"s{number}": StageProgress(f"s{number}", int(number == 40), 1, 0, 0, 0, 0, 0, 0) for number in range(60)}
    many = View((replace(watched, status=RunStatus(watched.status.run, stages)),), view.workers, view.hands)

    for height, more in ((24, 50), (10, 55)):
        lines = drawn(many, 80, height).splitlines()
        assert any(line.strip().startswith("s40 ") for line in lines)
        assert f"  and {more} stages more" in lines
    assert len(drawn(many, 80).splitlines()) <= 24
    assert "stages more" not in drawn(many, 80, 80)


def test_a_run_that_has_ended_takes_two_lines_and_nobody_there_is_said() -> None:
    ended = view_of("finished")

    assert "89,013 jobs done, 3 failed" in drawn(ended, 80)
    assert "no worker is running" in drawn(View(ended.runs, (), ()), 80)


def test_why_there_is_no_estimate_is_said() -> None:
    why = Estimate(why="its input is still being read")

    assert "no estimate yet: its input is still being read" in drawn(view_of(estimate=why), 80)
    assert time_left(why) is None
    # One that should be over by now is not below nothing.
    assert time_left(Estimate(5.0, 4.0, 6.0), 60.0) == "about 0.0 s left"


def test_lines_are_printed_where_there_is_no_terminal_and_a_database_that_is_away_is_said_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    views = [view_of(), Away("gone\x1b[2J"), Away("gone"), view_of(), view_of("finished", last=True)]

    print_lines(iter(views), json=False)
    print_lines(iter(views), json=True)

    out, err = capfd.readouterr()
    lines = out.splitlines()
    # The first and the last: between two lines there are five seconds.
    assert [line for line in lines if line.startswith("ingest")] == [
        "ingest-k3m7qa running, 1 min 15 s: 6 % · 89,016 of 1,323,583 jobs · 0.0/s",
        "ingest-k3m7qa finished, 1 min 15 s: 100 % · 89,016 of 1,323,583 jobs · 0.0/s",
    ]
    first, last = (orjson.loads(line) for line in lines[-2:])
    assert first["runs"][0]["stages"]["extract"]["running"] == 7
    assert last["runs"][0]["state"] == "finished"
    assert last["workers"][0]["hands"] == [{"run": "ingest-k3m7qa", "stage": "extract", "jobs": 7}]
    assert err.count("the database does not answer (gone") == err.count("the database answers again") == 2
    assert "\x1b[2J" not in err


def test_rates_are_those_of_the_last_seconds() -> None:
    rates = Rates()

    assert rates.look(0.0, {"a": 100}) == {}
    assert rates.look(1.0, {"a": 110, "b": 5}) == {"a": 10.0, "b": 5.0}
    for second in range(2, 60):
        last = rates.look(float(second), {"a": 110, "b": 5 * second})
    assert last == {"a": 0.0, "b": 5.0}


def test_status_names_what_runs_and_claims_no_beginning_that_nobody_noted(capsys: pytest.CaptureFixture[str]) -> None:
    status = RunStatus(run_of(), {"extract": StageProgress("extract", 1, 0, 0, 0, 0, 0, 0, 0)})
    jobs = [Running(7, "extract", 3, 58.0, ["a\x1b[31m.pdf"]), Running(8, "extract", 3, None, [])]

    print_details(Details(status, jobs, [], {}, []))

    shown = capsys.readouterr().out
    assert "extract job 7, for 58 s at most, worker 3" in shown
    assert "extract job 8, worker 3" in shown
    assert "\x1b[31m.pdf" not in shown
    assert "since" not in shown
