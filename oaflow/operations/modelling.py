"""
Makes a model of a run's queues from how long its attempts have taken; `oaflow.forecast` simulates it. Pure.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oaflow.forecast import BUCKETS, Kind, Pool, Work
from oaflow.ledger.timings import Shift, Timing
from oaflow.plan import BoundPlan
from oaflow.plan.later import following
from oaflow.runtime.slots import SLOTS

# Of fewer jobs than this the media type is not asked: they are taken to be like all of their stage.
_ALIKE = 5

# Media types of which none is done are taken to be like the others, where they are at most this part of what waits.
_STRANGE = 0.2

# A service runs as many at once as it likes: what is known of it is its pace.
_ANY = 1_000_000

EXECUTORS, LOOP = "executors", "async slots"


@dataclass(frozen=True, slots=True)
class Capacity:
    """
    What there is to work with: `executors` in all, `workers` with async slots; of some stages workers of their own, as
    (workers, executors); and the limits that hold, as (concurrency, rate), by stage.
    """

    executors: int
    workers: int
    own: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    limits: Mapping[str, tuple[int | None, float | None]] = field(
        default_factory=dict[str, tuple[int | None, float | None]]
    )


def active(shifts: Iterable[Shift]) -> float:
    """
    For how many seconds somebody worked on a run: spans that overlap count once, and what in them was idle does not.
    """
    spans = sorted((shift.began.timestamp(), shift.ended.timestamp(), shift.seconds) for shift in shifts)
    total, length, worked = 0.0, 0.0, 0.0
    until = -math.inf
    for began, ended, seconds in spans:
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
        length, worked = length + ended - began, worked + seconds
    return total * min(worked / length, 1.0) if length > 0 else 0.0


def crew(shifts: Sequence[Shift]) -> tuple[int, int]:
    """
    How many workers there were at a time, and how many executors in all, on the mean.
    """
    span = active(shifts)
    if not span:
        return 1, 1
    workers = sum(shift.seconds for shift in shifts) / span
    executors = sum(shift.seconds * shift.executors for shift in shifts) / span
    return max(1, round(workers)), max(1, round(executors))


class Model:
    """
    The kinds of work of a run.

    Args:
        timings: of the run, or of earlier ones for stages that it has not come to.
        seconds: for how long somebody worked on it: the pace of services is by that.
    """

    def __init__(self, bound: BoundPlan, timings: Iterable[Timing], seconds: float) -> None:
        self._bound, self._seconds = bound, max(seconds, 1e-3)
        self._later = following(bound)
        self._by_stage: dict[str, list[Timing]] = {}
        for timing in timings:
            if timing.stage in bound.stages and timing.jobs:
                self._by_stage.setdefault(timing.stage, []).append(timing)
        self._kinds = [timing for each in self._by_stage.values() for timing in each]
        self._number = {(timing.stage, timing.media): number for number, timing in enumerate(self._kinds)}

    @property
    def stages(self) -> frozenset[str]:
        """
        Those of which it is known how long they take.
        """
        return frozenset(self._by_stage)

    @property
    def busy(self) -> float:
        """
        The seconds that all attempts took, but those of services.
        """
        return sum(timing.seconds for timing in self._kinds if not self._bound.stages[timing.stage].external)

    def each(self, stage: str) -> float:
        """
        The seconds that a job of a stage takes, on the mean.
        """
        return sum(timing.seconds for timing in self._by_stage[stage]) / self.jobs(stage)

    def unseen(self, stage: str, media: Mapping[str, int]) -> str | None:
        """
        The media type of which most wait and none is done, where that is much of all that waits.
        """
        known = {timing.media for timing in self._by_stage.get(stage, ())}
        strange = {name: number for name, number in media.items() if name not in known}
        if sum(strange.values()) <= _STRANGE * sum(media.values()):
            return None
        return max(strange, key=lambda name: (strange[name], name))

    def jobs(self, stage: str) -> int:
        """
        How many jobs of a stage have shown how long they take.
        """
        return sum(timing.jobs for timing in self._by_stage.get(stage, ()))

    def roots(self, arrived: Mapping[str, float]) -> dict[str, float]:
        """
        How many jobs came to each stage from no other: what a run was begun with.

        Args:
            arrived: all that came to each stage.
        """
        handed: Counter[str] = Counter()
        for timing in self._kinds:
            handed.update(timing.successors)
        return {
            stage: root
            for stage, jobs in arrived.items()
            if stage in self._by_stage and (root := jobs - handed[stage] / self._together(stage)) >= 1
        }

    def work(
        self,
        waiting: Mapping[str, float],
        capacity: Capacity,
        *,
        media: Mapping[str, Mapping[str, int]] | None = None,
        pause: float = 0.0,
        held: Mapping[str, float] | None = None,
        begun: bool = False,
    ) -> Work:
        """
        The model with jobs that wait.

        Args:
            waiting: how many, by stage.
            media: of which media types they are, by stage, as far as that is known: else as those before.
            pause: seconds that are lost with each job.
            held: for how many seconds more jobs of some stages hold their places of a limit.
            begun: whether as many of them as there is room for run already, those of the last stages first.
        """
        jobs: dict[int, float] = {}
        for stage, number in waiting.items():
            for kind, share in self._shares(stage, (media or {}).get(stage)).items():
                jobs[kind] = jobs.get(kind, 0.0) + number * share
        pools = self._pools(capacity)
        kinds = tuple(
            self._kind(timing, capacity, pause, (held or {}).get(timing.stage, 0.0)) for timing in self._kinds
        )
        running: dict[int, int] = {}
        free = {name: pool.places for name, pool in pools.items()}
        for kind in sorted(jobs, reverse=True) if begun else ():
            room = min([int(jobs[kind]), *(free[name] for name in kinds[kind].pools)])
            running[kind] = room
            for name in kinds[kind].pools:
                free[name] -= room
        return Work(kinds, jobs, pools, running)

    def _together(self, stage: str) -> float:
        """
        Of how many jobs that were handed over one of a stage is made.
        """
        jobs = self.jobs(stage)
        return sum(timing.members for timing in self._by_stage.get(stage, ())) / jobs if jobs else 1.0

    def _shares(self, stage: str, media: Mapping[str, int] | None) -> dict[int, float]:
        known = {timing.media: timing.jobs for timing in self._by_stage.get(stage, ())}
        like = {name: number for name, number in (media or {}).items() if name in known} or known
        total = sum(like.values())
        return {self._number[stage, name]: number / total for name, number in like.items()}

    def _kind(self, timing: Timing, capacity: Capacity, pause: float, held: float) -> Kind:
        stage = self._bound.stages[timing.stage]
        whole = self._by_stage[timing.stage]
        # A few of one media type say less than all of the stage.
        like = [timing] if timing.jobs >= _ALIKE else whole
        attempts, jobs = sum(one.attempts for one in like), sum(one.jobs for one in like)
        mean = sum(one.seconds for one in like) / jobs + pause
        each = sum(one.seconds for one in like) / attempts
        spread = math.sqrt(max(sum(one.squares for one in like) / attempts - each * each, 0.0))
        times = [sum(column) for column in zip(*(one.times for one in like), strict=True)]
        follows: dict[int, float] = {}
        for to in {stage for one in like for stage in one.successors}:
            ratio = sum(one.successors.get(to, 0) for one in like) / jobs
            if to not in self._by_stage:
                continue  # nobody knows yet how long that takes
            ratio /= self._together(to)
            # What comes back to where it is from is of another type: out of an archive comes a text.
            if (to, timing.media) in self._number and timing.stage not in self._later[to]:
                follows[self._number[to, timing.media]] = ratio
            else:
                for kind, share in self._shares(to, None).items():
                    follows[kind] = follows.get(kind, 0.0) + ratio * share
        if stage.external:
            mean, spread, times = 0.0, 0.0, [0] * BUCKETS
        return Kind(
            stage=timing.stage,
            mean=mean,
            spread=spread,
            times=tuple(times),
            seen=jobs,
            follows=follows,
            pools=self._pools_of(timing, capacity),
            priority=stage.priority,
            streams=stage.emit == "stream",
            held=held,
        )

    def _pools_of(self, timing: Timing, capacity: Capacity) -> tuple[str, ...]:
        if self._bound.stages[timing.stage].external:
            return (f"the service of {timing.stage}",)
        place = LOOP if timing.in_loop else EXECUTORS
        own = timing.stage in capacity.own
        first = f"the {place} of {timing.stage}" if own else place
        limited = timing.stage in capacity.limits
        return (first, f"the limit of {timing.stage}") if limited else (first,)

    def _pools(self, capacity: Capacity) -> dict[str, Pool]:
        pools = {EXECUTORS: Pool(capacity.executors), LOOP: Pool(capacity.workers * SLOTS)}
        for stage, (workers, executors) in capacity.own.items():
            pools[f"the {LOOP} of {stage}"] = Pool(workers * SLOTS)
            pools[f"the {EXECUTORS} of {stage}"] = Pool(executors)
        for stage, (most, rate) in capacity.limits.items():
            pools[f"the limit of {stage}"] = Pool(most or _ANY, rate)
        for stage in self._bound.external:
            if self.jobs(stage):
                pools[f"the service of {stage}"] = Pool(_ANY, self.jobs(stage) / self._seconds)
        return pools
