"""
Captures what async stage functions print. They run in the worker itself, whose own output does not go to the log of a
run.
"""

import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

from oaflow.runtime.lines import LONGEST_LINE
from oaflow.runtime.logged import attempted


class Divert:
    """
    Passes on lines that are printed during an attempt at a job of an async stage.

    Args:
        say: takes the job, `stdout` or `stderr`, and a line. Called in threads, too.
    """

    def __init__(self, say: Callable[[int, str, str], None]) -> None:
        self._say = say
        self._rests: dict[tuple[int, str], str] = {}
        self._plain: tuple[TextIO, TextIO] | None = None

    def begin(self) -> None:
        """
        Start capturing.
        """
        self._plain = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (
            cast("TextIO", _Diverted(stream, name, self._write))
            for stream, name in zip(self._plain, ("stdout", "stderr"), strict=True)
        )

    def end(self) -> None:
        """
        Stop capturing.
        """
        if self._plain is not None:
            sys.stdout, sys.stderr = self._plain

    def finish(self, job: int) -> None:
        """
        The attempt at a job is over: flush what it printed without a line end.
        """
        if self._rests:  # most attempts print nothing
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
    Replaces a stream, and delegates everything else to it.
    """

    def __init__(self, plain: TextIO, name: str, write: Callable[[int, str, str], None]) -> None:
        self._plain, self._name, self._write = plain, name, write

    def write(self, text: str) -> int:
        """
        Write to the stream, or pass the text on.
        """
        job = attempted.get()
        if job is None:
            return self._plain.write(text)
        self._write(job, self._name, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """
        Write several texts.
        """
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)
