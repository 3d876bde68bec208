"""
Looks after the private server while commands come and go. A process of its own, as long as the server is used.

It starts a server again that died while somebody used it, and stops one whose users were all killed. A command that
ends in an orderly way stops the server itself, if it is the last. This asks once in a while instead of waiting for
the lock of the users, so that it never holds what somebody else is about to take.
"""

import sys
import time
from pathlib import Path

from oaflow.errors import OaflowError
from oaflow.postgres import locks
from oaflow.postgres.cluster import Cluster
from oaflow.postgres.layout import Layout

_PAUSE = 0.5


def main(root: Path) -> None:
    """
    Looks until nobody uses the server and it does not run.
    """
    cluster = Cluster(Layout(root))
    pause = _PAUSE
    while root.exists():
        time.sleep(pause)
        try:
            with locks.gate(root):
                if locks.unused(root):
                    cluster.stop()
                    return
                if cluster.owner() is None:
                    cluster.start()
            pause = _PAUSE
        except (OaflowError, OSError):
            # Nobody is there to read it: the log of the server has the reason. A full disk may be emptied.
            pause = min(pause * 2, 30)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
