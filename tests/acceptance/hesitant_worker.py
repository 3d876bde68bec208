"""
A worker that begins nothing while two answers are outstanding, and looks by itself once an hour.
"""

import asyncio
from dataclasses import replace
from unittest.mock import patch

from oaflow.runtime import appetite, feeder, slots
from oaflow.runtime.options import Options
from oaflow.runtime.worker import work

if __name__ == "__main__":
    options = Options.from_environment()
    settings = options.settings.model_copy(update={"heartbeat": 3600.0, "dead_after": 7200.0})
    # `patch` is an error where there is nothing of that name.
    with (
        patch.object(feeder, "UNANSWERED", 1),
        patch.object(appetite, "SLOTS", 4),
        patch.object(slots, "SLOTS", 4),
    ):
        asyncio.run(work(replace(options, settings=settings, poll=3600.0)))
