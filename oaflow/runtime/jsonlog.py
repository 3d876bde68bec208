"""
Logs as JSON for log collectors: each line is one object, whatever a text contains.

The messages of a command and its workers, and what stages print, go to the stderr of the command. Several processes
write there, so each line is one write, short enough to be atomic.
"""

import json
import os
import select
import time
from collections.abc import Callable
from typing import Any

import orjson

from oaflow.runtime.logged import Level

# The most bytes that a pipe accepts atomically.
_LONGEST = select.PIPE_BUF
_CUT = "..."

# Some readers take these for line ends, although they are plain characters in JSON.
_ENDS = {letter.encode(): json.dumps(letter).strip('"').encode() for letter in "\x85\u2028\u2029"}

# The level of what a stage has printed, by stream.
LEVELS: dict[str, Level] = {"error": "error", "warning": "warning"}


class JsonLines:
    """
    Writes such lines.

    Args:
        descriptor: the file descriptor to write to.
        now: the time, in seconds since 1970.
    """

    def __init__(self, descriptor: int, now: Callable[[], float] = time.time) -> None:
        self._descriptor, self._now = descriptor, now

    def write(self, level: Level, logger: str, message: str, **facts: Any) -> None:
        """
        Write one line.

        Args:
            facts: `run`, `stage`, `job`, `document` and others; None values are left out.
        """
        known = {name: value for name, value in facts.items() if value is not None}
        line = line_of({"time": _moment(self._now()), "level": level, "logger": logger, "message": message, **known})
        try:
            os.write(self._descriptor, line)
        except OSError:  # the reader is gone, or a disk is full: no work ends because of a log line
            return


def line_of(entry: dict[str, Any]) -> bytes:
    """
    One line. A message that is too long keeps its end, because the end of a traceback says what went wrong.
    """
    message = whole = str(entry["message"])
    while len(line := _encoded({**entry, "message": message})) > _LONGEST and message:
        # A non-ASCII character takes up to six bytes, so this may take several steps.
        whole = whole[(len(line) - _LONGEST) // 6 + 1 :]
        message = f"{_CUT}{whole}" if whole else ""
    if len(line) > _LONGEST:
        kept = {name: str(entry[name])[:100] for name in ("time", "level", "logger") if name in entry}
        line = _encoded({**kept, "message": "a line with facts that are too long is left out"})
    return line


def _encoded(entry: dict[str, Any]) -> bytes:
    try:
        line = orjson.dumps(entry, default=str)
    except TypeError:  # lone surrogates, as in file names that are not UTF-8
        line = orjson.dumps({name: _plain(value) for name, value in entry.items()})
    for end, escape in _ENDS.items():
        line = line.replace(end, escape)
    return line + b"\n"


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else str(value).encode("utf-8", "backslashreplace").decode()


def _moment(seconds: float) -> str:
    whole, rest = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:03}Z"
