"""
The state of a run, as `run`, `status` and `resume` show it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import Connection

from oaflow.errors import UsageError
from oaflow.ledger.failures import Cluster, clusters, failures
from oaflow.ledger.receipts import DocumentLine, Receipt, documents, receipt
from oaflow.ledger.runs import (
    Run,
    StageProgress,
    Version,
    find_run,
    latest_run,
    recent_runs,
    run_progress,
    run_versions,
    stored_plan,
)
from oaflow.ledger.unmatched import Unmatched, unmatched
from oaflow.ledger.workers import Running, Worker, running, workers
from oaflow.operations.estimating import Estimate, estimate_of
from oaflow.operations.waits import Wait, presence_of, waits_of
from oaflow.plan import BoundPlan, Plan, bind
from oaflow.printed import runs as printed
from oaflow.spelling import did_you_mean

INDEX_TASK = "oaflow.stages.index"
CRAWL_TASK = "oaflow.stages.crawl"

# How many of the unreadable, and of the vanished documents, are listed.
_FIRST = 5

# The counts of a stage that no job has reached.
_NOTHING = StageProgress("", 0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """
    A run with the progress of its stages, in the order of its plan.
    """

    run: Run
    stages: Mapping[str, StageProgress]

    def total(self, counter: str) -> int:
        """
        A counter, summed over the stages.
        """
        return sum(getattr(stage, counter) for stage in self.stages.values())

    def head_json(self) -> printed.RunHead:
        """
        The public form of everything but the stages; `unchanged` and `gone` count files.
        """
        return {
            "run": self.run.id,
            "pipeline": self.run.pipeline,
            "plan": self.run.plan,
            "dataset": self.run.dataset,
            "rerun_of": self.run.rerun_of,
            "state": self.run.state,
            "seconds": round(self.run.seconds, 3),
            "unchanged": self.run.unchanged,
            "gone": self.run.gone,
        }

    def as_json(self) -> printed.Status:
        """
        The public form.
        """
        return {**self.head_json(), "stages": {name: counts_json(stage) for name, stage in self.stages.items()}}


def counts_json(stage: StageProgress) -> printed.Counts:
    """
    The public form of the counts of a stage.
    """
    return {
        "open": stage.open,
        "done": stage.done,
        "failed": stage.failed,
        "unmatched": stage.unmatched,
        "dropped": stage.dropped,
        "ended": stage.ended,
        "diverted": stage.diverted,
        "vanished": stage.vanished,
    }


@dataclass(frozen=True, slots=True)
class Details:
    """
    What `status` shows besides the counts. `waits` is what the run waits for, `unmatched` what no edge took; `estimate`
    is how long it will still take, None if it is not progressing. `old_code` lists the workers with old code of its
    stages.
    """

    status: RunStatus
    running: list[Running]
    waits: list[Wait]
    mixed: dict[str, list[Version]]
    unmatched: list[Unmatched]
    estimate: Estimate | None = None
    old_code: list[Worker] = field(default_factory=list[Worker])

    def as_json(self) -> printed.Details:
        """
        The public form.
        """
        return {
            **self.status.as_json(),
            "waits": [wait.as_json() for wait in self.waits],
            "unmatched": [
                {"stage": one.stage, "port": one.port, "reason": one.reason, "count": one.count}
                for one in self.unmatched
            ],
            "estimate": None if self.estimate is None else self.estimate.as_json(),
            "old_code": [
                {
                    "worker": one.id,
                    "host": one.host,
                    "pid": one.pid,
                    "text": f"{one.name} {one.old_code}",
                    "help": one.restart,
                }
                for one in self.old_code
            ],
        }


@dataclass(frozen=True, slots=True)
class Account:
    """
    The summary at the end of a run.

    Attributes:
        clusters: its failures, by cause.
        unreadable: the first few documents that could not be read.
        vanished: the first few documents whose jobs were deleted.
        unmatched: what no edge took.
        report: the file that the stage `report` wrote on this machine; None if there is none.
        crawls: whether the run has a stage that crawls.
    """

    receipt: Receipt
    clusters: list[Cluster]
    unreadable: list[DocumentLine]
    vanished: list[DocumentLine]
    unmatched: list[Unmatched]
    report: Path | None = None
    crawls: bool = False


class NoSuchRunError(UsageError):
    """
    There is no run with this id, or no run at all.
    """

    def __init__(self, run: str | None, recent: Iterable[str] = ()) -> None:
        self.run, self.recent = run, tuple(recent)
        if run is None:
            super().__init__("there is no run yet", help="oaflow run PIPELINE -d DATASET")
        else:
            super().__init__(
                f"there is no run {run!r}",
                help=f"the latest are: {', '.join(self.recent)}" if self.recent else "oaflow run PIPELINE -d DATASET",
            )


class NoSuchStageError(UsageError):
    """
    A run has no stage of that name.
    """

    def __init__(self, run: str, stage: str, stages: Iterable[str]) -> None:
        self.run, self.stage, self.stages = run, stage, tuple(stages)
        super().__init__(
            f"run {run!r} has no stage {stage!r}",
            help=did_you_mean(stage, self.stages) or f"it has: {', '.join(self.stages)}",
        )


def wanted_run(connection: Connection[Any], run: str | None) -> Run:
    """
    The run with an id, or the latest.

    Raises:
        NoSuchRunError: there is no such run, or no run at all.
    """
    found = latest_run(connection) if run is None else find_run(connection, run)
    if found is None:
        raise NoSuchRunError(run, [recent.id for recent in recent_runs(connection, limit=3)] if run else ())
    return found


def run_with(connection: Connection[Any], run: str | None, stage: str | None) -> Run:
    """
    The same, and check that the run has the named stage.

    Raises:
        UsageError: there is no such run or stage.
    """
    found = wanted_run(connection, run)
    if stage is not None:  # otherwise its plan is not read
        check_stage(found, bound_plan(connection, found), stage)
    return found


def check_stage(run: Run, bound: BoundPlan, stage: str | None) -> None:
    """
    Raises:
        NoSuchStageError: a stage is named that the run does not have.
    """
    if stage is not None and stage not in bound.stages:
        raise NoSuchStageError(run.id, stage, in_order(bound))


def check_cause(connection: Connection[Any], run: Run, cause: str) -> None:
    """
    Raises:
        UsageError: the run has no failure with this cause that was not retried since.
    """
    if failures(connection, run.id, cause=cause, limit=1):
        return
    known = {cluster.fingerprint for cluster in clusters(connection, run.id)}
    raise UsageError(
        f"nothing failed for cause {cause!r} in run {run.id!r}",
        help=did_you_mean(cause, known) or f"oaflow failures {run.id}   # shows the causes",
    )


def plan_of(connection: Connection[Any], run: Run) -> Plan:
    """
    The plan that a run was started with.
    """
    stored = stored_plan(connection, run.plan)
    if stored is None:
        raise UsageError(f"the plan of run {run.id!r} is gone", help="oaflow doctor")
    return Plan.read(stored.definition)


def bound_plan(connection: Connection[Any], run: Run) -> BoundPlan:
    """
    The plan that a run routes by.
    """
    return bind(plan_of(connection, run), run.params, places=run.places)


def folders_of(run: Run) -> tuple[Path, ...]:
    """
    The folders with the modules of a run's stages, as far as they exist on this machine.
    """
    return tuple(folder for folder in map(Path, run.folders) if folder.is_dir())


def folders_from_here(run: Run) -> tuple[Path, ...]:
    """
    The same, and after them the current folder.
    """
    return tuple(dict.fromkeys([*folders_of(run), Path.cwd()]))


def index_stages(bound: BoundPlan) -> tuple[str, ...]:
    """
    The stages after which a document counts as indexed.
    """
    return tuple(name for name, stage in bound.stages.items() if stage.task == INDEX_TASK)


def in_order(bound: BoundPlan) -> tuple[str, ...]:
    """
    The stages from the entries on, each after those that lead to it, as far as there is such an order.

    The stored plan does not keep the order of the file: its form is canonical.
    """
    ahead: dict[str, list[str]] = {
        name: [
            to
            for to in (*(edge.to for edge in stage.edges if edge.recurse is None), stage.on_error)
            if to is not None and to in bound.stages
        ]
        for name, stage in bound.stages.items()
    }
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        # Depth first, in post-order; reversed, that is a topological order of a graph without cycles.
        if name in seen:
            return
        seen.add(name)
        for to in reversed(ahead[name]):
            visit(to)
        order.append(name)

    # No edge leads to a join: it comes after all other stages.
    for name in reversed([*bound.start, *sorted(bound.stages, key=lambda name: bool(bound.stages[name].join))]):
        if name in bound.stages:
            visit(name)
    return tuple(reversed(order))


def status_of(connection: Connection[Any], run: Run, order: Iterable[str]) -> RunStatus:
    """
    The state of a run.

    Args:
        order: the stages of its plan, in display order; other stages with work come last.
    """
    counted = {stage.stage: stage for stage in run_progress(connection, run.id)}
    names = dict.fromkeys([*order, *counted])
    return RunStatus(run, {name: counted.get(name, _NOTHING) for name in names})


def details_of(connection: Connection[Any], run: Run, silent: float, *, private: bool) -> Details:
    """
    The state of a run, what it is busy with, and what it waits for.

    Args:
        silent: seconds after which a worker is dead.
        private: whether this is the private server, where each run starts its own workers.
    """
    bound = bound_plan(connection, run)
    status = status_of(connection, run, in_order(bound))
    met: dict[str, list[Version]] = {}
    for version in run_versions(connection, run.id):
        met.setdefault(version.stage, []).append(version)
    crew = workers(connection, silent) if run.open else []
    presence = presence_of(connection, run, crew, private=private)
    return Details(
        status=status,
        running=running(connection, run.id) if run.open else [],
        waits=list(waits_of(connection, run, bound, status.stages, crew, silent, presence=presence)),
        mixed={stage: versions for stage, versions in met.items() if len(versions) > 1},
        unmatched=unmatched(connection, run.id) if status.total("unmatched") else [],
        estimate=None if presence == "gone" else estimate_of(connection, run, bound, status.stages, crew),
        old_code=on_old_code(crew, run, bound) if run.open else [],
    )


def on_old_code(crew: Sequence[Worker], run: Run, bound: BoundPlan) -> list[Worker]:
    """
    The workers that have old code of stages of a run.
    """
    tasks = {stage.task for stage in bound.stages.values()}
    return [one for one in crew if one.run in (None, run.id) and tasks & one.stale.keys()]


def account_of(connection: Connection[Any], run: str, bound: BoundPlan, report: Path) -> Account:
    """
    What became of the documents of a run.

    Args:
        report: the file that the stage `report` writes on this machine.
    """
    stages = index_stages(bound)
    counted = receipt(connection, run, stages)
    # Each list reads the whole history of the run, like the counts.
    return Account(
        counted,
        clusters(connection, run),
        documents(connection, run, stages, line="unreadable", limit=_FIRST) if counted.unreadable else [],
        documents(connection, run, stages, line="vanished", limit=_FIRST) if counted.counts["vanished"] else [],
        unmatched(connection, run),
        report if report.exists() else None,
        any(stage.task == CRAWL_TASK for stage in bound.stages.values()),
    )
