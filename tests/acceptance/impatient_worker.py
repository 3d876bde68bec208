"""
A worker that gives back what has waited in it for half a second.
"""

import asyncio

from oaflow.runtime import dispatcher
from oaflow.runtime.options import Options
from oaflow.runtime.worker import work

if __name__ == "__main__":
    dispatcher.WAIT_SECONDS = 0.5
    asyncio.run(work(Options.from_environment()))
