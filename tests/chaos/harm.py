"""
What can be done to workers and to their database while a run passes: one function a kind, each does it once.

A kind answers which processes were hit, or ALL, or None where there was nobody to hit. What takes its time ends by
itself: a process that was stopped goes on, a session that holds something lets go.
"""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg

from benchmarks.watch import roles
from oaflow.postgres.layout import layout
from oaflow.postgres.server import Server
from tests.chaos.crew import WORKER, Post
from tests.chaos.history import Job
from tests.chaos.passages import Passage
from tests.chaos.proxy import KINDS as STATEMENTS
from tests.chaos.proxy import Fault, How, Proxy

Hit = frozenset[int]

# Workers of a supervisor.
_EACH = 2

# Whoever works at that time.
ALL: Hit = frozenset()


@dataclass(frozen=True)
class Pace:
    """
    How fast all of it goes, in seconds.

    Attributes:
        gap: between two faults, on average.
        stalls: what a statement may be stalled for.
        stop: that a process stands still.
        block: that a stage blocks the loop of its worker.
        hold: that a session holds rows, a snapshot or all connections.
        away: that nobody reaches the database for long.
        settings: of the workers.
    """

    gap: float = 1.0
    stalls: tuple[float, ...] = (3.0, 40.0)
    stop: float = 22.0
    block: float = 17.0
    hold: float = 5.0
    away: float = 60.0
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Stand:
    """
    A run with its workers, and what it takes to harm them.

    Attributes:
        home: of its server.
        deleted: jobs that `delete_row` took out.
        ended_by_themselves: supervisors that nobody had killed.
        keep: whether the folder is left for whoever wants to know what was wrong.
    """

    home: Path
    uri: str
    proxy: Proxy
    post: Post
    passage: Passage
    pace: Pace
    draw: random.Random
    crews: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    deleted: set[Job] = field(default_factory=set)
    ended_by_themselves: int = 0
    keep: bool = False
    _orders: int = 0
    _later: list[threading.Timer] = field(default_factory=list)

    @property
    def workers(self) -> int:
        """
        How many there are when all is well.
        """
        return _EACH * len(self.crews)

    def staff(self) -> None:
        """
        Start a supervisor in place of each that is gone.
        """
        for number, crew in enumerate(self.crews):
            if crew.poll() is not None:
                if crew.returncode != -signal.SIGKILL:
                    self.ended_by_themselves += 1
                    print(f"supervisor {crew.pid} ended by itself, with {crew.returncode}", flush=True)
                self._hire(number)

    def hire(self, count: int) -> None:
        """
        Start so many supervisors.
        """
        for number in range(count):
            self._hire(number)

    def _hire(self, number: int) -> None:
        self.crews[number:] = [
            self.post.start(*WORKER, "--workers", str(_EACH), "--executors", "1"),
            *self.crews[number + 1 :],
        ]

    def one(self, role: str) -> psutil.Process | None:
        """
        One of those processes.
        """
        found = [process for crew in self.crews for name, process in _roles(crew.pid) if name == role]
        return self.draw.choice(found) if found else None

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """
        Do something in a while, also where the run has ended by then.
        """
        timer = threading.Timer(seconds, call)
        timer.start()
        self._later.append(timer)

    def settle(self) -> None:
        """
        Wait until all that takes its time has ended.
        """
        for timer in self._later:
            timer.join()

    def order(self, what: str) -> None:
        """
        Have the next stage that can do something do it.
        """
        self._orders += 1
        (self.post.orders / f"{what}-{self._orders}").touch()

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """
        A connection past the proxy.
        """
        return psycopg.connect(self.uri, autocommit=True, application_name="chaos", connect_timeout=10, **options)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """
        The rows of a statement.
        """
        with self.connect() as connection:
            cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType]
            return cursor.fetchall() if cursor.description else []


def _roles(pid: int) -> list[tuple[str, psutil.Process]]:
    with suppress(psutil.NoSuchProcess):
        return roles(psutil.Process(pid))
    return []


def _with_children(process: psutil.Process) -> Hit:
    with suppress(psutil.NoSuchProcess):
        return frozenset({process.pid, *(child.pid for child in process.children(recursive=True))})
    return frozenset({process.pid})


