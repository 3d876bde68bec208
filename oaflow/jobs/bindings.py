"""
What a running job has access to, behind protocols: the entity store, the archive of files, the queue.

A worker binds these for each job. Outside of a job they are built from the settings when they are first used, by the
function that `register_binder` has named.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, Self, cast

from oaflow.jobs.errors import NothingBoundError

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

    from oaflow.jobs.models import Job

# The fragment of what is written without a source document.
DEFAULT_FRAGMENT = "default"


@dataclass(frozen=True, slots=True)
class Note:
    """
    What a stage says about a document, for the receipt of its run. `parent` is the document that it came out of, `why`
    the reason for which it is processed again.
    """

    kind: Literal["found", "skipped", "unreadable"]
    document: str
    name: str
    reason: str | None = None
    parent: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    A file or folder of a source, as a crawl sees it. `path` is absolute; a folder has no content hash, and no size.
    """

    document: str
    path: bytes
    name: str
    content_hash: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Whether a file is unchanged since a run last processed it.

    Attributes:
        why: if it is not, why it is processed again; None if no run has seen it before.
        begun: it is processed again from later stages on, and its jobs are already there.
    """

    unchanged: bool = False
    why: str | None = None
    begun: bool = False


class EntityWriter(Protocol):
    """
    Collects entities of one dataset and writes them in batches. What is still unwritten is written at the end of the
    block.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None: ...

    def add(self, entity: Any) -> None:
        """
        Write an entity under the writer's origin and fragment. If the same entity is added again, the two are merged.
        """
        ...

    def put(self, entity: Any, fragment: str | None = None, origin: str | None = None) -> None:
        """
        Write an entity under another fragment or origin than the writer's.

        Args:
            fragment: None: the fragment of the writer.
            origin: None: the origin of the writer.
        """
        ...

    def flush(self) -> None:
        """
        Write what was collected. Raises if it cannot be written.
        """
        ...

    def settle(self, *, alone: bool = ...) -> None:
        """
        Flush, then delete what earlier attempts and runs wrote under the writer's origin and fragment and this attempt
        did not. A writer that does not replace only flushes.

        Args:
            alone: whether nobody else writes under this origin and fragment.
        """
        ...


class Entities(Protocol):
    """
    The entity store.
    """

    def writer(self, dataset: str, origin: str, fragment: str = ..., replace: bool = ...) -> EntityWriter:
        """
        A writer for a dataset. With `replace`, what it writes replaces all that was written under this origin and
        fragment before.
        """
        ...

    def spoke(self, dataset: str, origin: str, run: str) -> bool:
        """
        Whether the dataset had fragments of this origin when this was first asked in a run.
        """
        ...

    def load(self, dataset: str, ids: Iterable[str]) -> "Iterator[EntityProxy]":
        """
        The merged entities with these ids, in the order of the ids. Ids that are not in the store are left out.
        """
        ...

    def index(self, dataset: str, entities: "Iterable[EntityProxy]", documents: Iterable[str] = ()) -> None:
        """
        Index entities for the search. Each replaces what was indexed of it before. What is indexed of `documents` and
        is no longer in the store is removed from the index.
        """
        ...

    def schemata(self, dataset: str) -> dict[str, int]:
        """
        How many indexed entities there are of each schema, the most frequent first.
        """
        ...

    def languages(self, dataset: str) -> dict[str, int]:
        """
        In how many entities each language was detected, the most frequent first.
        """
        ...


