"""
Runs through the installed command: what is printed, what is counted, and how it ends.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import INSTALLED, PATIENCE, Command

Keep = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]

RUN = ("-d", "demo", "--workers", "1")

STATUS_FIELDS = ["run", "pipeline", "plan", "dataset", "rerun_of", "state", "seconds", "unchanged", "gone", "stages"]
COUNTERS = ["open", "done", "failed", "unmatched", "dropped", "ended", "diverted", "vanished"]


def lines_of(path: Path) -> Callable[[], int]:
    """
    Counts the lines of a file that is being written.
    """
    return lambda: len(path.read_text().splitlines()) if path.exists() else 0


def chain(cli: Command, middle: str = "work", count: int = 5, **keys: Any) -> str:
    return cli.pipeline(
        "chain",
        {
            "source": {"with": {"count": count}, "next": "middle"},
            "middle": {"task": middle, "next": "end", **keys},
            "end": {},
        },
    )


def test_run_prints_one_object_whose_counts_are_of_jobs(cli: Command) -> None:
    result = cli("run", chain(cli), *RUN, "--json")

    assert result.code == 0, result.err
    assert list(result.json) == STATUS_FIELDS
    assert result.json["state"] == "finished"
    assert list(result.json["stages"]) == ["source", "middle", "end"]
    assert list(result.json["stages"]["end"]) == COUNTERS
    assert [stage["done"] for stage in result.json["stages"].values()] == [1, 5, 5]
    assert cli("status", "--json").json["stages"] == result.json["stages"]
    receipt = cli("receipt", "--json")
    assert receipt.code == 0
    assert (receipt.json["found"], receipt.json["ended"], receipt.json["balanced"]) == (5, 5, True)


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ("rejects", "this will never work"),
        ("returns_a_number", "42"),
        ("yields_then_raises", "half-way"),
        ("returns_too_many", "stream"),
        ("never_returns", "1"),
        ("exits", "7"),
        ("crashes", "SIGSEGV"),
    ],
)
def test_a_stage_that_does_not_behave_is_a_failure_with_its_reason(cli: Command, task: str, word: str) -> None:
    keys = {"retry": 0}
    result = cli("run", chain(cli, task, count=1, **keys), *RUN, "--json")

    assert result.code == 1, result.err
    assert result.json["stages"]["middle"]["failed"] == 1
    assert result.json["stages"]["end"]["done"] == 0
    failure = cli("failures", "--json").json
    assert word in failure["message"] + str((failure["detail"] or {}).get("help"))
    assert word in cli("failures").out
    assert cli("receipt", "--json").json["failed"] == 1


def test_an_async_stage_that_cancels_its_own_task_has_failed_and_harms_no_other_job(cli: Command) -> None:
    (cli.folder / "cancelling.py").write_text("""
import asyncio
from oaflow import DatasetJob, stage

@stage(retry=0)
async def itself(job: DatasetJob) -> DatasetJob:
    if "doc-1" in job.documents:
        asyncio.current_task().cancel()
    elif "doc-2" in job.documents:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(5))
            asyncio.current_task().cancel()
    await asyncio.sleep(0.01)
    return job
