"""
Limits of stages over real workers, and `oaflow limit`.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.limited import limited_pipeline, noting, one

TASK = "service/limited_stages.asks"

MOST = "SELECT max(beside) FROM asked"


@pytest.fixture(autouse=True)
def patient(cli: Command) -> None:
    """
    A worker that a busy machine keeps silent for four seconds is not dead here: what it is at would be begun again.
    """
    cli.environment["OAFLOW_DEAD_AFTER"] = "60"


@pytest.mark.parametrize("task", ["asks", "asks_in_loop"])
def test_workers_of_different_runs_keep_to_one_limit(cli: Command, started: Callable[[Any], Any], task: str) -> None:
    # Each command's workers work on its own run only; the second plan says nothing of a limit.
    strict = limited_pipeline(cli, 1000, 0.3, name="strict", task=task, concurrency=2)
    plain = limited_pipeline(cli, 8, 0.3, name="plain", task=task)
    with noting(cli) as connection:
        first = started(cli.start("run", strict, "-d", "demo", "--workers", "2"))
        while not one(connection, "SELECT count(*) FROM oaflow.limits"):
            assert first.poll() is None
            time.sleep(0.01)

        second = cli("run", plain, "-d", "demo", "--workers", "1")

        assert second.code == 0, second.err
        assert first.poll() is None  # both had work all the time
        assert one(connection, MOST) == 2
        first.terminate()
        first.communicate(timeout=60)


def test_a_rate_holds_over_several_workers(cli: Command) -> None:
    pipeline = limited_pipeline(cli, 150, rate="50/s")
    with noting(cli) as connection:
        result = cli("run", pipeline, "-d", "demo", "--workers", "4")

        assert result.code == 0, result.err
        # By procrastinate's own record of when it was claimed: what a job notes comes later, the first ones' last.
        taken = (
            "SELECT extract(epoch FROM max(at) - min(at))::float8 FROM procrastinate_events JOIN procrastinate_jobs"
            " ON job_id = procrastinate_jobs.id WHERE type = 'started' AND task_name = 'limited_stages.asks'"
        )
        # 149 intervals, less what may be made up for: a quarter of a second. How much more is a matter of the machine,
        # and a benchmark measures it; one in each of the looks of a worker would take minutes.
        assert 149 / 50 - 0.3 <= one(connection, taken) <= 60


def test_an_operator_changes_a_limit_while_it_holds(
    cli: Command, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any]
) -> None:
    pipeline = limited_pipeline(cli, 400, 0.2, rate="1/h")
    with noting(cli) as connection:
        running = started(cli.start("run", pipeline, "-d", "demo", "--workers", "2"))
        until(lambda: one(connection, "SELECT count(*) FROM asked") == 1)
        assert one(connection, "SELECT count(*) FROM asked") == 1
        until(lambda: cli("limit", "--json").json[0]["running"] == 0)
        (shown,) = cli("limit", "--json").json
        assert (shown["name"], shown["said_rate"]) == (TASK, None)
        assert shown["rate"] == pytest.approx(1 / 3600)
        stage = "stage asks waits for its limit: 1/h; 0 run and"
        until(lambda: stage in " ".join(cli("status").out.split()))

        said = cli("limit", TASK, "--rate", "1000/s", "--concurrency", "3")

        assert said.code == 0, said.err
        assert said.out.split("\n")[-2].split()[:4] == [TASK, "3", "1000/s", "operator"]
        until(lambda: one(connection, "SELECT count(*) FROM asked") > 10)  # not in an hour
        until(lambda: (one(connection, MOST) or 0) >= 3)  # when the second worker has heard of it, too
        assert one(connection, MOST) == 3
        # From here on only the plan's rate holds, by which one more may begin at once.
        (cleared,) = cli("limit", TASK, "--clear", "--json").json
        assert cleared["said_concurrency"] is None
        running.terminate()
        running.communicate(timeout=60)


def test_what_cannot_be_limited_is_refused_and_what_nobody_knows_is_said(cli: Command) -> None:
    assert cli("limit", "nothing").error == "'nothing' is not QUEUE/TASK"
    assert cli("limit", TASK, "--rate", "often").error == "'often' is not a rate"
    assert cli("limit", "--clear").error == "limits are set by queue and task"
    assert cli("limit", TASK, "--clear", "--rate", "5/s").code == 2
    assert cli("limit").err.strip() == "nothing is limited"
    assert cli("limit", "--json").json == []

    said = cli("limit", TASK, "--concurrency", "3")

    assert said.code == 0
    assert "no run has had task 'limited_stages.asks' on queue 'service' so far" in said.err
