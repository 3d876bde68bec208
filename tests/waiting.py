"""
How tests wait for what others do.
"""

import time
from collections.abc import Callable
from typing import Any

# Seconds between two looks at most: what is waited for may not stay.
_LONGEST = 1.0


def waited(condition: Callable[[], Any], patience: float, pause: float) -> Any:
    """
    Looks until something holds, and gives it back; or what was seen last, where it never did.

    Most of the time nobody looks: a command, or a new connection, takes CPU from what is waited for.

    Args:
        patience: seconds, as a guard against hanging.
        pause: seconds between two looks, at least.
    """
    limit = time.monotonic() + patience
    while True:
        began = time.monotonic()
        found = condition()
        ended = time.monotonic()
        if found or ended > limit:
            return found
        time.sleep(max(pause, min(3 * (ended - began), _LONGEST)))
