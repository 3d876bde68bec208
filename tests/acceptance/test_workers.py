"""
Workers that are alive: what their hearts, their connections and their ears are for.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import MODULE, PATIENCE, Command
from tests.acceptance.test_processes import RUN, balanced, chain, ended, noted, query, tree

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def hasty(cli: Command) -> Command:
    """
    The command where a worker that is silent for a moment is dead.
    """
    cli.environment |= {"OAFLOW_HEARTBEAT": "0.3", "OAFLOW_DEAD_AFTER": "1.5", "OAFLOW_EXECUTORS": "1"}
    return cli


def program(cli: Command, *command: str) -> subprocess.Popen[str]:
    return cli.new(sys.executable, *command)


def test_a_worker_whose_loop_is_blocked_for_longer_than_the_dead_are_silent_is_alive_and_the_stage_is_named(
    hasty: Command,
) -> None:
    name = chain(hasty, "blocks", 1, {"log": str(hasty.folder / "noted"), "seconds": 6.0})

    result = hasty("run", name, "-d", "demo", "--workers", "2", "--json")

    assert result.code == 0, result.err
    assert noted(hasty) == {"doc-0": 1}
    assert query(hasty, "SELECT outcome FROM oaflow.hops WHERE stage = 'middle'") == [("done",)]
    balanced(hasty)
    lines = [json.loads(line) for line in hasty("logs", "--json").out.splitlines()]
    (warning,) = [line for line in lines if line["stream"] == "warning"]
    assert warning["stage"] == "middle"
    assert re.match(
        r"async stage 'middle' blocked its worker for \d+ s, in process_stages:begins, line \d+: all async stages there"
        " stood still",
        warning["text"],
    )


def test_a_worker_that_drains_for_longer_than_the_dead_are_silent_is_alive(
    hasty: Command, started: Started, until: Until
) -> None:
    name = chain(hasty, "begins", 1, {"log": str(hasty.folder / "noted"), "seconds": 4.0})
    first = started(hasty.start("worker"))
    until(lambda: query(hasty, "SELECT 1 FROM oaflow.workers"))
    running = started(hasty.start("run", name, "-d", "demo", "--workers", "0", "--json"))
    second = started(hasty.start("worker"))
    until(lambda: noted(hasty) and len(query(hasty, "SELECT 1 FROM oaflow.workers")) == 2)
    ((owner,),) = query(
        hasty,
        "SELECT w.pid FROM oaflow.workers w JOIN procrastinate_jobs j ON j.worker_id = w.id AND j.status = 'doing'",
    )
    mine = first if owner in tree(first.pid) else second

    mine.send_signal(signal.SIGTERM)
    result = ended(running)

    assert ended(mine).code == 0
    assert result.code == 0, result.err
    assert noted(hasty) == {"doc-0": 1}
    assert query(hasty, "SELECT outcome FROM oaflow.hops WHERE stage = 'middle'") == [("done",)]


@pytest.mark.slow
def test_a_worker_holds_six_connections_and_one_for_each_process_that_writes_entities(
    cli: Command, started: Started, until: Until
) -> None:
    name = cli.pipeline(
        "busy",
        {
            "source": {"with": {"count": 60}, "next": ["breathes", "writes"]},
            "breathes": {"next": "end"},
            "writes": {"with": {"log": str(cli.folder / "noted")}, "next": "hold"},
            "hold": {"task": "begins", "priority": 10, "with": {"log": str(cli.folder / "held"), "seconds": 60.0}},
            "end": {},
        },
    )
    path = cli.folder / name
    path.write_text(path.read_text().replace("stages_for_tests.", "process_stages."))
    worker = started(cli.start("worker"))
    running = started(cli.start("run", name, "-d", "demo", "--workers", "0"))
    # Connections are kept: at this point all that were ever needed are there, and every process is held.
    until(lambda: len(noted(cli)) == 60 and (cli.folder / "held").exists())

    statement = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"

    def sessions() -> Counter[str]:
        return Counter(name for (name,) in query(cli, f"{statement} AND pid <> pg_backend_pid()"))

    # That of the heartbeat is opened anew where the machine was too busy for it.
    held = until(lambda: found if "oaflow heartbeat" in (found := sessions()) else None)

    for process in (running, worker):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # another one: two of the same may come as one
        process.communicate(timeout=PATIENCE)
    assert held.pop("oaflow follow") == 1  # the command's own
    assert held.pop("oaflow entities") in (2, 3)  # two executors, and the worker itself, which runs async stages
    assert held.total() <= 6, held
    assert set(held) == {"oaflow worker", "oaflow heartbeat"}


def test_no_session_of_a_worker_keeps_a_transaction_open(cli: Command, started: Started) -> None:
    options = {"log": str(cli.folder / "noted"), "seconds": 0.02}
    running = started(cli.start("run", chain(cli, "writes", 200, options), *RUN))
    idle = "SELECT pid, xact_start, application_name, query, (SELECT coalesce(sum(done), 0)::int FROM oaflow.counters)"
    idle += " FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    idle += " AND application_name LIKE 'oaflow %'"  # without a second word: the command that enters first jobs
    seen: dict[tuple[int, datetime], list[int]] = {}
    said: dict[tuple[int, datetime], tuple[str, str]] = {}
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        while running.poll() is None:
            for pid, since, name, statement, done in connection.execute(idle.encode()).fetchall():
                seen.setdefault((pid, since), []).append(done)
                said[pid, since] = (name, statement)
            time.sleep(0.02)

    # A snapshot that is held keeps dead rows alive, through which every claim walks. How long is told by what others
    # finish meanwhile: a machine may stand still between two statements, and the others with it.
    held = [said[one] for one, done in seen.items() if max(done) - min(done) > 100]
    assert (running.returncode, held) == (0, [])


def test_a_worker_learns_of_runs_and_jobs_by_notification(cli: Command, started: Started, until: Until) -> None:
    worker = started(cli.other("patient_worker"))
    listens = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%queue%'"
    until(lambda: query(cli, listens))

    name = chain(cli, "note", 200, {"log": str(cli.folder / "noted")})
    result = cli("run", name, "-d", "demo", "--workers", "0", "--json")

    assert result.code == 0, result.err
    assert "recording what became" not in result.err  # of a short run
    assert len(noted(cli)) == 200
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    balanced(cli)


@pytest.mark.parametrize("stage", ["breathes", "note"])  # in the worker's loop, and in an executor
def test_what_waits_for_answers_goes_on_when_they_have_come(cli: Command, started: Started, stage: str) -> None:
    options = {"log": str(cli.folder / "noted")} if stage == "note" else {}
    worker = started(cli.other("hesitant_worker"))

    result = cli("run", chain(cli, stage, 300, options), "-d", "demo", "--workers", "0", "--json")

    assert result.code == 0, result.err
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    balanced(cli)


KINDS = ("breathes_and_notes", "note")  # in the worker's loop, and in an executor


@contextmanager
def unanswered(cli: Command) -> Iterator[None]:
    """
    For the time of a block no hand-over is answered: each writes counters, and these are another's.
    """
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as held:
        held.execute("LOCK TABLE oaflow.counters IN EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("stage", KINDS)
def test_a_place_is_free_for_the_next_job_before_the_database_has_answered(
    cli: Command, started: Started, until: Until, stage: str
) -> None:
    cli.environment["OAFLOW_EXECUTORS"] = "1"
    running = started(cli.start("run", chain(cli, stage, 2000, {"log": str(cli.folder / "noted")}), *RUN, "--json"))
    until(lambda: len(noted(cli)) >= 5)
    with unanswered(cli):
        handed = query(cli, "SELECT count(*)::int FROM oaflow.hops")
        before = len(noted(cli))
        assert before < 1500
        # Far more than there are slots.
        until(lambda: len(noted(cli)) >= before + 200)
        assert query(cli, "SELECT count(*)::int FROM oaflow.hops") == handed

    assert ended(running).code == 0
    assert set(noted(cli).values()) == {1}
    balanced(cli)


@pytest.mark.parametrize("stage", KINDS)
def test_no_more_is_begun_while_too_many_answers_are_outstanding(
    cli: Command, started: Started, until: Until, stage: str
) -> None:
    worker = started(cli.other("hesitant_worker"))
    name = chain(cli, stage, 400, {"log": str(cli.folder / "noted")})
    running = started(cli.start("run", name, "-d", "demo", "--workers", "0", "--json"))
    until(lambda: len(noted(cli)) >= 5)
    with unanswered(cli):
        time.sleep(2.0)
        before = len(noted(cli))
        time.sleep(1.0)
        assert len(noted(cli)) == before < 400

    assert ended(running).code == 0
    assert set(noted(cli).values()) == {1}
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    balanced(cli)


def test_what_there_is_no_room_for_is_asked_for_when_there_is(cli: Command, started: Started) -> None:
    """
    Async stages behind a sync one: a claim of the one kind that brings nothing says nothing of the other.
    """
    worker = started(cli.other("patient_worker"))

    result = cli("run", chain(cli, "breathes", 3000, {}), "-d", "demo", "--workers", "0", "--json")

    assert result.code == 0, result.err
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    balanced(cli)


def test_a_worker_goes_on_with_what_follows_itself(cli: Command) -> None:
    cli.environment |= {"OAFLOW_EVENTS": "on"}

    result = cli("run", chain(cli, "breathes", 600, {}), "-d", "demo", "--workers", "1", "--json")

    assert result.code == 0, result.err
    # procrastinate writes one such row for each job that is inserted to be claimed, and none for what is continued: 300
    # and more where nothing else runs, and few where claims fill the buffer meanwhile.
    (queued,) = query(cli, "SELECT count(*)::int FROM procrastinate_events WHERE type = 'deferred'")[0]
    (ended,) = query(cli, "SELECT count(*)::int FROM procrastinate_jobs WHERE status = 'succeeded'")[0]
    assert (ended, ended > queued) == (1201, True)
    balanced(cli)


def test_a_retry_is_made_when_it_is_due_though_nothing_notifies_of_it(
    cli: Command, started: Started, until: Until
) -> None:
    worker = started(cli.other("patient_worker"))
    stages = {
        "source": {"with": {"count": 1}, "next": "fails"},
        "fails": {"retry": {"max": 2, "base": "1s"}},
    }

    result = cli("run", cli.pipeline("failing", stages), "-d", "demo", "--workers", "0", "--json")

    assert result.code == 1, result.err
    assert query(cli, "SELECT count(*)::int FROM oaflow.hops WHERE stage = 'fails'") == [(3,)]
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    balanced(cli)


def test_what_waits_in_a_busy_worker_is_done_by_one_that_is_free(cli: Command, started: Started, until: Until) -> None:
    cli.environment |= {"OAFLOW_EXECUTORS": "1"}
    first = started(cli.other("impatient_worker"))
    go = cli.folder / "go"
    stages = {"source": {"with": {"count": 2}, "next": "waits"}, "waits": {"with": {"file": str(go)}}}
    running = started(cli.start("run", cli.pipeline("slow", stages), "-d", "demo", "--workers", "0", "--json"))
    waiting = "FROM procrastinate_jobs WHERE status = 'doing' AND task_name ~ 'waits'"  # not their source
    until(lambda: len(query(cli, f"SELECT 1 {waiting}")) == 2)

    second = started(program(cli, "-m", "oaflow.runtime.worker"))
    # One each, as the first cannot have ended.
    at_work = f"SELECT count(DISTINCT worker_id)::int {waiting}"
    until(lambda: query(cli, at_work) == [(2,)])
    go.touch()

    assert ended(running).code == 0
    assert len(query(cli, "SELECT DISTINCT worker FROM oaflow.hops WHERE stage = 'waits'")) == 2
    assert query(cli, "SELECT DISTINCT attempt FROM oaflow.hops WHERE stage = 'waits'") == [(0,)]
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=PATIENCE)
    balanced(cli)


def test_nothing_waits_behind_a_job_of_a_quick_stage_that_is_slow(cli: Command, started: Started, until: Until) -> None:
    go = cli.folder / "go"
    # When it comes the others took a millisecond, so executors have many in hand.
    options = {"log": str(cli.folder / "noted"), "late": 600, "file": str(go)}
    running = started(cli.start("run", chain(cli, "notes_one_later", 2000, options), *RUN, "--json"))

    until(lambda: len(noted(cli)) == 1999)
    go.touch()

    assert ended(running).code == 0
    assert set(noted(cli).values()) == {1}
    assert query(cli, "SELECT DISTINCT attempt FROM oaflow.hops WHERE stage = 'middle'") == [(0,)]
    balanced(cli)


def test_who_follows_a_long_run_is_told_what_its_end_still_takes(cli: Command, started: Started, until: Until) -> None:
    go = cli.folder / "go"
    stages = {"source": {"with": {"count": 1}, "next": "waits"}, "waits": {"with": {"file": str(go)}}}
    path = cli.folder / cli.pipeline("long", stages)
    whole = json.loads(path.read_text())
    crawl = {"task": "oaflow.stages.crawl", "with": {"source": [str(path)]}, "next": "source"}
    path.write_text(json.dumps(whole | {"stages": {"crawl": crawl, **whole["stages"]}}))
    worker = started(cli.start("worker"))
    running = started(cli.start("run", path.name, "-d", "demo", "--workers", "0"))
    until(lambda: query(cli, "SELECT 1 FROM oaflow.hops WHERE stage = 'source'"))

    query(cli, "UPDATE oaflow.counters SET done = done + 20000 WHERE stage = 'source' RETURNING 1")
    go.touch()
    result = ended(running)

    assert result.code == 0, result.err
    assert "the run has ended; recording what became of its files" in result.err
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)


# Notes who imports followthemoney, from when the forkserver has imported this.
LISTENING = """
import os, sys
from pathlib import Path
from oaflow import DatasetJob, stage

