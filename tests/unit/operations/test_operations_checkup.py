"""
What `doctor` says of folders, backups, schedules, webhooks and collectors, without a database.
"""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from oaflow.ledger.schedules import Schedule
from oaflow.ledger.webhooks import Webhook
from oaflow.operations import checkup
from oaflow.operations.backups import LAST
from oaflow.settings import Settings

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
SCHEDULE = Schedule(
    name="nightly",
    pipeline="p",
    plan="digest",
    dataset="d",
    params={},
    folders=[],
    places={},
    cron="0 3 * * *",
    zone="UTC",
    due_at=NOW,
    last_at=NOW,
    last_run=None,
    problem=None,
    paused_at=None,
    asked_at=NOW,
)
WEBHOOK = Webhook("here", "https://here/", None, NOW, NOW, None, 0, 0, None)


@pytest.mark.parametrize(("days", "level"), [(None, "note"), (0.5, "fine"), (6.9, "fine"), (7.1, "note")])
def test_a_backup_is_missed_after_a_week(tmp_path: Path, days: float | None, level: str) -> None:
    if days is not None:
        (tmp_path / LAST).write_text(f"{NOW.timestamp() - days * 86400:.0f}\n")

    found = checkup._backup(Settings(home=tmp_path), NOW.timestamp())

    assert (found.level, found.help) == (level, "oaflow backup FOLDER")


def test_what_an_upgrade_has_kept_is_named_with_what_takes_it_out(tmp_path: Path) -> None:
    home = tmp_path / "my data"
    (home / "postgres" / "data.15").mkdir(parents=True)
    (home / "postgres" / "data").mkdir()

    (found,) = checkup._kept(Settings(home=home))

    assert (found.level, found.help) == ("note", f"when everything works: rm -r '{home}/postgres/data.15'")


@pytest.mark.parametrize(
    ("total", "free", "level", "said"),
    [
        (100.0, 3.0, "fine", "3.0 GiB free"),
        (100.0, 1.5, "note", "1.5 GiB free: runs pause below 1.1 GB"),
        (100.0, 0.9, "problem", "0.9 GiB free: runs pause"),
        (10.0, 0.6, "note", "0.6 GiB free: runs pause below 536.9 MB"),  # of a small disk a twentieth
    ],
)
def test_a_disk_on_which_there_is_little_room_is_named_before_runs_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: float, free: float, level: str, said: str
) -> None:
    usage = SimpleNamespace(total=int(total * 1024**3), free=int(free * 1024**3))
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _: usage)

    found, _ = checkup._folders(Settings(home=tmp_path))

    assert (found.level, found.what) == (level, "data folder")
    assert found.text.endswith(said)


def test_a_folder_that_cannot_be_used_is_a_problem_and_its_own_variable_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    _, temp = checkup._folders(Settings(home=tmp_path))
    monkeypatch.setattr(checkup.os, "access", lambda *_: False)  # root may write anywhere
    (home,) = checkup._folders(Settings(home=tmp_path))

    text = f"{tmp_path / 'gone'}: No such file or directory"
    assert temp == checkup.Finding("problem", "temp folder", text, "export TMPDIR=FOLDER")
    text = f"{tmp_path}: no permission to write"
    assert home == checkup.Finding("problem", "data folder", text, "export OAFLOW_HOME=FOLDER")


def test_without_languages_for_scans_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    monkeypatch.setattr(checkup, "Path", lambda *_: tmp_path)

    (found,) = checkup._ocr()

    assert (found.level, found.help) == ("note", "apt install tesseract-ocr")


def test_a_worker_on_this_machine_that_does_not_answer_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(checkup, "_health_of", {1: str(port)}.__getitem__)
    here, elsewhere = (SimpleNamespace(pid=pid, host=host) for pid, host in ((1, socket.gethostname()), (2, "other")))

    (found,) = checkup._health([here, elsewhere])  # pyright: ignore[reportArgumentType]

    url = f"http://127.0.0.1:{port}/ready"
    assert (found.level, found.help) == ("problem", f"curl {url}")
    assert found.text.startswith(f"{url}: it does not answer")


def test_a_schedule_that_waits_and_one_that_began_nothing_are_named() -> None:
    waits = replace(SCHEDULE, asked_at=NOW + timedelta(minutes=5))
    began_nothing = replace(SCHEDULE, problem="run p-abc234 had not ended (paused)")

    assert list(checkup._scheduled([SCHEDULE])) == []
    assert [(found.level, found.help) for found in checkup._scheduled([waits])] == [("problem", "oaflow worker")]
    (held,) = checkup._scheduled([replace(waits, paused_at=NOW)])
    assert held.text == "nightly starts no runs: paused since 2026-11-27 03:00 UTC"
    assert (held.level, held.help) == ("note", "oaflow schedule resume nightly")
    (found,) = checkup._scheduled([began_nothing])
    assert found.text == "nightly started no run at 2026-11-27 03:00 UTC: run p-abc234 had not ended (paused)"
    assert (found.level, found.help) == ("note", "oaflow status   # or oaflow schedule remove nightly")


def test_a_webhook_that_fails_and_one_that_nobody_sends_to_are_problems() -> None:
    fails = replace(WEBHOOK, problem="answered 500", waiting=1, seconds=3.0)
    waits = replace(WEBHOOK, waiting=2, seconds=120.0)
    settings = Settings()

    assert [(found.level, found.help) for found in checkup._webhooks([WEBHOOK, fails, waits], settings)] == [
        ("fine", None),
        ("problem", "oaflow webhook test here"),
        ("problem", "OAFLOW_WEBHOOK_SECRET=whsec_... oaflow worker"),
    ]
    (found,) = checkup._webhooks([], Settings(webhook_secret=SecretStr("canary")))
    assert (found.level, found.help) == ("problem", "export OAFLOW_WEBHOOK_SECRET=whsec_...")
    assert "canary" not in f"{found}"


def test_a_collector_that_cannot_be_reached_is_a_problem_and_none_is_no_news() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        (found,) = checkup._collector({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    (away,) = checkup._collector({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://u:canary@127.0.0.1:{port}"})

    assert (found.level, found.text) == ("fine", f"the collector at 127.0.0.1:{port} can be reached")
    assert (away.level, away.help) == ("problem", "export OTEL_EXPORTER_OTLP_ENDPOINT=http://HOST:4318")
    assert "canary" not in f"{away}"
    for awry in ("http://u:can/ary@127.0.0.1:1", "http://u:can?ary@h", "http://[canary]/", "u:canary@h:1"):
        (problem,) = checkup._collector({"OTEL_EXPORTER_OTLP_ENDPOINT": awry})
        assert problem.text == "OTEL_EXPORTER_OTLP_ENDPOINT is not an address"
    assert list(checkup._collector({})) == []
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert list(checkup._collector(named | {"OTEL_SDK_DISABLED": "true"})) == []
    assert list(checkup._collector(named | {"OTEL_TRACES_EXPORTER": "none"})) == []
