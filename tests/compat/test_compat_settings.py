"""
The hand-over settings of OpenAleph are read as the real openaleph-procrastinate reads them, and make a pipeline.
"""

import re

import pytest

from oaflow.compiler.checking import check_data
from oaflow.errors import UsageError
from oaflow.loader import load_text
from oaflow.operations.importing import HANDS_OVER, import_environment
from oaflow.operations.openaleph import DEFAULTS, read_settings

FIELDS = ("queue", "task", "defer", "max_retries", "min_priority", "max_priority")

READ = [
    {},
    {"OPENALEPH_INGEST_QUEUE": "ingest-prio", "OPENALEPH_ANALYZE_QUEUE": "analyze-prio"},
    {"OPENALEPH_INDEX_DEFER": "0", "OPENALEPH_TRANSLATE_DEFER": "yes", "openaleph_geocode_defer": "On"},
    {f"OPENALEPH_{name.upper()}_DEFER": "1" for name in DEFAULTS},
    {f"OPENALEPH_{name.upper()}_DEFER": "F" for name in DEFAULTS},
    {"OPENALEPH_ANALYZE_TASK": "my.own.analyze", "OPENALEPH_LOAD_MAPPING_QUEUE": "maps", "OPENALEPH_SECRET_KEY": "x"},
    {"OPENALEPH_INDEX": '{"min_priority": 10, "max_priority": 20, "max_retries": -1}'},
    {"OPENALEPH_INDEX": '{"queue": "whole", "defer": false}', "OPENALEPH_INDEX_QUEUE": "field"},
    {"OPENALEPH_INGEST_QUEUE": "prio", "OPENALEPH_ANALYZE_QUEUE": "prio", "OPENALEPH_INDEX_QUEUE": "prio"},
    {"OPENALEPH_INGESTT_QUEUE": "nobody", "OPENALEPH_LOAD_QUEUE": "nobody"},
]
REFUSED = [
    {"OPENALEPH_INDEX_DEFER": "maybe"},
    {"OPENALEPH_INDEX_DEFER": ""},
    {"OPENALEPH_INDEX": "openaleph"},
    {"OPENALEPH_INDEX": '{"queu": "x"}'},
    {"OPENALEPH_INDEX": '{"max_retries": "often"}'},
]
# It refuses these; what they would say is clear, and so they are left out with a sentence.
REFUSED_THERE = [
    {"OPENALEPH_INGEST_MAX_RETRIES": "3"},
    {"OPENALEPH_LOAD_MAPPING_MIN_PRIORITY": "3"},
    {"OPENALEPH_INDEX_QUEU": "x"},
]


def test_environments_say_the_same_here_and_there(oap):
    theirs = oap("hand_over", READ + REFUSED + REFUSED_THERE)

    for environment, there in zip(READ, theirs, strict=False):
        services = read_settings(environment).services
        here = {name: {key: getattr(service, key) for key in FIELDS} for name, service in services.items()}
        assert here == there, environment
    assert theirs[len(READ) :] == [None] * len(REFUSED + REFUSED_THERE)
    for environment in REFUSED:
        with pytest.raises(UsageError):
            import_environment("openaleph", environment)
    for environment in REFUSED_THERE:
        (sentence,) = read_settings(environment).remarks
        assert "refuses to start" in sentence


def test_what_they_are_made_into_passes_every_check_and_sends_what_they_send(oap):
    for environment, there in zip(READ, oap("hand_over", READ), strict=True):
        text, _ = import_environment("openaleph", environment)
        loaded = load_text(text, "openaleph.yml")
        checked = check_data(loaded.data, loaded.spans, None)

        assert not checked.diagnostics, text
        for name, stage in checked.plan.stages.items():
            assert (stage.queue, stage.task, stage.external) == (there[name]["queue"], there[name]["task"], True)
            sent = {(there[to]["queue"], to) for to in HANDS_OVER[name] if there[to]["defer"]}
            assert {(edge.port, edge.to) for edge in stage.edges} == sent
        named = set(re.findall(r"OPENALEPH_\w+", text))
        assert {name.upper() for name in environment if name.split("_")[1].lower() in checked.plan.stages} <= named
