"""
Logs as JSON, for what collects them: one line is one object, whatever a text has in it.

What a command and its workers have to say, and what stages print, goes to the stderr of the command. Several processes
write there, so a line is written at once, and is short enough that no other one gets between.
"""

import json
import os
import select
import time
from collections.abc import Callable
from typing import Any

import orjson

from oaflow.runtime.logged import Level

# What a pipe takes as a whole.
_LONGEST = select.PIPE_BUF
_CUT = "..."

# Ends of lines for some who read them, and letters in JSON.
_ENDS = {letter.encode(): json.dumps(letter).strip('"').encode() for letter in "\x85\u2028\u2029"}

# How bad is what a stage has printed, by where it has.
LEVELS: dict[str, Level] = {"error": "error", "warning": "warning"}


class JsonLines:
    """
    Writes them.

    Args:
        descriptor: where to.
        now: the time, in seconds since 1970.
    """

    def __init__(self, descriptor: int, now: Callable[[], float] = time.time) -> None:
        self._descriptor, self._now = descriptor, now

    def write(self, level: Level, logger: str, message: str, **facts: Any) -> None:
        """
        Writes one line.

        Args:
            facts: `run`, `stage`, `job`, `document` and others; those that are None are left out.
        """
        known = {name: value for name, value in facts.items() if value is not None}
        line = line_of({"time": _moment(self._now()), "level": level, "logger": logger, "message": message, **known})
        try:
            os.write(self._descriptor, line)
        except OSError:  # nobody reads any more, or a disk is full: no work ends for the sake of a line
            return


def line_of(entry: dict[str, Any]) -> bytes:
    """
    One line. Of a message that is too long the end is kept, as that of a traceback says what went wrong.
    """
    message = whole = str(entry["message"])
    while len(line := _encoded({**entry, "message": message})) > _LONGEST and message:
        # What is not ASCII takes up to six bytes a letter, so this may take several steps.
        whole = whole[(len(line) - _LONGEST) // 6 + 1 :]
        message = f"{_CUT}{whole}" if whole else ""
    if len(line) > _LONGEST:
        kept = {name: str(entry[name])[:100] for name in ("time", "level", "logger") if name in entry}
        line = _encoded({**kept, "message": "a line with facts that are too long is left out"})
    return line


def _encoded(entry: dict[str, Any]) -> bytes:
    try:
        line = orjson.dumps(entry, default=str)
    except TypeError:  # lone surrogates, as in names of files that are not UTF-8
        line = orjson.dumps({name: _plain(value) for name, value in entry.items()})
    for end, escape in _ENDS.items():
        line = line.replace(end, escape)
    return line + b"\n"


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else str(value).encode("utf-8", "backslashreplace").decode()


def _moment(seconds: float) -> str:
    whole, rest = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:03}Z"
