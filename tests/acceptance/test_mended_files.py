"""
`oaflow check --fix` on files, through the installed program.
"""

import pytest

from tests.acceptance.conftest import Command

STAGES = """\
from oaflow import Job, stage

@stage(ports=("default", "media", "other"))
def read(job: Job) -> Job:
    return job

@stage
def index(job: Job) -> Job:
    return job
"""

WRONG = """\
# kept
pipeline: letters
stages:
  read:
    task: letter_stages.read   # reads
    next:
      # the way on
      default: {to: scna, where: has(e.language, "eng", 'x')}   # why
  scan: {task: letter_stages.read, next: indx}
  index:
    task: letter_stages.index
"""

MENDED = """\
# kept
pipeline: letters
stages:
  read:
    task: letter_stages.read   # reads
    next:
      # the way on
      media: drop
      other: drop
      default: {to: scan, where: 'has(e.language, "eng", ''x'')'}   # why
  scan: {task: letter_stages.read, next: {default: index, media: drop, other: drop}}
  index:
    task: letter_stages.index
"""


@pytest.fixture
def letters(offline: Command) -> Command:
    (offline.folder / "letter_stages.py").write_text(STAGES)
    (offline.folder / "letters.yml").write_text(WRONG)
    return offline


def test_what_is_clear_is_mended_and_said_and_all_else_stays_as_it_is(letters: Command) -> None:
    result = letters("check", "--fix", "letters.yml")

    assert (letters.folder / "letters.yml").read_text() == MENDED
    assert (result.code, result.out) == (0, "")
    assert result.err.splitlines() == [
        "letters.yml:8: mended OAF007: the expression is in quotes",
        "letters.yml:8: mended OAF201: 'scna' became 'scan'",
        "letters.yml:9: mended OAF201: 'indx' became 'index'",
        "letters.yml:8: mended OAF407: what is emitted on 'media' and 'other' is dropped",
        "letters.yml:9: mended OAF407: what is emitted on 'media' and 'other' is dropped",
        "letters.yml: 3 stages, no mistakes",
    ]
    again = letters("check", "--fix", "letters.yml")
    assert again.err == "letters.yml: 3 stages, no mistakes\n"


def test_without_the_option_nothing_is_written(letters: Command) -> None:
    assert letters("check", "letters.yml").code == 1
    assert (letters.folder / "letters.yml").read_text() == WRONG


def test_where_two_names_come_into_question_none_is_chosen(offline: Command) -> None:
    file = offline.folder / "letters.yml"
    text = "pipeline: letters\nstages:\n  a: {task: m.a, next: [scan, scans], on_error: scam}\n"
    file.write_text(text + "  scan: {task: m.b}\n  scans: {task: m.c}\n")

    result = offline("check", "--fix", "--no-import", "letters.yml")

    assert (result.code, result.err) == (1, "letters.yml: 1 mistake\n")
    assert file.read_text().startswith(text)


def test_a_name_that_is_wrong_twice_in_a_line_is_mended_twice(letters: Command) -> None:
    text = (
        "pipeline: letters\nstages:\n  read: {{task: letter_stages.read, {}}}\n  index: {{task: letter_stages.index}}\n"
    )
    (letters.folder / "letters.yml").write_text(text.format("next: {default: inex, media: drop, other: inex}"))

    result = letters("check", "--fix", "letters.yml")

    assert result.code == 0, result.err
    right = text.format("next: {default: index, media: drop, other: index}")
    assert (letters.folder / "letters.yml").read_text() == right


def test_a_key_that_is_marked_as_one_is_left_alone(letters: Command) -> None:
    text = "pipeline: letters\nstages:\n  index: {task: letter_stages.index}\n"
    text += "  read:\n    task: letter_stages.read\n    next:\n      ? default\n      : index\n"
    (letters.folder / "letters.yml").write_text(text)

    assert "OAF407" in letters("check", "--fix", "letters.yml").out
    assert (letters.folder / "letters.yml").read_text() == text


def test_only_files_of_ones_own_are_mended(offline: Command) -> None:
    ours, python = offline("check", "--fix", "ingest"), offline("check", "--fix", "limited:pipeline")

    assert (ours.code, ours.error) == (2, "'ingest' is a part of oaflow, and is not mended")
    assert (python.code, python.error) == (2, "'limited:pipeline' is in Python, and is not mended")


def test_ports_are_dropped_beside_lists_and_edges(letters: Command) -> None:
    wrong = """\
pipeline: letters
stages:
  read:
    task: letter_stages.read
    next:
      - scan # first
      - {to: index, when: "job.context.whole"}
  scan: {task: letter_stages.read, next: [index, again]}
  again: {task: letter_stages.read, next: {to: index, where: {schema: Email}}}
  index:
    task: letter_stages.index
"""
    (letters.folder / "letters.yml").write_text(wrong)

    result = letters("check", "--fix", "letters.yml")

    assert result.code == 0, result.err
    assert (
        (letters.folder / "letters.yml").read_text()
        == """\
pipeline: letters
stages:
  read:
    task: letter_stages.read
    next:
      media: drop
      other: drop
      default:
      - scan # first
      - {to: index, when: "job.context.whole"}
  scan: {task: letter_stages.read, next: {default: [index, again], media: drop, other: drop}}
  again: {task: letter_stages.read, next: {default: {to: index, where: {schema: Email}}, media: drop, other: drop}}
  index:
    task: letter_stages.index
"""
    )