def _signalled(stand: Stand, role: str, number: signal.Signals) -> Hit | None:
    process = stand.one(role)
    if process is None:
        return None
    hit = _with_children(process)
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return None
    return hit


def kill_worker(stand: Stand) -> Hit | None:
    return _signalled(stand, "worker", signal.SIGKILL)


def kill_executor(stand: Stand) -> Hit | None:
    return _signalled(stand, "executor", signal.SIGKILL)


def kill_supervisor(stand: Stand) -> Hit | None:
    return _signalled(stand, "supervisor", signal.SIGKILL)


def drain_worker(stand: Stand) -> Hit | None:
    return _signalled(stand, "worker", signal.SIGTERM)


def stop_worker(stand: Stand) -> Hit | None:
    """
    It stands still for longer than it may, and goes on then: its jobs are others' by now.
    """
    process = stand.one("worker")
    if process is None:
        return None
    hit = _with_children(process)

    def go_on() -> None:
        with suppress(psutil.NoSuchProcess):
            process.resume()

    with suppress(psutil.NoSuchProcess):
        process.suspend()
        stand.later(stand.pace.stop, go_on)
        return hit
    return None


def hoard(stand: Stand) -> None:
    stand.order("hoard")


def block(stand: Stand) -> None:
    stand.order("block")


def restart_fast(stand: Stand) -> Hit:
    return _restart(stand, signal.SIGINT)


def restart_immediate(stand: Stand) -> Hit:
    return _restart(stand, signal.SIGQUIT)


def _restart(stand: Stand, how: signal.Signals) -> Hit:
    with (layout(stand.home).data / "postmaster.pid").open() as lines:
        postmaster = psutil.Process(int(lines.readline()))
    postmaster.send_signal(how)
    with suppress(psutil.NoSuchProcess):
        postmaster.wait(60)
    with Server(stand.home):  # as any command starts it that comes
        pass
    return ALL


_SESSIONS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'oaflow%'"
_TERMINATE_ALL = f"SELECT pg_terminate_backend(pid) {_SESSIONS}"


def terminate_session(stand: Stand) -> Hit | None:
    ended = f"SELECT pg_terminate_backend(pid) FROM (SELECT pid {_SESSIONS} ORDER BY random() LIMIT 1) AS one"
    return ALL if stand.sql(ended) else None


def cancel_statement(stand: Stand) -> Hit | None:
    """
    As a statement timeout does it.
    """
    limit = time.monotonic() + 2.0
    with stand.connect() as connection:
        while time.monotonic() < limit:
            cancelled = f"SELECT pg_cancel_backend(pid) {_SESSIONS} AND state = 'active' LIMIT 1"
            if connection.execute(cancelled).fetchall():  # pyright: ignore[reportArgumentType]
                return ALL
    return None


def time_out_statements(stand: Stand) -> Hit:
    """
    For some time the server gives statements of new sessions so little time that many of them are over it.
    """
    with stand.connect() as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET statement_timeout = 5')  # pyright: ignore[reportArgumentType]
        connection.execute(_TERMINATE_ALL)
        time.sleep(stand.pace.hold)
        connection.execute(f'ALTER DATABASE "{name}" RESET statement_timeout')  # pyright: ignore[reportArgumentType]
        connection.execute(_TERMINATE_ALL)
    return ALL


def go_away(stand: Stand) -> Hit:
    """
    Nobody reaches the database for some time.
    """
    return _away(stand, stand.pace.hold)


def go_far_away(stand: Stand) -> Hit:
    return _away(stand, stand.pace.away)


def _away(stand: Stand, seconds: float) -> Hit:
    stand.proxy.leave()
    time.sleep(seconds)
    stand.proxy.away = False
    return ALL


def lock_rows(stand: Stand) -> Hit:
    """
    Somebody holds the rows of some open jobs for longer than `lock_timeout`, which the database has set.
    """
    connection = stand.connect()
    connection.autocommit = False
    connection.execute(
        "SELECT FROM procrastinate_jobs WHERE id IN"
        " (SELECT id FROM procrastinate_jobs WHERE status IN ('todo', 'doing') ORDER BY random() LIMIT 10)"
        " FOR UPDATE"
    )
    stand.later(stand.pace.hold, lambda: _let_go([connection]))
    return ALL


