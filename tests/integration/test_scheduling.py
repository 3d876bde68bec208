"""
Ticks of schedules: taken once, by whoever comes first, together with the run that they begin.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oaflow.ledger.schedules import Schedule, schedules
from oaflow.operations import scheduling
from oaflow.operations.databases import Database
from oaflow.operations.programs import load, locate
from oaflow.operations.starting import Request
from oaflow.postgres import Address
from oaflow.settings import Settings

PIPELINE = """
pipeline: ticks
stages:
  first: {task: stages_for_tests.source}
"""

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")
CRONS = ("* * * * *", "*/7 * * * *", "0 3 * * *", "30 2 * * *", "0 0 1 * *", "15 5 * * mon", "@daily", "0 12 29 2 *")


@settings(deadline=None)  # croniter is imported by the first
@given(
    st.sampled_from(CRONS),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
)
def test_the_next_tick_is_later_and_names_a_moment_of_its_zone(cron: str, zone: str, after: datetime) -> None:
    tick = scheduling.next_tick(cron, zone, after)

    assert tick > after
    assert tick.tzinfo == ZoneInfo(zone)
    assert (tick.second, tick.microsecond) == (0, 0)


def test_a_night_of_another_length_has_one_tick() -> None:
    for day in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
        first = scheduling.next_tick("0 3 * * *", "Europe/Berlin", day)
        second = scheduling.next_tick("0 3 * * *", "Europe/Berlin", first)
        assert (first.day, second.day, first.hour, second.hour) == (day.day + 1, day.day + 2, 3, 3)


@pytest.mark.parametrize(
    ("cron", "said"), [("99 * * * *", "out of range"), ("* * * *", "five fields"), ("0 0 30 2 *", "date")]
)
def test_what_names_no_times_is_refused(cron: str, said: str) -> None:
    with pytest.raises(scheduling.CronError, match=said):
        scheduling.next_tick(cron, "UTC", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def opened(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "acceptance"))
    return Database(Address(database, None, False), Settings(home=tmp_path, db_uri=database))


@pytest.fixture
def hourly(opened: Database, tmp_path: Path) -> str:
    """
    A schedule that was added three hours and a half ago; no worker has been there since.
    """
    path = tmp_path / "ticks.yml"
    path.write_text(PIPELINE)
    before = datetime.now(UTC) - timedelta(hours=3.5)
    added = scheduling.add(
        opened.settings, load(locate(str(path))), Request("demo"), cron="0 * * * *", zone="UTC", now=before
    )
    return added.name


def runs(opened: Database) -> list[Any]:
    with opened.connect() as made:
        return made.execute("SELECT id, state FROM oaflow.runs").fetchall()


def only(opened: Database) -> Schedule:
    with opened.connect() as made:
        (found,) = schedules(made)
        return found


def test_of_many_workers_one_begins_one_run_for_all_the_ticks_that_nobody_took(opened: Database, hourly: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        ticked = [tick for ticks in pool.map(lambda _: list(scheduling.begin_due(opened)), range(8)) for tick in ticks]

    ((run, state),) = runs(opened)
    assert ticked == [scheduling.Ticked(hourly, run)]
    assert state == "running"
    left = only(opened)
    assert (left.last_run, left.problem) == (run, None)
    assert left.asked_at < left.due_at <= left.asked_at + timedelta(hours=1)
    assert list(scheduling.begin_due(opened)) == []


def test_who_is_killed_while_it_begins_a_run_has_not_taken_the_tick(
    opened: Database, hourly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise KilledError

    due = only(opened).due_at
    with monkeypatch.context() as patched:
        patched.setattr("oaflow.operations.scheduling.ledger.note", killed)  # the run has been begun
        with pytest.raises(KilledError):
            list(scheduling.begin_due(opened))

    assert (runs(opened), only(opened).due_at) == ([], due)
    assert len(list(scheduling.begin_due(opened))) == len(runs(opened)) == 1


def test_a_tick_that_meets_an_unfinished_run_begins_none_and_says_so(opened: Database, hourly: str) -> None:
    (first,) = scheduling.begin_due(opened)
    with opened.connect() as made:
        made.execute("UPDATE oaflow.schedules SET due_at = now() - interval '1 minute'")

    (second,) = scheduling.begin_due(opened)

    assert second == scheduling.Ticked(hourly, None, f"run {first.run} had not ended (running)")
    assert only(opened).problem == second.problem
    assert len(runs(opened)) == 1
    assert list(scheduling.begin_due(opened)) == []


def test_what_was_removed_is_not_begun(opened: Database, hourly: str) -> None:
    with pytest.raises(scheduling.ScheduleExistsError):
        scheduling.add(
            opened.settings,
            load(locate(str(opened.settings.home / "ticks.yml"))),
            Request("demo"),
            cron="@daily",
            zone="UTC",
        )
    scheduling.remove(opened.settings, hourly)

    assert list(scheduling.begin_due(opened)) == []
    with pytest.raises(scheduling.NoSuchScheduleError, match="there is no schedule"):
        scheduling.remove(opened.settings, hourly)
