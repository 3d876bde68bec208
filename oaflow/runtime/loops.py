"""
Asyncio tasks that run as long as their worker, and are cancelled at its end.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


def begin(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """
    Start such a task. Nothing awaits it, so an error that ends it is logged at once.
    """
    task = asyncio.create_task(work, name=f"oaflow {name}")
    task.add_done_callback(_say_why)
    return task


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("%s has ended", task.get_name(), exc_info=problem)
