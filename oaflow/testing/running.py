"""
`run`: jobs pass through a pipeline in memory, with its stage functions, and no database.

The plan is compiled as for a run, and each attempt is the one of a worker: the same code reads the job, calls the
function, routes what it returns, and decides over what went wrong.
"""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import orjson

from oaflow.compiler import check_declared, check_file
from oaflow.compiler.child import inspect_here
from oaflow.compiler.functions import import_folders
from oaflow.diagnostics import errors
from oaflow.dsl import Pipeline
from oaflow.dsl.plain import plain
from oaflow.errors import JobError, UsageError
from oaflow.files import Archive, ArchiveOptions
from oaflow.jobs import AnyJob, Bindings, DatasetJob, InvalidJobError, Job, bind, pack, read_as, read_job
from oaflow.jobs.bindings import Note, Tally
from oaflow.ledger.rows import Completion
from oaflow.operations.programs import PipelineMistakesError, Program, Source, locate, with_absolute_defaults
from oaflow.operations.routing import example_job
from oaflow.operations.states import index_stages
from oaflow.plan import BoundPlan, BoundStage, check_params
from oaflow.plan import bind as bind_plan
from oaflow.plan.plans import origin_of_input
from oaflow.rendering import render
from oaflow.runtime.completions import handed, trouble_of, troubled
from oaflow.runtime.execution import execute, execute_async
from oaflow.runtime.functions import Function, Loaded, load, loaded
from oaflow.runtime.held import Held, Passage
from oaflow.runtime.locking import LockError
from oaflow.runtime.logged import Logged, as_text, shown
from oaflow.runtime.messages import Handover
from oaflow.runtime.policy import Trouble
from oaflow.runtime.router import Route, Routed, dataset_of, enter, entities_of
from oaflow.runtime.troubles import describe
from oaflow.settings import Settings
from oaflow.spelling import did_you_mean
from oaflow.testing.bookkeeping import Bookkeeper
from oaflow.testing.memory import Memory
from oaflow.testing.results import COUNTERS, Attempted, Failed, Lost, Ran, Sent
from oaflow.testing.shelf import Shelf


def run(
    pipeline: Pipeline | str | os.PathLike[str],
    jobs: Iterable[Any] | None = None,
    params: Mapping[str, object] | None = None,
    *,
    at: str | None = None,
    dataset: str = "example",
    instead: Mapping[str, Function] | None = None,
    home: Path | None = None,
) -> Ran:
    """
    Pass jobs through a pipeline, in memory, until nothing is left to do.

    Stage functions run in this process. So `memory` does not hold, nor does `timeout` of a function that is not async,
    and a crash ends the test. Retries are made at once, without waiting. What functions log goes to Python's logging,
    from `info` on if it comes from the package of a stage; if logging is not set up, it is printed to stderr.

    Args:
        pipeline: a `Pipeline`, a file, a name, or `module:name`.
        jobs: the first jobs. Each is a job, a mapping with `entities`, `context` and `payload` as under `job` in the
            tests of a pipeline, a list of entities, or one entity. None: one job without entities, with which a run
            without input begins.
        params: the values of the run's params, by name.
        at: the stage that the first jobs go to; None: the entries of the pipeline.
        dataset: name of the dataset of the run.
        instead: functions that are called in place of those of some stages, by the name of the stage: for stages that
            run in another service, or call one. An external stage needs one.
        home: the value of `OAFLOW_HOME` during the run; None: a temporary folder.

    Returns:
        What became of the jobs.

    Raises:
        UsageError: the pipeline has mistakes (a note lists them), or cannot be run with these params or jobs.
    """
    with ExitStack() as stack:
        home = home or Path(stack.enter_context(TemporaryDirectory(prefix="oaflow-test-")))
        stack.enter_context(_environment(OAFLOW_HOME=str(home)))
        program = stack.enter_context(_compiled(pipeline))
        passage = _passage(program, {**(params or {})}, dataset)
        machine = _Machine(passage, _functions(passage.plan, instead or {}), Settings())
        machine.enter(passage.plan.start if at is None else (at,), jobs)
        if not _in_a_loop():
            return machine.run()
        # The loop that runs is the test's; that of the functions cannot run within it.
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(machine.run).result()


