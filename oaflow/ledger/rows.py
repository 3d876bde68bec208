"""
The rows of claims and hand-overs: `Claimed`, `Successor`, `Completion`. Data only, without the driver, because
executors have no database.
"""

from typing import NamedTuple


class Claimed(NamedTuple):
    """
    A job that this worker owns now. `args` is JSON text, and `mark` the part of it that oaflow wrote: run, stage, depth
    and parent; `attempts` is the fence. While it is claimed, no other job with its `lock` is.
    """

    id: int
    queue: str
    task: str
    priority: int
    args: str
    mark: str
    attempts: int
    retries: int
    crashes: int
    suspect: bool
    lock: str | None = None


class Successor(NamedTuple):
    """
    A job to insert together with the end of its parent. `args` is JSON text. With `collect`, [key, documents] as JSON
    text, it waits to be collected with others of the key; with an id, it is inserted as claimed by the worker that
    sends it; of the jobs with the same `lock`, one is claimed at a time.
    """

    queue: str
    task: str
    stage: str
    priority: int
    args: bytes
    collect: str | None = None
    lock: str | None = None
    id: int | None = None


class Completion(NamedTuple):
    """
    The result of one attempt; the outcomes are those of `oaflow.complete_v1`. Times are epoch seconds.
    """

    job: int
    attempt: int
    outcome: str
    run: str
    stage: str
    parent: int | None
    started: float
    ended: float
    delay: float = 0.0
    position: int | None = None
    digest: str | None = None
    version: str = ""
    detail: bytes = b"{}"
    successors: tuple[Successor, ...] = ()
