"""
The next version of this program, made from a copy of it: its migrations add columns to the tables that are written all
the time, in either order, and a function of a new signature, which its workers call.
"""

import re
import shutil
from pathlib import Path

import oaflow
from oaflow.postgres.scripts import oaflow_scripts

_COMPLETE = re.compile(r"CREATE FUNCTION oaflow\.complete_(?:done_)?v1\(.*?\nEND \$\$;\n", re.DOTALL)

# What its hand-overs leave in the history.
MARK = "next"


def next_program(folder: Path) -> Path:
    """
    Make it in a folder, which is to come first where Python looks.
    """
    package = folder / "next" / "oaflow"
    # Compiled as it is: the times of the files are copied too, and what is changed below is compiled anew.
    shutil.copytree(Path(oaflow.__file__).parent, package)
    _replace(package / "__init__.py", f'__version__ = "{oaflow.__version__}"', '__version__ = "99.0.0"')
    complete = package / "ledger" / "queries" / "complete.sql"
    _replace(complete, "FROM oaflow.complete_v1(", f"FROM oaflow.complete_v2('{MARK}', ")
    for name, text in _migrations().items():
        (package / "ledger" / "migrations" / name).write_text(text)
    return package.parent


def _migrations() -> dict[str, str]:
    hops, counters = "ALTER TABLE oaflow.hops ADD COLUMN", "ALTER TABLE oaflow.counters ADD COLUMN"
    made = {"9000_mark.sql": f"{hops} mark text;\n{_complete()}"}
    for number in range(1, 7):
        both = [f"{hops} a{number} integer;", f"{counters} b{number} bigint NOT NULL DEFAULT 0;"]
        made[f"900{number}_columns.sql"] = "\n".join(both if number % 2 else reversed(both))
    return made


def _complete() -> str:
    """
    The function and its short way as they are, with one argument more, that they write into the history.
    """
    ((short, long),) = [found for script in oaflow_scripts() if (found := _COMPLETE.findall(script.text))]
    marked = [
        ("INSERT INTO oaflow.hops (", "INSERT INTO oaflow.hops (mark, "),
        (
            "SELECT lk.run, lk.stage, lk.id, lk.parent, lk.attempt,",
            "SELECT p_mark, lk.run, lk.stage, lk.id, lk.parent, lk.attempt,",
        ),
    ]
    return _changed(short, ("oaflow.complete_done_v1(", "oaflow.complete_done_v2(p_mark text, "), *marked) + _changed(
        long,
        ("oaflow.complete_v1(", "oaflow.complete_v2(p_mark text, "),
        ("oaflow.complete_done_v1(", "oaflow.complete_done_v2(p_mark, "),
        *marked,
    )


def _changed(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} has no {old!r}"
    file.write_text(text.replace(old, new))
