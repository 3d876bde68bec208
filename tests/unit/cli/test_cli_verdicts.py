"""
From how a run ended to an exit code.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.cli.progress import Pace, sentences
from oaflow.cli.verdicts import Limits, exit_code, read_stop_after
from oaflow.errors import UsageError
from oaflow.ledger.runs import Run, StageProgress
from oaflow.ledger.workers import Waiting
from oaflow.operations.following import Paused, Progress, Settles, Unreachable, Unsettled, Waits, WorkerDied
from oaflow.operations.states import RunStatus

IMPORT = "task 'm.f': importing 'm' failed: ModuleNotFoundError: No module named 'x'"
LOG = Path("/a/w.log")


def run_of(state="finished", **values):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    given = {"id": "p-abc234", "pipeline": "p", "plan": "d", "dataset": "x", "state": state}
    rest = {"params": {}, "folders": [], "first": None, "reason": None, "round": 1, "sealed": True}
    rest |= {"unchanged": 0, "gone": 0, "gone_names": [], "prune": False, "rerun_of": None}
    rest |= {"created_at": now, "finished_at": None, "seconds": 1.0}
    return Run(**{**given, **rest, **values})


def status_of(state="finished", **counts):
    names = ("open", "done", "failed", "unmatched", "dropped", "ended", "diverted", "vanished")
    return RunStatus(run_of(state), {"a": StageProgress(stage="a", **{name: counts.get(name, 0) for name in names})})


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_failures_are_fine_up_to_the_number_that_was_given(failed, most):
    code = exit_code(status_of(failed=failed), 0, Limits.read(str(most), strict=False), interrupted=False)

    assert code == int(failed > most)


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(0, 100))
def test_failures_are_fine_up_to_a_percentage_of_the_documents(failed, documents, percent):
    code = exit_code(status_of(failed=failed), documents, Limits.read(f"{percent}%", strict=False), interrupted=False)

    assert code == int(failed > documents * percent // 100)


@pytest.mark.parametrize("text", ["", "many", "-1", "101%", "-2%", "1.5", "%", "nan%"])
def test_a_limit_that_is_no_number_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="must be a number or a percentage") as error:
        Limits.read(text, strict=False)
    assert "2%" in str(error.value.help)


@pytest.mark.parametrize(
    ("text", "read"),
    [(None, None), ("1", (1, None)), ("20", (20, None)), (" 2.5% ", (None, 2.5)), ("100%", (None, 100.0))],
)
def test_when_to_stop_is_a_number_or_a_percentage(text, read):
    assert read_stop_after(text) == read


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "0%", "101%", "1.5", "nan%"])
def test_stopping_after_nothing_or_what_is_no_number_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"--stop-after is .* but must be") as error:
        read_stop_after(text)
    assert "--stop-after" in str(error.value.help)


def test_unmatched_jobs_are_a_failure_only_where_it_is_strict():
    status = status_of(unmatched=1)

    assert exit_code(status, 0, Limits(), interrupted=False) == 0
    assert exit_code(status, 0, Limits(strict=True), interrupted=False) == 1


@pytest.mark.parametrize("state", ["running", "paused", "interrupted", "incomplete", "cancelled"])
def test_only_a_finished_run_is_fine(state):
    assert exit_code(status_of(state), 0, Limits(failures=9), interrupted=False) == 1


def test_an_interrupted_command_says_so_whatever_failed():
    assert exit_code(status_of("interrupted", failed=3), 0, Limits(), interrupted=True) == 130


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20))
def test_a_percentage_never_goes_back_and_is_100_only_at_the_end(steps):
    clock = iter(range(1000))
    pace = Pace(now=lambda: float(next(clock)))
    shown = []
    for opened, done in steps:
        line = pace.look(Progress(status_of("running", open=opened, done=done), exhausted=True))
        if "%" in line:
            shown.append(int(line.split(" ")[0]))
    line = pace.look(Progress(status_of("finished", done=1), exhausted=True))

    assert shown == sorted(shown)
    assert all(percent < 100 for percent in shown)
    assert line.startswith("100 %")


def test_without_an_end_of_the_source_there_is_no_percentage():
    line = Pace(now=lambda: 0.0).look(Progress(status_of("running", open=2, done=1), exhausted=False))

    assert line == "1 of 3 jobs · 0.0/s"


def test_jobs_that_are_put_together_make_neither_what_there_was_nor_what_is_done_less():
    pace = Pace(now=lambda: 0.0)

    lines = [
        pace.look(Progress(status_of("running", open=opened, done=done), exhausted=True)).split(" · ")[:2]
        for opened, done in ((50, 50), (3, 52), (0, 55))
    ]

    assert lines == [["50 %", "50 of 100 jobs"], ["97 %", "97 of 100 jobs"], ["99 %", "100 of 100 jobs"]]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Waits((Waiting("q", "m.f", 3.0),)), ("m.f", "queue q", "oaflow worker")),
        (Waits((Waiting("q", "m.f", 3.0, "it has no\x1b[31m f"),)), ("m.f", "it has no\\x1b[31m f", "oaflow worker")),
        (Waits((Waiting("q", "m.f", 3.0, IMPORT),)), ("No module named 'x'", "python -c 'import m' ")),
        (Waits((Waiting("q", "x.f", 3.0, IMPORT.replace("'m'", "'x'")),)), ("No module named 'x'", "oaflow worker")),
        (WorkerDied(7, -9, LOG), ("process 7", "signal 9", "another process replaces it")),
        (WorkerDied(7, -9, LOG, 4.0), ("process 7", "signal 9", "another starts in 4.0 s", "OAFLOW_EXECUTORS")),
        (WorkerDied(7, 1, LOG, 4.0), ("process 7", "exit code 1", "another starts in 4.0 s", "less /a/w.log")),
        (Unreachable("gone\x1b[31m"), ("the database does not answer", "gone\\x1b[31m")),
        (Paused("host: disk full"), ("paused", "disk full")),
        (Paused(None), ("continues",)),
        (Settles(), ("the run has ended", "recording")),
        (Unsettled("no\nstore", None), ("not removed yet; the next run does that: no\\nstore",)),
        (Unsettled("x", "oaflow doctor"), ("does that: x", "help:  oaflow doctor")),
    ],
)
def test_what_a_run_waits_for_is_said_in_a_sentence(event, words):
    said = "\n".join(sentences(event))

    for word in words:
        assert word in said
