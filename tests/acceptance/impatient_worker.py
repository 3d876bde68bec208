"""
A worker that gives back what has waited in it for half a second.
"""

import asyncio
from unittest.mock import patch

from oaflow.runtime import claiming
from oaflow.runtime.options import Options
from oaflow.runtime.worker import work

if __name__ == "__main__":
    with patch.object(claiming, "WAIT_SECONDS", 0.5):  # an error where there is none of that name
        asyncio.run(work(Options.from_environment()))