class _Machine:
    """
    A worker of one run: it attempts job after job, and keeps what can be seen of it.
    """

    def __init__(self, passage: Passage, functions: Mapping[str, Loaded], settings: Settings) -> None:
        self._passage, self._plan, self._settings = passage, passage.plan, settings
        self._functions = functions
        self._memory = Memory(passage, {name: self._first(name).to_json() for name in self._plan.joins})
        self._shelf = Shelf()
        self._files = Archive(ArchiveOptions(path=settings.home / "archive"))
        self._deferred = _Deferred()
        self._loop = asyncio.Runner()
        self._jobs: dict[int, AnyJob] = {}
        self._sent: list[Sent] = []
        self._attempts: list[Attempted] = []
        self._failures: list[Failed] = []
        self._losses: list[Lost] = []
        self._notes: list[Note] = []
        self._books = Bookkeeper(index_stages(self._plan))
        self._warnings: dict[str, str] = {}
        self._routed = Routed()

    def enter(self, stages: Iterable[str], jobs: Any) -> None:
        """
        Take the first jobs. Their entities are in the store before, so that the first stage can load them as any other.
        """
        # A text, an entity and a job are iterable too, over their letters, keys and fields.
        if jobs is not None and (not isinstance(jobs, Iterable) or isinstance(jobs, str | bytes | Mapping | Job)):
            raise UsageError("`jobs` is no list of jobs", help="run(..., jobs=[...])")
        given = [{}] if jobs is None else list(jobs)
        reached = replace(self._bindings(origin_of_input(self._plan.pipeline), None), lasting=True)
        for name in stages:
            stage = self._stage(name)
            for number, one in enumerate(given, 1):
                job = one if isinstance(one, Job) else example_job(one, stage, self._passage.dataset)
                if (found := dataset_of(job)) not in (None, self._passage.dataset):
                    raise UsageError(
                        f"a job of dataset {found!r} was given, and the run is about {self._passage.dataset!r}",
                        help=f"run(..., dataset={found!r})",
                    )
                try:
                    with bind(reached), reached.writer(self._passage.dataset) as writer:
                        for entity in entities_of(job):
                            writer.add(entity)
                        job = pack(job, self._settings.job_bytes)
                    self._memory.enter(enter(self._plan, name, job, run=self._passage.id))
                except JobError as error:
                    raise UsageError(f"job {number} of those given cannot be sent: {error}", help=error.help) from error

    def run(self) -> Ran:
        """
        Attempt job after job, until there are none.
        """
        tasks = {stage.task for stage in self._plan.stages.values() if not stage.external}
        with self._loop, TemporaryDirectory(prefix="oaflow-job-") as temp, shown(tasks, _print):
            for held in self._memory.jobs():
                self._attempt(held, Path(temp))
        dataset, counts = self._passage.dataset, self._memory.counts
        ids = dict.fromkeys(id for id, _, _ in self._shelf.rows.get(dataset, ()))
        return Ran(
            run=self._passage.id,
            dataset=dataset,
            stages={name: {key: counts[name][key] for key in COUNTERS} for name in counts},
            sent=tuple(self._sent),
            attempts=tuple(self._attempts),
            failures=tuple(self._failures),
            losses=tuple(self._losses),
            entities={entity.id: entity for entity in self._shelf.load(dataset, ids) if entity.id},
            findable=self._shelf.findable(dataset),
            notes=tuple(self._notes),
            receipt=self._books.receipt(self._passage.id),
            documents=self._books.documents,
            deferred=tuple(self._deferred.jobs),
            warnings=tuple(self._warnings.values()),
            disabled=self._plan.disabled,
        )

    def _attempt(self, held: Held, temp: Path) -> None:
        stage, loaded = held.stage, self._functions[held.stage.name]
        try:
            held.missing_lock()
        except LockError as error:
            self._troubled(held, Trouble("error", describe(error, stage.name, None), final=True), None)
            return
        keys: dict[str, Any] = {"job_bytes": self._settings.job_bytes, "routed": self._told}
        given = (held.assignment(self._memory.chunks(held)), self._plan, loaded)
        folder = Path(mkdtemp(dir=temp))

        def bindings(_dataset: str | None) -> Bindings:
            return self._bindings(stage.origin, folder)

        async def hand(part: Handover) -> None:
            self._take(held, part)

        if loaded.is_async:
            self._take(held, self._loop.run(execute_async(*given, bindings, hand=hand, **keys)))
            return
        for part in execute(*given, bindings, **keys):
            self._take(held, part)

    def _told(self, routed: Routed) -> None:
        self._routed = routed

    def _take(self, held: Held, handover: Handover) -> None:
        if handover.warning:
            self._warnings.setdefault(held.stage.name, handover.warning)
        held.streamed |= handover.outcome == "chunk"
        if handover.outcome != "failed":
            self._keep(held, handed(held, handover), handover)
            return
        trouble, detail = trouble_of(handover)
        if trouble.error.get("type") == "KeyboardInterrupt":
            raise KeyboardInterrupt
        # Where a disk is full a worker waits, and asks again until there is room. Here that would have no end.
        self._troubled(held, replace(trouble, kind="error"), handover, detail)

    def _troubled(
        self, held: Held, trouble: Trouble, handover: Handover | None, detail: Mapping[str, Any] | None = None
    ) -> None:
        now = time.time()
        completion = troubled(
            held,
            trouble,
            started=now,
            now=now,
            version="",
            most_crashes=self._settings.crashes,
            detail=detail,
            emitted=handover.successors if handover else (),
        )
        self._keep(held, completion, handover)

    def _keep(self, held: Held, completion: Completion, handover: Handover | None) -> None:
        """
        Do what was decided, and note it.
        """
        stage, outcome, detail = held.stage.name, completion.outcome, orjson.loads(completion.detail)
        job, error = self._job(held), detail.get("error", {})
        emitted = handover.successors if handover else ()
        ports = [route.port or "default" for route in self._routed.routes[: len(emitted)]]
        for number, successor in enumerate(completion.successors):
            port = ports[number] if number < len(ports) else "on_error"
            self._sent.append(Sent(stage, port, successor.stage, _unmarked(read_job(orjson.loads(successor.args)))))
        attempts = held.row.attempts + 1
        if outcome == "failed":
            self._failures.append(
                Failed(
                    stage,
                    error.get("type", ""),
                    error.get("message", ""),
                    attempts,
                    job,
                    tuple(detail.get("documents", ())),
                    error.get("help"),
                    error.get("traceback"),
                )
            )
        for kind, port, reason, documents, size in detail.get("lost", ()):
            self._losses.append(Lost(stage, kind, port, reason, tuple(documents), size))
            if kind == "too_deep":
                self._failures.append(Failed(stage, "TooDeep", reason, attempts, None, tuple(documents)))
        self._notes += [Note(**note) for note in detail.get("notes", ())]
        self._books.take(held.row.id, stage, outcome, detail, self._memory.parents(held))
        if outcome != "chunk":
            said = f"{error.get('type')}: {error.get('message')}" if error else None
            self._attempts.append(Attempted(stage, job, outcome, said))
        self._memory.take(held, completion)

    def _job(self, held: Held) -> AnyJob:
        if (known := self._jobs.get(held.row.id)) is None:
            args, models = orjson.loads(held.row.args), self._functions[held.stage.name].models
            try:
                known = read_as(args, models)
            except InvalidJobError:  # what the function's annotation does not take is the failure to be told
                known = read_job(args)
            known = self._jobs[held.row.id] = _unmarked(known)
        return known

    def _first(self, name: str) -> Route:
        stage, passage = self._plan.stages[name], self._passage
        job = DatasetJob(dataset=passage.dataset, queue=stage.queue, task=stage.task, batch=passage.id)
        (route,) = enter(self._plan, name, job, run=passage.id)
        return route

    def _stage(self, name: str) -> BoundStage:
        if name in self._plan.disabled:
            raise UsageError(f"stage {name!r} is off: {self._plan.disabled[name]}")
        if name not in self._plan.stages:
            raise UsageError(f"no stage is named {name!r}", help=did_you_mean(name, self._plan.stages))
        if self._plan.stages[name].join:
            raise UsageError(f"no run starts at {name!r}: it is a join, which starts by itself")
        return self._plan.stages[name]

    def _bindings(self, origin: str, temp: Path | None) -> Bindings:
        return Bindings(self._shelf, self._files, self._deferred, origin, _Runs(self._books), temp)


