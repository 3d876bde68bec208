"""
Counts the work of workers, for metrics: attempts by pipeline, stage and outcome, and how long they and their hand-overs
took.

A worker counts in plain numbers and reports changes once a second over the pipe to its supervisor, which adds up the
reports of all its workers and serves them over HTTP. So a worker needs no library for metrics, and opens no port.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Upper ends of the buckets, in seconds.
ATTEMPTS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)
HANDOVERS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)

# Each pipeline and stage is a time series. Pipelines are files that people write, so there are few; if a program makes
# thousands, the stages beyond this number are counted as one.
MOST_STAGES = 1000
OTHERS = ("(others)", "(others)")

Key = tuple[str, str]


class Durations:
    """
    A histogram of durations.

    Args:
        ends: the upper ends of the buckets in seconds, ascending; a last bucket counts everything longer.
    """

    __slots__ = ("_ends", "counts", "seconds")

    def __init__(self, ends: tuple[float, ...]) -> None:
        self._ends = ends
        self.counts = [0] * (len(ends) + 1)
        self.seconds = 0.0

    def took(self, seconds: float) -> None:
        """
        Count one duration. If the clock was set back, it counts as 0.
        """
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(self._ends, seconds)] += 1
        self.seconds += seconds

    def add(self, counts: Iterable[int], seconds: float) -> None:
        """
        Add the counts of another histogram.
        """
        self.counts = [mine + more for mine, more in zip(self.counts, counts, strict=True)]
        self.seconds += seconds

    @property
    def cumulative(self) -> list[tuple[str, float]]:
        """
        The cumulative counts by the end of each bucket, as Prometheus reads them.
        """
        names, sums, total = [*map(repr, self._ends), "+Inf"], list[float](), 0
        for count in self.counts:
            total += count
            sums.append(total)
        return list(zip(names, sums, strict=True))


@dataclass(slots=True)
class StageFigures:
    """
    The figures of one stage: attempts by outcome, and how long they took; chunks of streams have no duration.
    """

    outcomes: Counter[str] = field(default_factory=Counter[str])
    took: Durations = field(default_factory=lambda: Durations(ATTEMPTS))


@dataclass(slots=True)
class Totals:
    """
    What workers have counted since they started. `gauges` are current values, summed over the live workers.
    """

    stages: dict[Key, StageFigures] = field(default_factory=dict[Key, StageFigures])
    handed: Durations = field(default_factory=lambda: Durations(HANDOVERS))
    counts: Counter[str] = field(default_factory=Counter[str])
    gauges: Counter[str] = field(default_factory=Counter[str])


class Figures:
    """
    What one worker counts. On the hot path, it costs a few dictionary look-ups per attempt.
    """

    def __init__(self) -> None:
        self._stages: dict[Key, StageFigures] = {}
        self._changed: set[Key] = set()
        self._handed = Durations(HANDOVERS)

    def ended(self, pipeline: str, stage: str, outcome: str, seconds: float, handed: float) -> None:
        """
        An attempt has ended, or a chunk of a stream was handed over, and the database has recorded it.

        Args:
            seconds: how long the attempt took.
            handed: seconds from its end until the database had it.
        """
        key = (pipeline, stage)
        mine = self._stages.get(key)
        if mine is None:
            if len(self._stages) >= MOST_STAGES:
                key = OTHERS
            mine = self._stages.setdefault(key, StageFigures())
        mine.outcomes[outcome] += 1
        if outcome != "chunk":
            mine.took.took(seconds)
        self._handed.took(handed)
        self._changed.add(key)

    def news(self, counts: Mapping[str, int], gauges: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """
        The changes since the last call, one message per stage, each short enough to be written to a pipe atomically.

        Args:
            counts: other counters, from the beginning.
            gauges: current values.
        """
        while self._changed:
            # Forgotten when the next message is requested: until then it is not certain that this one was sent.
            key = next(iter(self._changed))
            mine = self._stages[key]
            yield {
                "pipeline": key[0],
                "stage": key[1],
                "outcomes": mine.outcomes,
                "counts": mine.took.counts,
                "seconds": mine.took.seconds,
            }
            self._changed.discard(key)
        handed = {"counts": self._handed.counts, "seconds": self._handed.seconds}
        yield {"handed": handed, "counts": counts, "gauges": gauges}


class Tally:
    """
    The reports of the workers of one supervisor, including those that have ended. Written by the loop of the
    supervisor, read by threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[int, dict[Key | None, Mapping[str, Any]]] = {}
        self._before = Totals()
        self.deaths = 0

    def hear(self, pid: int, message: Mapping[str, Any]) -> None:
        """
        Take a message of `Figures.news`, which has all that this worker has counted under its key.
        """
        key = (message["pipeline"], message["stage"]) if "stage" in message else None
        with self._lock:
            self._said.setdefault(pid, {})[key] = message

    def bury(self, pid: int, *, died: bool) -> None:
        """
        A worker has ended. Its counts are kept, because counters must not decrease.

        Args:
            died: whether it ended unexpectedly.
        """
        with self._lock:
            self.deaths += died
            _add(self._before, self._said.pop(pid, {}))
            self._before.gauges.clear()

    def totals(self) -> Totals:
        """
        The sum over all workers.
        """
        with self._lock:
            found = Totals()
            for key, figures in self._before.stages.items():
                mine = found.stages[key] = StageFigures(Counter(figures.outcomes))
                mine.took.add(figures.took.counts, figures.took.seconds)
            found.handed.add(self._before.handed.counts, self._before.handed.seconds)
            found.counts.update(self._before.counts)
            for said in self._said.values():
                _add(found, said)
            return found


def _add(totals: Totals, said: Mapping[Key | None, Mapping[str, Any]]) -> None:
    for key, message in said.items():
        if key is None:
            totals.handed.add(message["handed"]["counts"], message["handed"]["seconds"])
            totals.counts.update(message["counts"])
            totals.gauges.update(message["gauges"])
        else:
            mine = totals.stages.setdefault(key, StageFigures())
            mine.outcomes.update(message["outcomes"])
            mine.took.add(message["counts"], message["seconds"])
