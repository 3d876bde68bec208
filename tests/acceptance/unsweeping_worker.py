"""
A worker that compares counters and rows once an hour: whatever it takes out sooner, it has another reason for.
"""

import asyncio
from unittest.mock import patch

from oaflow.runtime import upkeep
from oaflow.runtime.options import Options
from oaflow.runtime.worker import work

if __name__ == "__main__":
    with patch.object(upkeep, "ROWS_EVERY", 3600.0):  # an error where there is none of that name
        asyncio.run(work(Options.from_environment()))
