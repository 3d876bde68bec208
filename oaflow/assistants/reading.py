"""
The database as assistants see it: opened when something is first asked, and in sessions that cannot write.
"""

from contextlib import ExitStack
from threading import Lock

from oaflow.operations.browsing import Desk
from oaflow.operations.databases import database
from oaflow.settings import Settings


class Reading:
    """
    What the tools ask. A database that was away at one question is tried again at the next.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self._desk: Desk | None = None
        self._lock = Lock()

    def desk(self) -> Desk:
        """
        The connections, made with the first call; the private server is started then, where it is the one.

        Raises:
            EnvironmentProblem: the database cannot be used.
        """
        with self._lock:
            if self._desk is None:
                with ExitStack() as stack:
                    opened = stack.enter_context(database(self.settings))
                    self._desk = stack.enter_context(Desk(opened, program="oaflow mcp", read_only=True))
                    self._stack = stack.pop_all()
            return self._desk

    def close(self) -> None:
        """
        Leaves the database. Whoever uses the private server last stops it.
        """
        self._stack.close()
