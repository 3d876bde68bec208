"""
Dramatiq over Redis: `enqueue NUMBER`; its own command works. The store is that of `STORE`.

8 threads a process, its default (4 were half as fast).
"""

import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.tally import job, note, store

dramatiq.set_broker(RedisBroker(url=store()))


@dramatiq.actor
def a(payload: dict[str, Any]) -> None:
    """Hand on."""
    note("a", payload["number"])
    b.send(payload)


@dramatiq.actor
def b(payload: dict[str, Any]) -> None:
    """Hand on."""
    note("b", payload["number"])
    c.send(payload)


@dramatiq.actor
def c(payload: dict[str, Any]) -> None:
    """End."""
    note("c", payload["number"])


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        a.send(job(number))
