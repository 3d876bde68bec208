"""
Values that take too long to compute while a page is waited for: computed in a thread, once for all who ask, and kept.
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

# What is kept, and what may wait to be worked out.
_MOST, _MOST_WAITING = 500, 200

_THREADS = 2

# What took so long is not worked out again before so many times that have passed: one twentieth of the time at most.
_REST = 20

# What went wrong is told for so many seconds before it is tried again.
_TOLD = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[T]):
    """
    What was worked out: as of `at`, in so many seconds.
    """

    value: T
    at: datetime
    seconds: float


@dataclass(slots=True)
class _Place:
    """
    What is known under a key. `done` is when it was last worked out, of the clock that only goes ahead.
    """

    known: Snapshot[Any] | None = None
    error: OaflowError | None = None
    done: float = 0.0
    took: float = 0.0
    waits: bool = False


@dataclass(slots=True)
class Background:
    """
    Works out one thing after the other, in two threads: something small need not wait for something large. They are
    there as long as something waits.

    Args:
        said: is told of errors in the program itself, from one of these threads; of one that comes again, once.
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
        What is known under a key; None while it is worked out for the first time.

        Args:
            work: works it out.
            fresh: seconds after which it is worked out again, while what is known is still answered; None: never.
            patience: seconds that are waited for what is not known yet.

        Raises:
            OaflowError: it could not be worked out.
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
                # It is raised for each who asks: without those before, whose frames it would keep.
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
            return  # who asks again finds room
        self._waiting.append((place, work))
        place.waits = True
        if self._threads < _THREADS:
            self._threads += 1
            # A daemon: nobody waits for it at the end.
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
            except Exception as problem:  # the thread is for all: it outlives what one of them meets
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
        What is next; None: nothing waits, and the thread that asked ends.
        """
        with self._news:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None
