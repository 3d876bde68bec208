"""
The schema of a database: what is there, whether this program can work with it, and how it is brought there.

oaflow alters nothing of procrastinate's in a database that others use. It installs procrastinate's schema where there
is none, and applies procrastinate's later migrations only on its own private server.
"""

import random
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg import Connection, errors, sql
from psycopg.rows import dict_row

from oaflow.postgres import scripts
from oaflow.postgres.address import Address, named
from oaflow.postgres.events import index_queues, write_events
from oaflow.postgres.problems import (
    DatabaseProblem,
    InUse,
    MigrationChanged,
    NoSuchDatabase,
    NotAllowed,
    NotMigrated,
    PostgresTooOld,
    ProcrastinateTooOld,
    SchemaNewer,
    SchemaOlder,
    Unreachable,
    WrongPassword,
)
from oaflow.postgres.scripts import Component, Script

# procrastinate 3 supports nothing older, and oaflow's statements need nothing newer.
OLDEST_POSTGRES = 130000

# What this program calls or writes, each with the release of procrastinate that brought it last: 3.2 and 3.4.
_NEEDED_FUNCTIONS = ("procrastinate_defer_jobs_v1", "procrastinate_retry_job_v2", "procrastinate_register_worker_v1")
_NEEDED_COLUMNS = ("priority", "worker_id", "abort_requested")


@dataclass(frozen=True)
class Applied:
    """
    One step of a migration, done or (in a dry run) to be done.
    """

    component: Component
    name: str

    def __str__(self) -> str:
        match self.component, self.name:
            case "index", name:
                return f"index {name} on procrastinate_jobs"
            case "capture", "capture":
                return "capture: triggers on procrastinate_jobs"
            case "capture", _:
                return "no capture: the triggers on procrastinate_jobs are gone"
            case component, name:
                return f"{component} {name}"


@dataclass(frozen=True)
class SchemaState:
    """
    What a database has, beside what this program wants.

    Attributes:
        postgres: the version of the server, as a number (180006).
        release: the same for people.
        procrastinate: whether its schema is there.
        lacking: what its schema does not have and this program needs.
        applied: oaflow's migrations that are there.
        pending: those that this program knows and the database lacks.
        unknown: those that are there and this program does not know.
        changed: those whose content is another here and there.
        indexes: indexes that would make claims fast and are not there. Never an error.
        captured: whether triggers take down what services hand over.
    """

    postgres: int
    release: str
    procrastinate: bool
    lacking: tuple[str, ...]
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...]
    changed: tuple[str, ...]
    indexes: tuple[str, ...]
    captured: bool


def inspect(database: Address | str) -> SchemaState:
    """
    Looks at a database, and judges nothing.

    Raises:
        Unreachable, WrongPassword, NoSuchDatabase: there is no way in, or a timeout of the server cut the look short.
    """
    address = _address(database)
    with connect(address, "oaflow check") as connection:
        try:
            return _state(connection)
        except psycopg.OperationalError as error:
            raise _diagnosed(address, error) from error


def check(database: Address | str) -> SchemaState:
    """
    Looks whether this program can work with a database.

    Raises:
        DatabaseProblem: it cannot; which of its kinds says why, and what to type.
    """
    address = _address(database)
    state = inspect(address)
    _refuse(address, state)
    if not state.applied:
        raise NotMigrated(address)
    if state.pending or not state.procrastinate:
        raise SchemaOlder(address, state.pending or ("procrastinate's schema",))
    return state


def migrate(
    database: Address | str,
    *,
    dry_run: bool = False,
    own: bool = False,
    events: bool | None = None,
    capture: bool | None = None,
) -> list[Applied]:
    """
    Brings a database to this program's schema. Can be repeated, and by two at once.

    Args:
        dry_run: say what would be done, and do nothing.
        own: the database is on the private server: later migrations of procrastinate are oaflow's to apply.
        events: whether procrastinate's rows of events are written there; None changes nothing. On our own server only.
        capture: whether triggers take down what services hand over; None changes nothing.

    Raises:
        DatabaseProblem: it cannot be brought there.
    """
    address = _address(database)
    with connect(address, "oaflow migrate") as connection:
        if dry_run:
            return [Applied(script.component, script.name) for script in _steps(address, connection, own, capture)]
        with _alone(connection), _rights(address):
            done: list[Applied] = []
            steps = list(_steps(address, connection, own, capture))
            if any(step in scripts.procrastinate_scripts() for step in steps):
                index_queues(connection, True)  # a migration of procrastinate's may expect it
            for script in steps:
                _apply_between(address, connection, script)
                done.append(Applied(script.component, script.name))
            if own and events is not None:
                write_events(connection, events)
            return done


