"""
Work that a supervisor does in a thread besides watching its workers, as it may wait for the database or a server that
hangs.
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
    Work that is done one at a time, each in a thread of its own.

    Args:
        name: of the thread.
        work: what is to be done, with what there is to say of it.
    """

    def __init__(self, name: str, work: Callable[[], Iterable[News]]) -> None:
        self._name, self._work = name, work
        self._lock = threading.Lock()
        self._news: list[News] = []
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """
        There is something to do. Nothing where it is being done already: that goes on until nothing is.
        """
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def news(self) -> list[News]:
        """
        What there was to say since it was asked last.
        """
        with self._lock:
            news, self._news = self._news, []
        return news

    def _run(self) -> None:
        with suppress(EnvironmentProblem, psycopg.OperationalError):  # the database is away: it is seen again
            for said in self._work():
                with self._lock:
                    self._news.append(said)
