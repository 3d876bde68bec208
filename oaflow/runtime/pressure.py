"""
Decides which streams must rest because too many jobs are open in the stages after them (backpressure). Nothing here
waits.

A stream rests as a whole: all jobs of its stage in a run pause, and no more of them start. What was handed over since
the last count is added to it, so the database is asked only if the limit may be exceeded.
"""

from collections.abc import Mapping

from oaflow.plan import BoundPlan

Stream = tuple[str, str]  # run and stage
Triple = tuple[str, str, str]  # queue, task and run


class Pressure:
    """
    What one worker knows about it.

    Args:
        deep: how many jobs may be open in the stages after a stream before it rests; it continues at half as many.
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
        Whether a stream rests, as of the last count.
        """
        return (run, stage) in self._resting

    def handed(self, plan: BoundPlan, run: str, stage: str, jobs: int) -> bool:
        """
        A stream has handed over a number of jobs; returns whether to count the open jobs before it continues.
        """
        if stage not in plan.rests:
            return False
        key = run, stage
        self._open[key] = self._open.get(key, 0) + jobs
        return key in self._resting or self._open[key] > self.most(plan, stage)

    def saw(self, plan: BoundPlan, run: str, opened: Mapping[str, int]) -> None:
        """
        Take the counts of open jobs in the stages of a run.
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
        The queues, tasks and runs of which no more jobs should start.
        """
        streams = [(plans[run].stages[stage], run) for run, stage in self._resting if run in plans]
        return {(stage.queue, stage.task, run) for stage, run in streams}

    def forget(self, run: str) -> None:
        """
        Forget a run that has ended.
        """
        self._open = {key: opened for key, opened in self._open.items() if key[0] != run}
        self._resting = {key for key in self._resting if key[0] != run}

    def most(self, plan: BoundPlan, stage: str) -> int:
        """
        How many jobs may be open after a stream before it rests.
        """
        # Jobs that wait to be collected wait for more jobs, so the stream must not be held back.
        gathered = sum(collect.size for other in plan.rests[stage] if (collect := plan.stages[other].collect))
        return self._deep + gathered
