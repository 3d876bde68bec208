"""
`report`: what a run has found, in a file that can be read and sent on.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oaflow.dsl import stage
from oaflow.errors import Reject
from oaflow.jobs import DatasetJob, Tally, current
from oaflow.settings import Settings
from oaflow.stages.texts import cleaned

# Reasons that are named; the rest is counted.
_REASONS = 50

# A reason may be all that some parser said, and a name the whole of a path.
_LONGEST = 200


@stage(queue="index")
def report(job: DatasetJob) -> None:
    """
    Write down what a run has found: documents, what could not be read and why, types and languages.
    """
    run: Mapping[str, Any] = job.context.get("run") or {}
    runs = current().runs
    if "id" not in run or runs is None:
        raise Reject("there is no run to report of", help="join: run")
    entities = current().entities
    text = report_of(
        dataset=job.dataset,
        run=run["id"],
        round=run.get("round", 1),
        failed=run.get("failed", 0),
        at=datetime.now(UTC),
        documents=runs.account(run["id"]),
        schemata=entities.schemata(job.dataset),
        languages=entities.languages(job.dataset),
    )
    path = Settings().report(run["id"])
    _write(path, text)
    print(f"report: {path}")


def report_of(
    *,
    dataset: str,
    run: str,
    round: int,
    failed: int,
    at: datetime,
    documents: Sequence[Tally],
    schemata: Mapping[str, int],
    languages: Mapping[str, int],
) -> str:
    """
    The report as Markdown. Pure.

    Args:
        failed: jobs of the run that failed, whatever they were about.
        at: when it is written.
        documents: of the run.
        schemata: how many findable entities of each there are in the dataset, earlier runs included.
        languages: in how many documents of the dataset each was detected.
    """
    later = f", round {round}" if round > 1 else ""
    lines = [f"# {dataset}: what {run} found", "", f"{at:%Y-%m-%d %H:%M} UTC{later}", ""]
    lines += ["## Documents of this run", "", *_counts(documents), ""]
    if failed:
        jobs = "1 job" if failed == 1 else f"{failed:,} jobs"
        lines += [f"{jobs} failed: `oaflow failures {run}` says why, `oaflow retry {run}` sends them again.", ""]
    # What is unchanged is as an earlier run has found it, and stands in the report of that.
    missing = [tally for tally in documents if tally.line not in ("indexed", "unchanged") or tally.unreadable]
    if missing:
        lines += ["## What is not searchable by its text, and why", "", *_reasons(missing)]
        lines += ["", f"All of them by name: `oaflow receipt {run} --list LINE`.", ""]
    lines += ["## What can be found in the dataset", "", *_table("type", schemata), ""]
    if languages:
        lines += ["## Languages", "", *_table("language", languages), ""]
    return "\n".join(lines)


def _counts(documents: Iterable[Tally]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for tally in documents:
        name = _line(tally)
        counts[name] = counts.get(name, 0) + tally.count
    yield from _table("document", {"found": sum(counts.values()), **counts})


def _reasons(missing: Sequence[Tally]) -> Iterator[str]:
    for tally in missing[:_REASONS]:
        reason = _shown(tally.reason or "no reason was given")
        yield f"- {tally.count:,} {_line(tally)}: {reason}"
        names = ", ".join(map(_shown, tally.names))
        more = tally.count - len(tally.names)
        yield f"  {names}{f' and {more:,} more' if more else ''}"
    if len(missing) > _REASONS:
        rest = sum(tally.count for tally in missing[_REASONS:])
        yield f"- {rest:,} more, for {len(missing) - _REASONS:,} other reasons"


def _line(tally: Tally) -> str:
    return "unreadable" if tally.unreadable and tally.line == "indexed" else tally.line or "not accounted for"


def _table(what: str, counts: Mapping[str, int]) -> Iterator[str]:
    if not counts:
        yield "Nothing."
        return
    yield f"| {what} | |"
    yield "|---|---:|"
    yield from (f"| {name} | {count:,} |" for name, count in counts.items())


def _shown(text: str) -> str:
    """
    What documents say of themselves, as one line that is nothing but text.
    """
    line = " ".join(cleaned(text).split())
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    return "".join(f"\\{letter}" if letter in r"\`*_[]<>|#" else letter for letter in line)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: somebody may be reading what an earlier round wrote.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
