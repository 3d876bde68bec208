"""
`oaflow retry JOB --here`: runs one failed job in this process. Nothing is handed over, and nothing is written.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Never

import orjson
from psycopg import Connection

from oaflow.entities.rehearsal import Change, RehearsedStore
from oaflow.errors import UsageError
from oaflow.files import Archive, ArchiveOptions, MissingBlobError
from oaflow.jobs import Bindings, DatasetJob, Job, bind, read_job
from oaflow.ledger.failures import FailedJob, failed_job
from oaflow.ledger.runs import Run
from oaflow.operations.afresh import once_more
from oaflow.operations.binding import Accounts, archive_of, store_of
from oaflow.operations.databases import connection, database
from oaflow.operations.states import bound_plan, folders_from_here, wanted_run
from oaflow.plan import BoundPlan
from oaflow.runtime.execution import execute, execute_async
from oaflow.runtime.functions import load
from oaflow.runtime.logged import Logged, shown
from oaflow.runtime.messages import Assignment, Handover
from oaflow.settings import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    What is about to run.

    Attributes:
        files: the files of its entities by name, each a copy that may be changed: its path, or None if the archive does
            not have it.
        crashed: whether it failed because its process died, as this one may now.
    """

    run: str
    stage: str
    task: str
    job: int
    before: str
    files: Mapping[str, Path | None]
    crashed: bool


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """
    The result.

    Attributes:
        error: what went wrong now: type, message, traceback; None if the job succeeded.
        handed: how many jobs would have gone to each stage.
        lost: why some output would have gone nowhere.
        changes: what would have been written.
        indexed: how many entities would have been made searchable.
        deferred: how many jobs of other queues it would have queued itself.
    """

    seconds: float
    error: Mapping[str, Any] | None
    handed: Mapping[str, int] = field(default_factory=dict[str, int])
    lost: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    indexed: int = 0
    deferred: int = 0


class _Runs(Accounts):
    """
    What is known about runs, but nothing from before this one: a crawl would otherwise record what it sees.
    """

    def past(self, run: str) -> nullcontext[None]:
        return nullcontext()


_REMOVE = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


