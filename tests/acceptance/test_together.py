"""
Two features of the language that meet in one run, with real workers: nothing is lost, nothing is done twice, and no
attempt is spent that was not made. With oaflow's own worker, and with procrastinate's.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import PATIENCE, Command
from tests.acceptance.test_processes import Started, Until, ended, executors_of, query, stock_worker
from tests.integration.handovers import counters, recount
from tests.waiting import waited

NOBODY = ("-d", "demo", "--workers", "0", "--json")

Worker = Callable[[Command], subprocess.Popen[str]]


@pytest.fixture(params=["oaflow worker", "procrastinate worker"])
def worker(request: pytest.FixtureRequest) -> Worker:
    """
    Starts a worker, of oaflow's command or of procrastinate's.
    """
    if request.param == "oaflow worker":
        return lambda cli: cli.start("worker")
    return lambda cli: stock_worker(cli, app="oaflow.app")


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """
    What the name of a task ends with that runs in an executor, or in the worker's loop. Each with one kind of worker:
    all four would take twice as long, and show no more.
    """
    return "" if "oaflow worker" in request.node.name else "_async"


def pipeline(cli: Command, name: str, stages: Mapping[str, Mapping[str, Any]]) -> str:
    whole = {stage: {**keys, "task": f"together_stages.{keys.get('task', stage)}"} for stage, keys in stages.items()}
    (cli.folder / f"{name}.yml").write_text(json.dumps({"pipeline": name, "stages": whole}))
    return f"{name}.yml"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def noted(path: Path, what: str) -> Counter[str]:
    """
    How often each document was noted so.
    """
    return Counter(document for line in lines(path) if line["what"] == what for document in line["documents"])


def begun(cli: Command, started: Started, *arguments: str) -> subprocess.Popen[str]:
    """
    A run that others work for, begun.
    """
    running = started(cli.start("run", *arguments))

    def there() -> bool:
        assert running.poll() is None, ended(running).err
        return bool(query(cli, "SELECT 1 FROM oaflow.runs WHERE state = 'running' AND sealed"))

    assert waited(there, PATIENCE, 0.05)
    return running


def one(cli: Command, statement: str) -> Any:
    rows = query(cli, statement)
    return rows[0][0] if rows else None


def settled(cli: Command) -> None:
    """
    What holds where nothing is open: the counters are those of the history, and nothing is left behind.
    """
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        for (run,) in connection.execute("SELECT id FROM oaflow.runs").fetchall():
            assert counters(connection, run) == recount(connection, run)
    assert query(cli, "SELECT * FROM oaflow.charges") == []
    assert query(cli, "SELECT * FROM oaflow.collected") == []
    assert query(cli, "SELECT * FROM oaflow.chunks") == []
    assert query(cli, "SELECT job FROM oaflow.leases s WHERE (SELECT j.status::text FROM procrastinate_jobs j"
                      " WHERE j.id = s.job) = 'doing'") == []  # fmt: skip


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    result = ended(process)
    assert result.code == 0, result.err


NOTHING_IN_HAND = "SELECT count(*) = 0 FROM procrastinate_jobs WHERE status = 'doing' OR worker_id IS NOT NULL"
OUTCOMES = "SELECT outcome, count(*)::int FROM oaflow.hops WHERE stage = '{}' GROUP BY 1"
SCHEDULED = "SELECT count(*)::int FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at > now()"


def test_what_was_put_together_and_waits_for_its_next_attempt_survives_a_stop_a_pause_and_a_kill(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    log, gate = cli.folder / "log", cli.folder / "gate"
    name = pipeline(
        cli,
        "again",
        {
            "names": {"with": {"count": 5}, "next": "fails"},
            "fails": {
                "task": f"fails_until{kind}",
                "with": {"log": str(log), "gate": str(gate)},
                "collect": {"size": 5, "wait": "10m"},
                "retry": {"max": 3, "base": "1h", "cap": "1h"},
                "next": "end",
            },
            "end": {},
        },
    )
    first = started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: one(cli, SCHEDULED) == 1)
    stop(first)
    assert one(cli, NOTHING_IN_HAND)
    assert cli("pause").code == 0
    query(cli, "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE scheduled_at > now() RETURNING id")
    second = started(worker(cli))
    until(lambda: query(cli, "SELECT 1 FROM oaflow.workers"))
    time.sleep(2.0)
    assert len(lines(log)) == 1  # its time has come, and the run is paused
    gate.touch()
    second.kill()
    ended(second)
    started(worker(cli))
    assert cli("resume", "--json", "--detach").code in (0, 2)
    result = ended(running)

    assert result.code == 0, result.err
    assert [line["what"] for line in lines(log)] == ["begins", "begins", "ends"]
    assert all(len(line["documents"]) == 5 for line in lines(log))
    assert dict(query(cli, OUTCOMES.format("fails"))) == {"collected": 5, "retried": 1, "done": 1}
    assert result.json["stages"]["end"]["done"] == 1
    settled(cli)


def test_what_is_put_together_while_its_run_is_paused_leaves_when_it_is_resumed(
    cli: Command, started: Started, until: Until
) -> None:
    log, gate = cli.folder / "log", cli.folder / "gate"
    name = pipeline(
        cli,
        "rests",
        {
            "names": {"with": {"count": 5}, "next": ["takes", "slow"]},
            # More can come all the time: only the clock is left.
            "slow": {"task": "gated_async", "with": {"log": f"{log}-slow", "gate": str(gate)}, "next": "takes"},
            "takes": {"with": {"log": str(log)}, "collect": {"size": 100, "wait": "1s"}},
        },
    )
    first = started(cli.start("worker"))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: one(cli, "SELECT count(*) FROM oaflow.collected") == 5)
    assert cli("pause").code == 0
    killed = one(cli, "SELECT max(id) FROM oaflow.workers")
    first.kill()
    ended(first)
    started(cli.start("worker"))
    until(lambda: query(cli, "SELECT 1 FROM oaflow.workers WHERE id > %s", killed))
    time.sleep(1.5)  # its clock goes on, and nothing is begun
    assert lines(log) == []

    assert cli("resume", "--json", "--detach", "--workers", "0").code == 0

    until(lambda: len(noted(log, "ends")) == 5)
    gate.touch()
    result = ended(running)
    assert result.code == 0, result.err
    assert noted(log, "ends") == {f"doc-{number}": 2 for number in range(5)}
    settled(cli)


def test_what_waits_to_be_put_together_in_a_run_that_is_paused_and_then_cancelled_is_taken_out(
    cli: Command, worker: Worker, started: Started, until: Until
) -> None:
    log = cli.folder / "log"
    name = pipeline(
        cli,
        "held",
        {
            "pours": {"with": {"count": 7, "seconds": 0.2}, "next": ["takes", "slow", "patient"]},
            "patient": {"task": "takes", "with": {"log": str(log)}, "collect": {"size": 100, "wait": "10m"}},
            "slow": {
                "task": "gated",
                "with": {"log": str(cli.folder / "slow"), "gate": str(cli.folder / "gate")},
                "next": "takes",
            },
            "takes": {"with": {"log": str(log)}, "collect": {"size": 5, "wait": "1s"}},
        },
    )
    started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: one(cli, "SELECT count(*) FROM oaflow.collected WHERE stage = 'patient'") == 7)
    assert cli("pause").code == 0
    (cli.folder / "gate").touch()
    until(lambda: one(cli, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") == 0)
    before = lines(log)
    time.sleep(2.5)  # its clock goes on, and nothing is begun
    assert lines(log) == before

    assert cli("cancel").code == 0

    result = ended(running)
    assert result.code == 1
    until(lambda: one(cli, "SELECT coalesce(sum(open), 0)::int FROM oaflow.counters") == 0)
    until(lambda: one(cli, "SELECT count(*) FROM oaflow.collected") == 0)
    assert lines(log) == before
    until(lambda: one(cli, "SELECT count(*) FROM oaflow.chunks") == 0)
    settled(cli)
    assert cli("cancel").code == 2  # a second time
    (run,) = query(cli, "SELECT id FROM oaflow.runs")[0]
    assert cli("resume", run).error == f"run '{run}' has ended: it is cancelled"


def test_what_the_parts_of_a_split_hand_over_to_a_run_that_is_cancelled_is_taken_out_soon(
    cli: Command, started: Started, until: Until
) -> None:
    log, gate, last = cli.folder / "log", cli.folder / "gate", cli.folder / "last"
    gated = {"task": "gated", "with": {"log": str(log), "gate": str(gate)}, "next": "takes"}
    name = pipeline(
        cli,
        "cut",
        {
            "names": {"with": {"count": 1}, "next": ["unpacks", "slow"]},
            "unpacks": {
                "with": {"log": str(cli.folder / "unpacked"), "depth": 1, "members": 6},
                "next": {"default": "drop", "inner": "parts"},
            },
            "parts": {**gated, "split": 1},
            "slow": {**gated, "with": {"log": str(log), "gate": str(last)}},
            "takes": {"with": {"log": str(cli.folder / "taken")}, "collect": {"size": 100, "wait": "10m"}},
        },
    )
    worker = started(cli.new(sys.executable, "-m", "unsweeping_worker"))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: {line["stage"] for line in lines(log)} == {"parts", "slow"})
    gate.touch()
    until(lambda: one(cli, "SELECT count(*) FROM oaflow.collected") == 6)
    # As if it had been cancelled by somebody of whom the worker has not heard yet.
    query(cli, "UPDATE oaflow.runs SET state = 'cancelled', finished_at = now() RETURNING id")
    last.touch()

    until(lambda: one(cli, "SELECT sum(open)::int FROM oaflow.counters") == 0)

    assert ended(running).code == 1
    assert dict(query(cli, OUTCOMES.format("parts"))) == {"done": 6}
    assert not (cli.folder / "taken").exists()
    settled(cli)
    stop(worker)


@pytest.mark.parametrize("crash", [False, True])
def test_what_was_put_together_and_handed_over_in_part_hands_nothing_over_twice(
    cli: Command, started: Started, crash: bool
) -> None:
    log, gate = cli.folder / "log", cli.folder / "gate"
    cli.environment["OAFLOW_CRASHES"] = "2"
    name = pipeline(
        cli,
        "half",
        {
            "names": {"with": {"count": 3}, "next": "pours_half"},
            "pours_half": {
                "with": {"taken": str(log), "gate": str(gate), "crash": crash},
                "collect": {"size": 3, "wait": "10m"},
                "next": "takes",
            },
            "takes": {"with": {"log": str(log)}},
        },
    )
    started(cli.start("worker"))
    result = ended(begun(cli, started, name, *NOBODY))
    assert result.code == 1, result.err
    tried = {"failed": 1, "chunk": 1, "collected": 3} | ({"crashed": 1} if crash else {})
    assert dict(query(cli, OUTCOMES.format("pours_half"))) == tried
    gate.touch()

    again = cli("retry", "--workers", "0")

    assert again.code == 0, again.err
    assert noted(log, "ends") == {f"doc-{number}": 1 for number in range(3)}
    settled(cli)


def test_what_a_stage_unpacks_out_of_itself_is_split_and_each_part_is_done_once(
    cli: Command, worker: Worker, started: Started
) -> None:
    log, unpacked, joined = cli.folder / "log", cli.folder / "unpacked", cli.folder / "joined"
    name = pipeline(
        cli,
        "deep",
        {
            "names": {"with": {"count": 2}, "next": "unpacks"},
            "unpacks": {
                "with": {"log": str(unpacked), "depth": 3, "members": 3},
                "split": 1,
                "next": {"default": "takes", "inner": {"to": "unpacks", "recurse": 2}},
            },
            "takes": {"with": {"log": str(log)}},
            "reports": {"with": {"log": str(joined)}, "join": ["unpacks", "takes"]},
        },
    )
    started(worker(cli))

    result = ended(begun(cli, started, name, *NOBODY))

    assert result.code == 1, result.err  # what lies too deep
    expected = {name: 1 for root in ("doc-0", "doc-1") for name in inside(root, 2)}
    assert noted(unpacked, "unpacks") == noted(log, "ends") == expected
    assert all(len(line["documents"]) == 1 for line in lines(unpacked))
    (report,) = lines(joined)
    assert report["at"] >= max(line["at"] for line in lines(log))
    assert result.json["stages"]["unpacks"]["failed"] > 0
    assert one(cli, "SELECT count(DISTINCT d)::int FROM oaflow.failures, unnest(documents) AS d") == 2 * 3**3
    settled(cli)


def inside(name: str, depth: int) -> list[str]:
    below = [inner for number in range(3) for inner in inside(f"{name}/{number}", depth - 1)] if depth else []
    return [name, *below]


def test_a_join_waits_for_what_failed_but_emitted_and_for_what_was_quarantined_and_not_for_what_is_disabled(
    cli: Command, worker: Worker, started: Started
) -> None:
    log, joined = cli.folder / "log", cli.folder / "joined"
    name = pipeline(
        cli,
        "waits",
        {
            "names": {"with": {"count": 6}, "next": ["always", "crashes", "off"]},
            "always": {"task": "yields_then_fails", "with": {"on": ["doc-1", "doc-2"]}, "next": "takes"},
            "takes": {"with": {"log": str(log), "seconds": 0.3}},
            "crashes": {"with": {"on": ["doc-4"]}, "retry": 0, "next": "end"},
            "off": {"task": "end", "enabled": False},
            "end": {},
            "reports": {"with": {"log": str(joined)}, "join": ["always", "takes", "crashes", "off"]},
        },
    )
    started(worker(cli))

    result = ended(begun(cli, started, name, *NOBODY))

    assert result.code == 1, result.err
    (report,) = lines(joined)
    assert report["run"]["failed"] == 3
    assert noted(log, "ends") == {f"doc-{number}": 1 for number in range(6)}
    assert report["at"] >= max(line["at"] for line in lines(log))
    assert dict(query(cli, OUTCOMES.format("crashes"))) == {"done": 5, "crashed": 2, "failed": 1}
    assert result.json["stages"]["always"]["failed"] == 2
    settled(cli)


def test_a_lock_a_limit_and_a_priority_hold_together(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    log = cli.folder / "log"
    keys = {"task": f"takes{kind}", "with": {"log": str(log), "seconds": 0.05}, "lock": "job.entities[0].id"}
    name = pipeline(
        cli,
        "three",
        {
            "names": {"with": {"count": 12}, "next": ["low", "high", "low2"]},
            "low": {**keys, "queue": "one", "concurrency": 3, "priority": 10},
            "high": {**keys, "queue": "one", "concurrency": 3, "priority": 90},
            "low2": {**keys, "queue": "two", "concurrency": 2, "rate": "40/s"},
        },
    )
    first = started(worker(cli))
    started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: len(lines(log)) > 10)
    stop(first)

    result = ended(running)

    assert result.code == 0, result.err
    assert noted(log, "ends") == {f"doc-{number}": 3 for number in range(12)}
    assert len(lines(log)) == 72
    held: Counter[str] = Counter()
    running_of: Counter[str] = Counter()
    for line in sorted(lines(log), key=lambda line: line["at"]):
        queue = "two" if line["stage"] == "low2" else "one"
        change = 1 if line["what"] == "begins" else -1
        held[line["documents"][0]] += change
        running_of[queue] += change
        assert held[line["documents"][0]] <= 1, line
        assert running_of[queue] <= {"one": 3, "two": 2}[queue], line
    for number in range(12):
        begins = [line for line in lines(log) if line["what"] == "begins" and line["documents"] == [f"doc-{number}"]]
        assert [line["stage"] for line in begins if line["stage"] != "low2"] == ["high", "low"]
    settled(cli)


def test_a_lock_and_a_limit_hold_for_what_was_put_together_though_what_runs_it_is_killed(
    cli: Command, started: Started, until: Until
) -> None:
    log, gate = cli.folder / "log", cli.folder / "gate"
    cli.environment |= {"OAFLOW_HEARTBEAT": "0.3", "OAFLOW_DEAD_AFTER": "1.5"}
    of_a, of_b = ["doc-0", "doc-3"], ["doc-6", "doc-9"]
    name = pipeline(
        cli,
        "kills",
        {
            "names": {"with": {"count": 18}, "next": "gated"},
            "gated": {
                "with": {"log": str(log), "gate": str(gate)},
                "collect": {"size": 3, "wait": "10m"},
                "lock": f"'a' if job.entities[0].id in {of_a} else 'b' if job.entities[0].id in {of_b} else 'c'",
                "concurrency": 2,
                "next": "takes",
            },
            "takes": {"with": {"log": str(cli.folder / "taken")}},
        },
    )
    workers = [started(cli.start("worker")) for _ in range(2)]
    running = begun(cli, started, name, *NOBODY)
    until(lambda: len(lines(log)) == 2)
    for executor in [pid for worker in workers for pid in executors_of(worker.pid)]:
        os.kill(executor, signal.SIGKILL)
    until(lambda: len(lines(log)) >= 4)
    workers[1].kill()
    ended(workers[1])
    gate.touch()

    result = ended(running)

    assert result.code == 0, result.err
    assert noted(log, "ends") == noted(cli.folder / "taken", "ends") == {f"doc-{number}": 1 for number in range(18)}
    outcomes = dict(query(cli, OUTCOMES.format("gated")))
    assert {key: outcomes[key] for key in ("collected", "parted", "done")} == {"collected": 18, "parted": 2, "done": 10}
    held: Counter[str] = Counter()
    for at, change, document in sorted(spans(log)):
        held["a" if document in of_a else "b" if document in of_b else "c"] += change
        assert max(held.values()) <= 1, (at, document)
        assert held.total() <= 2, (at, document)
    settled(cli)


def spans(log: Path) -> Iterator[tuple[float, int, str]]:
    """
    When each attempt that came to its end began (1) and ended (-1), with the first of its documents.
    """
    began: dict[str, float] = {}
    for line in lines(log):
        document = line["documents"][0]
        if line["what"] == "begins":
            began[document] = line["at"]
        else:
            yield from ((began[document], 1, document), (line["at"], -1, document))


def test_a_limit_that_is_lowered_while_jobs_run_holds_for_what_comes_next(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    log = cli.folder / "log"
    name = pipeline(
        cli,
        "lower",
        {
            "names": {"with": {"count": 40}, "next": "takes"},
            "takes": {"task": f"takes{kind}", "queue": "q", "with": {"log": str(log), "seconds": 0.4}},
        },
    )
    limit = ("limit", f"q/together_stages.takes{kind}", "--concurrency")
    assert cli(*limit, "6").code == 0
    started(worker(cli))
    started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: len(noted(log, "ends")) >= 2)
    assert cli(*limit, "1").code == 0
    # Alone for some time, as what runs may come to its end at once before the workers hear of it.
    until(lambda: [at_once(log, at) for at in begins(log)[-3:]] == [1, 1, 1])
    lowered = begins(log)[-3]
    until(lambda: sum(at > lowered for at in begins(log)) > 4)
    raised = time.time()
    assert cli(*limit, "6").code == 0

    result = ended(running)

    assert result.code == 0, result.err
    assert noted(log, "begins") == noted(log, "ends") == {f"doc-{number}": 1 for number in range(40)}
    assert max(at_once(log, line["at"]) for line in lines(log)) <= 6
    assert max(at_once(log, line["at"]) for line in lines(log) if lowered < line["at"] < raised) == 1
    settled(cli)


def begins(log: Path) -> list[float]:
    """
    When jobs began.
    """
    return [line["at"] for line in lines(log) if line["what"] == "begins"]


def at_once(log: Path, when: float = float("inf")) -> int:
    """
    How many had begun and not ended at a moment.
    """
    return sum({"begins": 1, "ends": -1}[line["what"]] for line in lines(log) if line["at"] <= when)


def test_a_rate_holds_where_a_worker_is_killed_and_another_joins(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    log = cli.folder / "log"
    name = pipeline(
        cli,
        "rated",
        {
            "names": {"with": {"count": 60}, "next": "takes"},
            "takes": {"task": f"takes{kind}", "with": {"log": str(log), "seconds": 0.1}, "rate": "10/s"},
        },
    )
    first = started(worker(cli))
    started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: len(noted(log, "ends")) >= 10)
    first.kill()
    ended(first)
    started(worker(cli))

    result = ended(running)

    assert result.code == 0, result.err
    assert set(noted(log, "ends")) == {f"doc-{number}" for number in range(60)}
    taken = "SELECT extract(epoch FROM max(at) - min(at))::float8, count(*)::int FROM procrastinate_events"
    taken += " JOIN procrastinate_jobs ON job_id = procrastinate_jobs.id WHERE type = 'started' AND task_name ~ 'takes'"
    ((seconds, number),) = query(cli, taken)
    assert number >= 60
    assert seconds >= (number - 1) / 10 - 0.3  # what may be made up for: a quarter of a second
    settled(cli)


def test_a_stream_into_a_stage_with_a_rate_rests_is_stopped_paused_and_cancelled(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    log = cli.folder / "log"
    cli.environment |= {"OAFLOW_DEEP": "300"}
    name = pipeline(
        cli,
        "drip",
        {
            "pours": {"task": f"pours{kind}", "with": {"count": 100_000}, "next": "takes"},
            "takes": {"task": f"takes{kind}", "with": {"log": str(log)}, "rate": "20/s"},
        },
    )
    first = started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: len(noted(log, "ends")) >= 5)
    stop(first)
    assert one(cli, NOTHING_IN_HAND)
    handed = one(cli, "SELECT sum(size)::int FROM oaflow.chunks")
    assert 0 < handed < 20_000
    second = started(worker(cli))
    before = len(lines(log))
    until(lambda: len(lines(log)) > before + 10)
    assert cli("pause").code == 0
    until(
        lambda: one(cli, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' AND task_name ~ 'takes'") == 0
    )
    before = len(lines(log))
    time.sleep(1.5)
    assert len(lines(log)) == before
    assert cli("cancel").code == 0
    assert ended(running).code == 1
    until(lambda: one(cli, "SELECT coalesce(sum(open), 0)::int FROM oaflow.counters") == 0)
    until(lambda: one(cli, NOTHING_IN_HAND))
    assert len(lines(log)) == before
    assert set(noted(log, "begins").values()) == {1}
    assert noted(log, "begins") == noted(log, "ends")
    stop(second)
    assert set(dict(query(cli, OUTCOMES.format("pours")))) <= {"chunk", "paused", "cancelled"}


def test_a_run_that_is_given_up_after_some_failures_ends_its_stream(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    name = pipeline(
        cli,
        "wrong",
        {"pours": {"task": f"pours{kind}", "with": {"count": 1_000_000}, "next": "fails"}, "fails": {}},
    )
    process = started(worker(cli))
    running = begun(cli, started, name, *NOBODY, "--stop-after", "20")

    assert ended(running).code == 1
    until(lambda: one(cli, "SELECT coalesce(sum(open), 0)::int FROM oaflow.counters") == 0)
    until(lambda: one(cli, NOTHING_IN_HAND))
    failed = one(cli, "SELECT count(*)::int FROM oaflow.failures")
    assert 20 <= failed < 2_000
    assert one(cli, "SELECT count(*)::int FROM procrastinate_jobs") < 100_000
    assert one(cli, "SELECT reason FROM oaflow.runs").startswith("stopped after")
    assert process.poll() is None
    small = pipeline(cli, "small", {"names": {"with": {"count": 3}, "next": "end"}, "end": {}})
    assert ended(started(cli.start("run", small, "-d", "after", "--workers", "0", "--json"))).code == 0


def test_a_run_that_is_cancelled_while_a_retry_is_scheduled_has_nothing_open_at_once(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    log, gate = cli.folder / "log", cli.folder / "gate"
    name = pipeline(
        cli,
        "later",
        {
            "names": {"with": {"count": 3}, "next": "fails"},
            "fails": {
                "task": f"fails_until{kind}",
                "with": {"log": str(log), "gate": str(gate)},
                "lock": "job.entities[0].id",
                "retry": {"max": 3, "base": "1h", "cap": "1h"},
            },
            "reports": {"with": {"log": str(cli.folder / "joined")}, "join": "run"},
        },
    )
    started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: one(cli, SCHEDULED) == 3)

    assert cli("cancel").code == 0

    assert one(cli, "SELECT coalesce(sum(open), 0)::int FROM oaflow.counters") == 0
    assert ended(running).code == 1
    gate.touch()
    assert len(noted(log, "ends")) == 0
    assert not (cli.folder / "joined").exists()
    settled(cli)
    again = started(cli.start("run", name, *NOBODY))  # nothing keeps it from its end
    assert ended(again).code == 0
    assert noted(log, "ends") == {f"doc-{number}": 1 for number in range(3)}
    (cancelled,) = query(cli, "SELECT id FROM oaflow.runs WHERE state = 'cancelled'")[0]
    assert cli("retry", cancelled).error == f"run '{cancelled}' was cancelled"
    settled(cli)


def test_a_worker_that_is_stopped_at_a_limit_a_lock_and_a_buffer_gives_all_back_and_spends_nothing(
    cli: Command, worker: Worker, kind: str, started: Started, until: Until
) -> None:
    log, gate = cli.folder / "log", cli.folder / "gate"
    keys = {"task": f"gated{kind}", "with": {"log": str(log), "gate": str(gate)}}
    name = pipeline(
        cli,
        "stops",
        {
            "names": {"with": {"count": 20}, "next": ["free", "locked", "limited"]},
            "free": {**keys, "queue": "free"},
            "locked": {**keys, "queue": "locked", "lock": "job.entities[0].id"},
            "limited": {**keys, "queue": "limited", "concurrency": 4},
        },
    )
    first = started(worker(cli))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: len(lines(log)) >= 2)
    first.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    gate.touch()
    assert ended(first).code == 0
    assert one(cli, NOTHING_IN_HAND)
    assert query(cli, "SELECT DISTINCT attempts FROM procrastinate_jobs WHERE status = 'todo'") in ([(0,)], [])
    first_ones = len([line for line in lines(log) if line["what"] == "begins"])
    assert first_ones == len([line for line in lines(log) if line["what"] == "ends"])
    done = one(cli, "SELECT count(*)::int FROM oaflow.hops WHERE outcome = 'done' AND stage <> 'names'")
    assert done == first_ones
    started(worker(cli))
    result = ended(running)
    assert result.code == 0, result.err
    assert noted(log, "begins") == noted(log, "ends") == {f"doc-{number}": 3 for number in range(20)}
    assert query(cli, "SELECT DISTINCT outcome FROM oaflow.hops WHERE stage IS NOT NULL") == [("done",)]
    settled(cli)


@pytest.mark.parametrize("command", ["pause", "cancel"])
@pytest.mark.parametrize("in_loop", ["", "_async"])
def test_what_waits_in_a_worker_is_not_begun_any_more_when_its_run_is_paused_or_cancelled(
    cli: Command, started: Started, until: Until, in_loop: str, command: str
) -> None:
    log, gate = cli.folder / "log", cli.folder / "gate"
    keys = {"task": f"gated{in_loop}", "with": {"log": str(log), "gate": str(gate)}}
    name = pipeline(cli, "waits", {"names": {"with": {"count": 150}, "next": "gated"}, "gated": keys})
    # It looks by itself once an hour, so that nothing goes back because it has waited for 5 s.
    worker = started(cli.other("patient_worker"))
    running = begun(cli, started, name, *NOBODY)
    doing = "SELECT count(*)::int FROM procrastinate_jobs WHERE status = 'doing'"
    until(lambda: 2 <= len(lines(log)) < one(cli, doing))
    time.sleep(0.5)
    begins = len(lines(log))
    assert begins < one(cli, doing)

    assert cli(command).code == 0

    until(lambda: one(cli, doing) == begins)
    waits = "SELECT DISTINCT attempts FROM procrastinate_jobs WHERE status = 'todo'"
    assert query(cli, waits) == ([(0,)] if command == "pause" else [])
    gate.touch()
    until(lambda: one(cli, doing) == 0)
    assert len(noted(log, "begins")) == len(noted(log, "ends")) == begins
    if command == "pause":
        assert cli("resume", "--workers", "0", "--detach").code == 0
    result = ended(running)
    assert result.code == (0 if command == "pause" else 1), result.err
    assert len(noted(log, "ends")) == (150 if command == "pause" else begins)
    assert set(noted(log, "begins").values()) == {1}
    stop(worker)
    settled(cli)


MOVING = """
from oaflow import DatasetJob, stage

