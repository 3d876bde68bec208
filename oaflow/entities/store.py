"""
The entity store: reads and writes the tables that ftmq and followthemoney-store share, `ftm_<dataset>`.

A row is what one origin says about one entity, under a fragment; the same triple overwrites, reading merges.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from threading import RLock
from typing import TYPE_CHECKING, Any, LiteralString, Self, TypeVar, cast

import orjson
import psycopg
from psycopg.errors import DeadlockDetected, DuplicateTable, SerializationFailure, UndefinedTable, UniqueViolation
from psycopg.pq import TransactionStatus

from oaflow.entities.datasets import table_name
from oaflow.entities.errors import ConflictingSchemaError, EntityStoreError, StoredConflictError
from oaflow.entities.fragments import Key, merged_data, merged_entity, proxy_of, row_of
from oaflow.entities.statements import for_table, text
from oaflow.errors import OaflowError
from oaflow.jobs.bindings import DEFAULT_FRAGMENT
from oaflow.sessions import WITHOUT_JIT

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

T = TypeVar("T")

# A flush at so many fragments or bytes, whichever comes first; a read in groups of so many ids.
BATCH = 1000
BATCH_BYTES = 8 * 1024 * 1024

# Stages of runs that a process remembers to have asked for.
_MOST_ORIGINS = 1000

# Held while a table is made: CREATE TABLE IF NOT EXISTS alone gave 116 unique violations with 8 sessions and 20 tables.
_MAKING_TABLES = 0x6F61_666C_6F77_0001

# Where the statement may or may not have been done; every statement here can be sent again.
_PASSING = (psycopg.OperationalError, psycopg.InterfaceError, DeadlockDetected, SerializationFailure)


class EntityStore:
    """
    Entities of any dataset, over one connection that is opened on first use and opened again when it was cut.

    Threads may share a store: one statement runs at a time.
    """

    def __init__(
        self,
        conninfo: str | Callable[[], str],
        *,
        application_name: str = "oaflow entities",
        patience: float = 30.0,
    ) -> None:
        """
        Args:
            conninfo: address of the database, or what finds it when it is needed.
            application_name: how Postgres lists the connection.
            patience: seconds that a statement is sent again for, while the database cannot be reached.
        """
        self.conninfo, self.application_name, self.patience = conninfo, application_name, patience
        self._connection: psycopg.Connection[Any] | None = None
        self._spoke: dict[tuple[str, str, str], bool] = {}
        self._lock = RLock()
        self._known: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """
        Close the connection. The store can be used again.
        """
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def writer(
        self, dataset: str, origin: str, fragment: str = DEFAULT_FRAGMENT, replace: bool = False
    ) -> "FragmentWriter":
        """
        A writer to a dataset. One writer serves one attempt of one job.

        Args:
            dataset: its table is made with the first row.
            origin: who says it.
            fragment: the default sub-key; with `replace` the id of the source document.
            replace: whether `settle` deletes what was under origin and fragment before and was not written again.

        Raises:
            DatasetNameError: the store cannot hold a dataset of this name.
        """
        return FragmentWriter(self, dataset, origin, fragment, replace)

    def spoke(self, dataset: str, origin: str, run: str) -> bool:
        """
        Whether an origin had said anything about a dataset when this was first asked in a run.
        """
        key = (dataset, origin, run)
        if key not in self._spoke:
            if len(self._spoke) >= _MOST_ORIGINS:
                self._spoke.clear()
            statement = for_table("spoke", table_name(dataset))
            self._spoke[key] = bool(self.rows(dataset, statement, {"origin": origin}))
        return self._spoke[key]

    def clock(self) -> datetime:
        """
        What time it is for the store: that of what is written now.
        """
        rows = self.run("*", "ask the time of", lambda connection: connection.execute(text("clock")).fetchall())
        return rows[0][0]

    def load(self, dataset: str, ids: Iterable[str]) -> "Iterator[EntityProxy]":
        """
        The merged entities with these ids, in their order, each once; what is not in the store is left out.
        """
        table, wanted = table_name(dataset), list(dict.fromkeys(ids))
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            merged = self._merged(dataset, table, part)
            yield from (merged[id] for id in part if id in merged)

    def iterate(self, dataset: str, schema: str | None = None) -> "Iterator[EntityProxy]":
        """
        All merged entities of a dataset, sorted by id.

        Args:
            dataset: one without a table has no entities.
            schema: only entities of this schema or of one that descends from it.
        """
        table, after = table_name(dataset), ""
        while ids := self._ids(dataset, table, after):
            merged = self._merged(dataset, table, ids)
            # A document deleted between the two statements is not there any more.
            found = (merged[id] for id in ids if id in merged)
            yield from (entity for entity in found if schema is None or entity.schema.is_a(schema))
            after = ids[-1]

    def has_index(self, dataset: str) -> bool:
        """
        Whether what an origin said about a document is found by an index; tables that others made lack it.
        """
        table = table_name(dataset)
        rows = self.run(
            dataset, "look at", lambda c: c.execute(text("has_index"), {"table": _quoted(table)}).fetchall()
        )
        return bool(rows and rows[0][0])

    def add_index(self, dataset: str) -> None:
        """
        Make the index that `has_index` looks for. Others go on writing meanwhile.
        """
        for name in ("drop_index", "add_index"):
            statement = for_table(name, table_name(dataset))
            self.run(dataset, "make an index on", lambda c, statement=statement: c.execute(statement))

    def datasets(self) -> list[str]:
        """
        The datasets that have a table, sorted.
        """
        found = self.run("*", "list", lambda connection: connection.execute(text("datasets")).fetchall())
        return [str(name) for (name,) in found]

    def take_out(self, dataset: str, statement: bytes, values: Mapping[str, Any], *, unreadable: bool = False) -> None:
        """
        Delete fragments, by a statement that answers of which entities they were.

        Args:
            unreadable: goes on though what is left of some cannot be read, either.
        """
        self.rows(dataset, statement, values)

    def make_table(self, dataset: str) -> None:
        """
        Make the table of a dataset where it is not there, once for all sessions that try at the same time.
        """
        table = table_name(dataset)
        if table in self._known:
            return
        self.run(dataset, "make a table for", lambda connection: _make(connection, table))
        self._known.add(table)

    def run(self, dataset: str, doing: str, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        """
        Do something over the connection, again when the database was away or two writers met.

        Raises:
            UndefinedTable: the dataset has no table.
            EntityStoreError: Postgres refused, or was away for longer than the store's patience.
        """
        with self._lock:
            if (held := self._connection) is not None and held.info.transaction_status == TransactionStatus.INTRANS:
                # Within a transaction nothing can be done again by itself: who opened it does.
                return work(held)
        deadline, pause = time.monotonic() + self.patience, 0.05
        while True:
            try:
                with self._lock:
                    return work(self._connected())
            except UndefinedTable:
                self._known.discard(table_name(dataset))
                raise
            except _PASSING as error:
                if time.monotonic() + pause > deadline or _hopeless(error):
                    raise EntityStoreError(dataset, doing, _sentence(error)) from error
            except psycopg.Error as error:
                raise EntityStoreError(dataset, doing, _sentence(error)) from error
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _connected(self) -> "psycopg.Connection[Any]":
        if self._connection is None or self._connection.closed:
            conninfo = self.conninfo if isinstance(self.conninfo, str) else self.conninfo()
            self._connection = psycopg.connect(
                _plain(conninfo), autocommit=True, application_name=self.application_name, connect_timeout=10
            )
            # A plan that was made while a dataset was small is kept while it grows: what finds rows by their keys must
            # not have learnt to read the whole table.
            self._connection.execute(f"SET enable_seqscan = off; {WITHOUT_JIT}")
        return self._connection

    def _merged(self, dataset: str, table: str, ids: list[str]) -> "dict[str, EntityProxy]":
        merged: dict[str, EntityProxy] = {}
        narrowest: dict[str, str] = {}  # who said the schema that it has so far
        for id, origin, data in self.rows(dataset, for_table("fragments", table), {"ids": ids}):
            entity = proxy_of(dataset, id, origin, data)
            if (known := merged.get(id)) is None:
                merged[id], narrowest[id] = entity, origin
                continue
            before = known.schema
            try:
                merged[id] = merged_entity(dataset, known, entity)
            except ConflictingSchemaError as error:
                raise StoredConflictError(dataset, id, error.schemata, (narrowest[id], origin)) from error
            if merged[id].schema != before:
                narrowest[id] = origin
        return merged

    def _ids(self, dataset: str, table: str, after: str) -> list[str]:
        rows = self.rows(dataset, for_table("ids", table), {"after": after, "limit": BATCH})
        return [id for (id,) in rows]

    def rows(self, dataset: str, statement: bytes, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """
        What a query answers; nothing where the dataset has no table.
        """
        try:
            return self.run(dataset, "read", lambda connection: connection.execute(statement, values).fetchall())
        except UndefinedTable:
            return []


class FragmentWriter:
    """
    Collects what one attempt says about entities, and writes it in batches. Leaving the block writes what is left.

    What is said twice about the same entity, origin and fragment within the attempt is merged, also where the first
    part has been written already. Memory is bounded by one batch.
    """

    def __init__(self, store: EntityStore, dataset: str, origin: str, fragment: str, replace: bool) -> None:
        self.store, self.dataset, self.origin, self.fragment, self.replace = store, dataset, origin, fragment, replace
        self._table = table_name(dataset)
        self._buffer: dict[Key, dict[str, Any]] = {}
        self._bytes = 0
        # When this attempt wrote first, by the clock of the database, and whether nothing was there; see write.sql.
        self._begun: Any = None
        self._anew = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self.flush()
        except OaflowError as failure:
            if error is None:
                raise
            # What made the block fail is the news; that its rest was not written either is a remark.
            error.add_note(str(failure))

    def add(self, entity: "EntityProxy | Mapping[str, Any]") -> None:
        """
        Write an entity under the writer's origin and fragment.

        Raises:
            MissingIdError: the entity has no id.
            ForbiddenValueError: a value that Postgres cannot hold, with its place.
        """
        self.put(entity)

    def put(
        self, entity: "EntityProxy | Mapping[str, Any]", fragment: str | None = None, origin: str | None = None
    ) -> None:
        """
        Write an entity under a fragment or an origin of its own. Neither is touched by `settle`.
        """
        key, data = row_of(entity, origin or self.origin, fragment or self.fragment)
        if (known := self._buffer.get(key)) is not None:
            data = merged_data(self.dataset, key[0], known, data)
        self._buffer[key] = data
        self._bytes += _size(data)
        if len(self._buffer) >= BATCH or self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """
        Write what was collected.

        Raises:
            EntityStoreError: it could not be written; it is still collected.
        """
        if not self._buffer:
            return
        self._merge_with_written()
        rows = [
            {"id": id, "origin": origin, "fragment": fragment, "entity": data}
            for (id, origin, fragment), data in sorted(self._buffer.items(), key=lambda item: item[0])
        ]
        values = self._scope() | {"rows": orjson.dumps(rows).decode()}
        begun, anew = self._write(values)
        if self._begun is None:
            self._begun, self._anew = begun, anew
        self._buffer, self._bytes = {}, 0

    def settle(self, *, alone: bool = False) -> None:
        """
        Flush, and with `replace` delete what was under the writer's origin and fragment before and was not written
        again. Safe to repeat.

        Args:
            alone: nobody else writes there: what was not there when this attempt first wrote has not come since.
        """
        self.flush()
        if not self.replace or (alone and self._anew):
            return
        # Most have nothing to delete: then it is one statement, and no transaction.
        if self.store.rows(self.dataset, for_table("unsettled", self._table), self._scope()):
            self.store.take_out(self.dataset, for_table("settle", self._table), self._scope())

    def _write(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        statement = for_table("write", self._table)
        # Twice: a table that was there may have been dropped since.
        for last in (False, True):
            self.store.make_table(self.dataset)
            try:
                rows = self.store.run(self.dataset, "write to", lambda c: c.execute(statement, values).fetchall())
                return rows[0]
            except UndefinedTable as error:
                if last:
                    raise EntityStoreError(self.dataset, "write to", _sentence(error)) from error
        raise AssertionError("unreachable")

    def _merge_with_written(self) -> None:
        if self._begun is None:
            return
        statement = for_table("written", self._table)
        values = {"ids": sorted({id for id, _, _ in self._buffer}), "begun": self._begun}
        try:
            rows = self.store.run(self.dataset, "read", lambda c: c.execute(statement, values).fetchall())
        except UndefinedTable:
            return
        for id, origin, fragment, data in rows:
            if (later := self._buffer.get((id, origin, fragment))) is not None:
                self._buffer[id, origin, fragment] = merged_data(self.dataset, id, data, later)

    def _scope(self) -> dict[str, Any]:
        replaced = (self.origin, self.fragment) if self.replace else (None, None)
        return {"begun": self._begun, "origin": replaced[0], "fragment": replaced[1]}


def _make(connection: "psycopg.Connection[Any]", table: str) -> None:
    if connection.execute("SELECT to_regclass(%s)", (_quoted(table),)).fetchone() != (None,):
        return
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING_TABLES,))
            if connection.execute("SELECT to_regclass(%s)", (_quoted(table),)).fetchone() == (None,):
                connection.execute(for_table("create_table", table))
                connection.execute(for_table("create_index", table))
    except (DuplicateTable, UniqueViolation):
        # ftmq makes tables without our lock.
        return


def _quoted(table: str) -> str:
    # The names of datasets need no escaping (see `table_name`), and folding them changes nothing.
    return f'"{table}"'


def _size(data: Mapping[str, Any]) -> int:
    properties = cast("Mapping[str, list[str]]", data.get("properties") or {})
    return sum(len(value) for values in properties.values() for value in values)


def _plain(conninfo: str) -> str:
    # OpenAleph's settings name SQLAlchemy dialects: postgresql+psycopg2://...
    scheme, mark, rest = conninfo.partition("://")
    return f"postgresql{mark}{rest}" if mark and scheme.startswith(("postgresql+", "postgres+")) else conninfo


def _hopeless(error: psycopg.Error) -> bool:
    # Wrong password, no such database, no right to connect: waiting changes nothing.
    return (error.sqlstate or "").startswith(("28", "3D"))


def _sentence(error: psycopg.Error) -> str:
    primary: LiteralString | str | None = error.diag.message_primary
    return primary or str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
