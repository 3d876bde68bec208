"""
What passes between the dispatcher, the pool and the executors. Data only: nothing here does anything.

What there is of for each job is a named tuple: a frozen dataclass of this size takes 3 µs to make, four of them a job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from oaflow.ledger.rows import Successor

Outcome = Literal["done", "failed", "chunk"]


class Assignment(NamedTuple):
    """
    One attempt at one job.

    Attributes:
        job: id in procrastinate_jobs.
        attempt: the number seen at fetch; the fence of the hand-over.
        run: id of the run.
        stage: name in the plan of the run.
        args: `procrastinate_jobs.args` as JSON text.
        timeout: seconds, or None.
        memory: bytes of resident size, or None.
        chunks: (position, digest, size) of what earlier attempts of a stream handed over, in the order of position.
        first: only so many jobs of what the function returns are taken, and it is not asked for more; None: all.
        sample: whether what it returns is kept in the history.
    """

    job: int
    attempt: int
    run: str
    stage: str
    args: bytes
    timeout: float | None = None
    memory: int | None = None
    chunks: tuple[tuple[int, str, int], ...] = ()
    first: int | None = None
    sample: bool = False


class Handover(NamedTuple):
    """
    What one attempt, or one part of a stream, gives to `oaflow.complete_v1`.

    Attributes:
        started: epoch seconds; of an attempt, not of a chunk.
        ended: epoch seconds.
        detail: a JSON object with `documents`, `handed`, `lost`, `notes`, `unmatched`, `dropped`, `ended`, `too_deep`,
            `returned` (a sample of what was), `error`, empty parts left out. A failure has `error` {type, message,
            traceback, fingerprint}.
        position: of this part of a stream, counted in jobs emitted before it; the last part has one too.
        digest: of this part, as `COUNT:SHA256`; COUNT is how many jobs were emitted in it.
        version: of the code of the stage.
        final: no further attempt: rejected, or a mistake that a repetition repeats.
        warning: a sentence for the author, to be shown once per stage and run.
    """

    job: int
    outcome: Outcome
    started: float
    ended: float
    detail: bytes
    successors: tuple[Successor, ...] = ()
    position: int | None = None
    digest: str | None = None
    version: str = ""
    final: bool = False
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """
    What a fresh process found out about a task.

    Attributes:
        ok: there is a decorated function of this name.
        is_async: a coroutine function or an async generator: runs in the worker's loop, not in an executor.
        version: version of the distribution or of the module, with a short hash of the module's source.
        takes: what its job is annotated with, as a plan has it.
        needs: the options that it must be given.
        options: all options that it takes; None: any.
        ports: those that it says it emits on; None: it is not known.
        error: one sentence where it is not ok.
        files: by path, the files that the version was read from, as `versions.Seen` has them.
        early: it needs nothing of what its module loads late.
    """

    ok: bool
    is_async: bool = False
    version: str = ""
    takes: str | None = None
    needs: Sequence[str] = ()
    options: Sequence[str] | None = None
    ports: Sequence[str] | None = None
    error: str | None = None
    files: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    early: bool = False


@dataclass(frozen=True, slots=True)
class Death:
    """
    How an executor ended.

    Attributes:
        kind: `signal` it crashed; `exit` it called exit; `timeout`, `memory` the pool killed it for its job;
            `killed` the pool killed it for another reason, given in `because`.
        signal: name of the signal, as SIGSEGV.
        code: exit code.
        rss: resident bytes when it was killed for memory, with those of the programs that its job had started; else
            the most that it ever had itself, None where nobody knows.
        log_tail: the last lines that its job printed.
        dump: where it was when it crashed, or its time was up, as a traceback.
    """

    kind: Literal["signal", "exit", "timeout", "memory", "killed"]
    signal: str | None = None
    code: int | None = None
    rss: int | None = None
    because: str | None = None
    log_tail: tuple[str, ...] = ()
    dump: str | None = None
