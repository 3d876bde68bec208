"""
A worker that begins nothing while two answers are outstanding, and looks by itself once an hour.
"""

import asyncio
from dataclasses import replace

from oaflow.runtime import appetite, dispatcher, slots
from oaflow.runtime.options import Options
from oaflow.runtime.worker import work

if __name__ == "__main__":
    dispatcher.UNANSWERED, appetite.SLOTS, slots.SLOTS = 1, 4, 4
    options = Options.from_environment()
    settings = options.settings.model_copy(update={"heartbeat": 3600.0, "dead_after": 7200.0})
    asyncio.run(work(replace(options, settings=settings, poll=3600.0)))
