"""
How many jobs of a run went along each edge, for a page that looks again and again.

The history of a small run is read each time. That of a large one is read now and then, beside the pages; what came
since is taken from the sums that workers keep of their attempts, which do not grow with the run.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from psycopg import Connection

from oaflow.errors import OaflowError
from oaflow.ledger.passed import Passed, passed
from oaflow.ledger.runs import Run
from oaflow.ledger.timings import timings
from oaflow.operations.browsing import Desk
from oaflow.operations.watching import Rates

# With more jobs than that the history is not read with each look.
COUNTABLE = 10_000

# Seconds after which the history of a large run that goes on is read again, at the soonest.
_AGAIN = 10.0

_Key = tuple[str, str, Literal["next", "error"]]
_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Way:
    """
    How many jobs went from a stage to another, with `error` over its `on_error`; of late so many a second.
    """

    source: str
    stage: str
    error: bool
    jobs: int
    rate: float


@dataclass(frozen=True, slots=True)
class _Counted:
    """
    What the history said, and what the sums of the workers were then.
    """

    ways: list[Passed]
    summed: Counter[_Pair]


class Ways:
    """
    The ways of one run.

    Args:
        now: the clock that rates are of, in seconds.
    """

    def __init__(self, desk: Desk, now: Callable[[], float], countable: int = COUNTABLE) -> None:
        self._desk, self._now, self._countable = desk, now, countable
        self._rates: Rates[_Key] = Rates()
        self._shown: dict[_Key, Passed] = {}
        self._large = False

    def look(self, connection: Connection[Any], run: Run, ended: int) -> list[Way]:
        """
        How it is now; nothing while a large run is counted for the first time.

        Args:
            ended: how many jobs of it have ended, also those that failed: each has its lines in the history.
        """
        if not self._large and ended > self._countable:
            self._large, self._rates = True, Rates()
        if not self._large:
            found = passed(connection, run.id)
            growing = {way.key: way.jobs for way in found}
        elif run.open:
            summed = _summed(connection, run.id)
            found = self._of_large(run, summed)
            growing: dict[_Key, int] = {(source, stage, "next"): jobs for (source, stage), jobs in summed.items()}
        else:
            found, growing = self._of_ended(run), {}
        rates = self._rates.look(self._now(), growing) if run.open else {}
        return [Way(one.source, one.stage, one.error, one.jobs, round(rates.get(one.key, 0.0), 1)) for one in found]

    def _of_ended(self, run: Run) -> list[Passed]:
        # It stays as it is, until a new round.
        known = self._known(run, run.round, run.state)
        return known.ways if known is not None else list(self._shown.values())

    def _of_large(self, run: Run, summed: Counter[_Pair]) -> list[Passed]:
        known = self._known(run, fresh=_AGAIN)
        if known is None:
            return list(self._shown.values())
        counted = {way.key: way for way in known.ways}
        for (source, stage), jobs in (summed - known.summed).items():
            # What a stage hands over its `on_error` is in the same sum: there it waits until it is counted.
            if (source, stage, "error") not in counted:
                way = Passed(source, stage, error=False, jobs=jobs)
                before = counted.get(way.key)
                counted[way.key] = replace(way, jobs=jobs + (before.jobs if before else 0))
        # Sums come some seconds after the history: what was shown already is not taken back.
        for key, way in counted.items():
            if key not in self._shown or self._shown[key].jobs < way.jobs:
                self._shown[key] = way
        return list(self._shown.values())

    def _known(self, run: Run, *state: int | str, fresh: float | None = None) -> _Counted | None:
        # What cannot be counted keeps nobody from what else there is to be seen of the run.
        with suppress(OaflowError):
            known = self._desk.background.ask(("ways", run.id, *state), lambda: self._count(run.id), fresh=fresh)
            return known.value if known is not None else None
        return None

    def _count(self, run: str) -> _Counted:
        with self._desk.apart() as made:
            summed = _summed(made, run)
            return _Counted(passed(made, run), summed)


def _summed(connection: Connection[Any], run: str) -> Counter[_Pair]:
    found: Counter[_Pair] = Counter()
    for timing in timings(connection, run):
        for stage, jobs in timing.successors.items():
            found[timing.stage, stage] += jobs
    return found