def hold_snapshot(stand: Stand) -> Hit:
    connection = stand.connect()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.autocommit = False
    connection.execute("SELECT count(*) FROM procrastinate_jobs")
    stand.later(4 * stand.pace.hold, lambda: _let_go([connection]))
    return ALL


def use_up_connections(stand: Stand) -> Hit:
    """
    All that there are, also those for administrators; and some sessions of the workers end, so that they want others.
    """
    held: list[psycopg.Connection[Any]] = []
    stand.sql(f"SELECT pg_terminate_backend(pid) FROM (SELECT pid {_SESSIONS} ORDER BY random() LIMIT 5) AS few")
    with suppress(psycopg.OperationalError):
        while True:
            held.append(stand.connect())
    time.sleep(stand.pace.hold)
    _let_go(held)
    return ALL


def _let_go(connections: Iterable[psycopg.Connection[Any]]) -> None:
    for connection in connections:
        with suppress(psycopg.Error):
            connection.close()


def delete_row(stand: Stand) -> Hit | None:
    """
    Somebody deletes an open job. It is lost, and has to be named; nobody is hit.
    """
    rows = stand.sql(
        "DELETE FROM procrastinate_jobs WHERE id = (SELECT id FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        " AND args #>> '{payload,entities,0,id}' IS NOT NULL ORDER BY random() LIMIT 1) AND status IN ('todo', 'doing')"
        " RETURNING args #>> '{payload,context,oaflow,stage}', jsonb_path_query_array(args, '$.payload.entities[*].id')"
    )
    stand.deleted.update((stage, document) for stage, documents in rows for document in documents)
    return frozenset({0}) if rows else None


def cut_statement(stand: Stand) -> None:
    _arm(stand, "cut")


def stall_statement(stand: Stand) -> None:
    _arm(stand, "stall")


def _arm(stand: Stand, how: How) -> None:
    statement = stand.draw.choice(list(STATEMENTS))
    # The answer that says that a join has fired comes once: armed at the end.
    when = "before" if statement == "join" else stand.draw.choice(("before", "answer lost"))
    stand.proxy.arm(Fault(statement, when, how, stand.draw.choice(stand.pace.stalls)))
    if statement == "listen":
        stand.proxy.drop("listen")


class Kind(NamedTuple):
    """
    What is done, and how often among the others. What is only ordered is counted where it happens.
    """

    do: Callable[[Stand], Hit | None]
    weight: float
    ordered: bool = False


KINDS = {
    "kill -9, a worker": Kind(kill_worker, 8),
    "kill -9, an executor": Kind(kill_executor, 25),
    "kill -9, a supervisor": Kind(kill_supervisor, 2),
    "SIGTERM, a worker": Kind(drain_worker, 3),
    "SIGSTOP, a worker, past its timeout": Kind(stop_worker, 2),
    "out of memory, an executor": Kind(hoard, 6, ordered=True),
    "a stage that blocks its worker's loop": Kind(block, 2, ordered=True),
    "restart of Postgres, fast": Kind(restart_fast, 1.5),
    "restart of Postgres, immediate": Kind(restart_immediate, 1.5),
    "database out of reach": Kind(go_away, 1.5),
    "database out of reach for a minute": Kind(go_far_away, 0.3),
    "sessions with a statement timeout of 5 ms": Kind(time_out_statements, 1),
    "session terminated": Kind(terminate_session, 12),
    "statement cut": Kind(cut_statement, 16, ordered=True),
    "statement stalled": Kind(stall_statement, 6, ordered=True),
    "statement cancelled, as by its timeout": Kind(cancel_statement, 4),
    "rows locked past the lock timeout": Kind(lock_rows, 3),
    "snapshot held open": Kind(hold_snapshot, 1),
    "connections used up": Kind(use_up_connections, 1),
    "row deleted": Kind(delete_row, 6),
}
