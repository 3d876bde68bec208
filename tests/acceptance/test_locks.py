"""
`lock` in real runs: jobs with the same one never run at the same time, the others do.
"""

import json
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.conftest import Command

RUN = ("-d", "demo", "--workers", "2")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def overlaps(spans: list[dict[str, Any]]) -> int:
    """
    How many begin before one of those before has ended.
    """
    until, found = 0.0, 0
    for span in sorted(spans, key=lambda span: span["began"]):
        found += span["began"] < until
        until = max(until, span["ended"])
    return found


def test_jobs_with_the_same_lock_never_run_at_the_same_time_and_others_do(cli: Command) -> None:
    log = cli.folder / "log"
    pipeline = cli.pipeline(
        "locks",
        {
            "source": {"with": {"count": 40}, "next": "marked"},
            "marked": {"with": {"ways": 4}, "next": "lasts"},
            "lasts": {"with": {"log": str(log), "seconds": 0.2}, "lock": "job.context.way", "next": "end"},
            "end": {},
        },
    )

    result = cli("run", pipeline, *RUN, env={"OAFLOW_EXECUTORS": "2"})

    assert result.code == 0, result.err
    noted = lines(log)
    assert len(noted) == 40
    for way in range(4):
        of_way = [line for line in noted if line["context"]["way"] == way]
        assert (len(of_way), overlaps(of_way)) == (10, 0)
    assert overlaps(noted) > 0
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as connection:
        query = "SELECT DISTINCT lock FROM procrastinate_jobs WHERE task_name LIKE '%lasts' ORDER BY lock"
        assert [lock for (lock,) in connection.execute(query).fetchall()] == ["0", "1", "2", "3"]


def test_one_lock_counts_over_stages_and_runs(cli: Command) -> None:
    log = cli.folder / "log"
    keys = {"task": "lasts", "with": {"log": str(log), "seconds": 0.1}, "lock": "params.service"}
    stages = {"source": {"with": {"count": 5}, "next": ["one", "other"]}, "one": keys, "other": keys}
    pipeline = cli.pipeline("service", stages, params={"service": {"default": "ocr"}})

    first, second = cli.start("run", pipeline, *RUN), cli.start("run", pipeline, "-d", "other", "--workers", "1")
    first.communicate(timeout=100)
    second.communicate(timeout=100)

    assert (first.returncode, second.returncode) == (0, 0)
    assert (len(lines(log)), overlaps(lines(log))) == (20, 0)


def test_what_is_put_together_taken_apart_diverted_and_joined_has_its_lock_too(cli: Command) -> None:
    log = cli.folder / "log"
    lasts = {"task": "lasts", "with": {"log": str(log), "seconds": 0.02}, "lock": "'all'"}
    pipeline = cli.pipeline(
        "many",
        {
            "source": {"with": {"count": 20}, "next": "gathers"},
            "gathers": {
                **lasts,
                "collect": {"size": 5, "wait": "1s"},
                "with": {"log": str(log), "seconds": 0.02, "fails_on": "doc-7"},
                "retry": 0,
                "on_error": "aside",
            },
            "aside": lasts,
            "report": {**lasts, "join": "run"},
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    noted = lines(log)
    assert overlaps(noted) == 0
    stages = [line["stage"] for line in noted]
    assert (stages.count("aside"), stages.count("report")) == (1, 1)
    assert sorted(document for line in noted if line["stage"] == "gathers" for document in line["documents"]) == sorted(
        f"doc-{number}" for number in range(20) if number != 7
    )
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as connection:
        query = "SELECT count(*), count(lock) FROM procrastinate_jobs WHERE task_name LIKE '%lasts'"
        total, locked = connection.execute(query).fetchone() or (0, 0)
        assert total == locked > 4


def test_a_lock_that_cannot_be_told_fails_the_job_that_hands_over_at_once(cli: Command) -> None:
    pipeline = cli.pipeline(
        "odd",
        {
            "source": {"with": {"count": 1}, "next": "marked"},
            "marked": {"next": "end", "retry": 3},
            "end": {"lock": "len(job.context.way)"},
        },
    )

    assert cli("run", pipeline, *RUN).code == 1

    (failure,) = map(json.loads, cli("failures", "--json").out.splitlines())
    assert (failure["stage"], failure["type"], failure["attempts"]) == ("marked", "LockError", 1)
    assert failure["message"].startswith(f"`lock` of stage 'end' ({cli.place(pipeline, 'len(job.context.way)')}): ")
