"""
What people see of a mistake that is oaflow's own.
"""

from pathlib import Path

import pytest
from psycopg.errors import DiskFull

from oaflow.cli import main
from oaflow.cli.main import run


def test_where_the_checks_fail_it_is_told_as_a_mistake_and_with_debug_it_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "letters.yml"
    file.write_text("pipeline: letters\nstages: {read: {task: letters.read}}\n")
    monkeypatch.setattr("oaflow.compiler.checking.check_names", lambda *_: {}["read"])
    asked = ["check", str(file), "-f", "concise"]

    assert run(asked) == 1
    assert "OAF901 oaflow itself failed at this pipeline: KeyError: 'read'" in capsys.readouterr().out

    with pytest.raises(KeyError):
        run(asked, debug=True)
    with pytest.raises(KeyError):
        run(["plan", str(file)], debug=True)


def test_a_full_disk_is_no_bug_wherever_it_is_met(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def writes(**_: object) -> None:
        raise DiskFull('could not write to file "x": No space left on device\nHINT: none')

    monkeypatch.setattr(main, "app", writes)

    assert run([]) == 1
    assert capsys.readouterr().err == (
        'error: no room for the output: could not write to file "x": No space left on device\nhelp:  df -h\n'
    )
