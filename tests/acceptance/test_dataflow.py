"""
How jobs are put together, cut and waited for: over a real database, by real workers.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import psycopg
import pytest

from oaflow import testing
from tests.acceptance.conftest import ROOT, Command

RUN = ("-d", "demo", "--workers", "1")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_join_fires_once_after_recursion_and_a_retry_that_waits(cli: Command) -> None:
    worked, joined = cli.folder / "worked", cli.folder / "joined"
    pipeline = cli.pipeline(
        "waits",
        {
            "source": {"with": {"count": 3}, "next": "unpacks"},
            "unpacks": {"next": {"default": "fails_first", "inner": {"to": "unpacks", "recurse": 5}}},
            "fails_first": {"with": {"log": str(worked)}},
            "report": {"task": "notes", "with": {"log": str(joined)}, "join": "run", "next": "last"},
            "last": {"task": "end"},
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    ((report,), before) = lines(joined), lines(worked)
    assert len(before) == 3 * 4
    assert report["began"] >= max(line["ended"] for line in before)
    run = cli("status", "--json").json
    assert report["context"] == {"run": {"id": run["run"], "round": 1, "failed": 0}}
    assert run["stages"]["last"]["done"] == 1


def test_the_report_of_the_flagship_is_written_once_after_archives_in_archives_and_a_retry_that_waits(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = (ROOT / "pipelines" / "ingest.yml").read_text()
    late = f"""next: late

  late:
    task: stages_for_tests.fails_first
    with: {{log: {cli.folder / "worked"}, file: innermost.txt}}
    next: index
