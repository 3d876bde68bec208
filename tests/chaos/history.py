"""
Whether what a run did is what it promises: read from what its stages wrote down themselves, and from the ledger.

Each check is a pure function of a `History`, and yields what is wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from oaflow.ledger.receipts import receipt
from oaflow.operations.states import index_stages
from tests.chaos.passages import Passage, beyond, lock_of
from tests.integration.handovers import counters, recount

Job = tuple[str, str]  # stage and document: each is one job in such a run

ENDS = ("done", "failed", "diverted", "cancelled")


class Note(NamedTuple):
    """
    What a stage wrote down about a document. `parent` is the job that it comes from, `emitted_by` the attempt that
    handed it on; `attempt` is this one, and `beside` are all the documents that it holds.
    """

    at: float
    moment: str
    job: Job
    parent: int | None
    emitted_by: str | None
    attempt: str = ""
    beside: tuple[str, ...] = ()
    pid: int = 0


class Hop(NamedTuple):
    """
    A row of the ledger's history, for one of the documents of its job. `number` is that of the job.
    """

    at: float
    number: int
    job: Job
    outcome: str
    successors: tuple[int, ...] = ()


@dataclass(frozen=True)
class History:
    """
    A run when it is over.

    Attributes:
        rows: how many rows of procrastinate there are for each job, without those that were taken apart.
        left: what is still there of it and should not: live rows, charges, parts of streams, what waits to be put
            together.
        waits: for each join, the stages that it waits for.
        collects: the stages that collect.
        most: how many documents a job of a stage holds at most, where that is said.
        limits: for each stage that has them, how many at once and how many a second.
        expected: what the run consists of.
        deleted: what somebody took out while it was open.
    """

    state: str
    finished: float | None
    notes: tuple[Note, ...]
    hops: tuple[Hop, ...]
    rows: Mapping[Job, int]
    left: Mapping[str, int]
    counters: Mapping[str, Mapping[str, int]]
    recount: Mapping[str, Mapping[str, int]]
    balanced: bool
    waits: Mapping[str, frozenset[str]]
    collects: frozenset[str]
    most: Mapping[str, int]
    limits: Mapping[str, tuple[int, float]]
    expected: frozenset[Job]
    deleted: frozenset[Job] = frozenset()

    @property
    def ended(self) -> dict[Job, float]:
        """
        When each job had ended for the first time, as its stage says.
        """
        found: dict[Job, float] = {}
        for note in self.notes:
            if note.moment == "ended":
                found[note.job] = min(note.at, found.get(note.job, note.at))
        return found


class Finding(NamedTuple):
    """
    Something that is wrong.
    """

    check: str
    what: str


def lost(history: History) -> Iterator[str]:
    """
    Each job has ended, in the ledger's words and in its stage's, or it or what it comes from was deleted or has failed.
    """
    done = {hop.job for hop in history.hops if hop.outcome in ENDS}
    failed = {hop.job for hop in history.hops if hop.outcome == "failed"}
    excused = frozenset[Job]().union(*(beyond(*job) for job in history.deleted | failed))
    for job in sorted(history.expected - done - excused):
        yield f"{job} never ended"
    for job in sorted(done - failed - history.ended.keys()):
        yield f"{job} is said to have ended, but its stage does not know of it"


def twice(history: History) -> Iterator[str]:
    """
    For each parent, port and position there is one child, handed over by one attempt, and it ends once.
    """
    for job, number in history.rows.items():
        if number > 1:
            yield f"{job} has {number} rows"
    ends = Counter(hop.job for hop in history.hops if hop.outcome in ENDS)
    for job, number in ends.items():
        if number > 1:
            yield f"{job} ended {number} times"
    parents, emitters = defaultdict[Job, set[Any]](set), defaultdict[Job, set[Any]](set)
    for note in history.notes:
        # What was put together has no parent, until it is taken apart.
        parents[note.job] |= {note.parent} - ({None} if note.job[0] in history.collects else set())
        emitters[note.job].add(note.emitted_by)
    for job in parents:
        if len(parents[job]) > 1 or len(emitters[job]) > 1:
            yield f"{job} was handed over by {len(parents[job])} jobs and {len(emitters[job])} attempts"
    for job in sorted(parents.keys() - history.expected):
        yield f"{job} ran, and should not be"


def vanished(history: History) -> Iterator[str]:
    """
    What was deleted is named, and nothing else is.
    """
    named = frozenset(hop.job for hop in history.hops if hop.outcome == "vanished")
    for job in sorted(history.deleted - named):
        yield f"{job} was deleted, and is not named"
    for job in sorted(named - history.deleted):
        yield f"{job} is named as vanished, and nobody deleted it"


def joins(history: History) -> Iterator[str]:
    """
    A join begins when all that it waits for has ended, and each of these had.
    """
    began = defaultdict[str, list[float]](list)
    for note in history.notes:
        if note.moment == "began":
            began[note.job[0]].append(note.at)
    for join, waits in history.waits.items():
        if not began[join]:
            yield f"{join} never fired"
            continue
        for job, at in history.ended.items():
            if job[0] in waits and at > min(began[join]):
                yield f"{join} began {at - min(began[join]):.3f} s before {job} had ended"


def collected(history: History) -> Iterator[str]:
    """
    What is put together holds each of its members once and nothing else, and is not too large; each is in one only.
    """
    members = defaultdict[int, set[str]](set)
    for hop in history.hops:
        if hop.outcome == "collected":
            members[hop.successors[0]].add(hop.job[1])
    together = {frozenset(each) for each in members.values()}
    met = defaultdict[Job, set[frozenset[str]]](set)
    for note in history.notes:
        stage, held = note.job[0], frozenset(note.beside)
        if len(held) < len(note.beside):
            yield f"a job of {stage} holds a document twice: {note.beside}"
        if len(note.beside) > history.most.get(stage, len(note.beside)):
            yield f"a job of {stage} holds {len(note.beside)} documents"
        if stage in history.collects and len(held) > 1:
            met[note.job].add(held)
    for job, ways in met.items():
        if len(ways) > 1:
            yield f"{job} was put together in {len(ways)} ways"
        for held in ways - together:
            yield f"{job} was met among {sorted(held)}, which nobody has put together"


# What could have begun before may begin late: so long, in seconds.
_LATE = 0.25


def limits(history: History) -> Iterator[str]:
    """
    Of the attempts whose outcome was handed over no more ran at once, and no more began in any time, than was allowed.
    """
    handed = {note.emitted_by for note in history.notes}
    for stage, (at_once, rate) in history.limits.items():
        began, ended = dict[str, float](), dict[str, float]()
        for note in history.notes:
            if note.job[0] == stage and note.attempt in handed:
                of = began if note.moment == "began" else ended
                of[note.attempt] = min(note.at, of.get(note.attempt, note.at))
        running = 0
        for _, step in sorted([(at, 1) for at in began.values()] + [(at, -1) for at in ended.values()]):
            running += step
            if running > at_once:
                yield f"{running} jobs of {stage} ran at once"
        # Before their time may begin what was claimed and waited, and that is no more than may run at once.
        least = float("inf")
        for number, at in enumerate(sorted(began.values())):
            least = min(least, number - rate * at)
            if number - rate * at - least > at_once + rate * _LATE:
                yield f"too many jobs of {stage} had begun by {at}"


def locks(history: History) -> Iterator[str]:
    """
    Of the attempts whose outcome was handed over no two with the same lock ran at once.
    """
    handed = {note.emitted_by for note in history.notes}
    spans = defaultdict[str, dict[str, list[float]]](lambda: defaultdict(list))
    for note in history.notes:
        if (lock := lock_of(*note.job)) is not None and note.attempt in handed:
            spans[lock][note.attempt].append(note.at)
    for lock, attempts in spans.items():
        until = 0.0
        for began, ended in sorted((min(moments), max(moments)) for moments in attempts.values()):
            if began < until:
                yield f"two with lock {lock!r} ran at once for {until - began:.3f} s"
            until = max(until, ended)


def after_the_end(history: History) -> Iterator[str]:
    """
    A run is over when nothing is open, and then nothing happens any more.
    """
    if history.state not in ("finished", "incomplete") or history.finished is None:
        yield f"the run is {history.state}"
        return
    for what, number in history.left.items():
        if number:
            yield f"{number} {what} left"
    for hop in history.hops:
        if hop.outcome not in ("orphaned", "vanished") and hop.at > history.finished:
            yield f"{hop.job} was {hop.outcome} {hop.at - history.finished:.3f} s after the end"
    for job, at in history.ended.items():
        if at > history.finished:
            yield f"{job} ended {at - history.finished:.3f} s after the run"


def accounts(history: History) -> Iterator[str]:
    """
    The counters are what a recount of the history gives, and the receipt balances.
    """
    if history.counters != history.recount:
        yield f"counters {history.counters}, recount {history.recount}"
    if not history.balanced:
        yield "the receipt does not balance"


CHECKS: tuple[Callable[[History], Iterator[str]], ...] = (
    lost,
    twice,
    vanished,
    joins,
    collected,
    limits,
    locks,
    after_the_end,
    accounts,
)


def findings(history: History) -> list[Finding]:
    """
    All that is wrong.
    """
    return [Finding(check.__name__, what) for check in CHECKS for what in check(history)]


def read(passage: Passage, deleted: frozenset[Job] = frozenset()) -> History:
    """
    The history of a run, as it stands in the database.
    """
    with psycopg.connect(passage.uri, autocommit=True) as connection:

        def rows(statement: str) -> list[tuple[Any, ...]]:
            return connection.execute(statement, {"run": passage.id}).fetchall()  # pyright: ignore[reportArgumentType]

        ((state, finished),) = rows(
            "SELECT state, extract(epoch FROM finished_at)::float8 FROM oaflow.runs WHERE id = %(run)s"
        )
        notes = rows(
            "SELECT extract(epoch FROM at)::float8, moment, stage, document, parent, emitted_by, attempt,"
            " beside, pid FROM notes"
            " WHERE run = %(run)s ORDER BY at"
        )
        hops = rows(
            "SELECT extract(epoch FROM at)::float8, job, stage, document, outcome, coalesce(successors, '{}')"
            "  FROM oaflow.hops CROSS JOIN unnest(CASE WHEN outcome = 'collected'"
            "         THEN ARRAY(SELECT jsonb_array_elements_text(detail #> '{handed,0,1}'))"
            "         ELSE coalesce(nullif(documents, '{}'), '{\"\"}') END) AS d (document)"
            " WHERE run = %(run)s AND job IS NOT NULL ORDER BY at"
        )
        jobs = rows(
            "SELECT args #>> '{payload,context,oaflow,stage}', document, count(*)"
            "  FROM procrastinate_jobs j CROSS JOIN jsonb_array_elements_text("
            "         coalesce(nullif(jsonb_path_query_array(args, '$.payload.entities[*].id'), '[]'), '[\"\"]'))"
            "         AS d (document)"
            " WHERE args #>> '{payload,context,oaflow,run}' = %(run)s"
            "   AND NOT EXISTS (SELECT FROM oaflow.hops h WHERE h.job = j.id AND h.outcome = 'parted') GROUP BY 1, 2"
        )
        ((live, charges, parts, waiting),) = rows(
            "SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
            "          AND args #>> '{payload,context,oaflow,run}' = %(run)s),"
            " (SELECT count(*) FROM oaflow.charges), (SELECT count(*) FROM oaflow.chunks),"
            " (SELECT count(*) FROM oaflow.collected WHERE run = %(run)s AND job IS NULL)"
        )
        account = receipt(connection, passage.id, index_stages(passage.bound))
        return History(
            state,
            finished,
            tuple(
                Note(at, moment, (stage, name), parent, emitter, attempt, tuple(beside), pid)
                for at, moment, stage, name, parent, emitter, attempt, beside, pid in notes
            ),
            tuple(Hop(at, job, (stage, name), outcome, tuple(next)) for at, job, stage, name, outcome, next in hops),
            {(stage, name): number for stage, name, number in jobs},
            {"live rows": live, "charges": charges, "parts of streams": parts, "waiting to be put together": waiting},
            counters(connection, passage.id),
            recount(connection, passage.id),
            account.balanced,
            passage.bound.joins,
            frozenset(passage.bound.collects),
            {
                name: stage.collect.size if stage.collect else stage.split
                for name, stage in passage.bound.stages.items()
                if stage.collect or stage.split
            },
            {
                name: (stage.concurrency, stage.rate)
                for name, stage in passage.bound.stages.items()
                if stage.concurrency and stage.rate
            },
            passage.expected,
            deleted,
        )
