"""
One worker process: `python -m oaflow.runtime.worker`. A supervisor starts it; it imports only async stages.

The first SIGTERM or SIGINT drains, the second ends at once; if the supervisor is gone, which would send the second, so
does a time limit. Reports to the supervisor go as JSON lines over `--control FD`: the ids under which it is registered,
and that it has drained. With `--wait` it starts its processes at once, but uses the database only after a line on
stdin; if stdin ends instead, it was not needed. Once a second its loop reports its state (`vitals`).
"""

import argparse
import asyncio
import gc
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from oaflow.runtime.app import FlowApp, database_address, make_app
from oaflow.runtime.control import Control
from oaflow.runtime.jsonlog import JsonLines
from oaflow.runtime.logged import LogHandler, is_of_a_stage, warnings_to
from oaflow.runtime.options import RESTART, Options, wants_traces
from oaflow.runtime.vitals import Pulse
from oaflow.settings import Settings

PULSE_SECONDS = 1.0
ALONE_SECONDS = 5.0  # how long a drain may take beyond the grace period if no supervisor ends it


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """
    The command line of a worker process.
    """
    parser = argparse.ArgumentParser(prog="oaflow.runtime.worker")
    parser.add_argument("--executors", type=int, default=None)
    parser.add_argument("--control", type=int, default=None, help="descriptor for what the supervisor must know")
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--queues", default=None, help="plain tasks of these queues only, comma separated")
    parser.add_argument("--folder", action="append", default=[], help="where modules are looked for, after all others")
    parser.add_argument("--run", default=None, help="work on this run only")
    parser.add_argument("--lines", type=int, default=None, help="descriptor for logs as JSON, in place of stderr")
    parser.add_argument("--wait", action="store_true", help="begin when there is a line on stdin: the run, or nothing")
    return parser.parse_args(argv)


async def work(
    options: Options,
    queues: list[str] | None = None,
    *,
    wait: bool = False,
    pulsed: Callable[[Pulse], None] | None = None,
) -> None:
    """
    Run a worker until it is told to stop.

    Args:
        wait: use the database only after a line on stdin, which names the run to work on, or is empty for all.
        pulsed: called each second with the state of the worker.
    """
    loop = asyncio.get_running_loop()
    app = make_app(options.conninfo)
    app.flow.options = options
    running = asyncio.create_task(_work(app, options, queues, wait))
    beside = asyncio.create_task(_pulse(app, pulsed)) if pulsed is not None else None
    told, parent = 0, os.getppid()

    def stop() -> None:
        nonlocal told
        told += 1
        if told == 1:
            running.cancel()
            loop.call_later(options.grace + ALONE_SECONDS, leave_if_alone)
        else:
            os._exit(143)

    def leave_if_alone() -> None:
        # The database may be gone for good, as the private server is when its command was killed: recovery then gives
        # back the jobs without an answer.
        if os.getppid() != parent:
            os._exit(143)
        loop.call_later(ALONE_SECONDS, leave_if_alone)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        if not told:
            raise
    finally:
        if beside is not None:
            beside.cancel()


async def _pulse(app: FlowApp, pulsed: Callable[[Pulse], None]) -> None:
    while True:
        now, dispatcher = time.monotonic(), app.flow.dispatcher
        pulsed(Pulse(now) if dispatcher is None else dispatcher.pulse(now))
        if dispatcher is not None:
            dispatcher.tell_figures()
        await asyncio.sleep(PULSE_SECONDS)


async def _work(app: FlowApp, options: Options, queues: list[str] | None, wait: bool) -> None:
    manager = app.flow
    if wait:
        line = None
        try:
            dispatcher = await manager.prepare()
            line = await _line_on_stdin()
        finally:
            if line is None:
                await manager.dismiss()
        if line is None:
            return
        if line:
            dispatcher.work_only(line)
    async with app.open_async():
        await app.run_worker_async(
            queues=cast("Any", queues),  # None means all, although its annotation does not allow it
            concurrency=10,
            install_signal_handlers=False,
            shutdown_graceful_timeout=options.grace,
        )


async def _line_on_stdin() -> str | None:
    """
    Wait for a line on stdin; None if stdin ends.
    """
    loop = asyncio.get_running_loop()
    came: asyncio.Future[str | None] = loop.create_future()

    def read() -> None:
        loop.remove_reader(0)
        data = os.read(0, select.PIPE_BUF)  # written in one piece, so read in one piece
        if not came.done():
            came.set_result(data.decode().strip() if data else None)

    loop.add_reader(0, read)
    try:
        return await came
    finally:
        loop.remove_reader(0)


def _replaced(pid: int) -> str:
    """
    The command that restarts a worker process with a supervisor.
    """
    return f"kill {pid}   # it ends what it has in hand, and another takes its place"


def main(argv: Sequence[str] | None = None) -> int:
    """
    Parse, run, and return the exit code: 0 when drained.
    """
    gc.freeze()  # what has been imported stays, so the garbage collector need not scan it
    given = arguments(sys.argv[1:] if argv is None else argv)
    # Last: an `email.py` beside a pipeline must not replace that of the standard library.
    sys.path.extend(folder for folder in given.folder if folder not in sys.path)
    settings = Settings()
    level = logging.DEBUG if settings.debug else logging.WARNING
    lines = None if given.lines is None else JsonLines(given.lines)
    if lines is None:
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    else:
        handler = LogHandler(lambda logged: lines.write(*logged))
        handler.addFilter(lambda record: not is_of_a_stage(record))  # those lines have their run, stage and job
        logging.basicConfig(level=level, format="%(message)s", handlers=[handler])
    logging.getLogger("procrastinate").setLevel(logging.WARNING)

    control = None if given.control is None else Control(given.control)
    if control is not None and lines is None:
        logging.root.addHandler(warnings_to(control.warned))
    options = Options(
        settings,
        database_address,
        given.executors or settings.executors or os.cpu_count() or 1,
        grace=given.grace,
        registered=None if control is None else control.registered,
        due=None if control is None else control.due,
        counted=None if control is None else control.figures,
        restart=RESTART if control is None else _replaced(os.getpid()),
        stale=None if control is None else control.stale,
        only=given.run,
        lines=lines,
        traces=wants_traces(os.environ),
    )
    queues = given.queues.split(",") if given.queues else None
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        runner = asyncio.run
    pulsed = None if control is None else control.pulse
    runner(work(options, queues, wait=given.wait, pulsed=pulsed))
    if control is not None:
        control.drained()
    gc.freeze()  # likewise at exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
