"""
What a worker warns of reaches the output of its command, each message once in a while.
"""

import logging
from collections.abc import Iterator

import pytest

from oaflow.runtime.logged import ALREADY_TOLD, Seldom, attempted, warnings_to


@pytest.fixture
def told() -> Iterator[list[str]]:
    said: list[str] = []
    handler = warnings_to(said.append)
    logging.root.addHandler(handler)
    yield said
    logging.root.removeHandler(handler)


def test_what_the_worker_warns_of_is_one_line_each(told: list[str]) -> None:
    log = logging.getLogger("oaflow.runtime.upkeep")
    log.info("nothing")
    log.warning("no heartbeat: %s", "the server is away")
    try:
        raise ValueError("of all")
    except ValueError:
        log.exception("upkeep")

    assert told == ["no heartbeat: the server is away", "upkeep: ValueError: of all"]


def test_what_others_log_or_stages_or_was_told_otherwise_is_left_out(told: list[str]) -> None:
    logging.getLogger("psycopg.pool").warning("theirs")
    logging.getLogger("oaflow.runtime.staleness").warning("old code", extra={ALREADY_TOLD: True})
    token = attempted.set(7)
    try:
        logging.getLogger("letters.stages").error("of a stage")
    finally:
        attempted.reset(token)

    assert told == []


def test_the_same_message_comes_once_in_a_while_whatever_its_arguments_are() -> None:
    clock = [0.0]
    seldom = Seldom(60.0, now=lambda: clock[0])

    def passes(message: str, *arguments: object, name: str = "oaflow.a") -> bool:
        return seldom.filter(logging.LogRecord(name, logging.WARNING, "", 0, message, arguments, None))

    assert passes("%s is sent again", "run")
    assert not passes("%s is sent again", "claim")
    assert passes("no heartbeat: %s", "x")
    assert passes("%s is sent again", "run", name="oaflow.b")
    clock[0] = 59.9
    assert not passes("%s is sent again", "run")
    clock[0] = 60.0
    assert passes("%s is sent again", "run")
