"""
Datasets as a whole: how much there is of each, and that a deleted one has left nothing.
"""

import hashlib
import json
import os
import shlex
import signal
import subprocess
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.acceptance.conftest import MODULE, PATIENCE, Command

Until = Callable[[Callable[[], Any]], Any]
Started = Callable[[Any], Any]

# In names, texts and reasons, and in no other place.
CANARY = "xkanarienvogelx"

PIPELINE = {
    "pipeline": "sorting",
    "params": {"source": {"type": "list", "of": "path", "positional": True, "required": True}},
    "defaults": {"retry": 0},
    "stages": {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": "${params.source}"}, "next": "extract"},
        "extract": {
            "task": "oaflow.stages.extract",
            "next": {"default": "picky", "children": {"to": "extract", "recurse": 4}},
        },
        "picky": {"task": "stages_for_tests.fails_named", "with": {"file": "refused.txt"}, "next": "index"},
        "index": {"task": "oaflow.stages.index"},
    },
}


@pytest.fixture
def sorted_out(cli: Command) -> Command:
    """
    Two datasets that have a file in common; one of `doomed` failed.
    """
    (cli.folder / "sorting.yml").write_text(json.dumps(PIPELINE))
    for name, files in {
        "doomed": {
            f"{CANARY}.txt": f"the {CANARY} sings",
            "refused.txt": f"{CANARY} again",
            "common.txt": "two have me",
        },
        "kept": {"common.txt": "two have me", "own.txt": "only one has me"},
    }.items():
        folder = cli.folder / name
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
    with zipfile.ZipFile(cli.folder / "doomed" / "cage.zip", "w") as archive:
        archive.writestr(f"inside/{CANARY}.txt", f"a {CANARY} in a cage")
    for name, code in (("doomed", 1), ("kept", 0)):
        assert cli("run", "sorting.yml", "-d", name, name, "--workers", "1", "--json").code == code
    return cli


def places_of(word: str, database: str, home: Path) -> list[str]:
    """
    Where a word stands: tables of the database, all of them, and files.
    """
    found: list[str] = []
    with psycopg.connect(database, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for names in tables:
            statement = sql.SQL("SELECT count(*) FROM {} t WHERE t::text LIKE %s").format(sql.Identifier(*names))
            row = connection.execute(statement, [f"%{word}%"]).fetchone()
            if row and row[0]:
                found.append(".".join(names))
    files = [file for file in home.rglob("*") if file.is_file()]
    # What workers print of themselves is of no dataset; a member of a zip is packed, so its name is looked for.
    return found + [str(file) for file in files if word.encode() in file.read_bytes() + str(file).encode()]


@pytest.mark.unbalanced
def test_what_is_deleted_has_left_nothing_and_others_have_lost_nothing(sorted_out: Command, database: str) -> None:
    cli, home = sorted_out, sorted_out.folder / "home"
    doomed, kept = (json.loads(line) for line in cli("datasets", "--json").out.splitlines())
    assert (doomed["dataset"], doomed["documents"], doomed["files"]) == ("doomed", 5, 5)
    assert (kept["dataset"], kept["documents"], kept["files"], kept["bytes"]) == ("kept", 2, 2, 26)
    assert (kept["runs"], kept["last_run"]["state"], kept["deleting"]) == (1, "finished", False)
    assert kept["last_run"]["run"] in cli("datasets").out
    before = {name: cli(*name.split(), "-d", "kept").out for name in ("search two", "entities")}
    assert len(places_of(CANARY, database, home)) > 8  # history, samples, failures, search, jobs, archive, ...

    for name in ("doomed", "kept"):
        assert cli("schedule", "add", "sorting.yml", "-d", name, name, "--cron", "@yearly").code == 0
    nobody = cli("delete", "-d", "doomed")
    assert (nobody.code, nobody.help) == (2, "oaflow delete -d doomed --yes")
    assert "5 documents" in nobody.err
    assert "1 failure" in nobody.err
    assert "1 schedule that would start runs over it again: sorting-doomed" in nobody.err
    # A file that another run may be asking for stays until that has ended.
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE oaflow.runs SET state = 'paused' WHERE dataset = 'kept'")
        first = cli("delete", "-d", "doomed", "--yes", "--json")
        connection.execute("UPDATE oaflow.runs SET state = 'finished' WHERE dataset = 'kept'")
    assert (first.code, first.json["files"], first.json["files_waiting"]) == (0, 0, 5), first.err
    again = cli("delete", "-d", "doomed", "--yes", "--json")
    assert (again.code, again.json["files"], again.json["files_shared"]) == (0, 4, 1), again.err

    assert places_of(CANARY, database, home) == []
    assert places_of("doomed", database, home) == []
    assert "sorting-kept" in cli("schedule", "list").out
    assert {name: cli(*name.split(), "-d", "kept").out for name in before} == before
    assert len([file for file in (home / "archive").rglob("*") if file.is_file()]) == 2
    assert cli("delete", "-d", "doomed", "--yes").error == "there is no dataset 'doomed'"


def interruptible(cli: Command, *arguments: str) -> subprocess.Popen[str]:
    """
    Started as from a terminal. Whoever runs these tests in the background may have SIGINT ignored, and a process hands
    that down.
    """
    return cli.new(*MODULE, *arguments, preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL))


