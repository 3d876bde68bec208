"""
A periodic task beside a pipeline, as a service of its own would have it.
"""

import os
from pathlib import Path

from oaflow import app


@app.periodic(cron="* * * * * *")
@app.task(name="periodic_tasks.tick", queue="ticks")
def tick(timestamp: int) -> None:
    """Note the second."""
    with Path(os.environ["TICKS"]).open("a") as file:
        file.write(f"{timestamp}\n")
