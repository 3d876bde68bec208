"""
What is proposed can be pasted into a shell as a whole, with the remark behind it.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import oaflow
from oaflow.cli import main as command_line

# Behind three blanks; of what stands in a message, the program puts in names that it quotes for a shell.
REMARK = re.compile(r'(?<=\S)   # ([^"\n]*)"')


def test_a_remark_has_nothing_that_a_shell_would_obey_if_it_took_it_for_words() -> None:
    files = Path(oaflow.__file__).parent.rglob("*.py")
    remarks = [remark for file in files for remark in REMARK.findall(file.read_text("utf-8"))]

    assert len(remarks) > 30
    assert [
        remark for remark in remarks if re.search(r"[;&|<>()$`'*?~!\[\]\\]", re.sub(r"\{[^}]*\}", "", remark))
    ] == []


def test_no_command_is_followed_by_brackets() -> None:
    files = Path(oaflow.__file__).parent.rglob("*.py")
    bracketed = re.compile(r'"(?:oaflow|kill|pip|ls|rm|df) [^"\n]*   \(')

    assert [text for file in files for text in bracketed.findall(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("shell", [["bash", "--norc", "-i"], ["zsh", "-f", "-i"], ["sh"]])
def test_a_shell_runs_what_is_proposed_with_its_remark(shell: list[str], tmp_path: Path) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here")
    program = Path(sys.executable).parent / "oaflow"
    typed = f"{program} explain OAF201   # says more, and ends\n"
    told = subprocess.run(shell, input=typed, capture_output=True, text=True, timeout=100, cwd=tmp_path, check=False)

    assert "OAF201" in told.stdout
    assert "unexpected" not in told.stderr + told.stdout


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        (["explain", "OAF201", "#", "says", "more"], ["explain", "OAF201"]),
        (["search", "#", "-d", "x"], ["search"]),
        (["run", "ingest", "#"], ["run", "ingest", "#"]),  # a folder of that name, with nothing behind it
        (["run", "-p", "mark=#", "x"], ["run", "-p", "mark=#", "x"]),
    ],
)
def test_a_remark_is_left_out_where_the_shell_has_not(
    typed: list[str], left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("sys.argv", ["oaflow", *typed])
    monkeypatch.setattr(command_line, "run", lambda arguments, **_: ran.append(arguments) or 0)

    with pytest.raises(SystemExit):
        command_line.main()

    assert ran == [left]
