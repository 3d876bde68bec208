"""
How long jobs of a stage take, and so how many to take at once. Pure.
"""

AHEAD_SECONDS = 0.1
FAST = 0.010
MOST_AHEAD = 40
WEIGHT = 0.1


class Pace:
    """
    Running means of service times in seconds: by stage, and of all async and of all other stages.
    """

    def __init__(self) -> None:
        self._by_stage: dict[tuple[str, str], float] = {}
        self._means = {True: 0.05, False: 0.05}

    def saw(self, run: str, stage: str, seconds: float, *, in_loop: bool) -> None:
        """
        Take in how long one attempt took.
        """
        key = (run, stage)
        mean = self._by_stage.get(key)
        self._by_stage[key] = seconds if mean is None else mean + WEIGHT * (seconds - mean)
        self._means[in_loop] += WEIGHT * (seconds - self._means[in_loop])

    def within(self, seconds: float, slots: int, *, in_loop: bool) -> int:
        """
        How many jobs so many slots do in so many seconds.
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

    def forget(self, run: str) -> None:
        """
        Drop what is known of a run that has ended.
        """
        for key in [key for key in self._by_stage if key[0] == run]:
            del self._by_stage[key]
