"""
The files that crawls have seen, and whether a run has processed them to the end: rows of `oaflow.crawled`. Synchronous.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection
from psycopg.rows import class_row

from oaflow.jobs import Sighting
from oaflow.ledger.runs import FirstJob
from oaflow.ledger.statements import sql
from oaflow.plan.later import Step

# Files that are gone are counted, and this many are named.
_NAMES = 5


@dataclass(frozen=True, slots=True)
class Known:
    """
    A file as it was last emitted, in the run `ran`. `done`: the code that processed it to the end, each as
    `stage=version`; None: it was not finished. `redo`: the origins that the run rewrites; None: it started from the
    beginning.
    """

    document: str
    content_hash: str | None
    ran: str
    done: list[str] | None
    redo: list[str] | None


@dataclass(frozen=True, slots=True)
class Crawling:
    """
    A run as its crawl sees it. `stages` has a digest per stage of everything that affects a document there; `since` is
    when the first attempt at this crawl started, by the clock of the entity store, None if this is the first; `before`
    tells whether there was an earlier crawl; `first` limits how many of its jobs are taken.
    """

    dataset: str
    pipeline: str
    force: bool
    first: int | None
    stages: Mapping[str, str]
    since: datetime | None
    before: bool


@dataclass(frozen=True, slots=True)
class Settling:
    """
    A run that has ended, for the `round`th time. `begun` is when it started, by the clock of its database, and `since`
    when its crawl started, by the clock of the entity store; None if it has none. `covered` tells whether its crawl
    read its sources to the end.
    """

    dataset: str
    pipeline: str
    prune: bool
    round: int
    begun: datetime
    since: datetime | None
    covered: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """
    A file or folder that no longer exists.
    """

    document: str
    name: str
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Beginning:
    """
    A file that runs again from a later stage, with the part of its path that is replaced: see `oaflow.begin_later_v1`.
    """

    document: str
    ran: str
    why: str
    redo: Sequence[str]
    replaced: Sequence[int]
    found: Sequence[str]
    left_out: Sequence[str]


@dataclass(frozen=True, slots=True)
class LaterJob:
    """
    A job with which some files start again, and the jobs on their paths that led to it.
    """

    files: Sequence[str]
    parents: Sequence[int]
    job: FirstJob


def crawling(connection: Connection[Any], run: str) -> Crawling | None:
    """
    A run as its crawl sees it; None if there is no such run.
    """
    with connection.cursor(row_factory=class_row(Crawling)) as cursor:
        return cursor.execute(sql("crawling"), {"run": run}).fetchone()


def known(connection: Connection[Any], dataset: str, pipeline: str, documents: Collection[str]) -> dict[str, Known]:
    """
    What is known about some files.
    """
    values = {"dataset": dataset, "pipeline": pipeline, "documents": list(documents)}
    with connection.cursor(row_factory=class_row(Known)) as cursor:
        return {one.document: one for one in cursor.execute(sql("crawled"), values)}


def stages_of(connection: Connection[Any], runs: Collection[str]) -> dict[str, Mapping[str, str]]:
    """
    For some runs, a digest per stage of everything that affects a document there.
    """
    return dict(connection.execute(sql("stages_of"), {"runs": list(runs)}).fetchall())


def steps(
    connection: Connection[Any], dataset: str, pipeline: str, documents: Collection[str]
) -> dict[str, list[Step]]:
    """
    The paths of some files through the stages, as far as they are known.
    """
    values = {"dataset": dataset, "pipeline": pipeline, "documents": list(documents)}
    ways: dict[str, list[Step]] = {}
    for document, *step in connection.execute(sql("steps"), values):
        ways.setdefault(document, []).append(Step(*step))
    return ways


def arrived(connection: Connection[Any], steps: Sequence[Step]) -> dict[int, dict[str, Any]]:
    """
    The jobs of some steps as they arrived; those that no longer exist are left out.
    """
    values = {"runs": [step.run for step in steps], "jobs": [step.job for step in steps]}
    return dict(connection.execute(sql("arrived"), values).fetchall())


def begin_later(connection: Connection[Any], run: str, files: Sequence[Beginning], jobs: Sequence[LaterJob]) -> None:
    """
    Start files of a run at later stages. Safe to repeat.
    """
    values = {
        "run": run,
        "files": orjson.dumps([asdict(file) for file in files]).decode(),
        "jobs": orjson.dumps(
            [{"files": one.files, "parents": one.parents, **asdict(one.job)} for one in jobs]
        ).decode(),
    }
    connection.execute(sql("begin_later"), values)


def begin_crawl(connection: Connection[Any], run: str, since: datetime) -> None:
    """
    Record when the crawl of a run started, unless an earlier attempt has done so.
    """
    connection.execute(sql("begin_crawl"), {"run": run, "since": since})


def keep(
    connection: Connection[Any], run: str, seen: Sequence[Sighting], unchanged: Sequence[bool], code: Sequence[str]
) -> None:
    """
    Record what a crawl has seen, and which of it is unchanged. Safe to repeat.

    Args:
        code: the code that wrote the folders among them, each as `stage=version`.
    """
    values = {
        "run": run,
        "documents": [one.document for one in seen],
        "paths": [one.path for one in seen],
        "names": [one.name for one in seen],
        "hashes": [one.content_hash for one in seen],
        "sizes": [one.size for one in seen],
        "unchanged": list(unchanged),
        "code": list(code),
    }
    connection.execute(sql("keep_crawled"), values)


def see(connection: Connection[Any], run: str, documents: Collection[str]) -> None:
    """
    Record that files exist but could not be read.
    """
    connection.execute(sql("see"), {"run": run, "documents": list(documents)})


def end_crawl(connection: Connection[Any], run: str, covered: Sequence[bytes], shut: Sequence[bytes]) -> None:
    """
    Record which sources a crawl has read to the end, and what in them could not be read.
    """
    connection.execute(sql("end_crawl"), {"run": run, "covered": list(covered), "shut": list(shut)})


def unsettled(connection: Connection[Any], dataset: str, pipeline: str) -> list[str]:
    """
    The runs that have ended but are not settled yet, oldest first.
    """
    return [run for (run,) in connection.execute(sql("unsettled"), {"dataset": dataset, "pipeline": pipeline})]


def mark_done(connection: Connection[Any], run: str, files: int) -> None:
    """
    Record the paths of the files of a run, and mark files as done if all their jobs succeeded: a number of files at a
    time, each in its own transaction. Safe to repeat; files that are marked already stay unchanged.
    """
    connection.execute(sql("folder_ways"), {"run": run})
    # WITH HOLD: no transaction stays open while the files are marked.
    with connection.cursor(name="unmarked", withhold=True) as cursor:
        with connection.transaction():
            cursor.execute(sql("unmarked"), {"run": run})
        while found := cursor.fetchmany(files):
            connection.execute(sql("mark_done"), {"run": run, "files": "[" + ",".join(file for (file,) in found) + "]"})


def settling(connection: Connection[Any], run: str) -> Settling | None:
    """
    A run that has ended; None if there is no such run.
    """
    with connection.cursor(row_factory=class_row(Settling)) as cursor:
        return cursor.execute(sql("settling"), {"run": run}).fetchone()


def done_again(
    connection: Connection[Any], run: str, after: str, rows: int
) -> list[tuple[str, tuple[str, ...] | None]]:
    """
    The next files, after a given one, that a run has done and that were known before; each with the origins that were
    rewritten, None for all.
    """
    found = connection.execute(sql("done_again"), {"run": run, "after": after, "rows": rows})
    return [(document, None if redo is None else tuple(redo)) for document, redo in found]


def reported(connection: Connection[Any], run: str, documents: Collection[str]) -> list[str]:
    """
    What a run has reported about some files and their contents, except for what it left unchanged.
    """
    return _texts(connection, "reported", {"run": run, "documents": list(documents)})


def anew(connection: Connection[Any], run: str, origins: Collection[str], rows: int) -> Iterator[list[str]]:
    """
    The documents of files that a run has processed again, in portions.

    Args:
        origins: of the stages that index: a file is left out unless all of them ran again.
    """
    values = {"run": run, "origins": list(origins)}
    # WITH HOLD: the answer is read when the statement ends. What is done with a portion may take long, in another
    # store, and no transaction stays open here meanwhile.
    with connection.cursor(name="anew", withhold=True) as cursor:
        with connection.transaction():
            cursor.execute(sql("anew"), values)
        while found := cursor.fetchmany(rows):
            yield [document for (document,) in found]


def anew_of(connection: Connection[Any], run: str, origins: Collection[str], documents: Collection[str]) -> list[str]:
    """
    The documents, out of some, that `anew` contains.
    """
    return _texts(connection, "anew_of", {"run": run, "origins": list(origins), "documents": list(documents)})


def latest_runs(connection: Connection[Any], dataset: str) -> list[str]:
    """
    The latest run of each pipeline that a dataset had.
    """
    return _texts(connection, "last_runs", {"dataset": dataset})


def in_files(
    connection: Connection[Any], dataset: str, pipeline: str, documents: Collection[str]
) -> dict[str, tuple[str, bool]]:
    """
    The files of a pipeline that contain some documents, as of their last run, and whether each file is done.
    """
    values = {"dataset": dataset, "pipeline": pipeline, "documents": list(documents)}
    return {document: (file, done) for document, file, done in connection.execute(sql("in_files"), values)}


def carried(connection: Connection[Any], steps: Sequence[Step]) -> dict[int, list[str]]:
    """
    The entities that the jobs of some steps carried as they arrived; jobs that no longer exist are left out.
    """
    values = {"runs": [step.run for step in steps], "jobs": [step.job for step in steps]}
    return dict(connection.execute(sql("carried"), values).fetchall())


def lost_children(connection: Connection[Any], run: str, documents: Collection[str]) -> list[str]:
    """
    What earlier runs found in some documents, but this one did not.
    """
    return _texts(connection, "lost_children", {"run": run, "documents": list(documents)})


def gone(connection: Connection[Any], run: str, rows: int | None = None) -> list[Gone]:
    """
    What the crawl of a run no longer found, by name.
    """
    with connection.cursor(row_factory=class_row(Gone)) as cursor:
        return cursor.execute(sql("gone"), {"run": run, "rows": rows}).fetchall()


def drop(connection: Connection[Any], run: str, documents: Collection[str]) -> None:
    """
    Forget files and folders of the pipeline and dataset of a run.
    """
    connection.execute(sql("drop_crawled"), {"run": run, "documents": list(documents)})


def became_folders(connection: Connection[Any], run: str) -> list[str]:
    """
    Files of earlier runs of a pipeline and dataset that the crawl of this run found as folders.
    """
    return _texts(connection, "became_folders", {"run": run})


def mark_settled(connection: Connection[Any], run: str, ended: int, gone: Sequence[str]) -> None:
    """
    Record that a run is settled, unless it has been continued.

    Args:
        ended: the round in which it ended.
        gone: the names of the files that its crawl no longer found, of which some are kept.
    """
    connection.execute(
        sql("mark_settled"), {"run": run, "round": ended, "gone": len(gone), "names": list(gone[:_NAMES])}
    )


def _texts(connection: Connection[Any], name: str, values: Mapping[str, Any]) -> list[str]:
    return [text for (text,) in connection.execute(sql(name), values)]
