"""
Real processes: what executors and workers that die, stall or are paused cost, and whom.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from oaflow.plan import FORMAT
from tests.acceptance.conftest import PATIENCE, Command, Result
from tests.chaos.proxy import Proxy
from tests.integration.handovers import counters, recount

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]
RUN = ("-d", "demo", "--workers", "1")


def chain(cli: Command, middle: str, count: int, options: Mapping[str, Any] | None = None, **keys: Any) -> str:
    first = keys.pop("source", {})
    stages: dict[str, Any] = {
        "source": {"with": {"count": count, **first}, "next": "middle"},
        "middle": {"task": middle, "next": "end", "with": dict(options or {}), **keys},
        "end": {},
    }
    if keys.get("on_error") == "aside":
        stages["aside"] = {"task": "end"}
    name = cli.pipeline("chain", stages)
    path = cli.folder / name
    path.write_text(path.read_text().replace("stages_for_tests.", "process_stages."))
    return name


def query(cli: Command, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        return connection.execute(statement, values or None).fetchall()  # pyright: ignore


def balanced(cli: Command) -> None:
    """
    What holds at the end of every run, however it went.
    """
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        for (run,) in connection.execute("SELECT id FROM oaflow.runs").fetchall():
            assert counters(connection, run) == recount(connection, run)
        assert connection.execute("SELECT count(*) FROM oaflow.charges").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM oaflow.workers").fetchone() == (0,)
    assert cli("receipt", "--json").json["balanced"] is True


def tree(root: int, *, below: bool = True) -> dict[int, str]:
    """
    The processes below one, or only its children, with their command lines. Not asked of `ps`, which cuts lines and is
    not everywhere.
    """
    found: dict[int, str] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(root).children(recursive=below):
            with contextlib.suppress(psutil.NoSuchProcess):  # psutil.ZombieProcess is one
                if process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = " ".join(process.cmdline())
    return found


def worker_of(root: int) -> int | None:
    return next((pid for pid, command in tree(root).items() if "oaflow.runtime.worker" in command), None)


def forkserver_of(root: int) -> int | None:
    worker = worker_of(root)
    # Executors look like it, and are its children. Their numbers may be smaller: they begin again.
    found = tree(worker, below=False) if worker else {}
    return next((pid for pid, command in found.items() if "oaflow.runtime.forkserver" in command), None)


def executors_of(root: int) -> list[int]:
    server = forkserver_of(root)
    return list(tree(server)) if server else []


def ended(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=PATIENCE)
    return Result(process.returncode, out, err)


def noted(cli: Command) -> Counter[str]:
    path = cli.folder / "noted"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


@pytest.fixture
def noting(cli: Command) -> Iterator[str]:
    """
    A run of 60 jobs of 50 ms each, that note what was done.
    """
    yield chain(cli, "note", 60, {"log": str(cli.folder / "noted"), "seconds": 0.05})
    balanced(cli)
    assert len(noted(cli)) == 60


def test_as_many_executors_are_busy_as_there_are_cores(cli: Command, started: Started, until: Until) -> None:
    del cli.environment["OAFLOW_EXECUTORS"]
    cores = os.cpu_count() or 1
    running = started(cli.start("run", chain(cli, "spin", 20 * cores, {"seconds": 0.2}), *RUN, "--json"))

    def states() -> list[str]:
        found: list[str] = []
        for pid in executors_of(running.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid).status())
        return found

    # By then no children are left that only try out a module.
    until(lambda: query(cli, "SELECT 1 FROM oaflow.hops WHERE stage = 'middle' LIMIT 1"))
    until(lambda: states() == [psutil.STATUS_RUNNING] * cores)
    assert ended(running).code == 0
    balanced(cli)


@pytest.mark.parametrize("which", ["executor", "forkserver", "worker"])
def test_a_process_that_is_killed_costs_no_job(
    cli: Command, noting: str, started: Started, until: Until, which: str
) -> None:
    running = started(cli.start("run", noting, *RUN, "--json"))
    until(lambda: len(noted(cli)) >= 5)
    victim = {"executor": lambda: executors_of(running.pid)[0], "forkserver": lambda: forkserver_of(running.pid)}.get(
        which, lambda: worker_of(running.pid)
    )()
    assert victim
    os.kill(victim, signal.SIGKILL)

    result = ended(running)

    assert result.code == 0, result.err
    assert result.json["stages"]["end"]["done"] == 60
    outcomes = dict(query(cli, "SELECT outcome, count(*)::int FROM oaflow.hops GROUP BY 1"))
    # On a busy machine the executor may be between two jobs.
    assert outcomes.get("crashed", 0) <= (1 if which == "executor" else 0)
    assert "retried" not in outcomes


def test_a_supervisor_that_is_killed_takes_its_children_with_it_and_resume_goes_on(
    cli: Command, noting: str, started: Started, until: Until
) -> None:
    running = started(cli.start("run", noting, *RUN, "--json"))
    until(lambda: len(noted(cli)) >= 5)
    children = list(tree(running.pid))
    assert len(children) >= 4
    running.kill()
    running.communicate()

    until(lambda: not any(_alive(pid) for pid in children))

    result = cli("resume", "--workers", "1", "--json")

    assert result.code == 0, result.err
    assert result.json["stages"]["end"]["done"] == 60


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_stage_that_segfaults_on_one_file_in_50_fails_that_file_only(cli: Command) -> None:
    result = cli("run", chain(cli, "segfaults", 50, {"on": [17]}), *RUN, "--json")

    assert result.code == 1
    assert result.json["stages"]["middle"] | {"open": 0} == result.json["stages"]["middle"]
    assert (result.json["stages"]["middle"]["failed"], result.json["stages"]["end"]["done"]) == (1, 49)
    ((detail, documents, message, trace),) = query(
        cli, "SELECT detail, documents, message, traceback FROM oaflow.failures"
    )
    assert (detail["signal"], documents, detail["log"]) == ("SIGSEGV", ["doc-17"], ["now doc-17"])
    assert re.fullmatch(
        r"the process that ran the job was killed by SIGSEGV; it had \d\d+ MiB of memory at most", message
    )
    first, *_, frame = trace.splitlines()  # between them only what tests fork workers from
    assert "/oaflow/runtime/" not in trace
    assert first == "Segmentation fault (most recent call last):"
    assert re.fullmatch(r'  File ".*/process_stages.py", line \d+, in segfaults', frame)
    crashed = query(cli, "SELECT documents, count(*)::int FROM oaflow.hops WHERE outcome = 'crashed' GROUP BY 1")
    assert crashed == [(["doc-17"], 2)]
    assert query(cli, "SELECT count(*)::int FROM oaflow.hops WHERE outcome IN ('retried', 'orphaned')") == [(0,)]
    balanced(cli)


def test_of_1000_jobs_of_which_5_segfault_exactly_5_fail(cli: Command) -> None:
    bad = [3, 250, 251, 600, 999]

    result = cli("run", chain(cli, "segfaults", 1000, {"on": bad}), *RUN, "--json", env={"OAFLOW_EXECUTORS": "16"})

    assert result.json["stages"]["end"]["done"] == 995, result.err
    failed = query(cli, "SELECT documents[1] FROM oaflow.failures ORDER BY job")
    assert sorted(name for (name,) in failed) == sorted(f"doc-{number}" for number in bad)
    # Each of them crashed three times, the last of which is its failure, and nobody else did.
    crashed = "SELECT documents[1], count(*)::int FROM oaflow.hops WHERE outcome = 'crashed' GROUP BY 1"
    assert query(cli, f"{crashed} HAVING count(*) > 2") == []
    assert {(name,) for name, _ in query(cli, crashed)} == set(failed)
    balanced(cli)


def test_memory_above_the_limit_ends_the_job(cli: Command) -> None:
    result = cli("run", chain(cli, "hoards", 1, memory="200MB"), *RUN, "--json", env={"OAFLOW_CRASHES": "1"})

    assert result.code == 1
    ((message,),) = query(cli, "SELECT message FROM oaflow.failures")
    assert "memory limit" in message
    balanced(cli)


def test_an_attempt_that_runs_out_of_time_is_repeated_like_one_that_raised(cli: Command) -> None:
    name = chain(cli, "spin", 1, {"seconds": 3600}, timeout="300ms", retry={"max": 1, "backoff": "none"})

    result = cli("run", name, *RUN, "--json")

    assert result.code == 1, result.err
    outcomes = query(cli, "SELECT outcome FROM oaflow.hops WHERE stage = 'middle' ORDER BY attempt")
    assert outcomes == [("retried",), ("failed",)]
    balanced(cli)


def test_a_stage_that_raises_is_tried_again_later_and_later_and_then_failed(cli: Command) -> None:
    name = chain(cli, "raises", 1, retry={"max": 2, "base": "200ms"})

    result = cli("run", name, *RUN, "--json")

    assert result.code == 1, result.err
    rows = query(cli, "SELECT outcome, started, ended FROM oaflow.hops WHERE stage = 'middle' ORDER BY attempt")
    assert [row[0] for row in rows] == ["retried", "retried", "failed"]
    waits = [(second[1] - first[2]).total_seconds() for first, second in itertools.pairwise(rows)]
    # At least: how long they are on top of that is the machine's business, and what they should be a law of its own.
    assert waits[0] >= 0.1
    assert waits[1] >= 0.2
    balanced(cli)


def test_what_fails_goes_to_its_error_stage(cli: Command) -> None:
    result = cli("run", chain(cli, "segfaults", 10, {"on": [4]}, on_error="aside"), *RUN, "--json")

    assert result.code == 0, result.err
    stages = result.json["stages"]
    assert (stages["middle"]["diverted"], stages["aside"]["done"], stages["end"]["done"]) == (1, 1, 9)
    balanced(cli)


def test_an_async_stage_that_kills_its_worker_fails_alone(cli: Command) -> None:
    result = cli(
        "run", chain(cli, "kills_worker", 21, {"on": 7, "seconds": 0.15}), *RUN, "--json", env={"OAFLOW_CRASHES": "2"}
    )

    assert result.code == 1, result.err
    assert result.json["stages"]["end"]["done"] == 20
    ((args,),) = query(cli, "SELECT args FROM oaflow.failures")
    assert args["payload"]["entities"][0]["id"] == "doc-7"
    balanced(cli)


def test_a_stream_whose_process_is_killed_hands_over_each_position_once(
    cli: Command, started: Started, until: Until
) -> None:
    name = chain(cli, "note", 100, {"log": str(cli.folder / "noted")}, source={"seconds": 0.03})
    running = started(cli.start("run", name, *RUN, "--json"))
    for seen in (10, 40):
        until(lambda seen=seen: len(noted(cli)) >= seen)
        # Whichever runs the source; what the others ran is repeated. They are stopped first, so that none begins with
        # the source before it is killed, too: that would be one crash more.
        pids = executors_of(running.pid)
        for number, pid in itertools.product((signal.SIGSTOP, signal.SIGKILL), pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    result = ended(running)

    assert result.code == 0, cli("failures").out
    assert result.json["stages"]["middle"]["done"] == 100
    assert set(noted(cli)) == {f"doc-{number}" for number in range(100)}
    assert query(cli, "SELECT count(*)::int FROM oaflow.chunks") == [(0,)]
    balanced(cli)


@pytest.mark.slow
def test_a_stream_that_differs_fails_with_the_first_position(cli: Command, started: Started, until: Until) -> None:
    (cli.folder / "turn").write_text("0")
    source = {"seconds": 0.05, "turn": str(cli.folder / "turn")}
    name = chain(cli, "note", 60, {"log": str(cli.folder / "noted")}, source=source)
    running = started(
        cli.start(
            "run",
            name,
            *RUN,
            "--json",
        )
    )
    until(lambda: len(noted(cli)) >= 10)
    for pid in executors_of(running.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    result = ended(running)

    assert result.code == 1
    messages = [message for (message,) in query(cli, "SELECT message FROM oaflow.failures WHERE stage = 'source'")]
    assert len(messages) == 1
    assert re.search(r"\b0\b", messages[0]), messages
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as connection:
        (run,) = connection.execute("SELECT id FROM oaflow.runs").fetchone() or ("",)
        assert counters(connection, run) == recount(connection, run)


def test_a_worker_that_was_paused_past_its_time_doubles_nothing_and_registers_anew(
    cli: Command, started: Started, until: Until
) -> None:
    hasty, file = cli.at(OAFLOW_DEAD_AFTER="2", OAFLOW_HEARTBEAT="0.5"), cli.folder / "goes on"
    name = chain(cli, "notes_some", 60, {"log": str(cli.folder / "noted"), "first": 40, "file": str(file)})
    running = started(hasty.start("run", name, "-d", "demo", "--workers", "2", "--json"))
    until(lambda: len(noted(cli)) >= 5)
    before = {id for (id,) in query(cli, "SELECT id FROM oaflow.workers")}
    paused = worker_of(running.pid)
    assert paused
    os.kill(paused, signal.SIGSTOP)
    try:
        until(lambda: len(before & {id for (id,) in query(cli, "SELECT id FROM oaflow.workers")}) < len(before))
    finally:
        os.kill(paused, signal.SIGCONT)
    until(lambda: query(cli, "SELECT 1 FROM oaflow.workers WHERE pid = %s AND id > %s", paused, max(before)))
    file.touch()

    result = ended(running)

    assert result.code == 0, result.err
    assert result.json["stages"]["end"]["done"] == 60
    doubled = query(cli, "SELECT job FROM oaflow.hops WHERE outcome = 'done' GROUP BY job HAVING count(*) > 1")
    assert doubled == []
    balanced(cli)


def test_run_again_refuses_while_a_run_is_unfinished(cli: Command, noting: str, started: Started, until: Until) -> None:
    running = started(cli.start("run", noting, *RUN))
    until(lambda: len(noted(cli)) >= 3)
    running.send_signal(signal.SIGINT)
    first = ended(running)
    run = query(cli, "SELECT id FROM oaflow.runs")[0][0]
    assert first.code == 130
    assert f"continue: oaflow resume {run}" in first.err + first.out
    assert query(cli, "SELECT state FROM oaflow.runs") == [("interrupted",)]

    again = cli("run", noting, *RUN)

    assert again.code == 2
    assert "--resume" in again.err
    assert cli("run", noting, *RUN, "--resume", "--json").json["stages"]["end"]["done"] == 60


def test_no_function_of_procrastinate_finishes_defers_or_fetches_a_routed_job(cli: Command, noting: str) -> None:
    # Counts every call of a function, also those from inside others: stricter than a log of statements.
    name = query(cli, "SELECT current_database()")[0][0]
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE \"{name}\" SET track_functions = 'all'")  # pyright: ignore

    assert cli("run", noting, *RUN).code == 0

    calls = dict(query(cli, "SELECT funcname, calls FROM pg_stat_user_functions"))
    assert calls["complete_v1"] > 0
    assert calls["fetch_v3"] > 0
    stock = [name for name in calls if re.match(r"procrastinate_(finish|defer|fetch|retry|abort)", name)]
    assert stock == []


def stock_worker(cli: Command, *options: str, app: str = "plain_tasks.app") -> subprocess.Popen[str]:
    """
    procrastinate's own command, with an app of oaflow.
    """
    cli.environment |= {"PROCRASTINATE_APP": app, "PLAIN_NOTES": str(cli.folder / "notes")}
    return cli.other("procrastinate", "worker", *options)


def test_the_stock_worker_drains_and_may_be_killed_and_leaves_what_is_not_ours(
    cli: Command, noting: str, started: Started, until: Until
) -> None:
    notes, alone = cli.folder / "notes", ("plain", "plain_tasks.alone", "alone", "alone")
    enter = "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock) VALUES (%s, %s, %s, %s)"
    cli.environment |= {"OAFLOW_HEARTBEAT": "0.3", "OAFLOW_DEAD_AFTER": "1.5"}
    for row in (("theirs", "their.task", None, None), ("middle", "their.task", None, None)):
        query(cli, f"{enter} RETURNING id", *row)

    first = started(stock_worker(cli))
    running = started(cli.start("run", noting, "-d", "demo", "--workers", "0", "--json"))
    until(lambda: len(noted(cli)) >= 5)
    first.send_signal(signal.SIGTERM)
    assert ended(first).code == 0
    given_back = "SELECT count(*)::int FROM procrastinate_jobs WHERE status = 'doing' OR worker_id IS NOT NULL"
    assert query(cli, f"{given_back} UNION SELECT count(*) FROM oaflow.workers") == [(0,)]

    # Killed at a plain task while the next one of its queueing lock waits: what it had comes back all the same.
    query(cli, f"{enter} RETURNING id", *alone)
    before, second = len(noted(cli)), started(stock_worker(cli))
    until(lambda: notes.exists() and len(noted(cli)) > before)
    query(cli, f"{enter} RETURNING id", *alone)
    second.kill()
    ended(second)
    (cli.folder / "goes on").touch()
    third = started(stock_worker(cli))
    result = ended(running)
    until(lambda: notes.read_text().count("alone ends") == 2)
    third.send_signal(signal.SIGTERM)

    assert ended(third).code == 0
    assert result.code == 0, result.err
    assert result.json["stages"]["end"]["done"] == 60
    assert Counter(notes.read_text().splitlines()) == {"alone begins": 3, "alone ends": 2}
    plain = "SELECT DISTINCT task_name, status::text FROM procrastinate_jobs WHERE task_name ~ 'alone|their' ORDER BY 1"
    assert query(cli, plain) == [("plain_tasks.alone", "succeeded"), ("their.task", "todo")]


def test_the_stock_worker_ends_when_it_is_told_to_though_the_database_is_away(
    cli: Command, noting: str, database: str, started: Started, until: Until
) -> None:
    with Proxy(database) as proxy:
        running = started(cli.start("run", noting, "-d", "demo", "--workers", "0", "--json"))
        # It looks for plain tasks so often that it is at that when it is told to end.
        options = ("--fetch-job-polling-interval", "0.1")
        worker = started(stock_worker(cli.at(OAFLOW_DB_URI=proxy.address), *options, app="hurried_app.app"))
        until(lambda: len(noted(cli)) >= 5)
        proxy.leave()
        time.sleep(0.5)
        worker.send_signal(signal.SIGTERM)

        assert ended(worker).code == 0
        proxy.away = False
    last = started(stock_worker(cli))
    assert ended(running).code == 0
    last.send_signal(signal.SIGTERM)
    assert ended(last).code == 0


def test_the_stock_worker_works_on_a_run_and_drains_also_where_it_does_not_listen(
    cli: Command, noting: str, started: Started, until: Until
) -> None:
    # Nobody notifies it, and its listener, which elsewhere is the first to hear of an end, does not run.
    cli.environment["OAFLOW_HEARTBEAT"] = "0.5"
    options = ("--no-listen-notify", "--queues", "plain")
    first = started(stock_worker(cli, *options, app="oaflow.app"))
    running = started(cli.start("run", noting, "-d", "demo", "--workers", "0", "--json"))
    until(lambda: len(noted(cli)) >= 5)
    first.send_signal(signal.SIGTERM)
    assert ended(first).code == 0
    assert query(cli, "SELECT DISTINCT attempts FROM procrastinate_jobs WHERE status = 'todo'") == [(0,)]
    assert query(cli, "SELECT 1 FROM procrastinate_jobs WHERE status = 'doing' OR worker_id IS NOT NULL") == []

    second = started(stock_worker(cli, *options, app="oaflow.app"))
    result = ended(running)
    second.send_signal(signal.SIGTERM)

    assert ended(second).code == 0
    assert result.code == 0, result.err
    assert set(noted(cli).values()) == {1}


def test_the_stock_worker_does_plain_tasks_beside_the_stages_of_a_run(
    cli: Command, noting: str, started: Started, until: Until
) -> None:
    notes, worker = cli.folder / "notes", started(stock_worker(cli))
    running = started(cli.start("run", noting, "-d", "demo", "--workers", "0", "--json"))
    until(lambda: noted(cli))
    for number in range(3):
        given = json.dumps({"queue": "plain", "task": "plain_tasks.first", "payload": {"n": number}})
        subprocess.run(
            [sys.executable, "-m", "procrastinate", "defer", "plain_tasks.first", given],
            cwd=cli.folder, env=cli.environment, check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip

    result = ended(running)
    until(lambda: notes.exists() and len(notes.read_text().splitlines()) == 9)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)

    assert result.code == 0, result.err
    assert result.json["stages"]["end"]["done"] == 60  # plain jobs are no jobs of the run
    assert Counter(notes.read_text().splitlines()) == {
        "first 0": 1, "first 1": 1, "first 2": 1, "second 0": 3, "second 1": 3
    }  # fmt: skip
    assert query(
        cli, "SELECT status::text, count(*) FROM procrastinate_jobs WHERE queue_name = 'plain' GROUP BY 1"
    ) == [("succeeded", 9)]


def test_a_run_that_cannot_be_read_stops_no_other(cli: Command, noting: str) -> None:
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        connection.execute("INSERT INTO oaflow.plans VALUES ('broken', %s, 'broken', '{}')", (FORMAT,))
        connection.execute(
            "INSERT INTO oaflow.runs (id, pipeline, plan, dataset) VALUES ('b-aaaaaa', 'b', 'broken', 'x')"
        )

    result = cli("run", noting, *RUN, "--json")

    assert result.code == 0, result.err
    assert result.json["stages"]["end"]["done"] == 60


def test_two_runs_at_once_share_the_private_server(private: Command, started: Started) -> None:
    name = chain(private, "note", 20, {"log": str(private.folder / "noted"), "seconds": 0.02})
    both = [started(private.start("run", name, "-d", dataset, "--json")) for dataset in ("one", "two")]

    results = [ended(process) for process in both]

    assert [result.code for result in results] == [0, 0], [result.err for result in results]
    assert [result.json["stages"]["end"]["done"] for result in results] == [20, 20]
    assert len(noted(private)) == 20
    assert set(noted(private).values()) == {2}
