"""
One worker process: `python -m oaflow.runtime.worker`. A supervisor starts it; it imports no stage but async ones.

The first SIGTERM or SIGINT drains, the second ends at once. What the supervisor must know goes as JSON lines over
`--control FD`: under which ids it is registered, and that it has drained.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, cast

import orjson

from oaflow.runtime.app import make_app
from oaflow.runtime.dispatcher import Options
from oaflow.settings import Settings


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """
    The command line of a worker process.
    """
    parser = argparse.ArgumentParser(prog="oaflow.runtime.worker")
    parser.add_argument("--executors", type=int, default=None)
    parser.add_argument("--control", type=int, default=None, help="descriptor for what the supervisor must know")
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--queues", default=None, help="plain tasks of these queues only, comma separated")
    return parser.parse_args(argv)


async def work(options: Options, queues: list[str] | None = None) -> None:
    """
    Run a worker until it is told to stop.
    """
    app = make_app(options.conninfo)
    app.job_manager.options = options  # pyright: ignore[reportAttributeAccessIssue] - a FlowJobManager
    loop = asyncio.get_running_loop()
    async with app.open_async():
        running = asyncio.create_task(
            app.run_worker_async(
                queues=cast("Any", queues),  # None means all, which its annotation does not say
                concurrency=10,
                install_signal_handlers=False,
                shutdown_graceful_timeout=options.grace,
            )
        )
        told = 0

        def stop() -> None:
            nonlocal told
            told += 1
            if told == 1:
                running.cancel()
            else:
                os._exit(143)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        try:
            await running
        except asyncio.CancelledError:
            if not told:
                raise


def main(argv: Sequence[str] | None = None) -> int:
    """
    Parse, run, and return the exit code: 0 when drained.
    """
    given = arguments(sys.argv[1:] if argv is None else argv)
    settings = Settings()
    logging.basicConfig(
        level=logging.DEBUG if settings.debug else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("procrastinate").setLevel(logging.WARNING)

    def tell(**event: Any) -> None:
        if given.control is not None:
            os.write(given.control, orjson.dumps(event) + b"\n")

    from oaflow.runtime.app import database_address

    options = Options(
        settings,
        database_address,
        given.executors or settings.executors or os.cpu_count() or 1,
        grace=given.grace,
        registered=lambda worker: tell(event="registered", worker=worker),
    )
    queues = given.queues.split(",") if given.queues else None
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        runner = asyncio.run
    runner(work(options, queues))
    tell(event="drained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
