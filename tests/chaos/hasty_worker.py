"""
A worker that waits for an answer for a second only, in place of twenty, and looks for vanished rows every three.
"""

import sys
from functools import partial
from unittest.mock import patch

from oaflow.ledger.wire import Wire
from oaflow.runtime import manager, upkeep
from oaflow.runtime.worker import main

if __name__ == "__main__":
    # `patch` is an error where there is nothing of that name.
    with patch.object(upkeep, "ROWS_EVERY", 3.0), patch.object(manager, "Wire", partial(Wire, timeout=1.0)):
        sys.exit(main())
