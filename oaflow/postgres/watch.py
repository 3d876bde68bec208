"""
Stops the private server when everybody who used it was killed. Runs as a process of its own, as long as the server.

A command that ends in an orderly way stops the server itself if it is the last. This one is for kill -9. It asks
once in a while instead of waiting for the lock, so that it never holds what somebody else is about to take.
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
    Looks until there is no server any more.
    """
    cluster = Cluster(Layout(root))
    while cluster.owner() is not None:
        time.sleep(_PAUSE)
        try:
            with locks.gate(root):
                if cluster.owner() is not None and locks.unused(root):
                    cluster.stop()
        except OaflowError:
            continue  # nobody is there to read it, and the next round tries again


if __name__ == "__main__":
    main(Path(sys.argv[1]))
