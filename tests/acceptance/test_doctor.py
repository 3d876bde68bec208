"""
`doctor` where all is well, an index is not there, connections are few, a run is paused, or the disk of the archive is
full, and where followthemoney is another than oaflow was made for.
"""

import contextlib
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from subprocess import run

import psycopg
import pytest

from oaflow.postgres.server import Server
from oaflow.schemata import FOLLOWTHEMONEY
from tests.acceptance.conftest import Command

# The command in a process in which the package's table of schemata was made from something else.
OTHERWISE = """
from oaflow import schemata
schemata.PROPERTIES["Person"]["shoeSize"] = "number"
schemata.SCHEMATA["Robot"] = ("Robot", "Thing")
schemata.PROPERTIES["Robot"] = {}
del schemata.SCHEMATA["Vessel"]
schemata.ABSTRACT -= {"Thing"}
from oaflow.cli.main import main
main()
"""


def test_where_all_is_well_every_line_says_so_and_the_exit_code_is_0(cli: Command) -> None:
    languages = cli.folder / "tessdata"
    languages.mkdir()
    for name in ("eng", "deu", "osd"):
        (languages / f"{name}.traineddata").touch()
    there = {"TESSDATA_PREFIX": str(languages), "TMPDIR": str(cli.folder)}

    result = cli("doctor", "--json", env=there)

    assert result.code == 0, result.out
    found = {finding["what"]: finding for finding in map(json.loads, result.out.splitlines())}
    text = {what: finding["text"] for what, finding in found.items()}
    assert text["oaflow"].endswith(f"Python {sys.version.split()[0]}, {sys.platform}")
    assert text["followthemoney"] == version("followthemoney")
    assert text["data folder"].startswith(f"{cli.folder / 'home'}, ")
    assert text["temp folder"].startswith(f"{cli.folder}, ")
    assert text["temp folder"].endswith(" GiB free")
    assert text["OCR languages"] == "deu, eng"
    assert text["unpacking"] == "RAR and 7Z are unpacked"
    assert "PostgreSQL" in text["database"]
    assert "(from OAFLOW_DB_URI)" in text["database"]
    assert text["schema"].endswith("migrations applied, none pending")
    # Nobody works here yet, which is news on a server of one's own, and nothing that is wrong.
    assert [what for what, finding in found.items() if finding["level"] != "fine"] == ["workers"]
    assert cli("doctor", env=there).out.count("✓") == len(found) - 1


def test_a_variable_that_is_no_setting_is_named_with_the_one_that_was_meant(cli: Command) -> None:
    wrong = {"OAFLOW_DATABASE": "postgresql:///x", "OAFLOW_EXECUTER": "1", "OAFLOW_MINE": "x", "OAFLOW_PAGES": "10"}

    result = cli("doctor", "--json", env=wrong)
    asked = cli("datasets", env=wrong)

    found = [finding for finding in map(json.loads, result.out.splitlines()) if finding["what"] == "variable"]
    assert [(one["text"].partition(" ")[0], one["help"]) for one in found] == [
        ("OAFLOW_DATABASE", 'export OAFLOW_DB_URI="$OAFLOW_DATABASE"; unset OAFLOW_DATABASE'),
        ("OAFLOW_EXECUTER", 'export OAFLOW_EXECUTORS="$OAFLOW_EXECUTER"; unset OAFLOW_EXECUTER'),
        ("OAFLOW_MINE", "unset OAFLOW_MINE"),
    ]
    assert (result.code, asked.code) == (0, 0)
    assert [line for line in asked.err.splitlines() if "not a setting" in line] == [
        "OAFLOW_DATABASE is not a setting of oaflow and has no effect: did you mean OAFLOW_DB_URI?",
        "OAFLOW_EXECUTER is not a setting of oaflow and has no effect: did you mean OAFLOW_EXECUTORS?",
    ]
    assert "not a setting" not in result.err


