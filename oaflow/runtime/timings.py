"""
Sums of how long attempts took in this worker, for estimates; they are sent to the database every second. Pure: the time
is an argument.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from oaflow.forecast import BUCKETS, bucket
from oaflow.ledger.rows import Completion

# How many media types of a stage are counted separately; later ones count as none.
MOST_MEDIA = 30

# The outcomes of attempts that show how long the stage takes. A killed attempt was cut short, and a paused one
# continues later.
_TIMED = frozenset({"done", "failed", "diverted", "parted", "retried"})

# The media type of the first entity that has one, in the wire form of the job.
_KEY = '"mimeType"'
_LOOKED_AT = 4000  # characters: searching all of them would cost 9 µs for a large job
_VALUE = re.compile(r': ?\["([^"\\]{1,100})"')


def media_of(args: str) -> str:
    """
    The media type of what a job carries; empty if it names none.
    """
    at = args.find(_KEY, 0, _LOOKED_AT)
    found = _VALUE.match(args, at + len(_KEY)) if at >= 0 else None
    return found.group(1) if found else ""


@dataclass(slots=True)
class _Sums:
    in_loop: bool
    attempts: int = 0
    jobs: int = 0
    members: int = 0
    seconds: float = 0.0
    squares: float = 0.0
    times: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    successors: Counter[str] = field(default_factory=Counter[str])


@dataclass(slots=True)
class _Shift:
    since: float
    seen: bool = True


class Timings:
    """
    How long attempts took for each stage and media type since the last `take`, and how long the worker had jobs of each
    run in hand. Times are epoch seconds.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], _Sums] = {}
        self._media: dict[tuple[str, str], set[str]] = {}
        self._shifts: dict[str, _Shift] = {}

    def saw(self, completion: Completion, args: str, *, in_loop: bool, collected: int = 0) -> None:
        """
        Record an attempt, or a chunk of its stream, with the job in its wire form.
        """
        outcome, run, stage = completion.outcome, completion.run, completion.stage
        timed = outcome in _TIMED
        if not timed and outcome != "chunk":
            return
        shift = self._shifts.get(run)
        if shift is None:
            self._shifts[run] = _Shift(completion.started)
        else:
            shift.seen = True
        media = media_of(args)
        sums = self._sums.get((run, stage, media))
        if sums is None:
            key = (run, stage, self._known(run, stage, media))
            sums = self._sums.setdefault(key, _Sums(in_loop))
        if timed:
            seconds = max(completion.ended - completion.started, 0.0)
            sums.attempts += 1
            sums.seconds += seconds
            sums.squares += seconds * seconds
            sums.times[bucket(seconds)] += 1
            if outcome != "retried":
                sums.jobs += 1
                sums.members += collected or 1
        for successor in completion.successors:
            sums.successors[successor.stage] += 1

    def take(self, now: float, busy: Callable[[str], bool]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """
        Take what came since the last call: the sums, and the shifts.

        Args:
            busy: whether jobs of a run are in hand.
        """
        timings = [
            {
                "run": run,
                "stage": stage,
                "media": media,
                "in_loop": sums.in_loop,
                "attempts": sums.attempts,
                "jobs": sums.jobs,
                "members": sums.members,
                "seconds": sums.seconds,
                "squares": sums.squares,
                "times": sums.times,
                "successors": sums.successors,
            }
            for (run, stage, media), sums in self._sums.items()
        ]
        self._sums.clear()
        shifts: list[dict[str, Any]] = []
        for run, shift in list(self._shifts.items()):
            if shift.seen or busy(run):
                shifts.append({"run": run, "began": shift.since, "ended": now, "seconds": max(now - shift.since, 0.0)})
                shift.since, shift.seen = now, False
            else:
                del self._shifts[run]  # starts again with the next attempt
        return timings, shifts

    def forget(self, run: str) -> None:
        """
        Forget the media types of a run that has ended. Sums that are not taken yet stay.
        """
        for key in [key for key in self._media if key[0] == run]:
            del self._media[key]

    def _known(self, run: str, stage: str, media: str) -> str:
        known = self._media.setdefault((run, stage), set())
        if media not in known:
            if len(known) >= MOST_MEDIA:
                return ""
            known.add(media)
        return media
