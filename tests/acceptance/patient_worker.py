"""
A worker that looks by itself once an hour: whatever it does sooner, a notification told it to.
"""

import asyncio
from dataclasses import replace

from oaflow.runtime.options import Options
from oaflow.runtime.worker import work

if __name__ == "__main__":
    options = Options.from_environment()
    settings = options.settings.model_copy(update={"heartbeat": 3600.0, "dead_after": 7200.0})
    asyncio.run(work(replace(options, settings=settings, poll=3600.0)))