@pytest.mark.unbalanced
def test_what_is_worked_on_is_not_deleted_and_a_deletion_that_was_killed_is_finished_by_the_next(
    sorted_out: Command, database: str, started: Started, until: Until
) -> None:
    cli = sorted_out
    sings = hashlib.sha1(f"the {CANARY} sings".encode()).hexdigest()
    # What the deletion comes to one after the other; at the last the file itself is gone from the archive.
    tables = ("orphans", "hops", "passages", "ftm_doomed", "runs")
    lock = sql.SQL("LOCK TABLE oaflow.{} IN SHARE ROW EXCLUSIVE MODE")  # reading goes on
    points = {table: lock.format(sql.Identifier(table)) for table in tables}
    row = sql.SQL("SELECT FROM oaflow.orphans WHERE content_hash = {} FOR UPDATE")
    points["archive"] = row.format(sings)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"

    def ended_when_it_waits_for(blocker: int, connection: psycopg.Connection[Any], by: signal.Signals) -> None:
        process = started(interruptible(cli, "delete", "-d", "doomed", "--yes"))
        until(lambda: process.poll() is not None or connection.execute(waits, [blocker]).fetchone() != (0,))
        os.kill(process.pid, by)
        _, said = process.communicate(timeout=PATIENCE)
        if by == signal.SIGINT:
            assert process.returncode == 130
            assert said.endswith("\ninterrupted: oaflow delete -d doomed   # finishes it\n")
        else:
            assert process.returncode == -by

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE oaflow.runs SET state = 'running' WHERE dataset = 'doomed'")
        (run,) = connection.execute("SELECT id FROM oaflow.runs WHERE dataset = 'doomed'").fetchone() or ("",)
        busy = cli("delete", "-d", "doomed", "--yes")
        assert (busy.code, busy.error) == (2, f"run {run!r} of dataset 'doomed' has not ended")
        assert busy.help.startswith(f"oaflow cancel {run}")
        assert cli("cancel", run).code == 0
        # A worker that has not heard of it yet is still at one of its jobs.
        connection.execute(
            "WITH w AS (INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + '1 hour') RETURNING id)"
            " UPDATE procrastinate_jobs SET status = 'doing', worker_id = w.id FROM w WHERE status = 'failed'"
        )
        held = cli("delete", "-d", "doomed", "--yes")
        assert (held.code, "1 job of a cancelled run" in held.error) == (2, True), held.err
        connection.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")

        for name, point in points.items():
            with psycopg.connect(database) as blocker:
                blocker.execute(point)
                by = signal.SIGINT if name in ("hops", "archive") else signal.SIGKILL
                ended_when_it_waits_for(blocker.info.backend_pid, connection, by)
                if name == "passages":
                    half = places_of(CANARY, database, cli.folder / "home")
                    # Not of the search: the server goes on with the statement that it is at.
                    assert "oaflow.ftm_doomed" in half
                    assert "oaflow.failures" not in half
                    refusal = cli("run", "sorting.yml", "-d", "doomed", "doomed", "--workers", "1")
                    assert (refusal.code, refusal.error) == (2, "dataset 'doomed' is being deleted")
                    assert "half deleted" in cli("datasets").err
    assert not [path for path in (cli.folder / "home" / "archive").rglob("*") if sings in path.parts]

    assert cli("delete", "-d", "doomed", "--yes").code == 0

    assert places_of(CANARY, database, cli.folder / "home") == []
    assert cli("search", "two", "-d", "kept").code == 0