@contextmanager
def connect(address: Address, program: str) -> Generator[Connection[Any]]:
    """
    A connection in autocommit mode; what keeps it from being made is told in a sentence.

    Raises:
        Unreachable: it cannot be made, or breaks.
        WrongPassword, NoSuchDatabase: it cannot be made.
    """
    try:
        connection = psycopg.connect(named(address.uri, program), autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise _diagnosed(address, error) from error
    with connection:
        try:
            yield connection
        except psycopg.OperationalError as error:
            if not connection.broken:
                raise
            raise _diagnosed(address, error) from error


def _address(database: Address | str) -> Address:
    return database if isinstance(database, Address) else Address(database, None, False)


def _diagnosed(address: Address, error: psycopg.OperationalError) -> DatabaseProblem:
    # libpq gives no SQLSTATE for a connection that was never made, and the server's words may be in any language.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0].rpartition("failed: ")[2].strip() if lines else type(error).__name__
    failed = error.pgconn
    if failed is not None and (failed.used_password or failed.needs_password) and failed.status:
        missing = f'database "{address.database}"'
        if missing not in reason:
            return WrongPassword(address, address.user, reason)
    if f'"{address.database}"' in reason and "role" not in reason and "user" not in reason:
        return NoSuchDatabase(address)
    return Unreachable(address, reason)


def _state(connection: Connection[Any]) -> SchemaState:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cast("dict[str, Any]", cursor.execute(scripts.query("state"), {}).fetchone())
    record = _record(connection, "oaflow") if row["recorded"] else {}
    known = {script.name: script.digest for script in scripts.oaflow_scripts()}
    there = {*row["functions"], *row["columns"]}
    return SchemaState(
        postgres=row["version"],
        release=row["release"],
        procrastinate=row["procrastinate"],
        lacking=tuple(
            name for name in (*_NEEDED_FUNCTIONS, *_NEEDED_COLUMNS) if row["procrastinate"] and name not in there
        ),
        applied=tuple(record),
        pending=tuple(name for name in known if name not in record),
        unknown=tuple(name for name in record if name not in known),
        changed=tuple(name for name, digest in record.items() if known.get(name, digest) != digest),
        indexes=tuple(script.name for script in scripts.index_scripts() if script.name not in row["indexes"]),
        captured=row["captured"],
    )


def _record(connection: Connection[Any], component: Component) -> dict[str, str]:
    rows = connection.execute(scripts.query("applied")).fetchall()
    return {name: digest for owner, name, digest in rows if owner == component}


def _refuse(address: Address, state: SchemaState, *, own: bool = False) -> None:
    if state.postgres < OLDEST_POSTGRES:
        raise PostgresTooOld(address, state.release, str(OLDEST_POSTGRES // 10000))
    if state.lacking and not own:
        raise ProcrastinateTooOld(address, state.lacking)
    if state.unknown:
        raise SchemaNewer(address, state.unknown)
    if state.changed:
        raise MigrationChanged(address, state.changed)


def _steps(address: Address, connection: Connection[Any], own: bool, capture: bool | None) -> Iterator[Script]:
    """
    What is to be done, in order. Decided from one look at the start: nobody else migrates meanwhile.
    """
    state = _state(connection)
    _refuse(address, state, own=own)
    if not state.procrastinate:
        yield scripts.procrastinate_schema()
    elif own:
        applied = _record(connection, "procrastinate")
        yield from (script for script in scripts.procrastinate_scripts() if script.name not in applied)
    yield from (script for script in scripts.oaflow_scripts() if script.name in state.pending)
    yield from (script for script in scripts.index_scripts() if script.name in state.indexes)
    if capture is not None and capture != state.captured:
        yield scripts.capture_script(capture)


def _apply_between(address: Address, connection: Connection[Any], script: Script) -> None:
    """
    Apply between the statements of workers. Who waits for a table holds up all who come after it, and may wait in a
    circle with one that already has another: so it gives up soon, lets them pass, and begins anew.
    """
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            return _apply(connection, script)
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            if time.monotonic() > limit:
                raise InUse(address, script.name) from error
            time.sleep(0.1 + random.random() * 0.2)


def _apply(connection: Connection[Any], script: Script) -> None:
    if script.component == "index":
        # One that was interrupted stays as an invalid index, which IF NOT EXISTS would take for the thing itself.
        connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(script.name)))
        connection.execute(script.text.encode())
        return
    with connection.transaction():
        connection.execute(_NO_QUEUE)
        if script.component == "capture":
            connection.execute(script.text.encode())
            return
        connection.execute(scripts.query("migrations"))
        whole = script == scripts.procrastinate_schema()
        if whole:
            connection.execute(scripts.query("beside"))
        connection.execute(script.text.encode())
        for part in scripts.procrastinate_scripts() if whole else (script,):
            connection.execute(
                scripts.query("record"),
                {"component": part.component, "name": part.name, "digest": part.digest, "program": scripts.program()},
            )


@contextmanager
def _alone(connection: Connection[Any]) -> Generator[None]:
    # Asked again and again, not waited for: a waiting statement holds a snapshot, and CREATE INDEX CONCURRENTLY of the
    # one who migrates would wait for it in turn.
    while not cast("tuple[bool]", connection.execute(_TRY).fetchone())[0]:
        time.sleep(0.05)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(hashtext('oaflow.migrate'))")


# Shorter than `deadlock_timeout`: it is never a worker's statement that is ended.
_NO_QUEUE = "SET LOCAL lock_timeout = '300ms'"

# Seconds in which a migration finds a moment between the statements of others.
_PATIENCE = 60.0

_TRY = "SELECT pg_try_advisory_lock(hashtext('oaflow.migrate'))"


@contextmanager
def _rights(address: Address) -> Generator[None]:
    try:
        yield
    except errors.InsufficientPrivilege as error:
        raise NotAllowed(address, str(error).splitlines()[0]) from error
