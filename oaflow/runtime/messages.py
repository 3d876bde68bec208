"""
The messages between the dispatcher, the pool and the executors. Data only, without behaviour.

The messages of each job are named tuples: a frozen dataclass of this size takes 3 µs to make, and a job needs four.
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
        attempt: the number seen at the claim; the fence of the hand-over.
        run: id of the run.
        stage: name in the plan of the run.
        args: `procrastinate_jobs.args` as JSON text.
        timeout: seconds, or None.
        memory: bytes of resident size, or None.
        chunks: (position, digest, size) of what earlier attempts at a stream handed over, ordered by position.
        first: how many of the jobs that the function returns are taken, before it is stopped; None: all.
        sample: whether its output is kept in the history.
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
    What one attempt, or one chunk of a stream, passes to `oaflow.complete_v1`.

    Attributes:
        started: epoch seconds; of an attempt, not of a chunk.
        ended: epoch seconds.
        detail: a JSON object with `documents`, `handed`, `lost`, `notes`, `unmatched`, `dropped`, `ended`, `too_deep`,
            `returned` (a sample of the output) and `error`, without the empty ones. A failure has `error` {type,
            message, traceback, fingerprint}.
        position: of this chunk of a stream: how many jobs were emitted before it; the last chunk has one, too.
        digest: of this chunk, as `COUNT:SHA256`; COUNT is how many jobs were emitted in it.
        version: of the code of the stage.
        final: whether no further attempt makes sense: the job was rejected, or a repetition would fail again.
        warning: a sentence for the author, shown once per stage and run.
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
    What a new process found out about a task.

    Attributes:
        ok: there is a decorated function of this name.
        is_async: a coroutine function or an async generator: runs in the worker's loop, not in an executor.
        version: version of the distribution or of the module, with a short hash of the module's source.
        takes: the annotation of its job, in the form of plans.
        needs: its required options.
        options: all options that it takes; None: any.
        ports: the ports that it declares; None: not known.
        error: one sentence if it is not ok.
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
        kind: `signal`: it crashed; `exit`: it called exit; `timeout`, `memory`: the pool killed it because of its job;
            `killed`: the pool killed it for another reason, given in `because`.
        signal: name of the signal, such as SIGSEGV.
        code: exit code.
        rss: resident bytes when it was killed for memory, including the programs that its job had started; otherwise
            its own peak, None if unknown.
        log_tail: the last lines that its job printed.
        dump: the stack when it crashed or its time was up, as a traceback.
    """

    kind: Literal["signal", "exit", "timeout", "memory", "killed"]
    signal: str | None = None
    code: int | None = None
    rss: int | None = None
    because: str | None = None
    log_tail: tuple[str, ...] = ()
    dump: str | None = None