class Files(Protocol):
    """
    The archive of files, by content hash (SHA-1).
    """

    def open(self, content_hash: str, *, temp: Path | None = None) -> AbstractContextManager[BinaryIO]:
        """
        The bytes of a file.
        """
        ...

    def localpath(
        self, content_hash: str, *, name: str | None = None, temp: Path | None = None
    ) -> AbstractContextManager[Path]:
        """
        A copy of a file, which is deleted after the block.
        """
        ...

    def archive(self, path: Path) -> str:
        """
        Copy a file into the archive, and return its content hash.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """
    How many documents of a run came to one line of its account (None: to none yet) for one reason. `names` are some of
    them, none where the documents are readable and indexed.
    """

    line: str | None
    unreadable: bool
    reason: str | None
    count: int
    names: list[str]


class Past(Protocol):
    """
    What earlier runs of a pipeline have done with the files of a dataset, as its crawl asks for it.
    """

    def judge(self, seen: Sequence[Sighting]) -> list[Verdict]:
        """
        Which files are to be sent on. Such as run again from later stages on are begun there; safe to repeat.
        """
        ...

    def keep(self, seen: Sequence[Sighting], verdicts: Sequence[Verdict]) -> None:
        """
        Write down what was seen. Before any of it is sent on; safe to repeat.
        """
        ...

    def see(self, documents: Sequence[str]) -> None:
        """
        Write down that files are there, and could not be read.
        """
        ...

    def end(self, covered: Sequence[bytes], shut: Sequence[bytes]) -> None:
        """
        Write down that these sources were gone through to their end, and what could not be looked into.
        """
        ...


class Runs(Protocol):
    """
    What is known of runs.
    """

    def past(self, run: str) -> AbstractContextManager[Past | None]:
        """
        What was known before a run of the files that its crawl sees; None: there is no such run.
        """
        ...

    def account(self, run: str) -> list[Tally]:
        """
        What became of the documents of a run, the most frequent first.
        """
        ...


class Queue(Protocol):
    """
    Where a deferred job goes.
    """

    def defer(self, job: "Job", *, priority: int | None = None) -> None:
        """
        Queue a job for its own queue and task.
        """
        ...


@dataclass(slots=True)
class Bindings:
    """
    What one job, or the program outside of any job, can reach.

    Attributes:
        origin: signs what is written to the entity store.
        runs: for a stage that looks back on its own run.
        temp: the job's own folder for temporary files, or None for the system's.
        notes: what the job said about documents, in order.
        document: the id of the job's one source document, or None where there is not exactly one. What is written
            then stands for all that this origin says about it, and replaces what was said before.
        fresh_in: the run in which nobody has begun this job before, or None where somebody may have.
        lasting: whether these serve the whole program. Then every writer is made anew and notes are not kept.
    """

    entities: Entities
    files: Files
    queue: Queue
    origin: str = "oaflow"
    runs: Runs | None = None
    temp: Path | None = None
    notes: list[Note] = field(default_factory=list)
    document: str | None = None
    fresh_in: str | None = None
    lasting: bool = False
    writers: dict[tuple[str, str], EntityWriter] = field(default_factory=dict)

    def writer(self, dataset: str, origin: str | None = None) -> EntityWriter:
        """
        The writer of a dataset under an origin: within a job always the same one, so that it knows all that the
        attempt has written.
        """
        key = (dataset, origin or self.origin)
        if self.lasting:
            return self.entities.writer(*key, DEFAULT_FRAGMENT, False)
        if (writer := self.writers.get(key)) is None:
            replace = self.document is not None
            writer = self.entities.writer(*key, self.document or DEFAULT_FRAGMENT, replace)
            self.writers[key] = writer
        return writer

    def note(self, note: Note) -> None:
        """
        Keep a note for the receipt of the run.
        """
        if self.lasting:
            return
        if note.parent is None and self.document not in (None, note.document):
            note = replace(note, parent=self.document)
        self.notes.append(note)


_bound: ContextVar[Bindings | None] = ContextVar("oaflow_bindings", default=None)

_binder = "oaflow.operations.binding:from_settings"
_program: Bindings | None = None
_lock = Lock()


class _Block:
    """
    As a class: a generator costs three times as much, and there is one for each job.
    """

    __slots__ = ("_bindings", "_token")

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings

    def __enter__(self) -> Bindings:
        self._token: Token[Bindings | None] = _bound.set(self._bindings)
        return self._bindings

    def __exit__(self, *_: object) -> None:
        _bound.reset(self._token)


def bind(bindings: Bindings) -> AbstractContextManager[Bindings]:
    """
    Make these what jobs reach within the block, in this thread and this asyncio task.
    """
    return _Block(bindings)


def bound() -> Bindings | None:
    """
    What was bound here, without asking the binder.
    """
    return _bound.get()


def register_binder(name: str) -> None:
    """
    Say who builds the bindings outside of a job: `module:function`, called without arguments on first use.

    A name, and not the function, because it lives above this module and loads much that most programs never need.
    """
    global _binder, _program
    with _lock:
        _binder, _program = name, None


def current(what: str = "entity store") -> Bindings:
    """
    What is bound here, else what the binder builds once for the program.

    Args:
        what: what the caller wants, for the message.
    """
    bindings = _bound.get()
    return bindings if bindings is not None else _for_program(what)


def _for_program(what: str) -> Bindings:
    global _program
    with _lock:
        if (program := _program) is None:
            module, _, function = _binder.partition(":")
            try:
                build = getattr(import_module(module), function)
            except (ImportError, AttributeError) as error:
                raise NothingBoundError(what) from error
            _program = program = cast(Bindings, build())
        return program


def settle(job: "Job") -> None:
    """
    Finish what the running job has written: the last flush before its hand-over.

    Where the job has one source document, all that it wrote for it stands, and what earlier attempts and runs wrote
    under the same origin and fragment is deleted, also where this attempt wrote nothing.
    """
    bindings = current()
    dataset = getattr(job, "dataset", None)
    if dataset is not None and bindings.document is not None and not _never_said(bindings, dataset):
        bindings.writer(dataset)
    for writer in bindings.writers.values():
        writer.settle(alone=bindings.fresh_in is not None)


def _never_said(bindings: Bindings, dataset: str) -> bool:
    """
    Whether there can be nothing to delete: nobody has begun this job before, and its origin had said nothing about
    the dataset when this process first met it in the run. Saves stages that write nothing a statement a job.
    """
    run, key = bindings.fresh_in, (dataset, bindings.origin)
    return run is not None and key not in bindings.writers and not bindings.entities.spoke(*key, run)