def hear(event, arguments):
    if event == "import" and arguments[0] == "followthemoney.dataset":
        with Path(__file__).with_name("heard").open("a") as out:
            print(os.getpid(), os.getppid(), file=out)

sys.addaudithook(hear)

@stage
def listening(job: DatasetJob) -> None:
    Path(__file__).with_name("forkserver").write_text(str(os.getppid()))
    list(job.get_entities())
"""


def test_what_stages_load_late_is_loaded_by_no_executor(cli: Command) -> None:
    (cli.folder / "hearing.py").write_text(LISTENING)
    source = cli.folder / "source"
    source.mkdir()
    for number in range(20):
        (source / f"{number}.txt").write_text(f"the letter {number}")
    stages = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": [str(source)]}, "next": "extract"},
        "extract": {"task": "oaflow.stages.extract", "next": {"default": "listening", "children": "drop"}},
        "listening": {"task": "hearing.listening"},
    }
    (cli.folder / "hear.yml").write_text(json.dumps({"oaflow": 1, "pipeline": "hear", "stages": stages}))

    result = cli("run", "hear.yml", "-d", "demo", "--workers", "1", program=MODULE)

    assert result.code == 0, result.err
    (heard,) = (cli.folder / "heard").read_text().splitlines()
    assert heard.split()[0] == (cli.folder / "forkserver").read_text()


def test_the_stock_worker_runs_periodic_tasks_beside_the_stages_of_a_run(
    cli: Command, started: Started, until: Until
) -> None:
    ticks, noting = cli.folder / "ticks", cli.folder / "noted"
    cli.environment |= {"PROCRASTINATE_APP": "periodic_tasks.app", "TICKS": str(ticks)}
    worker = started(program(cli, "-m", "procrastinate", "worker"))
    name = chain(cli, "note", 2000, {"log": str(noting), "seconds": 0.1})  # longer than anybody waits
    running = started(cli.start("run", name, "-d", "demo", "--workers", "0", "--json"))
    until(lambda: noted(cli))
    before = len(ticks.read_text().splitlines()) if ticks.exists() else 0
    until(lambda: ticks.exists() and len(ticks.read_text().splitlines()) >= before + 2)
    beside = len(noted(cli))
    until(lambda: len(noted(cli)) > beside)

    for process in (running, worker):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert len(noted(cli)) < 2000, "the run was over before the periodic task had run"
    seconds = ticks.read_text().splitlines()
    assert len(seconds) == len(set(seconds))


def test_the_temporary_files_of_async_stages_are_where_the_next_worker_finds_what_a_killed_one_left(
    cli: Command,
) -> None:
    name = chain(cli, "notes_its_folder", 2, {"log": str(cli.folder / "noted")})

    assert cli("run", name, *RUN, "--json").code == 0

    (folder,) = noted(cli)
    assert folder.startswith(f"{cli.folder / 'home/temp'}{os.sep}")
    assert not list((cli.folder / "home/temp").iterdir())


def test_a_worker_begins_what_is_scheduled_once_though_there_are_several(
    cli: Command, started: Started, until: Until
) -> None:
    name = chain(cli, "note", 3, {"log": str(cli.folder / "noted")})
    added = cli("schedule", "add", name, "-d", "demo", "--cron", "0 3 * * *", "--timezone", "Europe/Berlin")
    assert added.code == 0, added.err
    query(cli, "UPDATE oaflow.schedules SET due_at = now() - interval '2 days' RETURNING name")
    waits = [line for line in cli("doctor").out.splitlines() if "schedule" in line]
    assert waits[0].endswith("only a worker starts its runs, and none is running")

    workers = [started(cli.start("worker", "--workers", "2")), started(cli.start("worker"))]
    until(lambda: query(cli, "SELECT id FROM oaflow.runs WHERE state = 'finished'"))

    ((run, began),) = query(cli, "SELECT r.id, s.last_run FROM oaflow.runs r, oaflow.schedules s")
    assert run == began
    assert noted(cli) == {"doc-0": 1, "doc-1": 1, "doc-2": 1}
    assert f" {run}" in cli("schedule", "list").out
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    said = "".join(worker.communicate(timeout=PATIENCE)[1] for worker in workers)
    assert said.count(f"schedule chain-demo: run {run} has begun") == 1
    held = cli("schedule", "pause", "chain-demo", "--json")
    assert held.err == "schedule chain-demo is paused\ncontinue: oaflow schedule resume chain-demo\n"
    assert held.json == cli("schedule", "list", "--json").json
    assert held.json["paused_at"] is not None
    assert f" paused   {run}" in cli("schedule", "list").out
    goes_on = cli("schedule", "resume", "chain-demo", "--json")
    assert re.fullmatch(r"schedule chain-demo: next at .* 03:00 Europe/Berlin\n", goes_on.err)
    assert goes_on.json == held.json | {"paused_at": None}
    assert cli("schedule", "remove", "chain-demo").code == 0
    balanced(cli)


def test_a_worker_ends_when_it_is_told_to_also_while_a_run_of_a_schedule_waits_to_begin(
    cli: Command, started: Started, until: Until
) -> None:
    name = chain(cli, "note", 3, {"log": str(cli.folder / "noted")})
    assert cli("schedule", "add", name, "-d", "demo", "--cron", "0 3 * * *").code == 0
    query(cli, "UPDATE oaflow.schedules SET due_at = now() - interval '2 days' RETURNING name")
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as held:
        held.execute("SELECT 1 FROM oaflow.schedules FOR UPDATE")
        worker = started(cli.start("worker"))
        until(lambda: query(cli, "SELECT pid FROM pg_locks WHERE NOT granted"))

        worker.send_signal(signal.SIGTERM)

        assert "is drained" in worker.communicate(timeout=PATIENCE)[1]
    assert query(cli, "SELECT id FROM oaflow.runs") == []