def _print(logged: Logged) -> None:
    print(as_text(logged), file=sys.stderr)


class _Runs:
    """
    Stands for what is known of runs: there is this one.
    """

    def __init__(self, books: Bookkeeper) -> None:
        self._books = books

    def past(self, run: str) -> AbstractContextManager[None]:
        """
        Nothing was before it.
        """
        return nullcontext()

    def account(self, run: str) -> list[Tally]:
        """
        What became of its documents so far.
        """
        return self._books.tallies()


class _Deferred:
    """
    Stands for the queue: jobs that functions defer by themselves are kept, and go nowhere.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def defer(self, job: Job, *, priority: int | None = None) -> None:
        """
        Keep a job.
        """
        self.jobs.append(job)


def _unmarked(job: AnyJob) -> AnyJob:
    """
    A job without what oaflow wrote about it.
    """
    context = {key: value for key, value in job.context.items() if key != "oaflow"}
    payload: Any = job.payload
    if not isinstance(payload, dict) or "oaflow" not in job.context:
        return job
    return job.model_copy(update={"payload": {**payload, "context": context}})


# --- what is run ---


@contextmanager
def _compiled(pipeline: Pipeline | str | os.PathLike[str]) -> Generator[Program]:
    """
    The pipeline, checked, and its modules where workers would find them.
    """
    source = None if isinstance(pipeline, Pipeline) else locate(os.fspath(pipeline))
    folders = import_folders(source.file if source else None)
    before = list(sys.path)
    sys.path += [str(folder) for folder in folders if str(folder) not in sys.path]
    try:
        yield _program(pipeline, source)
    finally:
        sys.path[:] = before


def _program(pipeline: Pipeline | str | os.PathLike[str], source: Source | None) -> Program:
    if source is not None and source.file is not None:
        checked = check_file(source.file, inspect=inspect_here)
        spans = partial(getattr, checked, "spans")
    else:
        if source is not None:
            pipeline = getattr(import_module(source.module or ""), source.name or "")
        if not isinstance(pipeline, Pipeline):
            raise UsageError(f"{pipeline!r} is of type {type(pipeline).__name__}, and no pipeline")
        source = source or Source(str(pipeline.data.get("pipeline")))
        spans = partial(getattr, pipeline, "spans")
        checked = check_declared(pipeline.data, spans, inspect_here)
    if errors(checked.diagnostics):
        problem = PipelineMistakesError(source.typed, checked.diagnostics)
        problem.add_note(render(errors(checked.diagnostics), "text"))
        raise problem
    return Program(source, checked.plan, checked.diagnostics, checked.pipeline, spans)


def _passage(program: Program, params: Mapping[str, object], dataset: str) -> Passage:
    plan = program.checked()
    given = plain(params, "params")
    values = check_params(with_absolute_defaults(plan, program.source), given, env=os.environ)
    run = f"{plan.pipeline}-{uuid.uuid4().hex[:6]}"
    return Passage(run, bind_plan(plan, values, places=program.places()), dataset, "running")


def _functions(plan: BoundPlan, instead: Mapping[str, Function]) -> dict[str, Loaded]:
    """
    What is called for each stage.
    """
    for name in instead:
        if name not in plan.stages and name not in plan.disabled:
            raise UsageError(f"no stage is named {name!r}", help=did_you_mean(name, plan.stages))
        if not callable(instead[name]):
            raise UsageError(
                f"what is to stand in for stage {name!r} is no function",
                help=f"run(..., instead={{{name!r}: a_function}})",
            )
    found: dict[str, Loaded] = {}
    for name, stage in plan.stages.items():
        if name in instead:
            found[name] = loaded(stage.task, instead[name], "")
        elif stage.external:
            raise UsageError(
                f"stage {name!r} lives in another service, and nothing stands in for it",
                help=f"run(..., instead={{{name!r}: a_function}})",
            )
        else:
            found[name] = load(stage.task)
    return found


@contextmanager
def _environment(**values: str) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
