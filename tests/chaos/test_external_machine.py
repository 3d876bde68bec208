"""
What is at work on a database when services and oaflow share a run, in any interleaving.
"""

from typing import Any

import psycopg
import pytest
from hypothesis.stateful import run_state_machine_as_test

from oaflow.postgres import migrate
from tests.chaos.external_machine import ExternalMachine
from tests.chaos.handover_machine import machine_settings
from tests.chaos.test_handover_machine import broken

# Breaks the SQL on purpose: (function, what stands there, what is put in its place).
MUTATIONS = {
    "when what an attempt said before capture went goes out": ("answer_v1", "AND e.attempt >= p_attempts - 1", ""),
    "when a late row is taken for one of the last attempt": ("attempt_of_v1", "p_last - (", "p_last - 0 * ("),
    "when a row that was heard stays": ("hear_rest_v1", "DELETE FROM procrastinate_jobs", "DELETE FROM oaflow.emitted"),
    "when nobody hears what came while capture was away": ("hear_rest_v1", "CONTINUE WHEN NOT FOUND", "CONTINUE"),
    "when a late row of a stream goes on again": ("hear_rest_v1", "e.attempt < said", "false"),
    "when an end is taken twice": ("answer_v1", "'answered', 'cancelled'", "'cancelled'"),
    "when what comes late is heard": ("hear_v1", "AND j.status::text = 'doing'", ""),
    "when a stream says all of it again": ("hear_v1", "e.attempt < of.attempts", "false"),
    "when a stream goes on after its end": ("hear_v1", "h.outcome IN (", "h.outcome || 'x' IN ("),
    "when the shim's attempt is not looked at": ("end_v1", "AND j.attempts = p_attempt", ""),
}

# What has to happen for each to be seen: chance finds some of them in one of hundreds of ways only.
ONE, TWO, FAILED = {"which": 0, "name": "one"}, {"which": 0, "name": "two"}, {"which": 0, "status": "failed"}
ANY: dict[str, Any] = {"which": 0}
CAPTURE: tuple[str, dict[str, Any]] = ("capture_goes_or_comes_back", {})
STEPS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "when what an attempt said before capture went goes out": [
        ("ask", {"emit": "success"}),
        ("fetch", {}),
        ("hands_over", ONE),
        CAPTURE,
        ("is_repeated", ANY),
    ],
    "when a late row is taken for one of the last attempt": [
        ("ask", {"emit": "success"}),
        ("fetch", {}),
        CAPTURE,
        ("hands_over", ONE),
        ("is_repeated", ANY),
    ],
    "when a row that was heard stays": [
        ("ask", {"emit": "stream"}),
        ("fetch", {}),
        CAPTURE,
        ("hands_over", ONE),
        ("sweep", {}),
        ("sweep", {}),
    ],
    "when nobody hears what came while capture was away": [
        ("ask", {"emit": "success"}),
        ("fetch", {}),
        CAPTURE,
        ("hands_over", ONE),
        CAPTURE,
    ],
    "when a late row of a stream goes on again": [
        ("ask", {"emit": "stream"}),
        ("fetch", {}),
        ("hands_over", ONE),
        CAPTURE,
        ("is_repeated", ANY),
        ("fetch", {}),
        ("hands_over", ONE),
    ],
    "when an end is taken twice": [
        ("ask", {"emit": "always"}),
        ("fetch", {}),
        ("hands_over", ONE),
        ("ends", FAILED),
        ("oaflow_takes_an_answer", {}),
        ("somebody_sends_it_again", ANY),
        ("fetch", {}),
        ("hands_over", TWO),
    ],
    "when what comes late is heard": [
        ("ask", {"emit": "success"}),
        ("fetch", {}),
        ("is_repeated", ANY),
        ("comes_too_late", ONE),
    ],
    "when a stream says all of it again": [
        ("ask", {"emit": "stream"}),
        ("fetch", {}),
        ("hands_over", ONE),
        ("is_repeated", ANY),
        ("fetch", {}),
        ("hands_over", ONE),
    ],
    "when a stream goes on after its end": [
        ("ask", {"emit": "stream"}),
        ("fetch", {}),
        ("hands_over", ONE),
        ("ends", FAILED),
        ("somebody_sends_it_again", ANY),
        ("fetch", {}),
        ("hands_over", TWO),
    ],
    "when the shim's attempt is not looked at": [
        ("ask", {"emit": "success"}),
        ("fetch", {}),
        ("the_shim_ends_it", {"which": 0, "names": ["one"], "failed": False, "attempt": -1}),
    ],
}


@pytest.mark.timeout(1200)  # a few seconds, where nothing else runs
def test_no_interleaving_loses_or_doubles_what_a_service_hands_over(database: str):
    migrate(database, own=True, capture=True)
    ExternalMachine.address = database
    run_state_machine_as_test(ExternalMachine, settings=machine_settings(40, 30))


def test_the_machine_notices_what_is_broken(database: str):
    migrate(database, own=True, capture=True)
    ExternalMachine.address = database
    for name, steps in STEPS.items():
        play(steps)
        with psycopg.connect(database, autocommit=True) as connection:
            mended = broken(connection, *MUTATIONS[name])
            try:
                play(steps)
            except (AssertionError, psycopg.Error):
                connection.execute(mended)  # pyright: ignore
            else:
                pytest.fail(f"nothing was noticed {name}")


def play(steps: list[tuple[str, dict[str, Any]]]) -> None:
    machine = ExternalMachine()
    machine.begin()
    for step, arguments in steps:
        getattr(machine, step)(**arguments)
        machine.counters_are_a_recount()
    machine.teardown()