@pytest.mark.unbalanced
def test_files_that_failed_before_anybody_wrote_them_down_are_named_and_go_too(cli: Command, database: str) -> None:
    (cli.folder / "papers").mkdir()
    (cli.folder / "papers" / "a.txt").write_text(f"the {CANARY} is ill")
    early = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["papers"]}, "next": "bad"},
        "bad": {"task": "stages_for_tests.fails"},
    }
    (cli.folder / "early.yml").write_text(json.dumps({"pipeline": "early", "stages": early}))
    assert cli("run", "early.yml", "-d", "doomed", "--workers", "1").code == 1

    listed = cli("datasets", "--json").json
    asked = cli("delete", "-d", "doomed")
    done = cli("delete", "-d", "doomed", "--yes", "--json")

    size = len(f"the {CANARY} is ill")
    assert (listed["documents"], listed["files"], listed["bytes"]) == (0, 1, size)
    assert f"1 file of {size} B in the archive" in " ".join(asked.err.split())
    assert (done.code, done.json["files"]) == (0, 1), done.err
    archive = cli.folder / "home" / "archive"
    assert not [file for file in archive.rglob("*") if file.is_file()]
    assert places_of(CANARY, database, cli.folder / "home") == []


def two_files(cli: Command) -> tuple[Path, tuple[str, ...]]:
    """
    A folder with two files that a run has indexed, and the command of that run.
    """
    stages = {name: stage for name, stage in PIPELINE["stages"].items() if name != "picky"}
    following = {"default": "index", "children": {"to": "extract", "recurse": 4}}
    stages["extract"] = {**stages["extract"], "next": following}
    (cli.folder / "short.yml").write_text(json.dumps({**PIPELINE, "stages": stages}))
    (folder := cli.folder / "files").mkdir()
    for name in ("gone.txt", "stays.txt"):
        (folder / name).write_text(name)
    run = ("run", "short.yml", "-d", "demo", "files", "--workers", "1", "--json")
    assert cli(*run).code == 0
    return folder, run


STRANGE = """
INSERT INTO ftm_demo (id, origin, fragment, entity, timestamp)
SELECT id, %s, 'default', %s, now() FROM ftm_demo WHERE entity::text LIKE '%%gone.txt%%'
"""


def test_what_others_wrote_in_an_unknown_schema_is_told_with_what_takes_it_out_and_then_runs_go_on(
    cli: Command, database: str
) -> None:
    folder, run = two_files(cli)
    with psycopg.connect(database, autocommit=True) as made:
        for origin, data in (("legacy", '{"schema": "Persn"}'), ("others", '{"schema": "Persn"}'), ("none", "{}")):
            assert made.execute(STRANGE, [origin, data]).rowcount == 1
    (folder / "gone.txt").unlink()
    delete = ("delete", "-d", "demo", "--unknown-schema")

    pruned = cli(*run, "--prune")
    read, again, refused, mixed = cli("entities", "-d", "demo"), cli(*run), cli(*delete), cli(*delete, "--files")

    way = "help:  oaflow delete -d demo --unknown-schema   # takes such out, and shows it before"
    assert pruned.code == 0
    assert "what this run found gone or changed is not removed yet; the next run does that: could not" in pruned.err
    assert way in pruned.err
    for failed in (read, again):
        assert failed.code == 1
        assert failed.error.startswith("could not read dataset 'demo': what 'legacy' said of entity '")
        assert failed.error.endswith("' is of schema 'Persn', which followthemoney does not have")
        assert way in failed.err
    assert (refused.code, refused.help) == (2, "oaflow delete -d demo --unknown-schema --yes")
    assert (
        "  1 fragment of no schema by none\n  1 fragment of Persn by legacy\n  1 fragment of Persn by others\n"
        in refused.err
    )
    assert (mixed.code, mixed.error) == (2, "--unknown-schema deletes no files")
    assert "gone.txt" in cli("search", "gone", "-d", "demo").out

    taken = cli(*delete, "--yes", "--json")

    assert taken.json == {"dataset": "demo", "fragments": {"Persn": 2, "": 1}}
    assert taken.err.endswith("dataset demo: 3 fragments deleted\n")
    assert len(cli("entities", "-d", "demo").out.splitlines()) == 3  # the folder, and two files
    assert cli(*run).code == 0  # does what the run with --prune did not
    assert cli("search", "gone", "-d", "demo").code == 1
    assert len(cli("entities", "-d", "demo").out.splitlines()) == 2
    nothing = cli(*delete)
    assert (nothing.code, nothing.err) == (0, "dataset demo: no such fragments\n")
    unknown = cli("delete", "-d", "other", "--unknown-schema")
    assert (unknown.code, unknown.error) == (2, "there is no dataset 'other'")


