"""
What is at work on a database when services and oaflow share a run, in any interleaving.
"""

import psycopg
import pytest
from hypothesis.stateful import run_state_machine_as_test

from oaflow.postgres import migrate
from tests.chaos.external_machine import ExternalMachine
from tests.chaos.handover_machine import machine_settings
from tests.chaos.test_handover_machine import broken

# Breaks the SQL on purpose: (function, what stands there, what is put in its place).
MUTATIONS = {
    "when an attempt that goes back leaves what it said": ("capture_end_v1", "WHEN 'todo' THEN", "WHEN 'nothing' THEN"),
    "when an end is taken twice": ("answer_v1", "'answered', 'cancelled'", "'cancelled'"),
    "when what comes late is heard": ("hear_v1", "AND j.status::text = 'doing'", ""),
    "when a stream says all of it again": ("hear_v1", "e.attempt < of.attempts", "false"),
    "when a stream goes on after its end": ("hear_v1", "h.outcome IN (", "h.outcome || 'x' IN ("),
    "when the shim's attempt is not looked at": ("end_v1", "AND j.attempts = p_attempt", ""),
}


@pytest.mark.timeout(1200)  # a few seconds, where nothing else runs
def test_no_interleaving_loses_or_doubles_what_a_service_hands_over(database: str):
    migrate(database, own=True, capture=True)
    ExternalMachine.address = database
    run_state_machine_as_test(ExternalMachine, settings=machine_settings(40, 30))


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_machine_notices_what_is_broken(database: str, name: str):
    migrate(database, own=True, capture=True)
    with psycopg.connect(database, autocommit=True) as connection:
        broken(connection, *MUTATIONS[name])
    ExternalMachine.address = database
    with pytest.raises(BaseException):  # noqa: B017, PT011 - any broken law will do
        run_state_machine_as_test(ExternalMachine, settings=machine_settings(400, 40, shrink=False))
