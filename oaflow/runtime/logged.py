"""
Handles messages of Python's logging. Those of stage functions go to the log of their run, with level and logger; those
of workers do not.
"""

import logging
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, cast

import orjson

from oaflow.packages import is_own

Level = Literal["debug", "info", "warning", "error"]

# The longest message for a pipe, in bytes: `lines` cuts longer ones.
_LONGEST = 16_000
_CUT = "..."

# The attribute of a record that a worker's supervisor hears of otherwise.
ALREADY_TOLD = "oaflow_already_told"

# Seconds between two warnings that differ only in their arguments.
_SELDOM = 60.0

# In a worker: the id of the job that an async stage is working on.
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
        Pass on a record.
        """
        try:
            text = self.format(record)
        except Exception:  # arguments that do not fit the format
            text = str(record.msg)
        self._tell(Logged(_level(record.levelno), record.name, text))


def is_of_a_stage(record: logging.LogRecord) -> bool:
    """
    Whether an async stage function is running here and logged this, rather than the worker that runs it.
    """
    return attempted.get() is not None and not is_own(record.name)


def warnings_to(tell: Callable[[str], None]) -> logging.Handler:
    """
    A handler for what a worker itself warns of, each as one line: tracebacks are in the worker's log.
    """
    handler = LogHandler(lambda logged: tell(_in_one_line(logged.text)))
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: is_own(record.name) and not is_of_a_stage(record))
    handler.addFilter(lambda record: not getattr(record, ALREADY_TOLD, False))
    handler.addFilter(Seldom(_SELDOM))
    return handler


class Seldom(logging.Filter):
    """
    Lets the same message pass once in a while, whatever its arguments are: while a database is away, every statement of
    a worker logs the same.

    Args:
        seconds: between two of them.
        now: a monotonic clock.
    """

    def __init__(self, seconds: float, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._now = seconds, now
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """
        Whether a record passes.
        """
        message, now = (record.name, str(record.msg)), self._now()
        if now - self._passed.get(message, -self._seconds) < self._seconds:
            return False
        self._passed[message] = now
        return True


def _in_one_line(text: str) -> str:
    first, *rest = text.rstrip().split("\n")
    return f"{first}: {rest[-1].strip()}" if rest else first


def let_inform(task: str) -> None:
    """
    Log `info`, too, for the package of a task, unless it has chosen a level itself. Not for other packages, because
    many libraries report each step.
    """
    logger = _logger_of(task)
    # If logging as a whole is set to `debug`, nothing of that is lost.
    if logger.level == logging.NOTSET and logger.getEffectiveLevel() > logging.INFO and not is_own(task):
        logger.setLevel(logging.INFO)


@contextmanager
def shown(tasks: Collection[str], tell: Callable[[Logged], None]) -> Generator[None]:
    """
    While the block runs, show what the functions of these tasks log as in the log of a run; if logging has been set up,
    leave it to that setup.
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
    A message as one line; a long one keeps its end, because the end of a traceback says what went wrong.
    """
    line = orjson.dumps(_plain(logged))
    if len(line) > _LONGEST:
        # A character takes at most six bytes.
        text = f"{_CUT}{logged.text[-_LONGEST // 8 :]}"
        line = orjson.dumps(_plain(Logged(logged.level, logged.logger[:1000], text)))
    return line


def unpacked(line: bytes) -> Logged | None:
    """
    The message of such a line; None if the line is not one.
    """
    try:
        found: Any = orjson.loads(line)
    except ValueError:
        return None
    parts = cast("list[Any]", found) if isinstance(found, list) else []
    return Logged(*parts) if len(parts) == 3 and all(isinstance(part, str) for part in parts) else None


def _plain(logged: Logged) -> list[str]:
    # Without lone surrogates, as in file names that are not UTF-8.
    return [part.encode(errors="backslashreplace").decode() for part in logged]


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
