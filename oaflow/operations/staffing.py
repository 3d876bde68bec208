"""
Workers for a block of a Python program: the same as those of `oaflow worker`, with the private server if it is needed.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from oaflow.errors import UsageError
from oaflow.operations.crew import Crew
from oaflow.operations.health import Watched
from oaflow.operations.running import Awaited, worker
from oaflow.runtime.supervisor import Registered
from oaflow.settings import Settings


class _Leaving:
    """
    Counts, in place of signals, how often it was told to stop: once to drain, twice to stop at once.
    """

    last = None

    def __init__(self) -> None:
        self.count = 0


class Workers:
    """
    Worker processes that live as long as a `with` or `async with` block. They work on all runs. When the block ends
    they claim no more jobs, finish those that are running (for at most 10 s), give the rest back, and end; jobs that
    are left wait for other workers.

    A thread watches the processes and replaces one that dies. Signals are not handled. The object can be used for
    another block after the first has ended.
    """

    def __init__(
        self, settings: Settings, count: int, *, executors: int | None = None, folders: Iterable[Path] = ()
    ) -> None:
        self._settings, self._count, self._executors = settings, count, executors
        self._folders = tuple(folders)
        self._entered = False
        self._be_new()

    def _be_new(self) -> None:
        self._leaving = _Leaving()
        self._ready: Future[None] = Future()
        self._ended: Future[None] = Future()

    def __enter__(self) -> Self:
        self._begin()
        try:
            self._ready.result()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        self._begin()
        try:
            await asyncio.shield(asyncio.wrap_future(self._ready))
        except BaseException:
            await self._leave_async()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave_async()

    def _begin(self) -> None:
        if self._entered:
            raise UsageError(
                "these workers are already in use in a block", help="call operations.workers for each block"
            )
        self._be_new()
        # It must live as long as the workers: the kernel ends them with the thread that started them.
        threading.Thread(target=self._look_after, name="oaflow workers", daemon=True).start()
        self._entered = True

    def _look_after(self) -> None:
        try:
            self._work()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            self._ended.set_exception(error)
        else:
            if not self._ready.done():
                self._ready.set_result(None)
            self._ended.set_result(None)

    def _work(self) -> None:
        ready = 0
        with Crew(self._settings, self._count, executors=self._executors, folders=self._folders) as crew:
            watched = Watched(self._settings, self._count, {})
            events = worker(self._settings, crew, watched, contextlib.nullcontext(self._leaving))
            with contextlib.closing(events):
                for event in events:
                    match event:
                        case Awaited(problem):
                            raise problem
                        case Registered():
                            ready += 1
                            if ready == self._count:
                                self._ready.set_result(None)
                        case _:
                            pass

    def _leave(self) -> None:
        self._leaving.count += 1
        try:
            wait([self._ended])
        except BaseException:  # a second Ctrl-C, where the program's first came here
            self._leaving.count += 1
            wait([self._ended])
            raise
        finally:
            self._entered = False
        self._ended.result()

    async def _leave_async(self) -> None:
        self._leaving.count += 1
        ended = asyncio.wrap_future(self._ended)
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError:
            self._leaving.count += 1
            await asyncio.wait([ended])
            raise
        finally:
            self._entered = False
        ended.result()
