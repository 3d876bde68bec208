"""
What takes long is worked out once for all who ask.
"""

import threading
import time
import traceback
from threading import Event

import pytest

from oaflow.errors import EnvironmentProblem, OaflowError
from oaflow.operations.background import Background


def unsaid(error: Exception) -> None:
    raise AssertionError("nothing is to be said") from error


def test_it_is_worked_out_once_for_all_who_ask_and_kept() -> None:
    background, gate, begun = Background(unsaid), Event(), [0]

    def work() -> int:
        begun[0] += 1
        gate.wait(60)
        return 7

    assert background.ask("key", work) is None
    assert background.ask("key", work) is None
    gate.set()
    known = background.ask("key", work, patience=60)
    assert known is not None
    assert known.value == 7
    assert background.ask("key", work) == known
    assert begun == [1]


def test_what_is_old_is_answered_until_there_is_something_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oaflow.operations.background._REST", 0)
    background, number, gate = Background(unsaid), iter(range(10)), Event()
    gate.set()

    def work() -> int:
        gate.wait(60)
        return next(number)

    first = background.ask("key", work, patience=60)
    assert first is not None
    gate.clear()
    assert background.ask("key", work, fresh=0.0) == first
    gate.set()
    newer = first
    for _ in range(600):
        newer = background.ask("key", work, fresh=3600)
        assert newer is not None
        if newer.value:
            break
        time.sleep(0.02)
    assert newer.value == 1


def test_what_took_long_is_not_soon_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oaflow.operations.background._REST", 100_000)
    background, times = Background(unsaid), [0]

    def work() -> int:
        times[0] += 1
        time.sleep(0.01)
        return times[0]

    assert background.ask("key", work, patience=60) is not None
    for _ in range(5):
        known = background.ask("key", work, fresh=0.0)
        assert known is not None
        assert known.value == 1
    assert times == [1]


def test_what_went_wrong_is_told_and_the_next_is_worked_out_all_the_same() -> None:
    bugs: list[Exception] = []
    background = Background(bugs.append)

    def away() -> int:
        raise EnvironmentProblem("the database is away")

    def broken() -> int:
        raise ZeroDivisionError("by zero")

    with pytest.raises(EnvironmentProblem, match="is away"):
        background.ask("away", away, patience=60)
    with pytest.raises(OaflowError, match="ZeroDivisionError: by zero"):
        background.ask("broken", broken, patience=60)
    # Of the program itself: with its traceback.
    (bug,) = bugs
    assert traceback.extract_tb(bug.__traceback__)[-1].name == "broken"
    known = background.ask("fine", lambda: 1, patience=60)
    assert known is not None
    assert known.value == 1


def test_a_bug_that_is_met_again_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oaflow.operations.background._TOLD", 0)
    bugs: list[Exception] = []
    background, times = Background(bugs.append), [0]

    def broken() -> int:
        times[0] += 1
        raise ZeroDivisionError("by zero")

    for _ in range(5):
        with pytest.raises(OaflowError, match="by zero"):
            background.ask("broken", broken, patience=60)
    assert times == [5]
    assert len(bugs) == 1


def test_its_threads_end_when_nothing_waits_and_others_begin_with_what_comes() -> None:
    background = Background(unsaid)
    for number in range(3):
        known = background.ask(number, lambda number=number: number, patience=60)
        assert known is not None
        assert known.value == number
        threads = [thread for thread in threading.enumerate() if thread.name == "oaflow background"]
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