def test_an_index_that_others_dropped_is_named_until_it_is_made_anew(cli: Command, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("DROP INDEX oaflow_run_due")

    missed = cli("doctor")
    assert missed.code == 0, missed.err
    (line,) = [line for line in missed.out.splitlines() if " indexes " in line]
    assert line.startswith("!")
    assert line.endswith("missing: oaflow_run_due; claims are slower")
    assert "help: oaflow db migrate\n" in missed.out
    assert cli("db", "check", "--json").json["indexes_missing"] == ["oaflow_run_due"]

    assert cli("db", "migrate").code == 0
    assert "indexes" not in cli("doctor").out


def test_another_followthemoney_than_the_package_was_made_for_is_named(cli: Command) -> None:
    result = cli("doctor", program=(sys.executable, "-c", OTHERWISE))

    assert result.code == 0, result.err
    (line,) = [line for line in result.out.splitlines() if " schemata " in line]
    assert line.startswith("!")
    assert f"differs from {FOLLOWTHEMONEY}," in line
    assert line.endswith("in Person, Robot, Thing, Vessel")
    assert f"help: pip install followthemoney=={FOLLOWTHEMONEY}" in result.out


def test_a_server_with_few_connections_left_is_named(cli: Command, shared_folder: Path) -> None:
    with Server(shared_folder / "crowded", settings={"max_connections": "23"}) as server:
        cli.environment["OAFLOW_DB_URI"] = server.address.uri
        assert cli("db", "migrate").code == 0
        (before,) = [line for line in cli("doctor").out.splitlines() if " connections " in line]
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                stack.enter_context(psycopg.connect(server.address.uri))
            crowded = [json.loads(line) for line in cli("doctor", "--json").out.splitlines()]

    assert before.startswith("✓")
    (found,) = [finding for finding in crowded if finding["what"] == "connections"]
    assert found["level"] == "note"
    assert "of 20 that the server allows" in found["text"]  # three are for superusers
    assert "OAFLOW_POOL_URI" in found["help"]


@pytest.mark.parametrize(
    ("reason", "help"),
    [
        ("by oaflow pause", "oaflow resume paused"),
        ("vm: the disk of /archive is full; the run goes on by itself when there is room (df -h)", "df -h"),
    ],
)
def test_a_paused_run_is_named_with_the_reason_and_what_ends_the_pause(
    cli: Command, database: str, reason: str, help: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO oaflow.plans (digest, format, pipeline, definition) VALUES ('d', 1, 'p', '{}')")
        connection.execute(
            "INSERT INTO oaflow.runs (id, pipeline, plan, dataset, state, reason, sealed) VALUES"
            " ('paused', 'p', 'd', 'x', 'paused', %s, true)",
            [reason],
        )

    said = map(json.loads, cli("doctor", "--json").out.splitlines())
    found = next(one for one in said if one["what"] == "run")  # before what is said of its plan, which is none here
    assert (found["text"], found["help"]) == (f"paused is paused: {reason}", help)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_an_archive_on_a_full_disk_of_its_own_is_named(cli: Command) -> None:
    archive = cli.folder / "archive"
    archive.mkdir()
    if run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", archive], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        (archive / "file").write_bytes(b"x" * 1_040_000)

        result = cli("doctor", "--json", env={"ARCHIVE_PATH": str(archive)})
    finally:
        run(["umount", archive], check=True)

    found = {one["what"]: one for one in map(json.loads, result.out.splitlines())}
    assert result.code == 3
    assert found["archive"]["level"] == "problem"
    assert found["archive"]["text"] == f"{archive}, 0.0 GiB free: runs pause"


def test_a_worker_that_can_import_nothing_is_named_with_what_it_lacks(cli: Command, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "WITH made AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)"
            " INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks, lacks)"
            """ SELECT id, 'far', 7, %s, '{1}', '{}', '{"m.f": "no module m"}' FROM made""",
            [f"oaflow {version('oaflow')}"],
        )

    said = map(json.loads, cli("doctor", "--json").out.splitlines())

    found = next(one for one in said if one["what"] == "worker")
    assert found["level"] == "note"
    assert found["text"].endswith(
        "on far, pid 7, 0 tasks, 0 jobs in hand; it can run nothing that it met: m.f: no module m"
    )
