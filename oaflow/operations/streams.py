"""
Results that arrive bit by bit, for `for` and `async for`. With `async for` they are read in a thread, so the event loop
is not blocked.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from oaflow.errors import UsageError

Item = TypeVar("Item")

# How long a step (a statement) that nothing waits for may continue before its connection is cut.
_PATIENCE = 1.0

_END = object()


class Stop:
    """
    Tells a source in another thread that no more is wanted. It replaces the signals that a command counts, because
    those belong to the program.
    """

    count = 0
    last = None

    def __init__(self) -> None:
        self._set = threading.Event()
        self._cuts: list[Callable[[], None]] = []

    def set(self) -> None:
        """
        No more is wanted.
        """
        self._set.set()

    def sleep(self, seconds: float) -> None:
        """
        Sleep, at most until no more is wanted.
        """
        self._set.wait(seconds)

    def cuts(self, cut: Callable[[], None]) -> None:
        """
        Set what ends a step that takes too long. It is called from another thread.
        """
        self._cuts.append(cut)

    def cut(self) -> None:
        """
        End a step that takes too long.
        """
        for cut in self._cuts:
            cut()


class Stream(Generic[Item]):
    """
    Items that come one after the other, for `for` and for `async for`. Each loop starts from the beginning.

    With `async for` a separate thread waits for the next item, so the event loop is not blocked. When the loop is left,
    by `break`, an error, a timeout or cancellation, the thread and its database connection end. After `break` this
    happens when the iterator is garbage-collected; to have it at a definite place, use `async with`: then it is at the
    end of the block. A stream can be in one such block at a time.
    """

    def __init__(self, source: Callable[[Stop], Generator[Item]]) -> None:
        self._source = source
        self._entered: AsyncGenerator[Item] | None = None

    def __iter__(self) -> Generator[Item]:
        return self._source(Stop())

    def __aiter__(self) -> AsyncGenerator[Item]:
        return _in_a_thread(self._source)

    async def __aenter__(self) -> AsyncGenerator[Item]:
        if self._entered is not None:
            raise UsageError("this stream is already in use in a block", help="make a new one for each block")
        self._entered = self.__aiter__()
        return self._entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            await entered.aclose()


async def _in_a_thread(source: Callable[[Stop], Generator[Item]]) -> AsyncGenerator[Item]:
    loop = asyncio.get_running_loop()
    stop, thread = Stop(), ThreadPoolExecutor(1, thread_name_prefix="oaflow")
    items = source(stop)
    try:
        # Fetched one by one, so that nothing piles up before a slow reader, and its items are current.
        while (item := await loop.run_in_executor(thread, next, items, _END)) is not _END:
            yield item  # pyright: ignore[reportReturnType]  # it is none of _END
    finally:
        stop.set()
        closed = loop.run_in_executor(thread, items.close)  # after the current step
        thread.shutdown(wait=False)
        await _end(closed, stop)


async def _end(closed: "asyncio.Future[None]", stop: Stop) -> None:
    # If cancelled once more, return, and let the thread end by itself.
    closed.add_done_callback(lambda future: future.cancelled() or future.exception())
    try:
        done, _ = await asyncio.wait([closed], timeout=_PATIENCE)
    except asyncio.CancelledError:
        stop.cut()
        raise
    if not done:
        stop.cut()
        await asyncio.wait([closed])
