"""
Values that take too long to compute for a page request: computed in a thread, once for all requests, and kept.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

from oaflow.errors import OaflowError

T = TypeVar("T")

# How many values are kept, and how many may wait to be computed.
_MOST, _MOST_WAITING = 500, 200

_THREADS = 2

# A value is not computed again before this multiple of its computing time has passed: at most a twentieth of the time.
_REST = 20

# How many seconds an error is returned before another try.
_TOLD = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[T]):
    """
    A computed value: as of `at`, and how many seconds it took.
    """

    value: T
    at: datetime
    seconds: float


@dataclass(slots=True)
class _Place:
    """
    What is known under a key. `done` is when it was last computed, on the monotonic clock.
    """

    known: Snapshot[Any] | None = None
    error: OaflowError | None = None
    done: float = 0.0
    took: float = 0.0
    waits: bool = False


@dataclass(slots=True)
class Background:
    """
    Computes one value after the other, in two threads, so that small ones need not wait for large ones. The threads
    exist as long as something waits.

    Args:
        said: called with errors in the program itself, from one of these threads; once for repeated ones.
    """

    said: Callable[[Exception], None]
    _places: OrderedDict[Hashable, _Place] = field(default_factory=OrderedDict[Hashable, _Place])
    _waiting: deque[tuple[_Place, Callable[[], Any]]] = field(default_factory=deque[tuple[_Place, Callable[[], Any]]])
    _news: Condition = field(default_factory=Condition)
    _threads: int = 0

    def ask(
        self, key: Hashable, work: Callable[[], T], *, fresh: float | None = None, patience: float = 0.0
    ) -> Snapshot[T] | None:
        """
        What is known under a key; None while it is computed for the first time.

        Args:
            work: computes it.
            fresh: seconds after which it is computed again, while the known value is still returned; None: never.
            patience: how many seconds to wait for a value that is not known yet.

        Raises:
            OaflowError: it could not be computed.
        """
        with self._news:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = _Place()
            self._places.move_to_end(key)
            while len(self._places) > _MOST:
                self._places.popitem(last=False)
            if not place.waits and self._is_old(place, fresh):
                self._begin(place, work)
            if place.known is None and place.waits:
                self._news.wait_for(lambda: not place.waits, patience)
            if place.error is not None:
                # It is raised for each caller, without earlier tracebacks, whose frames it would keep alive.
                raise place.error.with_traceback(None)
            return place.known

    def _is_old(self, place: _Place, fresh: float | None) -> bool:
        age = time.monotonic() - place.done
        if place.error is not None:
            return age > _TOLD
        if place.known is None:
            return True
        return fresh is not None and age > max(fresh, _REST * place.took)

    def _begin(self, place: _Place, work: Callable[[], Any]) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            return  # the next call finds room
        self._waiting.append((place, work))
        place.waits = True
        if self._threads < _THREADS:
            self._threads += 1
            # A daemon, so that nothing waits for it at exit.
            Thread(target=self._work, name="oaflow background", daemon=True).start()

    def _work(self) -> None:
        while (first := self._first()) is not None:
            place, work = first
            at, begun = datetime.now(UTC), time.monotonic()
            known, error = place.known, None
            try:
                value = work()
                known = Snapshot(value, at, time.monotonic() - begun)
            except OaflowError as problem:
                error = problem
            except Exception as problem:  # the thread serves all: an error of one must not end it
                error = OaflowError(f"{type(problem).__name__}: {problem}", help="a bug: the terminal says more")
                if str(place.error) != str(error):
                    self.said(problem)
            with self._news:
                place.known, place.error, place.waits = known, error, False
                place.done = time.monotonic()
                place.took = place.done - begun
                self._news.notify_all()

    def _first(self) -> tuple[_Place, Callable[[], Any]] | None:
        """
        The next key; None if nothing waits, and then the calling thread ends.
        """
        with self._news:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None
