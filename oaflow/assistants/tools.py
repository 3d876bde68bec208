"""
What can be asked: runs, how one stands and why it waits, what failed, what became of a document, which documents have
some words, what a mistake means.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from oaflow.assistants.bounding import bounded
from oaflow.assistants.questions import (
    Asked,
    CausesAsked,
    CodeAsked,
    CodesAsked,
    JobsAsked,
    OneRun,
    RunsAsked,
    SearchAsked,
    TraceAsked,
)
from oaflow.assistants.reading import Reading
from oaflow.errors import UsageError
from oaflow.ledger.failures import Cluster, clusters, failures
from oaflow.ledger.receipts import receipt
from oaflow.ledger.runs import Run, recent_runs
from oaflow.operations.explaining import as_json, every_rule, line_json, rule_of
from oaflow.operations.finding import search_in
from oaflow.operations.passports import said_json
from oaflow.operations.states import bound_plan, check_cause, check_stage, details_of, index_stages, wanted_run
from oaflow.operations.tracing import trace_in
from oaflow.printed import assistants as printed

# Failures that are sorted by cause; what failed later is not counted.
MOST_FAILURES = 100_000


@dataclass(frozen=True, slots=True)
class Tool:
    """
    Something that can be asked.

    Attributes:
        asked: what is said with it.
        shape: of the answer.
        answer: finds the answer; it raises an `OaflowError` where there is none.
    """

    name: str
    title: str
    description: str
    asked: type[Asked]
    shape: Any
    answer: Callable[[Reading, Any], Any]


def _runs(reading: Reading, asked: RunsAsked) -> Any:
    with reading.desk().connection() as made:
        if asked.cursor is not None:
            wanted_run(made, asked.cursor)
        found = recent_runs(
            made,
            dataset=asked.dataset,
            pipeline=asked.pipeline,
            states=None if asked.state is None else [asked.state],
            before=asked.cursor,
            limit=asked.limit + 1,
        )
    shown = found[: asked.limit]
    runs = [_listed(run) for run in shown]
    return bounded({"runs": runs, "next_cursor": shown[-1].id if len(found) > asked.limit else None}, page="runs")


def _listed(run: Run) -> printed.ListedRun:
    return {
        **run.as_json(),
        "rerun_of": run.rerun_of,
        "began": run.created_at.isoformat(),
        "seconds": round(run.seconds, 1),
    }


def _status(reading: Reading, asked: OneRun) -> Any:
    desk = reading.desk()
    with desk.connection() as made:
        run = wanted_run(made, asked.run)
        return bounded(details_of(made, run, desk.settings.dead_after, private=desk.database.embedded).as_json())


def _waiting(reading: Reading, asked: OneRun) -> Any:
    desk = reading.desk()
    with desk.connection() as made:
        run = wanted_run(made, asked.run)
        details = details_of(made, run, desk.settings.dead_after, private=desk.database.embedded)
    return bounded({"run": run.id, "state": run.state, "waits": [wait.as_json() for wait in details.waits]})


def _causes(reading: Reading, asked: CausesAsked) -> Any:
    begin = _number(asked.cursor) if asked.cursor is not None else 0
    with reading.desk().connection() as made:
        run = wanted_run(made, asked.run)
        if asked.stage is not None:
            check_stage(run, bound_plan(made, run), asked.stage)
        found = clusters(made, run.id, stage=asked.stage, most=MOST_FAILURES)
        shown = found[begin : begin + asked.limit]
        first = [failures(made, run.id, stage=one.stage, cause=one.fingerprint, limit=1) for one in shown]
    causes = [_cause(one, jobs[0].traceback if jobs else None) for one, jobs in zip(shown, first, strict=True)]
    end = begin + len(shown)
    cursor = str(end) if shown and end < len(found) else None
    return bounded({"run": run.id, "state": run.state, "causes": causes, "next_cursor": cursor}, page="causes")


def _cause(one: Cluster, traceback: str | None) -> printed.Cause:
    return {
        "stage": one.stage,
        "type": one.type,
        "message": one.message,
        "fingerprint": one.fingerprint,
        "place": one.place,
        "count": one.count,
        "again": one.again,
        "first": one.first.isoformat(),
        "last": one.last.isoformat(),
        "jobs": one.jobs,
        "names": one.names,
        "traceback": traceback,
    }


def _jobs(reading: Reading, asked: JobsAsked) -> Any:
    after = _number(asked.cursor) if asked.cursor is not None else None
    with reading.desk().connection() as made:
        run = wanted_run(made, asked.run)
        if asked.stage is not None:
            check_stage(run, bound_plan(made, run), asked.stage)
        if asked.cause is not None:
            check_cause(made, run, asked.cause)
        found = failures(made, run.id, stage=asked.stage, cause=asked.cause, after=after, limit=asked.limit + 1)
    shown = found[: asked.limit]
    jobs = [one.as_json(run.id) for one in shown]
    cursor = str(shown[-1].job) if len(found) > asked.limit else None
    return bounded({"run": run.id, "failures": jobs, "next_cursor": cursor}, page="failures")


def _receipt(reading: Reading, asked: OneRun) -> Any:
    # It reads all of the run: of a large one for longer than a page may ask.
    with reading.desk().apart() as made:
        run = wanted_run(made, asked.run)
        return bounded(receipt(made, run.id, index_stages(bound_plan(made, run))).as_json())


def _trace(reading: Reading, asked: TraceAsked) -> Any:
    desk = reading.desk()
    with desk.connection() as made:
        traced = trace_in(made, desk.store, asked.document, dataset=asked.dataset, run=asked.run)
    found: list[printed.FoundDocument] = [
        {"document": one.document, "name": one.name, "dataset": one.dataset, "run": one.run, "others": list(one.others)}
        for one in traced.found
    ]
    return bounded(
        {
            "found": found,
            "passports": [passport.as_json() for passport in traced.passports],
            "entity": [said_json(one) for one in traced.entity],
        }
    )


def _search(reading: Reading, asked: SearchAsked) -> Any:
    desk = reading.desk()
    with desk.connection() as made:
        dataset = asked.dataset if asked.dataset is not None else _only_dataset(desk.store.datasets())
        found = search_in(made, desk.store, dataset, asked.words, asked.limit)
    missing: list[printed.MissingWord] = [{"word": one.term, "near": list(one.near)} for one in found.missing]
    return bounded({"dataset": dataset, "hits": [hit.as_json() for hit in found.hits], "missing": missing}, page="hits")


def _only_dataset(known: list[str]) -> str:
    if len(known) != 1:
        there = f"one of: {', '.join(known[:20])}" if known else "there is none yet"
        raise UsageError("it is not said in which dataset", help=there)
    return known[0]


def _explain(_reading: Reading, asked: CodeAsked) -> Any:
    return bounded(as_json(rule_of(asked.code)))


def _codes(_reading: Reading, asked: CodesAsked) -> Any:
    shown, cursor = _part(every_rule(), asked.cursor, asked.limit)
    return bounded({"rules": [line_json(rule) for rule in shown], "next_cursor": cursor}, page="rules")


Item = TypeVar("Item")


def _part(whole: Sequence[Item], cursor: str | None, limit: int) -> tuple[Sequence[Item], str | None]:
    begin = 0 if cursor is None else _number(cursor)
    end = begin + limit
    return whole[begin:end], str(end) if end < len(whole) else None


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise UsageError(f"{cursor!r} is no cursor of this list", help="give `next_cursor` of the part before")
    return int(cursor)


TOOLS: tuple[Tool, ...] = (
    Tool("list_runs", "Runs", "The runs of pipelines, the newest first.", RunsAsked, printed.Runs, _runs),
    Tool(
        "run_status",
        "How a run stands",
        "How far a run is, by stage; what it waits for, how long it will still take, and what no edge took.",
        OneRun,
        printed.RunStatus,
        _status,
    ),
    Tool(
        "why_waiting",
        "Why a run waits",
        "What keeps a run from going on, each reason with the command that helps.",
        OneRun,
        printed.Waiting,
        _waiting,
    ),
    Tool(
        "list_failures",
        "Failures by cause",
        "What failed in a run, by cause, the most frequent first: how often, sample documents, and a traceback.",
        CausesAsked,
        printed.Causes,
        _causes,
    ),
    Tool(
        "failed_jobs",
        "Failed jobs",
        "The jobs of a run that failed, one by one, with documents and traceback; of one cause where it is given.",
        JobsAsked,
        printed.FailedJobs,
        _jobs,
    ),
    Tool(
        "receipt",
        "Receipt of a run",
        "What became of all documents of a run, each counted once: indexed, failed, skipped, and so on.",
        OneRun,
        printed.RunReceipt,
        _receipt,
    ),
    Tool(
        "trace",
        "What became of a document",
        "Each stage that a document went through, with attempts, errors, and what was written because of it.",
        TraceAsked,
        printed.Trace,
        _trace,
    ),
    Tool(
        "search",
        "Documents with some words",
        "The documents of a dataset that have all of the words, best first, each with a passage; where there is none,"
        " which word no document has, and words near it.",
        SearchAsked,
        printed.Searched,
        _search,
    ),
    Tool(
        "explain",
        "What a mistake means",
        "A code of `oaflow check`: what it means, an example, and its repair.",
        CodeAsked,
        printed.Explanation,
        _explain,
    ),
    Tool(
        "list_codes",
        "All mistakes by code",
        "The codes that `oaflow check` may find, each in a few words.",
        CodesAsked,
        printed.Rules,
        _codes,
    ),
)
