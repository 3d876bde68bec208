"""
A service of others: a plain app of procrastinate, which knows nothing of oaflow. One task hands over to `index`
what it got, with all of its context, as the services of OpenAleph do; the other gives every job up.
"""

import asyncio
import os
import time
from typing import Any

from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["SERVICE_DB"]))
app.worker_defaults = {"fetch_job_polling_interval": 0.2}


@app.task(name="service.translate", queue="translate")
async def translate(**job: Any) -> None:
    time.sleep(job["payload"]["context"].get("seconds", 0))
    follow = {**job, "queue": "index", "task": "service.index"}
    await app.configure_task("service.index", queue="index").defer_async(**follow)


@app.task(name="service.gated", queue="translate")
async def gated(**job: Any) -> None:
    """
    Hands over twice: at once, and when there is the file that the pipeline names.
    """
    await translate(**job)
    while not os.path.exists(job["payload"]["context"]["gate"]):
        await asyncio.sleep(0.05)
    await translate(**job)


@app.task(name="service.unable", queue="translate")
async def unable(**job: Any) -> None:
    """
    Gives every job up.
    """
    raise RuntimeError("cannot be done")
