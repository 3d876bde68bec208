"""
Which runs there are to work on, by which plans, and which of their tasks this worker can run.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from oaflow.ledger import handover as ledger
from oaflow.ledger import lanes
from oaflow.ledger.wire import Wire
from oaflow.plan import ANSWERS, FORMAT, BoundStage, Plan, bind
from oaflow.runtime.held import Passage
from oaflow.runtime.lanes import Way
from oaflow.runtime.messages import Probe
from oaflow.runtime.troubles import storable

log = logging.getLogger(__name__)

NOT_PROBED = Probe(ok=False)

# Seconds until a task of a run that could not be loaded is tried again: its author may have mended it. Twice as many
# after each time, up to the most: an import may take seconds of CPU.
_AGAIN, _MOST = 5.0, 60.0


class Passages:
    """
    The runs that a worker knows.

    Args:
        wire: to the database.
        probe: finds out what a fresh process thinks of tasks.
        know, forget: told of each bound plan, and of runs that are over.
        only: the run to work on, or None for all.
        samples: of each stage of a run, how many jobs have what they return kept.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        probe: Callable[[Iterable[str]], Awaitable[dict[str, Probe]]],
        know: Callable[[str, bytes], None],
        forget: Callable[[str], None],
        only: str | None = None,
        samples: int = 0,
    ) -> None:
        self._wire, self._probe, self._tell, self._forget = wire, probe, know, forget
        self.only, self._samples = only, samples
        self._plans: dict[str, Plan] = {}
        self._known: dict[str, Passage] = {}
        self._probes: dict[str, Probe] = {}
        self._wanted: set[str] = set()  # tasks of the runs that go on
        # When a task is tried again, and after how long the next time.
        self._tries: dict[str, tuple[float, float]] = {}
        self._asked: set[str] = set()  # tasks that somebody wants to know of, whether a run has them or not
        self._unreadable: set[str] = set()
        self.unfit: dict[str, dict[str, str]] = {}  # by run and task, why a function that can run does not suit the run
        self._triples: dict[bool, list[tuple[str, str, str]]] = {True: [], False: []}
        self._claimed: frozenset[tuple[str, str, str]] = frozenset()
        self.ways: list[Way] = []

    def get(self, run: str) -> Passage | None:
        """
        A run that is known, without asking.
        """
        return self._known.get(run)

    @property
    def known(self) -> list[Passage]:
        """
        All runs that are known.
        """
        return list(self._known.values())

    def busy(self, run: str) -> bool:
        """
        Whether jobs of a run are in hand.
        """
        passage = self._known.get(run)
        return passage is not None and passage.held > 0

    @property
    def any_cancelled(self) -> bool:
        """
        Whether there is a run among them whose results are dropped.
        """
        return any(passage.cancelled for passage in self._known.values())

    def probe_of(self, task: str) -> Probe:
        """
        What is known of a task here.
        """
        return self._probes.get(task, NOT_PROBED)

    @property
    def probes(self) -> Mapping[str, Probe]:
        """
        What is known here of each task.
        """
        return self._probes

    @property
    def lacks(self) -> dict[str, str]:
        """
        The tasks that it cannot run, each with the reason.
        """
        return {task: storable(probe.error or "") for task, probe in self._probes.items() if not probe.ok}

    @property
    def takes(self) -> dict[str, str | None]:
        """
        What the functions of the tasks that this worker can run take, as plans have it.
        """
        return {task: probe.takes for task, probe in self._probes.items() if probe.ok}

    @property
    def async_tasks(self) -> list[str]:
        """
        Those of them that run in the worker's own loop.
        """
        return sorted(task for task, probe in self._probes.items() if probe.ok and probe.is_async)

    def ask(self, task: str) -> None:
        """
        Somebody wants to know whether this worker can run a task: that is found out at the next `refresh`.
        """
        if self.only is None:  # what works on one run can run nothing of another
            self._asked.add(task)

    async def find(self, run: str) -> Passage | None:
        """
        A run by its id; None where the database does not have it, or its plan is of a format that is not known here.
        """
        if run not in self._known:
            found = await self._wire.send("run", ledger.read_run, run)
            if found is None or found.format != FORMAT:
                return None
            return self._read(found)
        return self._known[run]

    async def refresh(self) -> tuple[bool, bool]:
        """
        Learn of runs that began or ended, and so of what there is to claim.

        Returns:
            Whether there is something else to claim now, and whether there is news of what this worker can run.
        """
        before_asking = self.known
        found = await self._wire.send("runs", ledger.open_runs)
        opened = {run.id for run in found}
        for passage in before_asking:
            if passage.id not in opened:
                passage.state = "cancelled"  # nobody heard of it; with a job in hand here it has not come to its end
        limits = {(limit.queue, limit.task): limit for limit in await self._wire.send("limits", lanes.limited)}
        read = [self._read(run) for run in found if run.format == FORMAT and self.only in (None, run.id)]
        runs = [run for run in read if run is not None]
        self._drop_all_but({run.id for run in runs})
        triples = {
            (*stage.lane, run.id)
            for run in runs
            if run.state == "running"
            for stage in run.plan.stages.values()
            if not stage.external
        }
        triples |= {(*ANSWERS, run.id) for run in runs if run.state == "running" and run.plan.external}
        self._wanted = {task for _, task, _ in triples}
        fresh = sorted((self._wanted | self._asked) - self._probes.keys())
        self._asked.clear()
        if fresh:
            self._take_in(await self._probe(fresh))
        news = bool(fresh) | self._compare(runs)
        # Where one run locks a task, jobs of others may have the same locks.
        locks = {stage.lane for run in runs for stage in run.plan.stages.values() if stage.lock}
        before = self._triples, self.ways
        self._triples = {True: [], False: []}
        runs_of: dict[tuple[str, str], list[str]] = {}
        for queue, task, run in sorted(triples):
            probe = self.probe_of(task)
            if task in self.unfit.get(run, ()):
                continue
            if probe.ok and ((queue, task) in limits or (queue, task) in locks):
                runs_of.setdefault((queue, task), []).append(run)
            elif probe.ok:
                self._triples[probe.is_async].append((queue, task, run))
        self.ways = [
            Way(
                queue,
                task,
                at_once=(queue, task) in limits and limits[queue, task].at_once,
                in_loop=self.probe_of(task).is_async,
                runs=tuple(runs),
                locks=(queue, task) in locks,
                rated=(queue, task) in limits and limits[queue, task].rated,
            )
            for (queue, task), runs in runs_of.items()
        ]
        self._claimed = frozenset([*self._triples[True], *self._triples[False]])
        return before != (self._triples, self.ways), news

    async def try_again(self, now: float) -> bool:
        """
        Try the tasks of runs again that could not be loaded, if it is time for that.

        Args:
            now: seconds of a clock.

        Returns:
            whether something else is known of one of them.
        """
        lacking = [task for task in sorted(self._wanted & self._probes.keys()) if not self._probes[task].ok]
        self._tries = {task: self._tries.get(task, (now + _AGAIN, _AGAIN)) for task in lacking}
        due = [task for task in lacking if self._tries[task][0] <= now]
        if not due:
            return False
        before = {task: self._probes[task] for task in due}
        self._take_in(await self._probe(due))
        for task in due:
            longer = min(2 * self._tries[task][1], _MOST)
            self._tries[task] = (now + longer, longer)
        return before != {task: self._probes[task] for task in due}

    def triples(self, *, in_loop: bool) -> list[tuple[str, str, str]]:
        """
        What to claim, by queue, task and run: of async stages, or of those that run in executors. What has a limit or
        locks is not in it (`ways`).
        """
        return self._triples[in_loop]

    def works_on(self, queue: str, task: str, run: str) -> bool:
        """
        Whether this worker claims jobs of a queue, a task and a run, and neither limit nor locks hold for them.
        """
        return (queue, task, run) in self._claimed

    def _compare(self, runs: Iterable[Passage]) -> bool:
        """
        Find the stages of runs whose functions have other options or ports here than the plan was made for: their jobs
        are left to workers with the code that it was made for. Whether that is news.
        """
        unfit: dict[str, dict[str, str]] = {}
        for run in runs:
            for stage in run.plan.stages.values():
                probe = self.probe_of(stage.task)
                if probe.ok and not stage.external and (why := _misfit(probe, stage)):
                    unfit.setdefault(run.id, {})[stage.task] = why
        for run, tasks in unfit.items():
            for task in tasks.keys() - self.unfit.get(run, {}).keys():
                log.error("task %s of run %s cannot run here: %s", task, run, tasks[task])
        before, self.unfit = self.unfit, unfit
        return before != unfit

    def _take_in(self, probes: Mapping[str, Probe]) -> None:
        for task, probe in probes.items():
            if not probe.ok and probe.error != self.probe_of(task).error:
                log.error("task %s cannot run here: %s", task, probe.error)
        self._probes |= probes

    def _read(self, found: ledger.OpenRun) -> Passage | None:
        """
        A run of the database; None where its plan or its params cannot be read: that must not stop the others.
        """
        try:
            return self._know(found)
        except Exception as problem:
            if found.id not in self._unreadable:
                self._unreadable.add(found.id)
                log.error("run %s cannot be read: %s", found.id, problem)
            return None

    def _know(self, found: ledger.OpenRun) -> Passage:
        if found.id not in self._known:
            if found.plan not in self._plans:
                self._plans[found.plan] = Plan.model_validate(found.definition)
            bound = bind(self._plans[found.plan], found.params, places=found.places)
            self._known[found.id] = Passage(
                found.id, bound, found.dataset, found.state, found.first, samples=self._samples
            )
            self._tell(found.id, bound.to_json())
        passage = self._known[found.id]
        passage.state, passage.stops = found.state, found.stops
        return passage

    def _drop_all_but(self, opened: set[str]) -> None:
        for passage in list(self._known.values()):
            if passage.id not in opened and not passage.held:
                del self._known[passage.id]
                self._forget(passage.id)
        used = {passage.plan.digest for passage in self._known.values()}
        self._plans = {digest: plan for digest, plan in self._plans.items() if digest in used}


def _misfit(probe: Probe, stage: BoundStage) -> str | None:
    """
    Why a function cannot be given the options of a plan, or would emit where the plan leads nowhere.
    """
    options = stage.options
    if missing := sorted(set(probe.needs) - options.keys()):
        return f"its function needs the option {missing[0]!r}, which the plan of the run does not have"
    if probe.options is not None and (unknown := sorted(options.keys() - set(probe.options))):
        return f"its function has no option {unknown[0]!r}, which the plan of the run has"
    # A plan wires or drops each port that there was when it was made, or none at all: then all of them are ends.
    if not stage.end and (new := sorted(set(probe.ports or ()) - set(stage.ports))):
        return f"its function emits on port {new[0]!r}, which the plan of the run does not have"
    return None
