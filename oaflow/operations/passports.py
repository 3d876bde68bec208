"""
The passport of a document: what became of it in one run, compiled from the history. Pure: no database, no clock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter

from oaflow.entities.said import Said
from oaflow.ledger.runs import Run
from oaflow.ledger.traces import Failed, Line, Open, Reported
from oaflow.printed import documents as printed

# Outcomes with which a job has ended; a `chunk` is a part of a stream, after which the job continues.
_ENDS = ("done", "failed", "diverted", "parted", "cancelled", "vanished")


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One attempt at a job, or another event in its history.

    Attributes:
        number: counted from 1; None if no worker started it.
        outcome: `done`, `failed`, `retried`, `crashed`, `diverted`, ... as in the history.
        wait: seconds since it could have started; None if unknown.
        seconds: how long the stage function took.
        parts: how many chunks of a stream it handed over before it ended.
        error: type, message, traceback, fingerprint of what went wrong.
        lost: why some of the document's output went nowhere.
    """

    number: int | None
    outcome: str
    at: datetime
    started: datetime | None = None
    ended: datetime | None = None
    wait: float | None = None
    seconds: float | None = None
    worker: int | None = None
    place: str | None = None
    version: str | None = None
    parts: int = 0
    error: printed.Error | None = None
    lost: tuple[str, ...] = ()

    def as_json(self) -> printed.Attempt:
        """
        The public form.
        """
        return {
            "attempt": self.number,
            "outcome": self.outcome,
            "at": self.at.isoformat(),
            "started": self.started.isoformat() if self.started else None,
            "ended": self.ended.isoformat() if self.ended else None,
            "wait": _rounded(self.wait),
            "seconds": _rounded(self.seconds),
            "worker": self.worker,
            "place": self.place,
            "version": self.version,
            "parts": self.parts,
            "error": self.error or None,
            "lost": list(self.lost),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """
    A job that carried the document.

    Attributes:
        of: the failed job that it repeats.
        since: when it was handed over; for a collected job, when the part with the document was.
        beside: how many other documents it carried.
        external: whether a service runs its stage.
        state: for a job that has not ended: `waits`, `runs`, or `is collected`.
        wrote: what its stage wrote because of the document; only at the last job of the stage.
        next: the jobs that it emitted for the document.
    """

    stage: str
    job: int
    of: int | None
    since: datetime | None
    beside: int
    external: bool
    state: str | None
    attempts: tuple[Attempt, ...]
    wrote: tuple[Said, ...] = ()
    next: "tuple[Step, ...]" = ()

    def as_json(self) -> printed.Step:
        """
        The public form.
        """
        return {
            "stage": self.stage,
            "job": self.job,
            "repeats": self.of,
            "since": self.since.isoformat() if self.since else None,
            "beside": self.beside,
            "state": self.state,
            "attempts": [attempt.as_json() for attempt in self.attempts],
            "wrote": [said_json(one) for one in self.wrote],
            "next": [step.as_json() for step in self.next],
        }


@dataclass(frozen=True, slots=True)
class Finder:
    """
    The job that reported a document, at its last attempt, and the document that contained it: id and name.
    """

    stage: str
    job: int
    attempt: int
    container: tuple[str, str] | None

    def as_json(self) -> printed.Finder:
        """
        The public form.
        """
        container: printed.Named | None = None
        if self.container:
            container = {"document": self.container[0], "name": self.container[1]}
        return {"stage": self.stage, "job": self.job, "in": container}


@dataclass(frozen=True, slots=True)
class Passport:
    """
    A document in a run.

    Attributes:
        line: the line of the receipt that counts it; None while it is in progress.
        way: the full path to it, if it is inside another document; `name` has only the nearest container.
        steps: the jobs with which it entered; the jobs that followed are nested in them.
        children: what was found in it: id and name.
        said: what else was written about it: by the stage that found it, or by other pipelines.
    """

    run: Run
    document: str
    name: str
    kind: str
    line: printed.Line | None
    reason: str | None
    finder: Finder | None
    steps: tuple[Step, ...]
    children: tuple[tuple[str, str], ...] = ()
    said: tuple[Said, ...] = ()
    way: str | None = None

    def walk(self) -> "Iterable[Step]":
        """
        All jobs, each before its successors.
        """
        ahead = list(reversed(self.steps))
        while ahead:
            step = ahead.pop()
            yield step
            ahead += reversed(step.next)

    def as_json(self) -> printed.Passport:
        """
        The public form.
        """
        return {
            "document": self.document,
            "name": self.name,
            "way": self.way,
            "dataset": self.run.dataset,
            "run": self.run.id,
            "pipeline": self.run.pipeline,
            "plan": self.run.plan,
            "kind": self.kind,
            "line": self.line or "open",
            "reason": self.reason,
            "found_by": self.finder.as_json() if self.finder else None,
            "steps": [step.as_json() for step in self.steps],
            "children": [{"document": id, "name": name} for id, name in self.children],
            "said": [said_json(one) for one in self.said],
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    The input of a passport.

    Attributes:
        places: of workers.
        origins: of the stages, by name.
        index: the stages after which a document counts as indexed.
        external: the stages that services run.
        finder: the stage of the job that reported it, the documents of that job, and its last attempt.
    """

    run: Run
    document: str
    reported: Reported | None
    lines: Sequence[Line]
    failed: Sequence[Failed] = ()
    open: Mapping[int, Open] = field(default_factory=dict[int, Open])
    places: Mapping[int, str] = field(default_factory=dict[int, str])
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    said: Sequence[Said] = ()
    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    index: Sequence[str] = ()
    external: Sequence[str] = ()
    finder: tuple[str, Sequence[str], int] | None = None
    way: str | None = None


def passport(evidence: Evidence) -> Passport:
    """
    Compile the passport of a document.
    """
    jobs = {job: list(lines) for job, lines in groupby(evidence.lines, attrgetter("job"))}
    line, reason = _became(evidence, jobs)
    reported = evidence.reported
    steps, told = _steps(evidence, jobs)
    return Passport(
        run=evidence.run,
        document=evidence.document,
        name=reported.name if reported else evidence.document,
        kind=reported.kind if reported else "found",
        line=line,
        reason=reason,
        finder=_finder(evidence),
        steps=steps,
        children=tuple((id, evidence.names.get(id, id)) for id in children(evidence.lines, evidence.document)),
        said=tuple(one for one in evidence.said if one not in told),
        way=evidence.way,
    )


def children(lines: Iterable[Line], document: str) -> list[str]:
    """
    The documents that were found in a document: what a job about it alone handed over, except itself.
    """
    return list(
        dict.fromkeys(
            other
            for line in lines
            if line.documents is not None and list(line.documents) == [document]
            for _, documents in (line.detail or {}).get("handed", ())
            for other in documents or ()
            if other != document
        )
    )


def said_json(one: Said) -> printed.Said:
    """
    The public form of what was written.
    """
    return {
        "entity": one.entity,
        "schema": one.schema,
        "caption": one.caption,
        "origin": one.origin,
        "fragment": one.fragment,
        "at": one.at.replace(tzinfo=UTC).isoformat() if one.at else None,
    }


def _finder(evidence: Evidence) -> Finder | None:
    if evidence.finder is None or evidence.reported is None or evidence.reported.job is None:
        return None
    stage, documents, attempt = evidence.finder
    container = documents[0] if len(documents) == 1 and documents[0] != evidence.document else None
    named = (container, evidence.names.get(container, container)) if container else None
    return Finder(stage, evidence.reported.job, attempt, named)


def _steps(evidence: Evidence, jobs: Mapping[int, list[Line]]) -> tuple[tuple[Step, ...], set[Said]]:
    """
    The jobs as a tree, and what was written by them.

    A job that was collected with others is not shown, nor one of a service that has answered: its successor takes its
    place.
    """
    merged = {job for job, lines in jobs.items() if lines[-1].outcome in ("collected", "answered")}
    parent: dict[int, int | None] = {}
    since: dict[int, datetime | None] = {}
    for job, lines in jobs.items():
        above, since[job] = lines[0].parent, lines[0].since
        while above in merged:
            above, since[job] = jobs[above][0].parent, jobs[above][0].since
        parent[job] = above if above in jobs and above != job else None
    last = {lines[0].stage: job for job, lines in sorted(jobs.items()) if job not in merged}
    wrote = {
        job: tuple(one for one in evidence.said if one.origin == evidence.origins.get(stage))
        for stage, job in last.items()
    }
    below: dict[int | None, list[int]] = {}
    for job in sorted(jobs, key=lambda job: (since[job] or evidence.run.created_at, job)):
        if job not in merged:
            below.setdefault(parent[job], []).append(job)
    # A member that still waits to be collected has no collected job yet, so it is shown itself.
    made: dict[int, Step] = {}
    for job in reversed(_in_order(below)):
        lines = jobs[job]
        made[job] = Step(
            stage=lines[0].stage,
            job=job,
            of=lines[0].of,
            since=since[job],
            beside=max((len(line.documents) - 1 for line in lines if line.documents), default=0),
            external=lines[0].stage in evidence.external,
            state=_state(evidence.open.get(job)),
            attempts=tuple(_attempts(evidence, lines, since[job])),
            wrote=wrote.get(job, ()),
            next=tuple(made[next] for next in below.get(job, ())),
        )
    told = {one for some in wrote.values() for one in some}
    return tuple(made[job] for job in below.get(None, ())), told


def _in_order(below: Mapping[int | None, list[int]]) -> list[int]:
    order: list[int] = []
    ahead = list(below.get(None, ()))
    while ahead:
        job = ahead.pop()
        order.append(job)
        ahead += below.get(job, ())
    return order


def _state(open: Open | None) -> str | None:
    return None if open is None else {"todo": "waits", "doing": "runs", "collected": "is collected"}[open.state]


def _attempts(evidence: Evidence, lines: Iterable[Line], ready: datetime | None) -> Iterator[Attempt]:
    parts = number = 0
    for line in lines:
        if line.outcome is None or line.at is None:
            continue
        if line.outcome == "chunk":
            parts += 1
            continue
        begun = line.started is not None
        number += begun
        detail = line.detail or {}
        yield Attempt(
            number=number if begun else None,
            outcome=line.outcome,
            at=line.at,
            started=line.started,
            ended=line.ended,
            wait=_between(ready, line.started),
            seconds=_between(line.started, line.ended),
            worker=line.worker,
            place=evidence.places.get(line.worker) if line.worker is not None else None,
            version=line.version or None,
            parts=parts,
            error=detail.get("error") or _error_of(evidence.failed, line),
            lost=tuple(
                f"{kind}: {reason}"
                for kind, _, reason, documents, *_ in detail.get("lost", ())
                if evidence.document in (documents or ())
            ),
        )
        parts, ready = 0, line.at


def _error_of(failed: Iterable[Failed], line: Line) -> printed.Error | None:
    """
    Why a job failed if none of its attempts tells: the recovery of its dead worker failed it.
    """
    for failure in failed:
        if failure.job == line.job and line.outcome == "failed":
            return {"type": failure.type, "message": failure.message, "fingerprint": failure.fingerprint}
    return None


def _became(evidence: Evidence, jobs: Mapping[int, list[Line]]) -> tuple[printed.Line | None, str | None]:
    """
    The line of the receipt that counts the document, and why: the first that applies, as in `receipt_v2`.
    """
    kind, reason = (evidence.reported.kind, evidence.reported.reason) if evidence.reported else ("found", None)
    why = reason if kind != "found" else None
    for failure in evidence.failed:
        if failure.resolved_at is None:
            told = ": ".join(filter(None, [failure.stage, failure.type, failure.message]))
            return "failed", why or told
    ended = [lines[-1] for lines in jobs.values() if lines[-1].outcome in _ENDS]
    indexed = [line for line in ended if line.outcome == "done" and line.stage in evidence.index]
    after = _after(jobs, [line.job for line in ended if line.outcome == "diverted"])
    saved = any(line.job in after for line in indexed)
    for line in ended:
        if line.outcome == "vanished":
            return "vanished", why or f"a job of {line.stage} was deleted"
    for line in ended:
        if line.outcome == "diverted" and not saved:
            return "diverted", why or f"by {line.stage}"
    if indexed:
        return "indexed", why
    losses = [
        (lost, told)
        for lines in jobs.values()
        for line in lines
        for lost, _, told, documents, *_ in (line.detail or {}).get("lost", ())
        if evidence.document in (documents or ())
    ]
    losses += [
        ("ended", f"{line.stage} returned nothing for it")
        for line in ended
        if line.outcome == "done" and _returned_nothing(jobs[line.job], evidence.document)
    ]
    first: tuple[printed.Line, ...] = ("ended", "unmatched")
    for wanted in first:
        for lost, told in losses:
            if lost == wanted:
                return wanted, why or told
    for line in ended:
        if line.outcome == "cancelled":
            return "dropped", f"cancelled before {line.stage} was done"
    for lost, told in losses:
        if lost == "dropped":
            return "dropped", why or told
    return (kind if kind in ("skipped", "unchanged") else None), why


def _returned_nothing(lines: Iterable[Line], document: str) -> bool:
    named = [
        documents
        for line in lines
        for documents in (
            *(documents for _, documents in (line.detail or {}).get("handed", ())),
            *(loss[3] for loss in (line.detail or {}).get("lost", ())),
        )
    ]
    return not any(document in (documents or ()) for documents in named)


def _after(jobs: Mapping[int, list[Line]], first: Iterable[int]) -> set[int]:
    """
    The successors of some jobs.
    """
    found: set[int] = set()
    ahead = set(first)
    while ahead:
        ahead = {job for job, lines in jobs.items() if lines[0].parent in ahead} - found
        found |= ahead
    return found


def _between(one: datetime | None, other: datetime | None) -> float | None:
    # Two machines have different clocks.
    return None if one is None or other is None else max((other - one).total_seconds(), 0.0)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