def test_what_two_origins_said_in_schemata_that_cannot_be_merged_is_told_with_what_takes_one_out(
    cli: Command, database: str
) -> None:
    _, run = two_files(cli)
    before = cli("entities", "-d", "demo").out
    with psycopg.connect(database, autocommit=True) as made:
        # Of one document at once what needs both ways out: each must go on though the other is still to be done.
        for origin, data in (
            ("other names", '{"schema": "Vessel"}'),
            ("more", '{"schema": "Vessel"}'),
            ("wide", '{"schema": "Thing"}'),
            ("legacy", '{"schema": "Persn"}'),
        ):
            assert made.execute(STRANGE, [origin, data]).rowcount == 1
        made.execute(
            "INSERT INTO ftm_demo (id, origin, fragment, entity, timestamp)"
            " VALUES ('boat', 'more', 'default', '{\"schema\": \"Vessel\"}', now())"
        )
    delete = ("delete", "-d", "demo", "--conflicting-schema", "Vessel")

    strange = cli("entities", "-d", "demo")
    taken = cli("delete", "-d", "demo", "--unknown-schema", "--yes", "--json")
    read = cli("entities", "-d", "demo")

    assert strange.help == "oaflow delete -d demo --unknown-schema   # takes such out, and shows it before"
    assert taken.json == {"dataset": "demo", "fragments": {"Persn": 1}}
    assert read.code == 1
    assert "was said to be of schema 'Vessel' by 'more' and of 'PlainText' by 'sorting/extract'" in read.error
    typed, _, otherwise = read.help.partition("   # ")
    assert typed == "oaflow delete -d demo --conflicting-schema Vessel --origin more"
    assert otherwise.endswith(", the other side is PlainText by sorting/extract")
    refused = cli(*delete, "--origin", "other names")
    assert (refused.code, refused.error) == (2, "nothing was deleted: there is no terminal to confirm in")
    assert refused.help == "oaflow delete -d demo --conflicting-schema Vessel --origin 'other names' --yes"
    assert "  1 fragment of Vessel by other names\n" in refused.err

    said = cli(*shlex.split(refused.help)[1:], "--json")
    assert said.json == {"dataset": "demo", "fragments": {"Vessel": 1}}
    assert "gone.txt" in cli("search", "gone", "-d", "demo").out
    assert cli(*delete, "--yes").err.endswith("dataset demo: 1 fragment deleted\n")

    left = cli("entities", "-d", "demo")
    assert left.code == 0
    # What nobody contradicts stays, also of that schema.
    assert {json.loads(line)["id"] for line in left.out.splitlines()} == {
        "boat",
        *(json.loads(line)["id"] for line in before.splitlines()),
    }
    assert "gone.txt" in cli("search", "gone", "-d", "demo").out
    assert cli(*run).code == 0
    assert cli(*delete).err == "dataset demo: no such fragments\n"
    wrong = cli("delete", "-d", "demo", "--conflicting-schema", "Vesel")
    assert (wrong.code, wrong.error) == (2, "followthemoney has no schema 'Vesel'")
    assert wrong.help == "did you mean 'Vessel'?"
    alone = cli("delete", "-d", "demo", "--origin", "more", "--yes")
    assert alone.code == 2
    assert "the whole dataset is deleted" in alone.error
