"""
What the measurements stand on: a private server as users have it, fresh databases, runs of no-op stages, and commands.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import oaflow
from oaflow.ledger import runs as ledger
from oaflow.ledger.limits import declare
from oaflow.ledger.runs import FirstJob
from oaflow.plan import FORMAT, Plan, PlannedEdge, PlannedRetry, PlannedStage, bind
from oaflow.postgres import Server, migrate
from oaflow.postgres.cluster import Cluster
from oaflow.postgres.layout import layout

ROOT = Path(oaflow.__file__).parent.parent

_FOREIGN = ("OAFLOW_", "PROCRASTINATE_", "FTM_", "ARCHIVE_", "OPENALEPH_", "ALEPH_")


@dataclass(frozen=True)
class Ground:
    """
    A folder with a server in it. The server keeps what is written, as users' servers do: nothing is switched off.
    """

    folder: Path
    server: Server

    @property
    def postmaster(self) -> psutil.Process:
        owner = Cluster(layout(self.folder / "home")).owner()
        assert owner is not None
        return owner

    def database(self, name: str, *, events: bool = True) -> str:
        """
        The address of a database that is new and migrated. With events it is as others have it; without, as oaflow's
        own is.
        """
        address = self.empty_database(name)
        migrate(address, own=True, events=events)
        return address

    def empty_database(self, name: str) -> str:
        """
        The address of a new database with nothing in it.
        """
        with psycopg.connect(self.server.address.uri, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return make_conninfo(self.server.address.uri, dbname=name)

    def environment(self, **more: str) -> dict[str, str]:
        """
        Of a command that works here, and in which nothing else is set.
        """
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN) and key != "DEBUG"}
        return {
            **kept,
            "OAFLOW_HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
            **more,
        }

    def ingested(self, folder: Path, address: str, executors: int, **more: str) -> dict[str, Any]:
        """
        `oaflow run ingest` over a folder, ended; its answer.

        Raises:
            RuntimeError: some failed.
        """
        process = self.ingest(folder, address, executors, **more)
        out, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the run ended with exit code {process.returncode}: {out.decode()}")
        return json.loads(out)

    def ingest(self, folder: Path, address: str, executors: int, **more: str) -> "subprocess.Popen[bytes]":
        """
        `oaflow run ingest` over a folder, begun, with a worker of its own; its `--json` answer comes on stdout.
        """
        return subprocess.Popen(
            command("run", "ingest", "--dataset", f"bench{os.getpid()}", "--workers", "1", "--json", str(folder)),
            env=self.environment(OAFLOW_DB_URI=address, OAFLOW_EXECUTORS=str(executors), **more),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def ground() -> Generator[Ground]:
    """
    A folder and a server for the time of a block.
    """
    # Not where TMPDIR says: as root the server runs as another account, which must be able to enter.
    folder = Path(tempfile.mkdtemp(prefix="oaflow-bench-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with Server(folder / "home") as server:
            yield Ground(folder, server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def url(address: str) -> str:
    """
    An address as other programs take it: a URL, with the folder of a socket as a parameter.
    """
    parts = conninfo_to_dict(address)
    user, name = quote(str(parts["user"])), quote(str(parts["dbname"]))
    return f"postgresql://{user}@/{name}?host={quote(str(parts['host']))}&port={parts.get('port', 5432)}"


def command(*arguments: str) -> list[str]:
    """
    The installed command, where it is beside this Python; else the module.
    """
    installed = Path(sys.executable).parent / "oaflow"
    return [str(installed), *arguments] if installed.exists() else [sys.executable, "-m", "oaflow", *arguments]


@contextmanager
def worker(
    ground: Ground, address: str, *, executors: int, workers: int = 1, flags: Sequence[str] = (), **more: str
) -> Generator[psutil.Process]:
    """
    `oaflow worker` on a database for the time of a block, drained at its end.
    """
    with (ground.folder / "worker.txt").open("ab") as output:
        process = subprocess.Popen(
            command("worker", "--executors", str(executors), "--workers", str(workers), *flags),
            env=ground.environment(OAFLOW_DB_URI=address, **more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def chain(tasks: Sequence[str], options: Mapping[str, Any] | None = None, *, retries: int = 5, **more: Any) -> Plan:
    """
    A plan in which each task hands over to the next; `options` go to all of them.
    """
    names = [chr(ord("a") + number) for number in range(len(tasks))]
    following = [*names[1:], None]
    return Plan(
        pipeline="bench",
        start=(names[0],),
        stages={
            name: PlannedStage(
                task=task,
                queue=name,
                edges=(PlannedEdge(to=after),) if after else (),
                options=options or {},
                retry=PlannedRetry(max=retries),
                **more,
            )
            for name, task, after in zip(names, tasks, following, strict=True)
        },
    )


# Jobs that one statement enters: Postgres takes no array of a million.
_AT_ONCE = 100_000


def begin(address: str, plan: Plan, count: int, *, seal: bool = True, media: Callable[[int], str] | None = None) -> str:
    """
    Start a run of so many jobs, each with one document, and return its id. Sealed: no more will come. `media` says of
    which media type the document of a number is.
    """
    with psycopg.connect(address) as connection:
        ledger.store_plan(connection, plan.digest, FORMAT, plan.pipeline, plan.canonical())
        run = ledger.start_run(connection, plan.pipeline, plan.digest, "bench", {})
        declare(connection, run, bind(plan, {}).limits)
        for begun in range(0, count, _AT_ONCE):
            ended = min(begun + _AT_ONCE, count)
            jobs = (first_job(plan, run, number, media) for number in range(begun, ended))
            ledger.enter(connection, run, jobs, seal=seal and ended == count)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")
    return run


def first_job(plan: Plan, run: str, number: int, media: Callable[[int], str] | None = None) -> FirstJob:
    """
    A job at the start of a plan, with the document of a number.
    """
    name = plan.start[0]
    stage = plan.stages[name]
    return FirstJob(stage.queue, stage.task, name, 50, args_of(stage, name, run, number, media), (f"doc-{number}",))


def args_of(
    stage: PlannedStage, name: str, run: str, number: int, media: Callable[[int], str] | None = None
) -> dict[str, Any]:
    """
    A job on the wire, of about 300 bytes.
    """
    properties = {"fileName": [f"{number}.pdf"], "contentHash": [f"{number:040x}"]}
    if media is not None:
        properties["mimeType"] = [media(number)]
    return {
        "queue": stage.queue,
        "task": stage.task,
        "dataset": "bench",
        "batch": run,
        "payload": {
            "entities": [{"id": f"doc-{number}", "schema": "Document", "properties": properties}],
            "context": {"oaflow": {"run": run, "stage": name}},
        },
    }


def finished(address: str, run: str, *, patience: float = 1800.0) -> str:
    """
    Wait for the end of a run, and return its state.
    """
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                while time.monotonic() < limit:
                    found = ledger.find_run(connection, run)
                    if found is None or not found.open:
                        return "gone" if found is None else found.state
                    time.sleep(0.1)
        except psycopg.OperationalError:  # restarted, by a benchmark that does this
            time.sleep(0.2)
    return "never finished"


@dataclass(frozen=True)
class Passed:
    """
    What the history of a run says: attempts that ended, and the seconds between the first's start and the last's end.
    """

    attempts: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.attempts / self.seconds


def passed(address: str, run: str) -> Passed:
    """
    Reads the history of a run.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*), extract(epoch FROM max(ended) - min(started))::float8 FROM oaflow.hops"
            " WHERE run = %s AND outcome IN ('done', 'failed', 'diverted')",
            [run],
        ).fetchone()
    assert row is not None
    return Passed(row[0], row[1])