"""
    before = "Finds languages, names, addresses and numbers in the text\n    "
    assert f"{before}next: index\n" in pipeline
    (cli.folder / "late.yml").write_text(pipeline.replace(f"{before}next: index\n", before + late))
    source = cli.folder / "source"
    source.mkdir()
    archive(source / "outer.zip", {"inner.zip": archive(cli.folder / "inner.zip", {"innermost.txt": b"so deep"})})
    (source / "letter.txt").write_text("The ship leaves the harbour at noon, and all of the crew is on board of her.")
    (source / "empty_[1].txt").touch()

    result = cli("run", "late.yml", "-d", "demo", "--workers", "1", str(source))

    assert result.code == 0, result.err
    run = cli("status", "--json").json["run"]
    written = cli.folder / "home" / "reports" / f"{run}.md"
    assert f"report: {written}" in result.out
    text = written.read_text()
    assert text.startswith(f"# demo: what {run} found\n")
    assert "| found | 5 |\n| indexed | 4 |\n| unreadable | 1 |\n" in text
    assert "- 1 unreadable: empty: the file has no bytes\n  source/empty\\_\\[1\\].txt\n" in text
    assert "| PlainText | 3 |\n| Package | 2 |\n" in text
    assert "| eng | 1 |\n" in text
    # In memory it comes to the same: the same account, and the same report but for its time.
    monkeypatch.syspath_prepend(Path(__file__).parent)
    (cli.folder / "worked").unlink()
    ran = testing.run(cli.folder / "late.yml", params={"source": [source]}, dataset="demo", home=cli.folder / "other")
    assert ran.receipt.as_json() == {**cli("receipt", "--json").json, "run": ran.run}
    again = (cli.folder / "other" / "reports" / f"{ran.run}.md").read_text()
    assert [line for line in again.splitlines() if "UTC" not in line] == [
        line.replace(run, ran.run) for line in text.splitlines() if "UTC" not in line
    ]
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as connection:
        query = "SELECT min(at) FILTER (WHERE outcome = 'joined'), count(*) FILTER (WHERE outcome = 'joined'),"
        query += " max(ended) FILTER (WHERE stage <> 'report'), count(*) FILTER (WHERE outcome = 'retried')"
        query += " FROM oaflow.hops"
        joined, joins, last_end, retries = connection.execute(query).fetchone() or (None,) * 4
    assert (joins, retries) == (1, 1)
    assert joined > last_end


def archive(path: Path, members: dict[str, Any]) -> bytes:
    with ZipFile(path, "w") as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return path.read_bytes()


def test_a_join_of_some_stages_fires_while_others_still_work(cli: Command) -> None:
    joined, slow = cli.folder / "joined", cli.folder / "slow"
    pipeline = cli.pipeline(
        "some",
        {
            "source": {"with": {"count": 4}, "next": ["quick", "slow"]},
            "quick": {"task": "end"},
            "slow": {"task": "notes", "with": {"log": str(slow)}, "next": "sleepy"},
            "sleepy": {"task": "work", "with": {"seconds": 2.0, "log": str(slow) + "-end"}},
            "early": {"task": "notes", "with": {"log": str(joined)}, "join": ["quick"]},
            "late": {"task": "notes", "with": {"log": str(joined)}, "join": ["early", "sleepy"]},
        },
    )

    result = cli("run", pipeline, *RUN, env={"OAFLOW_EXECUTORS": "1"})

    assert result.code == 0, result.err
    assert len(lines(joined)) == 2
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as connection:
        query = "SELECT at FROM oaflow.hops WHERE outcome = 'joined' ORDER BY at"
        (early,), (late,) = connection.execute(query).fetchall()
        (end,) = connection.execute("SELECT max(ended) FROM oaflow.hops WHERE stage = 'sleepy'").fetchone() or (None,)
    assert early < end < late


@pytest.mark.unbalanced  # a failed document is sent again, in a second round
def test_a_join_fires_once_more_after_a_retry_and_says_what_had_failed(cli: Command) -> None:
    joined = cli.folder / "joined"
    pipeline = cli.pipeline(
        "rounds",
        {
            "source": {"with": {"count": 3}, "next": "fails_once"},
            "fails_once": {"with": {"marker": str(cli.folder / "marker")}},
            "report": {"task": "notes", "with": {"log": str(joined)}, "join": "run"},
        },
    )
    assert cli("run", pipeline, *RUN).code == 1

    again = cli("retry", "--workers", "1")

    assert again.code == 0, again.err
    assert [line["context"]["run"]["round"] for line in lines(joined)] == [1, 2]
    assert [line["context"]["run"]["failed"] for line in lines(joined)] == [3, 0]


def test_a_run_without_work_has_its_join_and_a_cancelled_one_has_none(cli: Command) -> None:
    joined = cli.folder / "joined"
    stages = {
        "source": {"with": {"named": []}, "next": "middle"},
        "middle": {"task": "end"},
        "report": {"task": "notes", "with": {"log": str(joined)}, "join": "run"},
    }
    empty = cli.folder / "nobody.jsonl"
    empty.write_text("")
    refused = cli("run", cli.pipeline("empty", stages), *RUN, "--at", "report")
    assert (refused.code, refused.error) == (2, "no run starts at 'report': it is a join, which starts by itself")
    assert cli("run", cli.pipeline("empty", stages), *RUN, "-i", str(empty)).code == 0
    assert len(lines(joined)) == 1

    stages["middle"] = {"task": "fails", "with": {"on": ["doc-0"]}, "next": "work"}
    stages["work"] = {"with": {"seconds": 0.2}}
    stages["source"] = {"with": {"count": 300}, "next": "middle"}
    result = cli("run", cli.pipeline("cut", stages), *RUN, "--stop-after", "1")

    assert result.code == 1
    assert cli("status", "--json").json["state"] == "cancelled"
    assert len(lines(joined)) == 1


def test_a_stage_that_splits_gets_each_entity_once(cli: Command) -> None:
    log = cli.folder / "parts"
    pipeline = cli.pipeline(
        "cuts",
        {
            "together": {"with": {"count": 10}, "next": "notes"},
            "notes": {"with": {"log": str(log)}, "split": 3},
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    parts = [line["documents"] for line in lines(log)]
    assert sorted(len(part) for part in parts) == [1, 3, 3, 3]
    assert sorted(document for part in parts for document in part) == sorted(f"doc-{number}" for number in range(10))


def test_what_arrives_in_many_jobs_is_put_together_and_the_last_part_does_not_wait(cli: Command) -> None:
    log = cli.folder / "parts"
    pipeline = cli.pipeline(
        "gathers",
        {
            "source": {"with": {"count": 25}, "next": "marked"},
            "marked": {"with": {"ways": 2}, "next": "notes"},
            "notes": {"with": {"log": str(log)}, "collect": {"size": 5, "wait": "10m"}, "next": "end"},
            "end": {"collect": 100},
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    parts = lines(log)
    assert sorted(document for part in parts for document in part["documents"]) == sorted(
        f"doc-{number}" for number in range(25)
    )
    assert sorted(len(part["documents"]) for part in parts) == [2, 3, 5, 5, 5, 5]
    for part in parts:
        assert {int(document.rpartition("-")[2]) % 2 for document in part["documents"]} == {part["context"]["way"]}
    run = cli("status", "--json").json
    assert (run["stages"]["notes"]["done"], run["stages"]["end"]["done"]) == (6, 2)
    assert cli("receipt").code == 0


def test_first_jobs_and_what_comes_over_on_error_are_cut_and_put_together(cli: Command) -> None:
    log, aside = cli.folder / "log", cli.folder / "aside"
    names = [f"doc-{number:03}" for number in range(250)]
    stream = cli.folder / "in.jsonl"
    stream.write_text("\n".join(json.dumps({"id": name, "schema": "Document"}) for name in names))
    most = {"size": 200, "wait": "10m"}
    stages = {
        "notes": {"with": {"log": str(log)}, "collect": most, "next": "rejects"},
        "rejects": {"split": 40, "on_error": "aside"},
        "aside": {"task": "notes", "with": {"log": str(aside)}, "collect": most, "next": "end"},
        "end": {},
    }

    # One after the other: of two executors the one with fewer may note them first.
    result = cli("run", cli.pipeline("errors", stages), *RUN, "-i", str(stream), env={"OAFLOW_EXECUTORS": "1"})

    assert result.code == 0, result.err
    assert [line["documents"] for line in lines(log)] == [names[:200], names[200:]]
    parts = [line["documents"] for line in lines(aside)]
    assert sorted(name for part in parts for name in part) == names
    assert len(parts) == 2  # of 40, 40, 40, 40, 40, 40 and 10, as they come
    assert cli("receipt").code == 0


def test_what_has_waited_long_enough_does_not_wait_for_more(cli: Command) -> None:
    log, slow = cli.folder / "parts", cli.folder / "slow"
    pipeline = cli.pipeline(
        "clock",
        {
            "source": {"with": {"count": 8}, "next": "work"},
            "work": {"with": {"seconds": 0.5, "log": str(slow)}, "next": "notes"},
            "notes": {"with": {"log": str(log)}, "collect": {"size": 100, "wait": "1s"}},
        },
    )

    result = cli("run", pipeline, *RUN, env={"OAFLOW_EXECUTORS": "1"})

    assert result.code == 0, result.err
    assert len(slow.read_text().splitlines()) == 8
    parts = [line["documents"] for line in lines(log)]
    assert len(parts) >= 2
    assert sorted(document for part in parts for document in part) == [f"doc-{number}" for number in range(8)]


@pytest.mark.parametrize("harm", ["raises", "crashes"])
def test_what_was_put_together_is_taken_apart_and_only_the_culprit_fails(cli: Command, harm: str) -> None:
    log, aside = cli.folder / "log", cli.folder / "aside"
    pipeline = cli.pipeline(
        "apart",
        {
            "source": {"with": {"count": 10}, "next": "spoils"},
            "spoils": {
                "with": {"log": str(log), harm: ["doc-3", "doc-7"]},
                "collect": {"size": 10, "wait": "10m"},
                "retry": {"max": 1, "base": 0},
                "on_error": "notes",
                "next": "end",
            },
            "end": {},
            "notes": {"with": {"log": str(aside)}},
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    attempts = [line["documents"] for line in lines(log)]
    whole = [attempt for attempt in attempts if len(attempt) == 10]
    assert len(whole) == (2 if harm == "raises" else 1)
    alone = sorted(attempt[0] for attempt in attempts if len(attempt) == 1)
    # What an executor had done and not said yet is done again where it dies of the next.
    assert (sorted(set(alone)) if harm == "crashes" else alone) == [f"doc-{number}" for number in range(10)]
    assert sorted(line["documents"] for line in lines(aside)) == [["doc-3"], ["doc-7"]]
    run = cli("status", "--json").json
    assert run["stages"]["end"]["done"] == 8
    assert run["stages"]["spoils"]["diverted"] == 2
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as connection:
        assert connection.execute("SELECT count(*) FROM oaflow.collected").fetchone() == (0,)


def test_of_what_was_taken_apart_the_failed_runs_again_with_all_its_attempts(cli: Command) -> None:
    log = cli.folder / "log"
    pipeline = cli.pipeline(
        "apart",
        {
            "source": {"with": {"count": 4}, "next": "spoils"},
            "spoils": {"with": {"log": str(log), "raises": ["doc-1"]}, "collect": 4, "retry": {"max": 2, "base": 0}},
        },
    )
    assert cli("run", pipeline, *RUN).code == 1
    log.unlink()

    assert cli("retry", "--workers", "1").code == 1

    assert [line["documents"] for line in lines(log)] == [["doc-1"]] * 3


def test_what_waits_in_a_run_that_is_cancelled_is_taken_out(
    cli: Command, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any]
) -> None:
    stages = {
        "source": {"with": {"count": 5}, "next": ["notes", "sleeps"]},
        "sleeps": {},
        "notes": {"with": {"log": str(cli.folder / "log")}, "collect": {"size": 100, "wait": "10m"}},
    }
    stages["sleeps"]["next"] = "notes"
    process = started(cli.start("run", cli.pipeline("cut", stages), *RUN))
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        query = "SELECT count(*) FROM oaflow.collected"
        until(lambda: connection.execute("SELECT to_regclass('oaflow.collected') IS NOT NULL").fetchone() == (True,))
        until(lambda: connection.execute(query).fetchone() == (5,))

        assert cli("cancel").code == 0

        process.communicate(timeout=60)
        assert connection.execute(query).fetchone() == (0,)
        query = "SELECT sum(open)::int FROM oaflow.counters"
        until(lambda: connection.execute(query).fetchone() == (0,))


@pytest.mark.parametrize(("aside", "together"), [(False, False), (True, False), (True, True)])
def test_what_a_failing_stage_had_emitted_goes_out_with_its_last_attempt(
    cli: Command, aside: bool, together: bool
) -> None:
    log = cli.folder / "out"
    way: dict[str, Any] = {"on_error": "aside"} if aside else {}
    if together:
        way["collect"] = {"size": 2, "wait": "10m"}
    stages: dict[str, Any] = {
        "source": {"with": {"count": 2}, "next": "yields_then_raises"},
        "yields_then_raises": {"emit": "always", "retry": {"max": 2, "base": 0}, "next": "notes", **way},
        "notes": {"with": {"log": str(log)}},
    }
    if aside:
        stages["aside"] = {"task": "end"}

    result = cli("run", cli.pipeline("always", stages), *RUN)

    assert result.code == (0 if aside else 1), result.err
    assert sorted(line["documents"] for line in lines(log)) == [["doc-0"], ["doc-1"]]  # once, not at each attempt


def test_a_run_that_is_paused_begins_nothing_more_and_goes_on_when_it_is_resumed(
    cli: Command, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any]
) -> None:
    log = cli.folder / "log"
    pipeline = cli.pipeline(
        "held",
        {"source": {"with": {"count": 40}, "next": "work"}, "work": {"with": {"seconds": 0.4, "log": str(log)}}},
    )
    process = started(cli.start("run", pipeline, *RUN))
    until(lambda: log.exists() and len(log.read_text().splitlines()) >= 3)

    paused = cli("pause")

    assert paused.code == 0, paused.err
    assert cli("pause").code == 2
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'"
        until(lambda: connection.execute(query).fetchone() == (0,))
        done = len(log.read_text().splitlines())
        query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND attempts = 0"
        assert connection.execute(query).fetchone() == (40 - done,)  # given back without an attempt
    assert done < 40
    resumed = cli("resume", "--workers", "1")
    assert resumed.code == 0, resumed.err
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(log.read_text().splitlines()) == 40


def test_retry_says_that_a_run_was_paused_and_that_all_of_it_goes_on_or_what_resumes_it(
    cli: Command, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any]
) -> None:
    gate = cli.folder / "gate"
    pipeline = cli.pipeline(
        "held",
        {
            "source": {"with": {"count": 1}, "next": ["waits", "fails_once"]},
            "waits": {"with": {"file": str(gate)}},
            "fails_once": {"with": {"marker": str(cli.folder / "marker")}},
        },
    )
    process = started(cli.start("run", pipeline, *RUN))
    until(lambda: cli("failures", "--json").out.count("\n") == 1)
    assert cli("pause").code == 0

    retried = started(cli.start("retry", "--workers", "0"))
    until(lambda: cli("failures", "--json").out == "" and cli("status", "--json").json["state"] == "running")
    assert cli("pause").code == 0
    nothing = cli("retry")

    run = cli("status", "--json").json["run"]
    assert (nothing.code, nothing.help) == (2, f"oaflow resume {run}")
    assert nothing.error == f"nothing failed in run {run!r} that can be retried; it is paused"
    assert cli("retry", "--stage", "waits").help == f"oaflow failures {run}   # shows causes and stages"
    gate.touch()
    _, told = retried.communicate(timeout=60)
    assert "sent 1 failed job again\nit was paused: by oaflow pause; now all of it continues\n" in told
    process.communicate(timeout=60)


def test_what_has_ended_is_pruned_and_the_account_stays(cli: Command) -> None:
    pipeline = cli.pipeline("old", {"source": {"with": {"count": 5}, "next": "end"}, "end": {}})
    assert cli("run", pipeline, *RUN).code == 0
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        connection.execute("INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('q', 't', 'failed')")
        query = "SELECT count(*) FROM procrastinate_jobs"

        assert cli("db", "prune", "--json").json == {"older_than": 90.0, "jobs": 0, "history": [], "done": True}
        assert cli("db", "prune", "--older-than", "0", "--dry-run", "--json").json["jobs"] == 6
        assert connection.execute(query).fetchone() == (7,)
        pruned = cli("db", "prune", "--older-than", "0")

        assert pruned.code == 0, pruned.err
        assert "6 jobs that have ended" in pruned.err
        assert connection.execute(query).fetchone() == (1,)  # of somebody else
    assert cli("receipt").code == 0


def test_a_decorator_may_ask_that_what_was_emitted_goes_out(cli: Command) -> None:
    log = cli.folder / "out"
    stages = {
        "source": {"with": {"count": 1}, "next": "always_yields_then_raises"},
        "always_yields_then_raises": {"next": "notes"},
        "notes": {"with": {"log": str(log)}},
    }

    result = cli("run", cli.pipeline("always", stages), *RUN)

    assert result.code == 1, result.err
    assert [line["documents"] for line in lines(log)] == [["doc-0"]]


def test_a_crawl_that_finds_no_file_says_so(cli: Command) -> None:
    source = cli.folder / "source"
    (source / "below").mkdir(parents=True)

    result = cli("run", "ingest", "-d", "demo", "--workers", "1", str(source))

    assert result.code == 0, result.err
    assert "\nno documents: there is no file in what was crawled\n" in result.out
    assert "none of its stages found any" in cli("receipt").err
    (source / "below" / "letter.txt").write_text("At noon.")
    assert "no documents" not in cli("run", "ingest", "-d", "demo", "--workers", "1", str(source)).out
