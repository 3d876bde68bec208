"""
The chain where the database is 2 ms away, there and back: oaflow against procrastinate, over the same way.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.ground import ROOT, Ground, ground
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.rates import ASYNC, Rate, Way, executors_of_all_cores, ours, procrastinate

ROOTS: dict[Size, int] = {"tiny": 150, "small": 2_000, "full": 10_000}
STOCK_SHARE = 10  # procrastinate gets so many times fewer

ROUND_TRIP = 0.002  # seconds

LEAST = 25.0  # times procrastinate, whichever of its pools was faster in that round


def measure(size: Size, rounds: int) -> Report:
    """
    Rates, and what a round trip took in fact.
    """
    roots, cores = ROOTS[size], executors_of_all_cores()
    with ground() as place, _far(place) as way:
        variants: dict[str, Callable[[], Rate]] = {
            "procrastinate": partial(procrastinate, place, "pool", roots // STOCK_SHARE, way=way),
            "procrastinate, lean pool": partial(procrastinate, place, "lean", roots // STOCK_SHARE, way=way),
            "async stages": partial(ours, place, ASYNC, roots, cores, way=way),
            "async stages, own server": partial(ours, place, ASYNC, roots, cores, way=way, events=False),
        }
        trip = _round_trip(way(place.empty_database("trip")))
        found = interleaved(variants, rounds)
    rates = {name: tuple(rate for rate, _ in of_rounds) for name, of_rounds in found.items()}
    best = [max(pair) for pair in zip(rates["procrastinate"], rates["procrastinate, lean pool"], strict=True)]
    return Report(
        "distance",
        f"a chain of three empty stages, {roots:,} roots, {1000 * ROUND_TRIP:g} ms to the database and back",
        (
            Figure("a statement that does nothing", "ms", (trip,)),
            *(Figure(name, "jobs/s", rate) for name, rate in rates.items()),
            *(
                Figure(f"{name} to the faster procrastinate", "times", ratios(rates[name], best), target)
                for name, target in (
                    ("async stages", Target("at least", LEAST)),
                    ("async stages, own server", Target("at least", LEAST)),
                )
            ),
        ),
    )


@contextmanager
def _far(place: Ground) -> Generator[Way]:
    """
    A way to the server that takes half of a round trip in each direction.
    """
    parts = conninfo_to_dict(place.server.address.uri)
    target = Path(str(parts["host"])) / f".s.PGSQL.{parts.get('port', 5432)}"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.delay", str(target), str(ROUND_TRIP / 2)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield lambda address: make_conninfo(address, host="127.0.0.1", port=port)
    finally:
        process.kill()
        process.communicate()


def _round_trip(address: str) -> float:
    times: list[float] = []
    with psycopg.connect(address, autocommit=True) as connection:
        for _ in range(50):
            began = time.perf_counter()
            connection.execute("SELECT")
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
