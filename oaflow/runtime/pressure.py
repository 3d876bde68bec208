"""
Decides which streams must rest because too many jobs are open in the stages that follow (backpressure). Nothing here
waits.

A stream rests as a whole: all jobs of its stage in a run, and no more of these begin. What was handed over since the
last look is added to what was counted then, so the database is asked only if it may be too much.
"""

from collections.abc import Mapping

from oaflow.plan import BoundPlan

Stream = tuple[str, str]  # run and stage
Triple = tuple[str, str, str]  # queue, task and run


class Pressure:
    """
    What one worker knows of it.

    Args:
        deep: jobs open in what follows a stream, above which it rests; it goes on when half as many are open.
    """

    def __init__(self, deep: int) -> None:
        self._deep = deep
        self._open: dict[Stream, int] = {}
        self._resting: set[Stream] = set()

    @property
    def resting(self) -> frozenset[Stream]:
        """
        The streams that rest.
        """
        return frozenset(self._resting)

    def rests(self, run: str, stage: str) -> bool:
        """
        Whether a stream rests, as of the last look.
        """
        return (run, stage) in self._resting

    def handed(self, plan: BoundPlan, run: str, stage: str, jobs: int) -> bool:
        """
        A stream has handed over so many jobs; answers whether to look how much is open now, before it goes on.
        """
        if stage not in plan.rests:
            return False
        key = run, stage
        self._open[key] = self._open.get(key, 0) + jobs
        return key in self._resting or self._open[key] > self.most(plan, stage)

    def saw(self, plan: BoundPlan, run: str, opened: Mapping[str, int]) -> None:
        """
        Take in how much is open in the stages of a run.
        """
        for stage, after in plan.rests.items():
            key, most = (run, stage), self.most(plan, stage)
            self._open[key] = sum(opened.get(other, 0) for other in after)
            if self._open[key] > most:
                self._resting.add(key)
            elif self._open[key] <= most // 2:
                self._resting.discard(key)

    def closed(self, plans: Mapping[str, BoundPlan]) -> set[Triple]:
        """
        Of which queue, task and run no more is to be begun.
        """
        streams = [(plans[run].stages[stage], run) for run, stage in self._resting if run in plans]
        return {(stage.queue, stage.task, run) for stage, run in streams}

    def forget(self, run: str) -> None:
        """
        Drop what is known of a run that has ended.
        """
        self._open = {key: opened for key, opened in self._open.items() if key[0] != run}
        self._resting = {key for key in self._resting if key[0] != run}

    def most(self, plan: BoundPlan, stage: str) -> int:
        """
        Above how many jobs open in what follows it a stream rests.
        """
        # What waits to be put together waits for more: that is not to be kept from it.
        gathered = sum(collect.size for other in plan.rests[stage] if (collect := plan.stages[other].collect))
        return self._deep + gathered
