"""
A failed job that is run in the foreground, by itself: nothing of it is handed over, and nothing is written.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.conftest import Command

TABLES = ("procrastinate_jobs", "oaflow.hops", "oaflow.failures", "oaflow.counters", "oaflow.documents", "ftm_demo")


def everything(cli: Command) -> list[Any]:
    """
    All that a job could leave behind.
    """
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        rows = [connection.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall() for name in TABLES]  # pyright: ignore[reportArgumentType, reportCallIssue]
    files = sorted(str(path) for path in (cli.folder / "home" / "archive").rglob("*"))
    return [rows, files]


def test_a_failed_job_is_run_here_with_its_file_and_the_debugger_and_leaves_nothing(cli: Command) -> None:
    (cli.folder / "letter.txt").write_text("hello")
    marker = cli.folder / "marker"
    stages = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["letter.txt"]}, "next": "learns"},
        "learns": {"task": "stages_for_tests.learns", "with": {"marker": str(marker)}, "next": "end"},
        "end": {"task": "stages_for_tests.end"},
    }
    (cli.folder / "one.yml").write_text(json.dumps({"pipeline": "one", "stages": stages}))
    assert cli("run", "one.yml", "-d", "demo", "--workers", "1").code == 1
    failure = json.loads(cli("failures", "--json").out)
    job, cause, run = str(failure["job"]), failure["fingerprint"], failure["run"]
    before = everything(cli)

    well = cli("retry", job, "--here")
    marker.unlink()
    debugged = cli("retry", job, "--here", "--pdb", stdin="p document, tried\nq\n")
    marker.unlink()
    plain = cli("retry", job, "--here")

    assert well.code == 0, well.err
    assert well.out.startswith(
        f"job {job} of learns, task stages_for_tests.learns\nit failed with ValueError: not yet\n"
    )
    (path,) = re.findall(r"^file: (.*/letter\.txt)$", well.out, re.MULTILINE)
    assert not Path(path).exists()  # it is there as long as the job runs
    assert "it says hello\ndone after " in well.out
    assert "would hand 1 job to end\nwould change the store: 1 changed, 1 new, 1 removed\n" in well.out
    assert [line.split()[0:2] for line in well.out.splitlines()[-3:]] == [
        ["~", "Document"],
        ["+", "Person"],
        ["-", "Person"],
    ]
    assert well.err == "nothing was handed over or written\n"
    assert re.search(r"\(Pdb\) \('[0-9a-f]{40}', False\)\n", debugged.out)
    assert debugged.code == plain.code == 1
    assert "(Pdb)" not in plain.out
    assert 'in learns\n    raise ValueError("not yet")\nValueError: not yet\nfailed after ' in plain.out
    assert everything(cli) == before
    for arguments, problem in (
        (("retry", "99999", "--here"), "job 99999 is not among the failures"),
        (("retry", job), f"'{job}' is the id of a job, but retry takes the id of a run"),
        (
            ("retry", "--cause", cause, "--stage", "end"),
            f"nothing failed at stage 'end' for cause {cause!r} in run {run!r} that can be retried",
        ),
        (("retry", "--here"), "--here runs one job"),
        (("retry", "one-aaaaaa", "--here"), "--here runs one job, but 'one-aaaaaa' is not a job id"),
    ):
        refused = cli(*arguments)
        assert (refused.code, refused.error) == (2, problem)
    assert cli("retry", job).help == f"oaflow retry {job} --here   # runs it in the foreground"


def test_what_an_async_stream_would_hand_over_is_counted_with_all_of_its_parts(cli: Command) -> None:
    pours = {"with": {"marker": str(cli.folder / "marker"), "count": 1234}, "next": "end"}
    pipeline = cli.pipeline("pours", {"pours": {"task": "pours_second", **pours}, "end": {}})
    assert cli("run", pipeline, "-d", "demo", "--workers", "1").code == 1
    job = str(json.loads(cli("failures", "--json").out)["job"])

    here = cli("retry", job, "--here")

    assert here.code == 0, here.err
    assert "would hand 1,234 jobs to end\n" in here.out


def test_a_job_that_ends_this_process_says_where_it_was_and_leaves_no_copy_of_its_file(
    cli: Command, until: Callable[[Callable[[], Any]], Any]
) -> None:
    (cli.folder / "letter.txt").write_text("hello")
    stages = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["letter.txt"]}, "next": "crashes"},
        "crashes": {"task": "stages_for_tests.crashes"},
    }
    (cli.folder / "one.yml").write_text(json.dumps({"pipeline": "one", "stages": stages}))
    assert cli("run", "one.yml", "-d", "demo", "--workers", "1").code == 1
    job = str(json.loads(cli("failures", "--json").out)["job"])

    crashed = cli("retry", job, "--here")

    assert crashed.code not in (0, 1)
    assert "what killed its process may also kill this command\n" in crashed.err
    assert re.search(r"Segmentation fault\n.*, line \d+ in crashes\n", crashed.err, re.DOTALL)
    (path,) = re.findall(r"^file: (.*/letter\.txt)$", crashed.out, re.MULTILINE)
    folder = next(one for one in Path(path).parents if one.name.startswith("oaflow-here-"))
    until(lambda: not folder.exists())


LOGGING = """
import logging
from oaflow import DatasetJob, Reject, stage

{setup}
log = logging.getLogger(__name__)

@stage
def reads(job: DatasetJob) -> None:
    log.debug("each letter")
    log.info("page %d\\x1b[1m", 7)
    logging.getLogger("of_others").info("each step")
    logging.getLogger("of_others").warning("of a library")
    raise Reject("no date")
"""


def test_what_a_function_logs_is_shown_with_level_and_logger_or_goes_where_its_module_sends_it(cli: Command) -> None:
    module = cli.folder / "logging_here.py"
    module.write_text(LOGGING.format(setup=""))
    (cli.folder / "letter.txt").write_text("hello")
    stages = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["letter.txt"]}, "next": "reads"},
        "reads": {"task": "logging_here.reads"},
    }
    (cli.folder / "one.yml").write_text(json.dumps({"pipeline": "one", "stages": stages}))
    assert cli("run", "one.yml", "-d", "demo", "--workers", "1").code == 1
    here = ("retry", str(json.loads(cli("failures", "--json").out)["job"]), "--here")
    last = "nothing was handed over or written"

    told = cli(*here).err.splitlines()
    lines = [json.loads(line) for line in cli(*here, env={"OAFLOW_LOG_FORMAT": "json"}).err.splitlines()]
    module.write_text(LOGGING.format(setup="logging.basicConfig(level='DEBUG', format='%(message)s of %(name)s')"))
    own = cli(*here).err.splitlines()

    assert told == ["INFO logging_here: page 7\\x1b[1m", "WARNING of_others: of a library", last]
    assert [(line["level"], line["logger"], line["message"]) for line in lines] == [
        ("info", "logging_here", "page 7\x1b[1m"),
        ("warning", "of_others", "of a library"),
        ("info", "oaflow", last),
    ]
    assert "each letter of logging_here" in own
    assert "page 7\x1b[1m of logging_here" in own
    assert not any(line.startswith("INFO") for line in own)
