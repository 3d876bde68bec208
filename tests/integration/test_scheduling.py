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

from oaflow.ledger.crawled import begin_crawl
from oaflow.ledger.measured import measured
from oaflow.ledger.runs import cancel
from oaflow.ledger.schedules import Schedule, schedules
from oaflow.ledger.statements import sql
from oaflow.operations import scheduling
from oaflow.operations.databases import Database
from oaflow.operations.programs import load, locate
from oaflow.operations.starting import Request, begin, bound_for_run
from oaflow.postgres import Address
from oaflow.settings import Settings
from tests.integration.test_races import WAITS
from tests.waiting import waited

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


# In Berlin 2:00 to 3:00 is left out on 2026-03-29, and comes twice on 2026-10-25.
SHORTER, LONGER = datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)


def moments(cron: str, after: datetime, number: int) -> list[str]:
    """
    The next ticks in Berlin, in UTC.
    """
    found: list[str] = []
    for _ in range(number):
        after = scheduling.next_tick(cron, "Europe/Berlin", after)
        found.append(f"{after.astimezone(UTC):%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("cron", "shorter", "longer"),
    [
        ("0 3 * * *", ["29 01:00", "30 01:00"], ["25 02:00", "26 02:00"]),
        # What is left out is made up for when the clock goes on, and what comes twice is not done twice.
        ("30 2 * * *", ["29 01:00", "30 00:30"], ["25 00:30", "26 01:30"]),
        ("0 2 * * *", ["29 01:00", "30 00:00"], ["25 00:00", "26 01:00"]),
        ("@daily", ["28 23:00", "29 22:00"], ["24 22:00", "25 23:00"]),
    ],
)
def test_a_night_of_another_length_has_one_tick(cron: str, shorter: list[str], longer: list[str]) -> None:
    assert moments(cron, SHORTER, 2) == shorter
    assert moments(cron, LONGER, 2) == longer


def test_what_comes_each_hour_or_minute_comes_in_each_hour_that_passes() -> None:
    before = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)

    assert moments("0 * * * *", before, 4) == ["25 00:00", "25 01:00", "25 02:00", "25 03:00"]
    assert moments("*/30 2 * * *", before, 4) == ["25 00:00", "25 00:30", "25 01:00", "25 01:30"]
    assert moments("0 * * * *", SHORTER + timedelta(hours=3, minutes=30), 3) == ["29 00:00", "29 01:00", "29 02:00"]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("99 * * * *", "out of range"),
        ("* * * *", "five fields"),
        ("0 0 30 2 *", "date"),
        ("@reboot", "by name there are @hourly, @daily, .* or @annually"),
        ("R * * * *", "'R' names no fixed time"),
    ],
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


def test_of_two_who_start_a_run_at_the_same_time_one_does(opened: Database, hourly: str, tmp_path: Path) -> None:
    program = load(locate(str(tmp_path / "ticks.yml")))
    plan = program.checked()
    bound = bound_for_run(plan, {}, places=program.places())

    with ThreadPoolExecutor(1) as pool, opened.connect() as first:
        with first.transaction():
            begun = begin(opened, first, plan, bound, Request("demo"), {})
            second = pool.submit(lambda: list(scheduling.begin_due(opened)))
            with opened.connect() as beside:
                assert waited(lambda: second.done() or beside.execute(WAITS).fetchall() != [(0,)], 30, 0.01)
        (ticked,) = second.result(60)

    assert runs(opened) == [(begun.run, "running")]
    assert (ticked.run, str(begun.run) in str(ticked.problem)) == (None, True)


def test_one_whose_zone_is_not_known_where_it_is_due_is_noted_and_keeps_nothing_from_going_on(
    opened: Database, hourly: str
) -> None:
    with opened.connect() as made:
        made.execute("UPDATE oaflow.schedules SET zone = 'Middle/Earth'")

    (ticked,) = scheduling.begin_due(opened)

    assert ticked == scheduling.Ticked(hourly, None, "there is no time zone 'Middle/Earth'")
    assert only(opened).problem == ticked.problem
    assert only(opened).due_at > only(opened).asked_at
    assert runs(opened) == []


