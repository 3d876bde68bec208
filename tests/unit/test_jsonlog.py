"""
A line of a log is one object and short enough to be written as a whole, whatever is in it.
"""

import json
import logging
import os
import select
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from oaflow.runtime.jsonlog import JsonLines, line_of
from oaflow.runtime.logged import LogHandler

# Lone surrogates, ends of lines of all kinds, and what is long when it is written.
letters = st.characters() | st.sampled_from('\ud800\udfff\n\r\x0b\x0c\x1c\x85\u2028\u2029\0"\\\U0001f600')
texts = st.text(letters, max_size=60) | st.builds(lambda text: text * 500, st.text(letters, min_size=1, max_size=20))


@given(texts, texts, st.none() | st.integers(0, 2**63))
def test_a_line_is_one_object_that_a_pipe_takes_as_a_whole(message: str, document: str, job: int | None) -> None:
    line = line_of({"time": "t", "level": "info", "logger": "l", "message": message, "document": document, "job": job})

    assert len(line) <= select.PIPE_BUF
    (only,) = line.decode().splitlines()
    read = json.loads(only)
    assert read["level"] == "info"
    whole = message.encode("utf-8", "backslashreplace").decode()
    if "job" in read:
        assert (
            read["message"] == whole or read["message"].removeprefix("...") == "" or whole.endswith(read["message"][3:])
        )


def test_of_a_long_message_the_end_is_kept() -> None:
    read = json.loads(line_of({"level": "error", "message": "é" * 50_000 + "the end"}))

    assert read["message"].startswith("...é")
    assert read["message"].endswith("éthe end")
    assert len(read["message"]) > 600


def test_what_logging_is_told_has_its_traceback_and_survives_a_wrong_text(tmp_path: Path) -> None:
    written = tmp_path / "log"
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT)
    logger = logging.Logger("oaflow.test")
    lines = JsonLines(descriptor, lambda: 1.5)
    logger.addHandler(LogHandler(lambda logged: lines.write(*logged)))
    try:
        raise ValueError("canary")
    except ValueError:
        logger.exception("job %s", 7)
    logger.warning("%d", "no number")
    os.close(descriptor)
    first, second = map(json.loads, written.read_text().splitlines())

    assert first["time"] == "1970-01-01T00:00:01.500Z"
    assert (first["level"], first["logger"]) == ("error", "oaflow.test")
    assert first["message"].startswith("job 7\nTraceback")
    assert first["message"].endswith("ValueError: canary")
    assert (second["level"], second["message"]) == ("warning", "%d")
