"""
Reads about a run: its status, its failures, its receipt.
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from psycopg import Connection

from oaflow.entities.ways import Ways
from oaflow.errors import UsageError
from oaflow.ledger.failures import Cluster, Failure, clusters, every_failure
from oaflow.ledger.receipts import LINES, DocumentLine, Receipt, every_document, receipt
from oaflow.ledger.runs import Run
from oaflow.ledger.unmatched import Unmatched, unmatched
from oaflow.operations.databases import connection, database
from oaflow.operations.finding import opened_store
from oaflow.operations.states import (
    Details,
    bound_plan,
    check_cause,
    details_of,
    index_stages,
    run_with,
    wanted_run,
)
from oaflow.settings import Settings
from oaflow.spelling import did_you_mean

# What can be listed of a receipt besides its lines.
LISTABLE = (*LINES, "unreadable", "open", "all")

# How many paths of documents are looked up together.
_AT_ONCE = 1000


def status(settings: Settings, run: str | None) -> Details:
    """
    The state of a run; without an id, the latest.
    """
    with database(settings) as opened, opened.connect() as made:
        return details_of(made, wanted_run(made, run), settings.dead_after, private=opened.embedded)


@dataclass(frozen=True, slots=True)
class Failed:
    """
    The failures of a run, read lazily while the block runs for which it was opened.
    """

    run: Run
    _connection: Connection[Any]
    _stage: str | None
    _cause: str | None

    def jobs(self) -> Iterator[Failure]:
        """
        Each job, oldest first; only one page is in memory.
        """
        return every_failure(self._connection, self.run.id, stage=self._stage, cause=self._cause)

    def causes(self) -> list[Cluster]:
        """
        The causes, most frequent first.
        """
        return clusters(self._connection, self.run.id, stage=self._stage, cause=self._cause)

    def services(self) -> tuple[str, ...]:
        """
        The stages that services run: their jobs cannot run here.
        """
        return bound_plan(self._connection, self.run).external


@contextmanager
def failed(
    settings: Settings, run: str | None, *, stage: str | None = None, cause: str | None = None
) -> Generator[Failed]:
    """
    The failures of a run, while the block runs.

    Args:
        stage: only failures of this stage.
        cause: only failures with this fingerprint.

    Raises:
        UsageError: there is no such run or stage, or nothing failed for this cause.
    """
    with connection(settings) as made:
        found = run_with(made, run, stage)
        if cause is not None:
            check_cause(made, found, cause)
        yield Failed(found, made, stage, cause)


def receipt_of(settings: Settings, run: str | None) -> tuple[Run, Receipt, list[Unmatched]]:
    """
    The receipt of a run, and what no edge took.
    """
    with connection(settings) as made:
        found = wanted_run(made, run)
        account = receipt(made, found.id, index_stages(bound_plan(made, found)))
        return found, account, unmatched(made, found.id)


@contextmanager
def receipt_list(settings: Settings, run: str | None, line: str) -> Generator[tuple[Run, Generator[DocumentLine]]]:
    """
    The documents of one line of the receipt, while the block runs.

    Raises:
        UsageError: there is no such line.
    """
    if line not in LISTABLE:
        raise UsageError(
            f"a receipt has no line {line!r}",
            help=did_you_mean(line, LISTABLE) or f"its lines are: {', '.join(LISTABLE)}",
        )
    with (
        database(settings) as opened,
        opened.connect() as made,
        opened_store(settings, opened.address.uri) as store,
    ):
        found = wanted_run(made, run)
        stages = index_stages(bound_plan(made, found))
        with closing(every_document(made, found.id, stages, line=None if line == "all" else line)) as listed:
            yield found, _with_ways(listed, Ways(store, found.dataset))


def _with_ways(listed: Iterator[DocumentLine], ways: Ways) -> Generator[DocumentLine]:
    while some := list(islice(listed, _AT_ONCE)):
        found = ways.within({one.document: one.name for one in some})
        yield from (replace(one, way=found.get(one.document)) for one in some)
