"""
The app of plain tasks, where a worker that is told to end waits for its database for a second only.
"""

from plain_tasks import app

from oaflow.runtime import dispatcher, manager

assert manager.FETCH_SECONDS > dispatcher.FAREWELL_SECONDS / 2 > 1.0
manager.FETCH_SECONDS = dispatcher.FAREWELL_SECONDS = 1.0

__all__ = ["app"]
