"""
Catches what async stage functions print. They run in the worker itself, whose own output does not go to the log of a
run.
"""

import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

from oaflow.runtime.lines import LONGEST_LINE
from oaflow.runtime.logged import attempted


class Divert:
    """
    Passes lines on that are printed while a job of an async stage is attempted.

    Args:
        say: takes the job, `stdout` or `stderr`, and a line. Called in threads, too.
    """

    def __init__(self, say: Callable[[int, str, str], None]) -> None:
        self._say = say
        self._rests: dict[tuple[int, str], str] = {}
        self._plain: tuple[TextIO, TextIO] | None = None

    def begin(self) -> None:
        """
        From now on.
        """
        self._plain = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (
            cast("TextIO", _Diverted(stream, name, self._write))
            for stream, name in zip(self._plain, ("stdout", "stderr"), strict=True)
        )

    def end(self) -> None:
        """
        No more.
        """
        if self._plain is not None:
            sys.stdout, sys.stderr = self._plain

    def finish(self, job: int) -> None:
        """
        The attempt at a job is over: what it printed without an end of line is a line, too.
        """
        if self._rests:  # of most attempts there is none
            for name in ("stdout", "stderr"):
                if rest := self._rests.pop((job, name), ""):
                    self._say(job, name, rest)

    def _write(self, job: int, name: str, text: str) -> None:
        *lines, rest = (self._rests.pop((job, name), "") + text).split("\n")
        for line in lines:
            self._say(job, name, line)
        if len(rest) >= LONGEST_LINE:
            self._say(job, name, rest)
        elif rest:
            self._rests[job, name] = rest


class _Diverted:
    """
    In the place of a stream, which has all that is not here.
    """

    def __init__(self, plain: TextIO, name: str, write: Callable[[int, str, str], None]) -> None:
        self._plain, self._name, self._write = plain, name, write

    def write(self, text: str) -> int:
        """
        Write, or pass it on.
        """
        job = attempted.get()
        if job is None:
            return self._plain.write(text)
        self._write(job, self._name, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """
        The same, several times.
        """
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)
