"""
The result of a run in memory, in the words of `oaflow test`, `status` and `failures`. Data only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oaflow.jobs import AnyJob, DatasetJob, Job
from oaflow.jobs.bindings import Note
from oaflow.ledger.receipts import DocumentLine, Receipt
from oaflow.runtime.router import LossKind

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

# What is counted of a stage, as `oaflow status --json` does.
COUNTERS = ("done", "failed", "unmatched", "dropped", "ended", "diverted")


@dataclass(frozen=True, slots=True)
class Sent:
    """
    A job that went along an edge, as it was sent, before `collect` put it together with others. `port` is `on_error` if
    it went to the `on_error` stage.
    """

    stage: str
    port: str
    to: str
    job: AnyJob


@dataclass(frozen=True, slots=True)
class Attempted:
    """
    One attempt at a job.

    Attributes:
        job: the job as the function got it.
        outcome: `done`, `retried`, `failed`, `diverted`, or `parted` if a job that `collect` had put together was taken
            apart again.
        error: what the function raised, as `TYPE: MESSAGE`; None if nothing.
    """

    stage: str
    job: AnyJob
    outcome: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """
    A job that failed for good, as `oaflow failures` would show it: its attempts are used up, or it would have gone
    along a `recurse` edge too often (then `job` is None, as it was never made).
    """

    stage: str
    type: str
    message: str
    attempts: int
    job: AnyJob | None = field(repr=False)
    documents: tuple[str, ...] = ()
    help: str | None = None
    traceback: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """
    What went nowhere of one returned job, and why. `size` is the number of its entities if it is unmatched and has
    some, else 1.
    """

    stage: str
    kind: LossKind
    port: str
    reason: str
    documents: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Ran:
    """
    A run in memory that has ended.

    Attributes:
        stages: the counts of each stage, by the names in `COUNTERS`.
        sent: each job that went along an edge, in order.
        attempts: each attempt, in order.
        failures: each job that failed for good, in order.
        losses: what went nowhere, in order.
        entities: the entities in the store, by id; each is merged from all its fragments.
        findable: ids of the indexed entities, in order.
        notes: what the functions said about documents, for the receipt.
        receipt: the documents by line of the account, as `oaflow receipt` counts them.
        documents: each document with its line and the reason, in the order in which they were found.
        deferred: jobs that functions queued with `job.defer()`. They did not run.
        warnings: for the author of the pipeline, each once per stage.
        disabled: the stages that were off, with the reason.
    """

    run: str
    dataset: str
    stages: Mapping[str, Mapping[str, int]]
    sent: tuple[Sent, ...]
    attempts: tuple[Attempted, ...]
    failures: tuple[Failed, ...]
    losses: tuple[Lost, ...]
    entities: "Mapping[str, EntityProxy]"
    findable: tuple[str, ...]
    notes: tuple[Note, ...]
    receipt: Receipt
    documents: tuple[DocumentLine, ...]
    deferred: tuple[Job, ...]
    warnings: tuple[str, ...]
    disabled: Mapping[str, str]

    @property
    def taken(self) -> frozenset[tuple[str, str, str]]:
        """
        The edges that jobs went along: stage, port, and the stage that the edge leads to.
        """
        return frozenset((sent.stage, sent.port, sent.to) for sent in self.sent)

    def found(self, at: str, port: str = "default") -> dict[str, int]:
        """
        How many entities went from a port of the stage `at` to which stage; a job without entities counts as one.
        `expect` in the tests of a pipeline says the same.
        """
        counts: dict[str, int] = {}
        for sent in self.sent:
            if (sent.stage, sent.port) == (at, port):
                counts[sent.to] = counts.get(sent.to, 0) + size_of(sent.job)
        return counts

    def received(self, stage: str) -> list[AnyJob]:
        """
        The jobs that the function of a stage was called with, each once, in order; put together or split as the stage
        says.
        """
        # A job that is repeated is the same object in each of its attempts.
        return list({id(one.job): one.job for one in self.attempts if one.stage == stage}.values())

    def __str__(self) -> str:
        lines = [f"run {self.run} of dataset {self.dataset}"]
        for name, counts in self.stages.items():
            lines.append(f"  {name}: {_told(counts)}")
            ports = dict.fromkeys(sent.port for sent in self.sent if sent.stage == name)
            lines += [f"    {port}: {_told(self.found(name, port), 'to ')}" for port in ports]
        lines += [f"  {name}: off, as {reason}" for name, reason in self.disabled.items()]
        lines += [f"  failed at {one.stage}: {one.type}: {one.message}" for one in self.failures]
        lines += [f"  {one.kind} at {one.stage}: {one.reason}" for one in self.losses if one.kind == "unmatched"]
        return "\n".join(lines)


def size_of(job: AnyJob) -> int:
    """
    What a job counts for: its entities, or one where it has none.
    """
    return len(job.entities) or 1 if isinstance(job, DatasetJob) else 1


def _told(counts: Mapping[str, int], before: str = "") -> str:
    parts: Sequence[str] = [f"{number} {before}{name}" for name, number in counts.items() if number]
    return ", ".join(parts) or "nothing"
