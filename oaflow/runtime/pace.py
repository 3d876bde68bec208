"""
Learns how long jobs of a stage take, which determines how many to claim at once. Pure.
"""

from collections.abc import Iterable

AHEAD_SECONDS = 0.1
FAST = 0.010
MOST_AHEAD = 40
WEIGHT = 0.1


class Pace:
    """
    Running means of service times in seconds: by stage, for all async stages, and for all others.
    """

    def __init__(self) -> None:
        self._by_stage: dict[tuple[str, str], float] = {}
        self._means = {True: 0.05, False: 0.05}

    def saw(self, run: str, stage: str, seconds: float, *, in_loop: bool) -> None:
        """
        Record how long one attempt took.
        """
        key = (run, stage)
        mean = self._by_stage.get(key)
        self._by_stage[key] = seconds if mean is None else mean + WEIGHT * (seconds - mean)
        self._means[in_loop] += WEIGHT * (seconds - self._means[in_loop])

    def within(self, seconds: float, slots: int, *, in_loop: bool) -> int:
        """
        How many jobs a number of slots can do in a number of seconds.
        """
        return int(slots * seconds / max(self._means[in_loop], 1e-5))

    def ahead(self, run: str, stage: str) -> int:
        """
        How many jobs of a stage one executor may have in hand. Slow and unknown ones go one at a time, so that nothing
        waits behind them.
        """
        mean = self._by_stage.get((run, stage))
        if mean is None or mean >= FAST:
            return 1
        return min(MOST_AHEAD, max(2, int(AHEAD_SECONDS / max(mean, 1e-6))))

    def is_enough(self, jobs: Iterable[tuple[str, str]]) -> bool:
        """
        Whether an executor with jobs of these runs and stages gets no more for now: one of them is slow or unknown, or
        they are at least half of what it may have. Topped up after each job, it would get one at a time, and each would
        cost a message and a scan of all waiting jobs.
        """
        seconds = 0.0
        for run, stage in jobs:
            if self.ahead(run, stage) == 1:
                return True
            seconds += self._by_stage[run, stage]
        return seconds >= AHEAD_SECONDS / 2

    def forget(self, run: str) -> None:
        """
        Forget a run that has ended.
        """
        for key in [key for key in self._by_stage if key[0] == run]:
            del self._by_stage[key]