@stage
def {name}(job: DatasetJob, *, log: str) -> DatasetJob:
    with open(log, "a") as lines:
        lines.write("{version} {name}\\n")
    return job
"""


def test_a_worker_whose_code_lacks_a_stage_leaves_its_jobs_to_one_that_has_it(
    cli: Command, worker: Worker, started: Started, until: Until
) -> None:
    log = cli.folder / "log"
    for version, name in (("old", "before"), ("new", "after")):
        (cli.folder / version).mkdir()
        (cli.folder / version / "moving.py").write_text(MOVING.format(name=name, version=version))
    with_log = {"with": {"log": str(log)}}
    stages = {
        "names": {"task": "together_stages.names", "with": {"count": 4}, "next": ["takes", "moved"]},
        "takes": {"task": "together_stages.takes", "with": {"log": str(cli.folder / "taken")}},
        "moved": {"task": "moving.after", **with_log},
    }
    (cli.folder / "moved.yml").write_text(json.dumps({"pipeline": "moved", "stages": stages}))
    path = cli.environment["PYTHONPATH"]
    old, new = (cli.at(PYTHONPATH=f"{cli.folder / version}:{path}") for version in ("old", "new"))
    started(worker(old))
    running = begun(new, started, "moved.yml", *NOBODY)
    until(lambda: len(noted(cli.folder / "taken", "ends")) == 4)
    waits = "SELECT DISTINCT status::text, attempts FROM procrastinate_jobs WHERE task_name = 'moving.after'"
    assert query(cli, waits) == [("todo", 0)]
    until(lambda: "moving.after" in cli("status").out)
    assert not log.exists()

    started(worker(new))

    result = ended(running)
    assert result.code == 0, result.err
    assert log.read_text().splitlines() == ["new after"] * 4
    settled(cli)


def test_two_versions_of_a_pipeline_share_queues_and_each_run_keeps_to_its_own(
    cli: Command, worker: Worker, kind: str, started: Started
) -> None:
    first, second = cli.folder / "first", cli.folder / "second"
    takes = {"task": f"takes{kind}", "queue": "shared"}
    source = {"with": {"count": 20}, "queue": "sources"}
    one_way = {
        "names": {**source, "next": "takes"},
        "takes": {**takes, "with": {"log": str(first), "seconds": 0.05}},
    }
    other_way = {
        "names": {**source, "next": "renamed"},
        "renamed": {**takes, "with": {"log": str(second)}, "priority": 60, "next": "takes"},
        "takes": {**takes, "with": {"log": str(second)}},
    }
    started(worker(cli))
    runs = [begun(cli, started, pipeline(cli, "same", one_way), *NOBODY)]
    runs.append(started(cli.start("run", pipeline(cli, "same", other_way), "-d", "other", "--workers", "0", "--json")))

    results = [ended(run) for run in runs]

    assert [result.code for result in results] == [0, 0]
    assert results[0].json["plan"] != results[1].json["plan"]
    assert Counter(line["stage"] for line in lines(first) if line["what"] == "ends") == {"takes": 20}
    assert Counter(line["stage"] for line in lines(second) if line["what"] == "ends") == {"renamed": 20, "takes": 20}
    settled(cli)
