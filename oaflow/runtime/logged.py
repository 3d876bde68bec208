"""
Handles messages to Python's logging. Those of stage functions go to the log of their run, with level and logger; those
of workers do not.
"""

import logging
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, cast

import orjson

from oaflow.packages import is_own

Level = Literal["debug", "info", "warning", "error"]

# The longest that goes over a pipe, in bytes: `lines` cuts what is longer.
_LONGEST = 16_000
_CUT = "..."

# In a worker: the number of the job of an async stage that is being attempted.
attempted: ContextVar[int | None] = ContextVar("oaflow_attempted", default=None)


class Logged(NamedTuple):
    """
    A message, with its traceback.
    """

    level: Level
    logger: str
    text: str


class LogHandler(logging.Handler):
    """
    Passes messages on.
    """

    def __init__(self, tell: Callable[[Logged], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """
        Passes one on.
        """
        try:
            text = self.format(record)
        except Exception:  # arguments that do not fit their text
            text = str(record.msg)
        self._tell(Logged(_level(record.levelno), record.name, text))


def is_of_a_stage(record: logging.LogRecord) -> bool:
    """
    Whether an async stage function is at work here and has logged this, and not what runs it.
    """
    return attempted.get() is not None and not is_own(record.name)


def let_inform(task: str) -> None:
    """
    From now on `info` is logged, too, by the package of a task, unless it has chosen a level itself. Of other packages
    it is not: many libraries report each step.
    """
    logger = _logger_of(task)
    # Whoever has set up all of logging for `debug` loses none of it.
    if logger.level == logging.NOTSET and logger.getEffectiveLevel() > logging.INFO and not is_own(task):
        logger.setLevel(logging.INFO)


@contextmanager
def shown(tasks: Collection[str], tell: Callable[[Logged], None]) -> Generator[None]:
    """
    For the time of a block, what the functions of these tasks log here is told as in the log of a run; where somebody
    has set up logging, it goes where that sends it.
    """
    levels = {(logger := _logger_of(task)): logger.level for task in tasks}
    handler = None if logging.root.handlers else LogHandler(tell)
    for task in tasks:
        let_inform(task)
    if handler is not None:
        logging.root.addHandler(handler)
    try:
        yield
    finally:
        if handler is not None:
            logging.root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)


def as_text(logged: Logged) -> str:
    """
    A message for people.
    """
    return f"{logged.level.upper()} {logged.logger}: {logged.text}"


def _logger_of(task: str) -> logging.Logger:
    return logging.getLogger(task.partition(".")[0])


def packed(logged: Logged) -> bytes:
    """
    A message as one line; of a long one the end is kept, as that of a traceback says what went wrong.
    """
    line = orjson.dumps(_plain(logged))
    if len(line) > _LONGEST:
        # A letter takes six bytes at most.
        text = f"{_CUT}{logged.text[-_LONGEST // 8 :]}"
        line = orjson.dumps(_plain(Logged(logged.level, logged.logger[:1000], text)))
    return line


def unpacked(line: bytes) -> Logged | None:
    """
    The message of such a line; None: it is none.
    """
    try:
        found: Any = orjson.loads(line)
    except ValueError:
        return None
    parts = cast("list[Any]", found) if isinstance(found, list) else []
    return Logged(*parts) if len(parts) == 3 and all(isinstance(part, str) for part in parts) else None


def _plain(logged: Logged) -> list[str]:
    # Without lone surrogates, as in names of files that are not UTF-8.
    return [part.encode(errors="backslashreplace").decode() for part in logged]


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
