"""
Each command and option through the installed program: what it prints where, and how it ends.
"""

import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.conftest import PATIENCE, Command

Keep = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]

RUN = ("-d", "demo", "--workers", "1")


def chain(cli: Command, middle: str = "work", count: int = 5, **keys: Any) -> str:
    return cli.pipeline(
        "chain",
        {
            "source": {"with": {"count": count}, "next": "middle"},
            "middle": {"task": middle, "next": "end", **keys},
            "end": {},
        },
    )


def people(cli: Command, number: int) -> str:
    lines = [
        json.dumps({"id": f"p{one}", "schema": "Person", "properties": {"name": [f"Person {one}"]}})
        for one in range(number)
    ]
    (cli.folder / "people.json").write_text("\n".join(lines) + "\n")
    return "people.json"


def terminal(
    cli: Command,
    *arguments: str,
    answer: str = "",
    question: bytes = b"continue it?",
    env: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """
    A command in a terminal of its own: its exit code, and all that was to be seen.
    """
    ours, theirs = pty.openpty()
    shown = cli.at(**{"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"} | dict(env or {}))
    process = shown.with_streams(arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen, limit = b"", time.monotonic() + PATIENCE
    try:
        while time.monotonic() < limit:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    piece = os.read(ours, 1 << 16)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                seen += piece
            if answer and question in seen:
                os.write(ours, f"{answer}\n".encode())
                answer = ""
        return process.wait(PATIENCE), seen.decode(errors="replace")
    finally:
        process.kill()
        os.close(ours)


def test_entities_from_a_file_enter_in_first_jobs(cli: Command) -> None:
    name = cli.pipeline("keep", {"keeps": {}})

    result = cli("run", name, *RUN, "-i", people(cli, 150), "--json")

    assert result.code == 0, result.err
    assert result.json["stages"]["keeps"]["done"] == 2  # a hundred in each
    found = [json.loads(line) for line in cli("entities", "-d", "demo").out.splitlines()]
    assert {entity["id"] for entity in found} == {f"p{number}" for number in range(150)}


def test_entities_come_out_of_a_pipe_as_out_of_a_file(cli: Command) -> None:
    name = cli.pipeline("keep", {"keeps": {}})
    pipe = cli.folder / "pipe"
    os.mkfifo(pipe)
    text = (cli.folder / people(cli, 9)).read_text()
    writer = threading.Thread(target=pipe.write_text, args=(text,), daemon=True)
    writer.start()

    result = cli("run", name, *RUN, "-i", str(pipe), "--json")

    assert result.code == 0, result.err
    assert len(cli("entities", "-d", "demo").out.splitlines()) == 9


def test_entities_from_stdin_and_only_the_first_of_them(cli: Command) -> None:
    name = cli.pipeline("keep", {"keeps": {}})
    text = (cli.folder / people(cli, 9)).read_text()

    result = cli("run", name, *RUN, "-i", "-", "--first", "4", "--force", "--prune", stdin=text)

    assert result.code == 0, result.err
    assert "--prune removes nothing: no stage of pipeline 'keep' crawls\n" in result.err
    assert (
        "--force changes nothing: no stage of pipeline 'keep' crawls, so everything is processed anyway\n" in result.err
    )
    assert len(cli("entities", "-d", "demo", "--schema", "Person").out.splitlines()) == 4


def test_of_a_folder_only_the_first_documents_are_taken_and_the_receipt_says_so(cli: Command) -> None:
    place = cli.folder / "source" / "below"
    place.mkdir(parents=True)
    for number in range(9):
        (place / f"{number}.txt").write_text(f"word{number}")
    (place / "2.link").symlink_to("nowhere")  # skipped, and found before the third
    stages = {"crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["source"]}, "next": "keeps"}, "keeps": {}}
    whole = {"pipeline": "try", "stages": {**stages, "keeps": {"task": "oaflow.stages.index"}}}
    whole["stages"]["crawl"]["with"]["source"] = [str(cli.folder / "source")]
    (cli.folder / "try.yml").write_text(json.dumps(whole))

    result = cli("run", "try.yml", *RUN, "--first", "3", "--prune")

    assert result.code == 0, result.err
    assert "--prune removes nothing: with --first, not all folders are read\n" in result.err
    assert "the first 3 only" in result.out
    receipt = cli("receipt", "--json").json
    assert {key: receipt[key] for key in ("found", "indexed", "skipped", "balanced")} == {
        "found": 4, "indexed": 3, "skipped": 1, "balanced": True
    }  # fmt: skip
    names = {line.split("\t")[0] for line in cli("receipt", "--list", "all").out.splitlines()}
    assert names == {f"source/below/{name}" for name in ("0.txt", "1.txt", "2.link", "2.txt")}
    wrong = cli("rerun", "--where", "e.id ==", "--dry-run")
    assert (wrong.code, wrong.error) == (2, "--where 'e.id ==': this cannot be read: it is incomplete")
    mapping = cli("rerun", "--where", "{schema: Email}", "--dry-run")
    assert (mapping.code, mapping.help) == (2, "--where \"is_a(e, 'Email')\"")


def test_a_stage_in_the_middle_is_not_cut_to_the_first(cli: Command) -> None:
    stages = {"source": {"with": {"count": 7}, "next": "many"}, "many": {"task": "source", "next": "end"}, "end": {}}
    stages["many"]["with"] = {"count": 5}

    result = cli("run", cli.pipeline("fan", stages), *RUN, "--first", "2", "--json")

    assert result.code == 0, result.err
    assert [result.json["stages"][name]["done"] for name in ("source", "many", "end")] == [1, 2, 10]


def test_a_run_starts_at_the_stage_that_is_named(cli: Command) -> None:
    result = cli("run", chain(cli), *RUN, "--at", "middle", "-i", people(cli, 3), "--json")

    assert result.code == 0, result.err
    assert [stage["done"] for stage in result.json["stages"].values()] == [0, 1, 1]


def test_entities_are_written_by_schema_with_its_descendants(cli: Command) -> None:
    name = cli.pipeline("keep", {"keeps": {}})
    assert cli("run", name, *RUN, "-i", people(cli, 2)).code == 0

    assert len(cli("entities", "-d", "demo", "-s", "LegalEntity").out.splitlines()) == 2
    assert cli("entities", "-d", "demo", "-s", "Document").out == ""
    mistyped = cli("entities", "-d", "demo", "-s", "Persn")
    assert mistyped.code == 2
    assert "Person" in mistyped.help


def test_what_stages_print_goes_to_the_log_and_never_to_stdout(cli: Command) -> None:
    name = chain(cli, "prints", count=2, **{"with": {"lines": 50}})

    result = cli("run", name, *RUN, "--json")

    assert result.code == 0, result.err
    assert len(result.out.splitlines()) == 1
    assert "line 3 of" not in result.out + result.err
    shown = cli("logs", "-n", "0")
    assert shown.out.count("line 49 of [bold]doc-0") == 1
    assert "\x1b" not in shown.out
    assert len(cli("logs", "-n", "7").out.splitlines()) == 7
    line = json.loads(cli("logs", "-n", "1", "--json").out)
    assert line["stage"] == "middle"


def test_a_run_in_a_terminal_is_shown_in_colours_unless_told_otherwise(cli: Command) -> None:
    name = chain(cli, count=2)

    code, seen = terminal(cli, "run", name, *RUN)

    assert code == 0, seen
    assert "finished" in seen
    assert "\x1b[1;32m" in seen
    _, plain = terminal(cli, "status", env={"NO_COLOR": "1"})
    assert "finished" in plain
    assert "\x1b[3" not in plain
    assert "32m" not in plain


def test_that_the_private_server_is_made_is_said_in_a_terminal_the_first_time(private: Command, home: Path) -> None:
    fresh = home / "fresh"
    first, again = (terminal(private, "status", "--all", env={"OAFLOW_HOME": str(fresh)}) for _ in range(2))
    nothing = "there is no run yet: oaflow run PIPELINE -d DATASET\r\n"

    assert first == (0, f"making a private PostgreSQL in {fresh}/postgres (once)\r\n{nothing}")
    assert again == (0, nothing)


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_shows_whole_reasons_within_the_width_of_the_terminal(cli: Command, width: int) -> None:
    reason = " ".join(f"because-{number}" for number in range(20))
    names = [f"{'folder/' * 9}file{number}.txt" for number in range(3)]
    stages = {
        "source": {"with": {"named": names}, "next": "middle"},
        "middle": {"task": "cannot_read", "with": {"reason": reason}, "next": "end"},
        "end": {},
    }
    name = cli.pipeline("chain", stages)
    path = cli.folder / name
    path.write_text(path.read_text().replace("stages_for_tests.end", "oaflow.stages.index"))

    code, seen = terminal(cli, "run", name, *RUN, env={"COLUMNS": str(width), "NO_COLOR": "1"})

    assert code == 1, seen
    summary = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen[seen.index("unreadable") :]).replace("\r", "")
    assert " ".join(summary.split()).count(reason) == 2
    assert names[0] in summary
    assert names[1] in summary
    assert max(map(len, summary.splitlines())) <= width
    # Where nobody looks a line stays a line, for grep.
    assert f"at middle: ValueError: {reason}" in cli("failures").out


@pytest.mark.parametrize(
    ("answer", "state", "code"), [("", "finished", 0), ("n", "cancelled", 0), ("q", "interrupted", 130)]
)
def test_in_a_terminal_an_unfinished_run_is_asked_about(
    cli: Command, started: Keep, until: Until, answer: str, state: str, code: int
) -> None:
    log = cli.folder / "log"
    name = chain(cli, "work", count=8, **{"with": {"seconds": 0.3, "log": str(log)}})
    process = started(cli.start("run", name, *RUN))
    until(log.exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    first = cli("status", "--json").json["run"]

    ended, seen = terminal(cli, "run", name, *RUN, answer=answer or "\n")

    assert ended == code, seen
    # What is drawn live begins after the question, which it would wipe out.
    assert "\x1b[?25l" not in seen[: seen.index("continue it?")]
    assert cli("status", first, "--json").json["state"] == state


def test_in_a_terminal_a_job_that_is_run_here_stops_in_the_debugger(cli: Command) -> None:
    name = cli.pipeline("bad", {"source": {"with": {"count": 1}, "next": "fails"}, "fails": {}})
    assert cli("run", name, *RUN).code == 1
    job = str(json.loads(cli("failures", "--json").out)["job"])

    ended, seen = terminal(cli, "retry", job, "--here", answer="p job.documents[0] + '!'\nq", question=b"(Pdb)")

    assert ended == 1
    assert "the debugger stopped where the error was raised" in seen
    assert "'doc-0!'" in seen
    assert "nothing was handed over or written" in seen


def test_a_worker_does_the_runs_of_others_and_leaves_in_order(cli: Command, started: Keep) -> None:
    worker = started(cli.start("worker", "--executors", "1"))
    assert worker.stderr is not None
    assert "is ready" in worker.stderr.readline()

    result = cli("run", chain(cli), "-d", "demo", "--json")
    worker.send_signal(signal.SIGTERM)
    _, err = worker.communicate(timeout=PATIENCE)

    assert result.code == 0, result.err
    assert result.json["state"] == "finished"
    assert worker.returncode == 0
    assert "is drained" in err


def test_a_run_that_is_cancelled_ends_its_followers(cli: Command, started: Keep, until: Until) -> None:
    log = cli.folder / "log"
    process = started(cli.start("run", chain(cli, count=40, **{"with": {"seconds": 0.5, "log": str(log)}}), *RUN))
    until(log.exists)

    result = cli("cancel", "--json")
    process.communicate(timeout=PATIENCE)

    assert result.json["state"] == "cancelled"
    assert process.returncode == 1
    assert cli("status", "--json").json["state"] == "cancelled"
    assert cli("resume").code == 2
    assert "oaflow run" in cli("retry").help


def test_status_says_for_how_long_a_job_is_in_hand_and_whose(cli: Command, started: Keep, until: Until) -> None:
    started(cli.start("run", chain(cli, "sleeps", count=1), *RUN))

    def busy() -> str | None:
        shown = cli("status").out
        return shown if "middle job" in shown else None

    line = next(line for line in until(busy).splitlines() if "middle job" in line)
    assert re.search(r"for [\d.]+ m?s at most", line)
    assert "worker " in line
    assert "file0.txt" in line


def test_two_runs_at_once_each_have_their_own_account(cli: Command, started: Keep) -> None:
    name = chain(cli, count=20)
    both = [started(cli.start("run", name, "-d", dataset, "--workers", "1", "--json")) for dataset in ("one", "two")]

    for process in both:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert json.loads(out)["stages"]["end"]["done"] == 20


def test_a_migration_is_shown_before_it_is_made(offline: Command, empty_database: str) -> None:
    there = {"OAFLOW_DB_URI": empty_database}

    refused = offline("status", env=there)
    assert (refused.code, refused.out) == (3, "")
    where = conninfo_to_dict(empty_database)
    assert f"database {where['dbname']!r} on {where['host']} (from OAFLOW_DB_URI)" in refused.error
    assert refused.help == "oaflow db migrate (--dry-run shows what it would do)"

    shown = offline("db", "migrate", "--dry-run", env=there)

    assert shown.code == 0, shown.err
    assert "0001" in shown.out
    assert offline("db", "check", env=there).code == 3
    made = offline("db", "migrate", "--json", env=there)
    assert made.code == 0, made.err
    assert made.json["done"] is True
    assert made.json["steps"] == shown.out.splitlines()
    checked = offline("db", "check", "--json", env=there)
    assert checked.code == 0, checked.err
    assert checked.json["indexes_missing"] == []


def test_a_schema_that_is_newer_than_the_program_is_left_alone(offline: Command, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO oaflow.migrations VALUES ('oaflow', '9999_later.sql', 'x', 'oaflow 9')")

    result = offline("status", env={"OAFLOW_DB_URI": database})

    assert result.code == 3, result.err
    assert "newer" in result.error
    assert result.help


def test_a_schema_that_is_older_than_the_program_says_what_to_type(offline: Command, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        last = "(SELECT max(name) FROM oaflow.migrations WHERE component = 'oaflow')"
        connection.execute(f"DELETE FROM oaflow.migrations WHERE component = 'oaflow' AND name = {last}")

    result = offline("status", env={"OAFLOW_DB_URI": database})

    assert result.code == 3, result.err
    assert "oaflow db migrate" in result.help
