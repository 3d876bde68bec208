"""
Work that a supervisor does in a thread beside watching its workers, because it may wait for the database or for a
server that hangs.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Generic, TypeVar

import psycopg

from oaflow.errors import EnvironmentProblem

News = TypeVar("News")


class Beside(Generic[News]):
    """
    Work that is done one piece at a time, each in its own thread.

    Args:
        name: of the thread.
        work: does the work, and yields messages about it.
    """

    def __init__(self, name: str, work: Callable[[], Iterable[News]]) -> None:
        self._name, self._work = name, work
        self._lock = threading.Lock()
        self._news: list[News] = []
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """
        There is work to do. If it is already running, it continues until nothing is left.
        """
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def news(self) -> list[News]:
        """
        The messages since the last call.
        """
        with self._lock:
            news, self._news = self._news, []
        return news

    def _run(self) -> None:
        with suppress(EnvironmentProblem, psycopg.OperationalError):  # the database is away: tried again
            for said in self._work():
                with self._lock:
                    self._news.append(said)
