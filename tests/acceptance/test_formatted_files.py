"""
`oaflow fmt` on files, through the installed program.
"""

from tests.acceptance.conftest import Command

LOOSE = "pipeline:   letters\nstages:\n    read: {task:   letters.read}   # reads\n"
TIDY = "pipeline: letters\nstages:\n  read: {task: letters.read}       # reads\n"


def test_a_file_is_written_anew_once_and_keeps_its_rights(offline: Command) -> None:
    file = offline.folder / "letters.yml"
    file.write_text(LOOSE)
    file.chmod(0o640)

    first, second = offline("fmt", "letters.yml"), offline("fmt", "letters.yml")

    assert (first.code, first.out, first.err) == (0, "", "letters.yml was formatted\n")
    assert (second.code, second.err) == (0, "")
    assert file.read_text() == TIDY
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in offline.folder.iterdir()] == ["letters.yml"]


def test_check_writes_nothing_and_exits_with_1_where_something_would_change(offline: Command) -> None:
    (offline.folder / "loose.yml").write_text(LOOSE)
    (offline.folder / "tidy.yml").write_text(TIDY)

    both, tidy = offline("fmt", "--check", "loose.yml", "tidy.yml"), offline("fmt", "--check", "tidy.yml")

    assert (both.code, both.err) == (1, "loose.yml would change\n")
    assert (tidy.code, tidy.err) == (0, "")
    assert (offline.folder / "loose.yml").read_text() == LOOSE


def test_what_cannot_be_read_stays_as_it_is_and_the_others_are_written(offline: Command) -> None:
    (offline.folder / "cut.yml").write_text("a: [")
    (offline.folder / "why.yml").write_text("pipeline: x\nstages: {a: {task: b.c, # why\n  retry: 1}}\n")
    (offline.folder / "loose.yml").write_text(LOOSE)

    result = offline("fmt", "cut.yml", "nothing.yml", "why.yml", "loose.yml")

    assert result.code == 1
    assert "error[OAF007]" in result.err
    assert "error[OAF001] unreadable-file: 'nothing.yml' cannot be read" in result.err
    assert (offline.folder / "cut.yml").read_text() == "a: ["
    assert "  # why\n" in (offline.folder / "why.yml").read_text()
    assert (offline.folder / "loose.yml").read_text() == TIDY
