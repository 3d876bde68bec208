"""
What is said about hand-over settings of OpenAleph that are not understood. tests/compat asks the real ones.
"""

import pytest

from oaflow.errors import UsageError
from oaflow.operations.importing import WrongSettingsError, import_environment
from oaflow.operations.openaleph import read_settings


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "OPENALEPH_INGET_QUEUE",
            "OPENALEPH_INGET_QUEUE is no setting of the hand-over, and openaleph-procrastinate ignores it; "
            "did you mean OPENALEPH_INGEST_QUEUE?",
        ),
        (
            "OPENALEPH_INDEX_QUEU",
            "OPENALEPH_INDEX_QUEU is no setting of the hand-over, and openaleph-procrastinate refuses to start "
            "with it; did you mean OPENALEPH_INDEX_QUEUE?",
        ),
        (
            "OPENALEPH_INGEST_MAX_RETRIES",
            "OPENALEPH_INGEST_MAX_RETRIES is left out: openaleph-procrastinate takes its name apart at each _ and "
            "refuses to start; it reads OPENALEPH_INGEST='{\"max_retries\": ...}'",
        ),
        ("OPENALEPH_SECRET_KEY", "not of the hand-over, and left out: OPENALEPH_SECRET_KEY"),
    ],
)
def test_a_setting_that_is_not_known_is_told_in_one_sentence(setting, sentence):
    assert read_settings({setting: "3"}).remarks == (sentence,)


def test_what_is_not_of_openaleph_and_what_is_of_its_other_settings_is_nothing_to_tell():
    quiet = {"PATH": "/bin", "OPENALEPH_INSTANCE": "x", "OPENALEPH_DB_URI": "x", "OPENALEPH_INGEST_QUEUE": "x"}

    assert read_settings(quiet).remarks == ()


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"OPENALEPH_INDEX_DEFER": "maybe"}, "OPENALEPH_INDEX_DEFER is 'maybe', neither true nor false"),
        ({"OPENALEPH_INGEST_QUEUE": "x" * 41}, "OPENALEPH_INGEST_QUEUE is 'xxx"),
        (
            {"OPENALEPH_INDEX_QUEUE": "to"},
            "OPENALEPH_INDEX_QUEUE is 'to', which cannot be the name of a port",
        ),
        ({"OPENALEPH_INDEX_QUEUE": "a b"}, "OPENALEPH_INDEX_QUEUE is 'a b', which cannot be the name of a port"),
        ({"OPENALEPH_INDEX_TASK": "a b"}, "OPENALEPH_INDEX_TASK is 'a b', which cannot be the name of a task"),
        (
            {"OPENALEPH_INDEX_QUEUE": "analyze", "OPENALEPH_INDEX_TASK": "ftm_analyze.tasks.analyze"},
            "stages 'analyze', 'index' have one queue 'analyze' and one task",
        ),
    ],
)
def test_what_no_pipeline_could_say_is_refused_with_the_name_of_the_setting(environment, problem):
    with pytest.raises(UsageError) as refused:
        import_environment("openaleph", environment)

    assert str(refused.value).startswith(problem)


def test_all_that_is_wrong_is_told_each_with_what_to_type():
    wrong = {
        "OPENALEPH_INDEX_DEFER": "maybe",
        "OPENALEPH_INGEST_QUEUE": "to",
        "OPENALEPH_ANALYZE": '{"queue": "a b", "speed": 3, "max_retries": "many"}',
        "OPENALEPH_GEOCODE": "[]",
        "OPENALEPH_TRANSLATE_TASK": "a b",
        "OPENALEPH_TRANSCRIBE_QUEUE": "openaleph",
        "OPENALEPH_TRANSCRIBE_TASK": "aleph.procrastinate.tasks.index_entities",
    }

    with pytest.raises(WrongSettingsError) as refused:
        import_environment("9 bad", wrong)

    told = [(str(one).partition(":")[0], one.help) for one in refused.value.mistakes]
    assert told == [
        ("'9 bad' is not a valid name for a pipeline", "oaflow import-env --name openaleph"),
        (
            "OPENALEPH_ANALYZE has a key 'speed', which no stage has",
            "one of: queue, task, defer, min_priority, max_priority, max_retries",
        ),
        ("OPENALEPH_ANALYZE says max_retries 'many', which is no number", "OPENALEPH_ANALYZE='{\"max_retries\": 5}'"),
        ("OPENALEPH_GEOCODE is '[]', and no object of JSON", 'OPENALEPH_GEOCODE=\'{"queue": "NAME"}\''),
        ("OPENALEPH_INDEX_DEFER is 'maybe', neither true nor false", "OPENALEPH_INDEX_DEFER=0, or =1"),
        (
            "OPENALEPH_INGEST_QUEUE is 'to', which cannot be the name of a port",
            "give the services another one: OPENALEPH_INGEST_QUEUE=NAME",
        ),
        (
            "OPENALEPH_ANALYZE is 'a b', which cannot be the name of a port",
            "give the services another one: OPENALEPH_ANALYZE_QUEUE=NAME",
        ),
        (
            "OPENALEPH_TRANSLATE_TASK is 'a b', which cannot be the name of a task",
            "OPENALEPH_TRANSLATE_TASK=ftm_translate.tasks.translate",
        ),
        (
            "stages 'index', 'transcribe' have one queue 'openaleph' and one task",
            "give one of them another queue: OPENALEPH_INDEX_QUEUE=NAME",
        ),
    ]


def test_stages_on_one_queue_are_told_apart_by_their_tasks():
    text, _ = import_environment(
        "one", {f"OPENALEPH_{stage}_QUEUE": "prio" for stage in ("INGEST", "ANALYZE", "INDEX")}
    )

    assert "- {to: analyze, when: \"job.task == 'ftm_analyze.tasks.analyze'\"}" in text
    assert "- {to: ingest, when: \"job.task == 'ingestors.tasks.ingest'\", recurse: 16}" in text


def test_of_two_services_on_one_queue_of_which_one_is_off_only_the_jobs_of_the_other_are_taken():
    text, _ = import_environment(
        "openaleph", {"OPENALEPH_TRANSLATE_QUEUE": "openaleph", "OPENALEPH_TRANSLATE_DEFER": "false"}
    )
    _, _, analyze = text.partition("\n  analyze:\n")

    assert "- {to: index, when: \"job.task == 'aleph.procrastinate.tasks.index_entities'\"}\n" in analyze
    assert "to: translate" not in analyze


def test_a_priority_that_is_drawn_there_is_the_middle_here():
    text, _ = import_environment("openaleph", {"OPENALEPH_INDEX": '{"min_priority": 20, "max_priority": 41}'})

    assert "    priority: 30  # random there, from 20 to 41: OPENALEPH_INDEX\n" in text