""")
    stages = {"source": {"task": "stages_for_tests.source", "next": "itself"}, "itself": {"task": "cancelling.itself"}}
    (cli.folder / "p.yml").write_text(json.dumps({"pipeline": "p", "stages": stages}))

    result = cli("run", "p.yml", "-d", "d", "--workers", "1", "--json")

    assert result.code == 1
    failed = [json.loads(line) for line in cli("failures", "--json").out.splitlines()]
    assert sorted((failure["documents"], failure["type"]) for failure in failed) == [
        (["doc-1"], "asyncio.exceptions.CancelledError"),
        (["doc-2"], "asyncio.exceptions.CancelledError"),
    ]
    assert result.json["stages"]["itself"]["done"] == 3


def test_names_from_data_are_printed_and_never_obeyed(cli: Command) -> None:
    names = ["report[/red].pdf", "two\nlines.txt", "esc\x1b[31m.txt", "t\u00e9l.txt", "doc.txt"]
    name = cli.pipeline("odd", {"source": {"with": {"named": names}, "next": "fails"}, "fails": {}})

    result = cli("run", name, *RUN)

    assert result.code == 1
    for text in (result.out, cli("failures").out, cli("receipt", "--list", "failed").out):
        assert "report[/red].pdf" in text
        assert "two\\nlines.txt" in text
        assert "\x1b" not in text
    assert f"oaflow retry {cli('status', '--json').json['run']}" in result.out


def test_failures_within_the_limit_exit_with_0(cli: Command) -> None:
    name = chain(cli, "fails", **{"with": {"on": ["doc-1"]}})

    assert cli("run", name, *RUN).code == 1
    assert cli("run", name, *RUN, "--max-failed", "1").code == 0
    assert cli("run", name, *RUN, "--max-failed", "20%").code == 0
    assert cli("run", name, *RUN, "--max-failed", "19%").code == 1


def test_retry_sends_what_failed_again_in_a_new_round(cli: Command) -> None:
    name = chain(cli, "fails_once", **{"with": {"marker": str(cli.folder / "seen")}})
    assert cli("run", name, *RUN).code == 1

    result = cli("retry", "--workers", "1", "--json")

    assert result.code == 0, result.err
    assert [stage["failed"] for stage in result.json["stages"].values()] == [0, 0, 0]
    assert cli("receipt", "--json").json["ended"] == 5


def test_a_signal_drains_and_resume_goes_on_and_nothing_is_done_twice(
    cli: Command, started: Keep, until: Callable[[Callable[[], Any]], Any]
) -> None:
    log = cli.folder / "log"
    name = chain(cli, "work", count=60, **{"with": {"seconds": 0.2, "log": str(log)}})
    process = started(cli.start("run", name, *RUN))
    until(lambda: log.exists() and len(log.read_text().splitlines()) >= 4)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    run = cli("status", "--json").json
    assert run["state"] == "interrupted"
    assert f"continue: oaflow resume {run['run']}" in err
    middle = run["stages"]["middle"]
    assert middle["open"] > 0
    assert ["middle", str(middle["open"]), str(middle["done"])] in [line.split() for line in out.splitlines()]
    unfinished = cli("run", name, *RUN)
    assert unfinished.code == 2
    assert "--resume" in unfinished.help
    assert cli("resume", "--workers", "1").code == 0
    assert sorted(log.read_text().splitlines()) == sorted(f"doc-{number}" for number in range(60))


def test_a_second_signal_stops_at_once_and_loses_nothing(
    cli: Command, started: Keep, until: Callable[[Callable[[], Any]], Any]
) -> None:
    log, begun = cli.folder / "log", cli.folder / "begun"
    name = chain(cli, "work", count=2, **{"with": {"seconds": 4, "log": str(log), "begun": str(begun)}})
    process = started(cli.start("run", name, *RUN))
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        until(begun.exists)

        process.send_signal(signal.SIGTERM)
        until(lambda: "SIGTERM" in process.stderr.readline() if process.stderr else True)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)

        assert process.returncode == 130
        outcomes = "SELECT DISTINCT outcome FROM oaflow.hops WHERE stage = 'middle'"
        # Killed in the middle. What may end in its time would have, and what is cut off after it is given back.
        assert connection.execute(outcomes).fetchall() == [("orphaned",)]
    assert not log.exists()
    assert f"continue: oaflow resume {cli('status', '--json').json['run']}" in err
    assert cli("run", name, *RUN, "--resume").code == 0
    receipt = cli("receipt", "--json").json
    assert (receipt["ended"], receipt["balanced"]) == (2, True)


def test_a_run_that_was_interrupted_twice_and_cancelled_in_the_middle_has_a_receipt_that_balances(
    cli: Command, started: Keep, until: Until
) -> None:
    name = cli.pipeline(
        "chain",
        {
            "source": {"with": {"count": 600}, "next": "work"},  # a minute of work: it is not waited for
            "work": {"with": {"seconds": 0.2, "log": str(cli.folder / "log")}, "next": "end"},
            "end": {"priority": 80},
        },
    )
    worked = lines_of(cli.folder / "log")
    for command in ("run", "resume"):
        arguments = (name, *RUN) if command == "run" else ("--workers", "1")
        before = worked()
        process = started(cli.start(command, *arguments))
        until(lambda before=before: worked() > before + 2)
        process.send_signal(signal.SIGINT)
        if command == "resume":
            process.send_signal(signal.SIGINT)  # at once, with jobs in hand
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
    before = worked()
    process = started(cli.start("resume", "--workers", "1"))
    until(lambda: worked() > before + 2)

    assert cli("cancel").code == 0
    process.communicate(timeout=PATIENCE)

    result = cli("receipt", "--json")
    receipt = result.json
    assert (result.code, receipt["balanced"], receipt["found"]) == (0, True, 600)
    assert receipt["ended"] > 0
    assert receipt["dropped"] == 600 - receipt["ended"] > 0
    text = cli("receipt")
    assert text.code == 0
    assert f"of these cancelled {receipt['dropped']}" in " ".join(text.out.split())
    listed = cli("receipt", "--list", "dropped").out.splitlines()
    assert len(listed) == receipt["dropped"]
    assert all("cancelled before work was done" in line or "cancelled before end was done" in line for line in listed)


def test_a_run_that_is_killed_where_it_stands_and_then_cancelled_balances_too(
    cli: Command, started: Keep, until: Until
) -> None:
    name = cli.pipeline(
        "slow", {"source": {"with": {"count": 6}, "next": "sleeps"}, "sleeps": {"next": "end"}, "end": {}}
    )
    process = started(cli.start("run", name, *RUN))
    until(lambda: "sleeps job" in cli("status").out)

    assert cli("cancel").code == 0  # the two that sleep do so for ever
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)

    result = cli("receipt", "--json")
    assert (result.code, result.json["dropped"], result.json["balanced"]) == (0, 6, True)


def test_jobs_that_nobody_can_run_are_named_with_what_to_type(cli: Command, started: Keep) -> None:
    process = started(cli.start("run", chain(cli), "-d", "demo"))
    assert process.stderr is not None

    lines = iter(process.stderr.readline, "")
    line = next(line for line in lines if "no live worker" in line)

    assert "stages_for_tests.source" in line
    assert "queue source" in line
    assert "oaflow worker" in next(lines)
    status, examined = cli("status"), cli("doctor")
    assert "no live worker can run task stages_for_tests.source of queue source: its jobs wait, for" in status.out
    assert "oaflow worker" in status.out
    assert examined.code == 3
    (finding,) = [line for line in examined.out.splitlines() if line.startswith("✗")]
    assert "no live worker can run task stages_for_tests.source of queue source: jobs of chain-" in finding
    assert cli("cancel").code == 0
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 1


def test_the_private_server_is_started_for_a_run_and_stopped_after_it(private: Command, home: Path) -> None:
    new = home / "new"

    result = private("run", chain(private), "-d", "demo", "--json", env={"OAFLOW_HOME": str(new)})

    assert result.code == 0, result.err
    assert result.json["state"] == "finished"
    assert (new / "postgres/data/PG_VERSION").exists()
    assert not (new / "postgres/data/postmaster.pid").exists()


def test_a_file_beside_the_pipeline_does_not_stand_in_for_the_standard_library(cli: Command) -> None:
    for name in ("email", "json", "asyncio", "platform"):
        (cli.folder / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    (cli.folder / "mine.py").write_text(
        "import email.message\n"
        "from oaflow import DatasetJob, stage\n"
        "@stage\n"
        "def own(job: DatasetJob) -> None:\n"
        "    email.message.EmailMessage()\n"
    )
    (cli.folder / "shadow.yml").write_text(json.dumps({"pipeline": "shadow", "stages": {"own": {"task": "mine.own"}}}))

    result = cli("run", "shadow.yml", *RUN, "--json", program=INSTALLED)

    assert result.code == 0, result.err
    assert result.json["stages"]["own"]["done"] == 1


def test_a_worker_takes_out_history_and_logs_that_are_too_old(
    cli: Command, started: Keep, until: Until, database: str
) -> None:
    cli.environment["OAFLOW_KEEP"] = "7"
    logs = cli.folder / "home" / "logs"
    logs.mkdir(parents=True)
    for name in ("old-aaaaaa.jsonl", "new-aaaaaa.jsonl"):
        (logs / name).write_text("{}\n")
    os.utime(logs / "old-aaaaaa.jsonl", (1e9, 1e9))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE oaflow.hops_20200101 PARTITION OF oaflow.hops"
            " FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
        )
        for days in (8, 6):
            connection.execute(
                "INSERT INTO oaflow.hops (at, run, outcome) VALUES (now() - make_interval(days => %s), %s, 'done')",
                (days, f"{days} days"),
            )

        started(cli.start("worker", "--workers", "1"))
        until(lambda: not (logs / "old-aaaaaa.jsonl").exists())

        assert connection.execute("SELECT to_regclass('oaflow.hops_20200101')").fetchone() == (None,)
        assert connection.execute("SELECT run FROM oaflow.hops").fetchall() == [("6 days",)]
        assert (logs / "new-aaaaaa.jsonl").exists()


def test_workers_give_a_run_up_with_the_failure_that_is_one_too_many(
    cli: Command, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any]
) -> None:
    # Nobody follows it, and no heart beats meanwhile.
    cli.environment |= {"OAFLOW_HEARTBEAT": "100", "OAFLOW_DEAD_AFTER": "300"}
    stages = {"source": {"with": {"count": 400}, "next": "middle"}, "middle": {"task": "rejects"}}
    following = started(cli.start("run", cli.pipeline("quick", stages), *RUN, "--workers", "0", "--stop-after", "3"))
    assert following.stderr is not None
    assert any("1 job to start with" in line for line in following.stderr)
    following.kill()
    started(cli.start("worker"))

    until(lambda: cli("status", "--json").json["state"] != "running")

    status = cli("status", "--json").json
    assert status["state"] == "cancelled"
    assert 3 <= status["stages"]["middle"]["failed"] < 400


def test_a_run_is_cancelled_after_so_many_failures_and_its_receipt_balances(cli: Command) -> None:
    # The jobs of `work` take twenty seconds with two executors: most of them still wait when the third has failed.
    name = cli.pipeline(
        "hopeless",
        {
            "source": {"with": {"count": 40}, "next": "fails"},
            "fails": {"with": {"on": ["doc-0", "doc-1", "doc-2"]}, "next": "work", "priority": 90},
            "work": {"with": {"seconds": 1}, "next": "end", "priority": 10},
            "end": {},
        },
    )

    result = cli("run", name, *RUN, "--stop-after", "3", "--max-failed", "100")

    assert result.code == 1, result.err
    assert "cancelled" in result.out
    assert "(--stop-after 3)" in result.out
    assert "(--stop-after 3)" in cli("status").out
    assert cli("status", "--json").json["state"] == "cancelled"
    receipt = cli("receipt", "--json").json
    assert (receipt["balanced"], receipt["found"]) == (True, 40)
    assert receipt["failed"] == 3
    assert receipt["dropped"] > 0
    assert receipt["dropped"] + receipt["ended"] == 37
    assert "cancelled before" in cli("receipt", "--list", "dropped").out


def test_a_run_of_which_somebody_deleted_a_job_is_incomplete_and_names_the_document(
    cli: Command, started: Keep, until: Until, database: str
) -> None:
    log = cli.folder / "log"
    process = started(cli.start("run", chain(cli, count=30, **{"with": {"seconds": 0.2, "log": str(log)}}), *RUN))
    until(lambda: lines_of(log)() >= 4)
    process.send_signal(signal.SIGINT)  # what was claimed is given back
    process.communicate(timeout=PATIENCE)
    with psycopg.connect(database, autocommit=True) as connection:
        found = connection.execute(
            "DELETE FROM procrastinate_jobs WHERE id = ("
            "  SELECT max(id) FROM procrastinate_jobs WHERE status = 'todo' AND task_name LIKE '%.work')"
            " RETURNING args #>> '{payload,entities,0,id}'"
        ).fetchone()
    assert found is not None
    (document,) = found

    result = cli("resume", "--workers", "1")

    assert result.code == 1, result.err
    status = cli("status", "--json").json
    assert status["state"] == "incomplete"
    assert {name: stage["vanished"] for name, stage in status["stages"].items()} == {"source": 0, "middle": 1, "end": 0}
    assert [stage["open"] for stage in status["stages"].values()] == [0, 0, 0]
    said = " ".join(result.out.split())
    name = document.replace("doc-", "file") + ".txt"
    assert "1 job of middle vanished: a user deleted or cancelled it in the database, or a worker of" in said
    assert f"took it from the same queue {name}" in said
    assert f"oaflow receipt {status['run']} --list vanished" in said
    receipt = cli("receipt", "--json").json
    assert (receipt["vanished"], receipt["ended"], receipt["balanced"]) == (1, 29, True)
    assert name in cli("receipt", "--list", "vanished").out
    assert document not in log.read_text().split()