def rehearse(
    settings: Settings,
    job: int,
    *,
    prepared: Callable[[Prepared], None],
    raised: Callable[[BaseException], None],
    logged: Callable[[Logged], None],
) -> Rehearsed:
    """
    Run a failed job.

    Args:
        prepared: called with what will run, before it does.
        raised: called with the error of the stage function, while the job's files and bindings still exist.
        logged: called with what it logs, if its module has not set up logging.

    Raises:
        UsageError: it is not among the failures, was never a job, or belongs to a service.
        TaskError: the function cannot be found.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(database(settings))
        with opened.connect() as made:
            failed, args = _wanted(made, job)
            run = wanted_run(made, failed.run)
            bound = bound_plan(made, run)
        if bound.stages[failed.stage].external:
            problem = f"stage {failed.stage!r} lives in another service, whose code is not run here"
            raise UsageError(problem, help=_asks_its_service(run, failed.stage))
        folder = stack.enter_context(_folder())
        stack.enter_context(_importing(folders_from_here(run)))
        real = stack.enter_context(store_of(settings, lambda: opened.address.uri))
        store = RehearsedStore(real)
        files = _Files(archive_of(settings), folder / "archive")
        queue = _Queue()
        here = Bindings(
            entities=store,
            files=files,
            queue=queue,
            runs=_Runs(lambda: opened.address.uri, real),
            origin=bound.stages[failed.stage].origin,
            temp=folder,
        )
        copies = _copies(files, args, folder, stack)
        crashed = failed.type == "Crash"
        prepared(Prepared(run.id, failed.stage, failed.task, job, _said(failed), copies, crashed))

        ended: list[float] = []

        def told(error: BaseException) -> None:
            if isinstance(error, KeyboardInterrupt):
                raise error
            ended.append(time.monotonic())  # time in a debugger does not count for the job
            with bind(here):
                raised(error)

        assignment = Assignment(job, 0, run.id, failed.stage, orjson.dumps(args))
        began = time.monotonic()
        parts = _run(assignment, bound, here, settings.job_bytes, told, logged)
        return _result(parts, (ended or [time.monotonic()])[0] - began, store, queue)


def refuse_number(settings: Settings, job: int) -> Never:
    """
    Explain what to type for one job, where a run was expected.

    Raises:
        UsageError: always.
    """
    with connection(settings) as made:
        failed, _ = _wanted(made, job)
        run = wanted_run(made, failed.run)
        external = bound_plan(made, run).stages[failed.stage].external
    raise UsageError(
        f"'{job}' is the id of a job, but retry takes the id of a run",
        help=_asks_its_service(run, failed.stage)
        if external
        else f"oaflow retry {job} --here   # runs it in the foreground",
    )


def _asks_its_service(run: Run, stage: str) -> str:
    if run.state == "cancelled":
        return once_more(run)
    return f"oaflow retry {run.id} --stage {stage}   # asks the service again"


@contextmanager
def _folder() -> Generator[Path]:
    """
    A temporary folder. A job whose process died may kill this one, too: so another process removes the folder, as soon
    as its stdin ends because all writers have ended.
    """
    with TemporaryDirectory(prefix="oaflow-here-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-ISc", _REMOVE, folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
            yield Path(folder)


def _wanted(connection: Connection[Any], job: int) -> tuple[FailedJob, Mapping[str, Any]]:
    failed = failed_job(connection, job)
    if failed is None:
        raise UsageError(f"job {job} is not among the failures", help="oaflow failures --json   # shows the job ids")
    if failed.args is None:
        raise UsageError(f"failure {job} was never a job: {failed.message}")
    return failed, failed.args


def _said(failed: FailedJob) -> str:
    return ": ".join(filter(None, [failed.type, failed.message]))


def _run(
    assignment: Assignment,
    bound: BoundPlan,
    here: Bindings,
    job_bytes: int,
    told: Callable[[BaseException], None],
    logged: Callable[[Logged], None],
) -> list[Handover]:
    task = bound.stages[assignment.stage].task
    loaded = load(task)
    if not loaded.is_async:
        with shown([task], logged):
            return list(execute(assignment, bound, loaded, lambda _: here, job_bytes=job_bytes, raised=told))
    parts: list[Handover] = []

    async def keep(part: Handover) -> None:
        parts.append(part)

    async def whole() -> None:
        last = await execute_async(
            assignment, bound, loaded, lambda _: here, hand=keep, job_bytes=job_bytes, raised=told
        )
        parts.append(last)

    with shown([task], logged):
        asyncio.run(whole())
    return parts


def _result(parts: list[Handover], seconds: float, store: RehearsedStore, queue: "_Queue") -> Rehearsed:
    handed: dict[str, int] = {}
    lost: dict[str, None] = {}
    for part in parts:
        detail = orjson.loads(part.detail)
        for stage, _ in detail.get("handed", ()):
            handed[stage] = handed.get(stage, 0) + 1
        lost |= {f"{kind}: {reason}": None for kind, _, reason, *_ in detail.get("lost", ())}
    return Rehearsed(
        seconds=seconds,
        error=orjson.loads(parts[-1].detail).get("error"),
        handed=handed,
        lost=tuple(lost),
        changes=tuple(store.changes()),
        indexed=store.indexed,
        deferred=queue.jobs,
    )


def _copies(files: "_Files", args: Mapping[str, Any], folder: Path, stack: ExitStack) -> dict[str, Path | None]:
    """
    A copy of each file of the job, until the end.
    """
    job = read_job(args)
    copies: dict[str, Path | None] = {}
    for entity in job.entities if isinstance(job, DatasetJob) else ():
        said = entity.get("properties") or {}
        for digest in said.get("contentHash", ()):
            name = next(iter(said.get("fileName", ())), None)
            try:
                copies[name or digest] = stack.enter_context(files.localpath(digest, name=name, temp=folder))
            except MissingBlobError:
                copies[name or digest] = None
    return copies


class _Files:
    """
    The archive, except that files added here are removed at the end.
    """

    def __init__(self, archive: Archive, own: Path) -> None:
        self._archive = archive
        self._own = Archive(ArchiveOptions(path=own))
        self._kept: set[str] = set()

    @contextmanager
    def open(self, content_hash: str, *, temp: Path | None = None) -> Generator[BinaryIO]:
        with self._of(content_hash).open(content_hash, temp=temp) as handle:
            yield handle

    @contextmanager
    def localpath(self, content_hash: str, *, name: str | None = None, temp: Path | None = None) -> Generator[Path]:
        with self._of(content_hash).localpath(content_hash, name=name, temp=temp) as path:
            yield path

    def archive(self, path: Path) -> str:
        content_hash = self._own.archive(path)
        self._kept.add(content_hash)
        return content_hash

    def _of(self, content_hash: str) -> Archive:
        return self._own if content_hash in self._kept else self._archive


class _Queue:
    """
    Counts what is deferred.
    """

    def __init__(self) -> None:
        self.jobs = 0

    def defer(self, job: Job, *, priority: int | None = None) -> None:
        self.jobs += 1


@contextmanager
def _importing(folders: tuple[Path, ...]) -> Generator[None]:
    """
    Search modules where the workers of the run search them.
    """
    before = list(sys.path)
    sys.path += [str(folder) for folder in folders if str(folder) not in sys.path]
    try:
        yield
    finally:
        sys.path[:] = before
