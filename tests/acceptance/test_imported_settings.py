"""
`oaflow import-env`, through the installed program: from settings of OpenAleph's services to a pipeline file.
"""

from tests.acceptance.conftest import Command

SET = """\
# as `docker exec ingest env` prints them, and as a .env file has them
OPENALEPH_INGEST_QUEUE=ingest-prio
export OPENALEPH_TRANSLATE_DEFER="1"
OPENALEPH_INGET_QUEUE=nobody
SECRET=never
"""


def test_a_file_of_settings_becomes_a_pipeline_that_is_checked_and_formatted(offline: Command) -> None:
    (offline.folder / "ingest.env").write_text(SET)

    made = offline("import-env", "ingest.env", "-o", "services.yml")
    piped = offline("import-env", "-", "--name", "openaleph", stdin=SET)
    checked = offline("check", "services.yml")
    tidy = offline("fmt", "--check", "services.yml")

    text = (offline.folder / "services.yml").read_text()
    assert (made.code, made.out, piped.code, piped.out) == (0, "", 0, text)
    assert made.err.splitlines() == [
        "OPENALEPH_INGET_QUEUE is no setting of the hand-over, and openaleph-procrastinate ignores it; did you mean "
        "OPENALEPH_INGEST_QUEUE?",
        "wrote services.yml",
    ]
    assert "    queue: ingest-prio  # OPENALEPH_INGEST_QUEUE\n" in text
    assert "      translate: translate  # OPENALEPH_TRANSLATE_DEFER\n" in text
    assert "      geocode: drop  # OPENALEPH_GEOCODE_DEFER is off by default\n" in text
    assert "never" not in text
    assert (checked.code, checked.err) == (0, "services.yml: 4 stages, no mistakes\n")
    assert (tidy.code, tidy.err) == (0, "")


def test_stages_that_are_not_in_the_pipeline_stand_below_it_with_the_reason(offline: Command) -> None:
    said = "OPENALEPH_ANALYZE_DEFER=0\nOPENALEPH_TRANSLATE_DEFER=1\nOPENALEPH_LOAD_MAPPING_QUEUE=maps\n"
    made = offline("import-env", "-", "--name", "openaleph", stdin=said)

    assert [line for line in made.out.splitlines() if line.startswith("#") and "is left out" in line] == [
        "# analyze is left out: OPENALEPH_ANALYZE_DEFER is off",
        "# transcribe is left out: OPENALEPH_TRANSCRIBE_DEFER is off by default",
        "# translate is left out because no stage here hands over to it",
        "# geocode is left out: OPENALEPH_GEOCODE_DEFER is off by default",
        "# load_mapping is left out because no service hands over documents to it: OPENALEPH_LOAD_MAPPING_QUEUE",
    ]


def test_without_a_file_the_environment_counts_and_what_is_wrong_is_told(offline: Command) -> None:
    mine = offline("import-env", env={"OPENALEPH_INGEST_QUEUE": "mine"})
    none = offline("import-env")
    wrong = offline("import-env", "--name", "9 bad", env={"OPENALEPH_INDEX_DEFER": "maybe"})
    gone = offline("import-env", "nothing.env")
    open_ended = offline("import-env", "-", stdin="A=1\nOPENALEPH_INGEST_QUEUE='abc\n")

    assert (mine.code, mine.err) == (0, "")
    assert "queue: mine  # OPENALEPH_INGEST_QUEUE" in mine.out
    assert (none.code, none.err) == (0, "no hand-over setting is set: these are the defaults\n")
    assert (wrong.code, wrong.out, len(wrong.err.splitlines())) == (2, "", 4)
    assert "error: OPENALEPH_INDEX_DEFER is 'maybe', neither true nor false\nhelp:  OPENALEPH_INDEX" in wrong.err
    assert (gone.code, gone.error) == (2, "'nothing.env' cannot be read: No such file or directory")
    assert (open_ended.code, open_ended.out, open_ended.help) == (2, "", "check its quotes")
    assert open_ended.error == "stdin:2: this is not NAME=value"
