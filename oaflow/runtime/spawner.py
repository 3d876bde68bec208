"""
Keeps a forkserver alive, and asks it for processes: executors, and such as look at tasks.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from oaflow.runtime.executors import Executor
from oaflow.runtime.probing import Answers, listen
from oaflow.runtime.server import Server

REVIVE_SECONDS = 1.0  # before a forkserver that cannot live, or cannot be started, is started again


class Spawner:
    """
    That of one pool.

    Args:
        started: called with each new forkserver, before it is asked for anything.
        gone: called when it has ended: nobody can tell any more how those will end that were forked from it.
        born: called with an executor whose process is there.
        ended: called with the number of a process that has ended, its status, and the most memory that it had.
        loaded: called with what became of modules that it was to import, see `Preloads.loaded`.
        line: called with each line that it prints.
    """

    def __init__(
        self,
        *,
        started: Callable[[Server], None],
        gone: Callable[[], None],
        born: Callable[[Executor], None],
        ended: Callable[[int, int, int], None],
        loaded: Callable[[Sequence[Any]], None],
        line: Callable[[str], None],
    ) -> None:
        self._started, self._lost, self._line = started, gone, line
        self._born, self._ended, self._loaded = born, ended, loaded
        self._server: Server | None = None
        self._starting: dict[int, _Birth] = {}
        self._tokens = itertools.count(1)
        self._failures = 0
        self._closed = False

    @property
    def forkserver(self) -> int | None:
        """
        Its process, or None where there is none at the moment, or there is to be none any more.
        """
        return None if self._server is None or self._server.closed else self._server.pid

    @property
    def coming(self) -> Sequence[Executor]:
        """
        The executors that were asked for and are not there yet.
        """
        return [birth.executor for birth in self._starting.values() if birth.executor is not None]

    def start(self) -> None:
        """
        Start a forkserver.

        Raises:
            OSError: there is no room for one more process.
        """
        self._server = Server(self._told, self._gone, self._line)
        self._started(self._server)

    def close(self) -> None:
        """
        Let it fork nobody any more; where it ends, none takes its place.
        """
        self._closed = True

    def abandon(self) -> None:
        """
        Wait no more for those that were asked for.
        """
        for birth in self._starting.values():
            birth.abandon()

    async def stop(self, *, at_once: bool = False) -> None:
        """
        End the forkserver; `at_once`, without waiting for what it is doing.
        """
        if self._server is not None:
            await self._server.stop(at_once=at_once)

    def fork(self, executor: Executor, *setup: str, descriptors: tuple[int, ...]) -> None:
        """
        Ask for the process of an executor.

        Args:
            executor: whose it will be.
            setup: what it begins with, see `executor.Setup`.
            descriptors: what it gets; they may be closed afterwards.
        """
        assert self._server is not None
        token = next(self._tokens)
        self._starting[token] = _Birth(executor)
        self._server.send("fork", token, *setup, descriptors=descriptors)

    async def probe(self, tasks: list[str]) -> Answers:
        """
        Have a process of its own look at tasks. It says nothing where none can be asked for now.
        """
        server = self._server
        if self._closed or server is None or server.closed:
            await asyncio.sleep(0.1)
            return Answers()
        birth = _Birth()
        token = next(self._tokens)
        self._starting[token] = birth
        ours, theirs = os.pipe()
        server.send("probe", token, tasks, descriptors=(theirs,))
        os.close(theirs)
        try:
            return await listen(ours, lambda: birth.pid)
        finally:
            self._starting.pop(token, None)

    def _gone(self, server: Server) -> None:
        if server is not self._server or self._closed:
            return
        lived = time.monotonic() - server.since
        self._failures = 0 if lived > 5 else self._failures + 1
        births, self._starting = list(self._starting.values()), {}
        for birth in births:
            birth.abandon()
        self._lost()
        # At once the first time; a forkserver that cannot live must not eat the machine.
        delay = 0.0 if self._failures < 3 else REVIVE_SECONDS
        asyncio.get_running_loop().call_later(delay, self._revive)

    def _revive(self) -> None:
        if self._closed:
            return
        try:
            self.start()
        except OSError as problem:  # there is no room for one more process, perhaps only now
            self._line(f"the forkserver cannot be started: {problem}")
            asyncio.get_running_loop().call_later(REVIVE_SECONDS, self._revive)

    def _told(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("forked", token, pid):
                birth = self._starting.pop(token, None)
                if birth is not None:
                    birth.born(pid)
                    if birth.executor is not None:
                        self._born(birth.executor)
            case ("ended", pid, status, peak):
                self._ended(pid, status, peak)
            case ("preloaded", outcomes):
                self._loaded(outcomes)
            case _:
                raise AssertionError(f"no report is called {message[0]!r}")


class _Birth:
    """
    A process that was asked for: an executor, or a probe where there is none.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self.executor = executor
        self.pid = 0

    def born(self, pid: int) -> None:
        """
        It has a number.
        """
        self.pid = pid
        if self.executor is not None:
            self.executor.pid = pid

    def abandon(self) -> None:
        """
        It will never come.
        """
        if self.executor is not None:
            self.executor.ended(None)
            self.executor.abort()
