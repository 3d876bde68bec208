"""
What is typed may be longer than the name of any file: then there is no such file, and that is no bug.
"""

from pathlib import Path

import pytest

from oaflow.cli import main
from tests.acceptance.conftest import Command

LONG = "x" * 300


@pytest.mark.parametrize("typed", [("check", LONG), ("check", f"{LONG}.yml")], ids=["name", "file"])
def test_there_is_no_pipeline_of_such_a_name(offline: Command, typed: tuple[str, ...]) -> None:
    said = offline(*typed)

    assert said.code == 2
    assert said.error in (f"no pipeline is named {typed[1]!r}", f"there is no pipeline file {typed[1]!r}")


def test_nothing_is_known_of_a_document_of_such_a_name(cli: Command) -> None:
    said = cli("trace", LONG)

    assert (said.code, said.error) == (2, f"nothing is known about {LONG!r} in any run")


def test_the_name_of_a_stage_is_not_broken_where_a_terminal_is_narrow(cli: Command) -> None:
    name = "reads_" + "x" * 54
    pipeline = cli.pipeline("long", {name: {"task": "end", "queue": "short"}})
    narrow = {"COLUMNS": "50"}

    ran = cli("run", pipeline, "-d", "demo", "--workers", "1", env=narrow)
    shown = cli("status", env=narrow)

    assert ran.code == 0, ran.err
    for said in (ran, shown):
        (line,) = [line for line in said.out.splitlines() if line.startswith("reads_")]
        assert line.split() == [name, "1"]


def test_where_nobody_has_looked_at_a_name_before_the_system_does_its_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def opens(**_: object) -> None:
        Path(LONG).read_text()

    monkeypatch.setattr(main, "app", opens)

    assert main.run([]) == 3
    assert capsys.readouterr().err.startswith(f"error: {LONG!r}: File name too long\n")
