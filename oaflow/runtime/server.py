"""
The worker's end of the forkserver: starts it, sends requests, reads its reports, and notices when it is gone.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import oaflow
from oaflow.runtime.frames import Frames, frame
from oaflow.runtime.lines import Lines

STOP_SECONDS = 2.0

# The executors already use all cores: a thread pool in each would only compete with the others. Besides, numpy can be
# imported before the fork if it starts no threads.
_ONE_CORE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Server:
    """
    One forkserver process.

    Args:
        told: called with each report.
        gone: called once, if it ends before `stop`.
        line: called with each line that it prints.
    """

    def __init__(
        self, told: Callable[[tuple[Any, ...]], None], gone: Callable[["Server"], None], line: Callable[[str], None]
    ) -> None:
        self._told, self._gone = told, gone
        self._frames = Frames()
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self.closed = False
        self.since = time.monotonic()
        loop = asyncio.get_running_loop()
        self._link, theirs = socket.socketpair()
        self._link.setblocking(False)
        out, out_theirs = os.pipe()
        # Modules are searched where this process searches, and last in the current folder, which may have a stage.
        path = json.dumps(list(dict.fromkeys([folder or os.getcwd() for folder in sys.path] + [os.getcwd()])))
        command = [sys.executable, "-P", "-m", "oaflow.runtime.forkserver", str(theirs.fileno()), path]
        if "PYTHONPATH" in os.environ:
            command.append(os.environ["PYTHONPATH"])
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=out_theirs,
                stderr=out_theirs,
                env=environment(os.environ),
                start_new_session=True,  # a Ctrl-C in the terminal is meant for the supervisor
            )
        except OSError:
            self._link.close()
            os.close(out)
            raise
        finally:
            theirs.close()
            os.close(out_theirs)
        loop.add_reader(self._link.fileno(), self._receive)
        heard: asyncio.Future[None] = loop.create_future()
        lines = Lines(lambda text, _job, _logged: line(text), heard)
        self._pipe = loop.create_task(loop.connect_read_pipe(lambda: lines, os.fdopen(out, "rb", 0)))

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, *message: Any, descriptors: tuple[int, ...] = ()) -> None:
        """
        Send a request. The descriptors may be closed afterwards.
        """
        self._waiting.append((frame(message), tuple(os.dup(descriptor) for descriptor in descriptors)))
        self._push()

    def _push(self) -> None:
        while self._waiting and not self.closed:
            data, descriptors = self._waiting[0]
            try:
                sent = socket.send_fds(self._link, [data], descriptors) if descriptors else self._link.send(data)
            except BlockingIOError:  # it is busy importing
                asyncio.get_running_loop().call_later(0.02, self._push)
                return
            except OSError:
                self._end()
                return
            for descriptor in descriptors:
                os.close(descriptor)
            if sent < len(data):
                self._waiting[0] = (data[sent:], ())
            else:
                self._waiting.popleft()

    def _receive(self) -> None:
        try:
            data = self._link.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for message in self._frames.feed(data):
            self._told(message)
        if not data:
            self._end()

    def _hang_up(self) -> None:
        self.closed = True
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()
        for _, descriptors in self._waiting:
            for descriptor in descriptors:
                os.close(descriptor)
        self._waiting.clear()

    def _end(self) -> None:
        if self.closed:
            return
        self._hang_up()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._gone(self)

    async def stop(self, *, at_once: bool = False) -> None:
        """
        Stop it. It ends by itself when the other end is closed; `at_once` does not wait for that.
        """
        if not self.closed:
            self._hang_up()
        until = time.monotonic() + (0.0 if at_once else STOP_SECONDS)
        while self._process.poll() is None and time.monotonic() < until:
            await asyncio.sleep(0.01)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(Exception):
            transport, _ = await self._pipe
            transport.close()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """
    An environment in which this very package is found first, even if it is not installed, and in which numeric
    libraries use one core, unless set otherwise.
    """
    root = str(Path(oaflow.__file__).parent.parent)
    paths = given.get("PYTHONPATH")
    return {**_ONE_CORE, **given, "PYTHONPATH": os.pathsep.join([root, paths] if paths else [root])}