def test_a_run_that_only_a_later_version_can_read_keeps_no_schedule_from_being_begun(
    opened: Database, hourly: str, tmp_path: Path
) -> None:
    (first,) = scheduling.begin_due(opened)
    (tmp_path / "other.yml").write_text(PIPELINE.replace("ticks", "other"))
    other = load(locate(str(tmp_path / "other.yml")))
    scheduling.add(opened.settings, other, Request("demo"), cron="@daily", zone="UTC")
    with opened.connect() as made:
        begin_crawl(made, str(first.run), datetime.now(UTC))
        cancel(made, str(first.run), "by hand")
        made.execute("UPDATE oaflow.plans SET definition = '{\"format\": 99}' WHERE pipeline = 'ticks'")
        made.execute("UPDATE oaflow.schedules SET due_at = now() - interval '1 minute'")

    ticked = {one.schedule: one.problem for one in scheduling.begin_due(opened)}

    assert ticked["other-demo"] is None
    assert "format 99" in str(ticked[hourly])


def test_one_that_is_paused_begins_nothing_and_makes_up_for_nothing_when_it_is_resumed(
    opened: Database, hourly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any, **__: Any) -> list[Schedule]:
        return [going]  # by another worker, before it was paused

    known = opened.settings
    going = scheduling.resume_schedule(hourly, settings=known)
    paused = scheduling.pause_schedule(hourly, settings=known)
    again = scheduling.pause_schedule(hourly, settings=known)

    assert (going.paused_at, going.due_at) == (
        None,
        paused.due_at,
    )  # what was not paused keeps the tick that it waits at
    assert paused.due_at < paused.asked_at
    assert again.paused_at == paused.paused_at is not None
    assert list(scheduling.begin_due(opened)) == []
    assert scheduling.late(paused) == timedelta()
    with opened.connect() as made:
        assert schedules(made, due=True) == []
        assert measured(made, silent=30, seconds=10).rest.late_schedules == 0
    with monkeypatch.context() as read_before, opened.connect() as made:
        read_before.setattr("oaflow.operations.scheduling.ledger.schedules", read)
        assert list(scheduling.begin_due(opened)) == []
        assert made.execute(sql("any_due")).fetchone() == (False,)

    resumed = scheduling.resume_schedule(hourly, settings=known)

    assert resumed.paused_at is None
    assert resumed.asked_at < resumed.due_at <= resumed.asked_at + timedelta(hours=1)
    assert list(scheduling.begin_due(opened)) == runs(opened) == []
    with opened.connect() as made:
        made.execute("UPDATE oaflow.schedules SET due_at = now() - interval '1 minute'")
        assert made.execute(sql("any_due")).fetchone() == (True,)
    assert len(list(scheduling.begin_due(opened))) == len(runs(opened)) == 1
    for change in (scheduling.pause_schedule, scheduling.resume_schedule):
        with pytest.raises(scheduling.NoSuchScheduleError, match="there is no schedule 'nightly'"):
            change("nightly", settings=known)


def test_what_was_removed_is_not_begun(opened: Database, hourly: str) -> None:
    with pytest.raises(scheduling.ScheduleExistsError):
        scheduling.add(
            opened.settings,
            load(locate(str(opened.settings.home / "ticks.yml"))),
            Request("demo"),
            cron="@daily",
            zone="UTC",
        )
    scheduling.remove_schedule(hourly, settings=opened.settings)

    assert list(scheduling.begin_due(opened)) == []
    with pytest.raises(scheduling.NoSuchScheduleError, match="there is no schedule"):
        scheduling.remove_schedule(hourly, settings=opened.settings)
