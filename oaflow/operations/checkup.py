"""
`oaflow doctor`: checks the environment and the database, and yields one finding after the other.
"""

import os
import platform
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from oaflow import __version__
from oaflow.errors import EnvironmentProblem
from oaflow.files import ArchiveUnreachableError
from oaflow.operations.backups import last_backup
from oaflow.operations.binding import archive_of
from oaflow.operations.variables import unheard
from oaflow.operations.vocabulary import differing_schemata
from oaflow.postgres.layout import UNFINISHED, layout
from oaflow.printed.operating import Finding as FindingJson
from oaflow.quantities import data_size
from oaflow.schemata import FOLLOWTHEMONEY
from oaflow.settings import Settings

if TYPE_CHECKING:
    from psycopg import Connection

    from oaflow.ledger.runs import Run
    from oaflow.ledger.schedules import Schedule
    from oaflow.ledger.webhooks import Webhook
    from oaflow.ledger.workers import Connections, Worker
    from oaflow.postgres import Address

Level = Literal["fine", "note", "problem"]

# Runs pause when less than the smaller of these is free.
_LEAST_FREE = 1024**3
_LEAST_SHARE = 0.05

# With less than this, in bytes, there will soon be too little.
_LITTLE = 2 * _LEAST_FREE

# How many seconds a collector may take to accept a connection.
_CONNECT = 3.0

# How many seconds an archive may take to answer.
_PATIENCE = 10.0

# With more than this share of the allowed connections in use, there will soon be too few.
_MANY_CONNECTIONS = 0.8

# Days after which a backup is old.
_OLD_BACKUP = 7

# How many schemata are named; the rest are counted.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that was checked. `help` is the next thing to type if it is not fine.
    """

    level: Level
    what: str
    text: str
    help: str | None = None

    def as_json(self) -> FindingJson:
        """
        The public form.
        """
        return {"level": self.level, "what": self.what, "text": self.text, "help": self.help}


def examine(settings: Settings) -> Iterator[Finding]:
    """
    Check everything; a problem with one thing does not stop it.
    """
    yield from _program()
    yield from _schemata()
    yield from _folders(settings)
    yield from _archive(settings)
    yield from _ocr()
    yield from _unpacking()
    yield from _collector(os.environ)
    yield from _variables(os.environ)
    yield from _database(settings)


def _program() -> Iterator[Finding]:
    from oaflow import __version__

    yield Finding("fine", "oaflow", f"{__version__}, Python {platform.python_version()}, {sys.platform}")
    for name, needed in (("procrastinate", True), ("followthemoney", True), ("kreuzberg", False)):
        try:
            yield Finding("fine", name, metadata.version(name))
        except metadata.PackageNotFoundError:
            if needed:
                yield Finding("problem", name, "not installed", "pip install oaflow")
            else:
                yield Finding(
                    "note", name, "not installed: the stages for documents need it", "pip install 'oaflow[documents]'"
                )


def _variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    for one in unheard(environment):
        then = f"unset {one.name}" if one.meant is None else f'export {one.meant}="${one.name}"; unset {one.name}'
        yield Finding("note", "variable", f"{one.name} is set, but oaflow has no setting of that name", then)


def _schemata() -> Iterator[Finding]:
    try:
        differing = differing_schemata()
    except ImportError:  # said above
        return
    if differing:
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        yield Finding(
            "note",
            "schemata",
            f"the installed followthemoney differs from {FOLLOWTHEMONEY}, which oaflow checks against, in "
            f"{', '.join(differing[:_NAMED])}{more}",
            f"pip install followthemoney=={FOLLOWTHEMONEY}",
        )


def _folders(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    existing = next((path for path in (home, *home.absolute().parents) if path.exists()), Path("/"))
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Finding("problem", "data folder", f"{home}: no permission to write", "export OAFLOW_HOME=FOLDER")
        return
    if (home / UNFINISHED).exists():
        yield Finding("problem", "data folder", f"{home}: a restore into it was interrupted", "oaflow restore FILE")
    for what, path in (("data folder", existing), ("temp folder", Path(os.environ.get("TMPDIR", "/tmp")))):
        try:
            usage = shutil.disk_usage(path)
        except OSError as error:
            variable = "OAFLOW_HOME" if what == "data folder" else "TMPDIR"
            yield Finding("problem", what, f"{path}: {error.strerror}", f"export {variable}=FOLDER")
            continue
        yield _room(what, home if what == "data folder" else path, usage.total, usage.free)


def _room(what: str, shown: Path, total: int, free: int) -> Finding:
    text = f"{shown}, {free / 1024**3:,.1f} GiB free"
    least = min(_LEAST_FREE, total * _LEAST_SHARE)
    if free < least:
        return Finding("problem", what, f"{text}: runs pause", f"free space on the disk of {shown}")
    if free < _LITTLE:
        return Finding("note", what, f"{text}: runs pause below {data_size(int(least))}", "df -h")
    return Finding("fine", what, text)


def _ocr() -> Iterator[Finding]:
    places = [
        Path(os.environ["TESSDATA_PREFIX"]) if os.environ.get("TESSDATA_PREFIX") else None,
        *sorted(Path("/usr/share/tesseract-ocr").glob("*/tessdata")),
        Path("/usr/share/tessdata"),
        Path("/opt/homebrew/share/tessdata"),
    ]
    for place in places:
        languages = sorted(path.stem for path in place.glob("*.traineddata")) if place is not None else []
        if languages:
            yield Finding("fine", "OCR languages", ", ".join(name for name in languages if name != "osd"))
            return
    yield Finding("note", "OCR languages", "none: the text of scanned pages is not read", "apt install tesseract-ocr")


def _archive(settings: Settings) -> Iterator[Finding]:
    archive = archive_of(settings)
    where = archive.options.where
    problems: list[ArchiveUnreachableError] = []

    def reach() -> None:
        try:
            archive.reach()
        except ArchiveUnreachableError as problem:
            problems.append(problem)

    # The client of a bucket may wait for minutes. A daemon thread, so that nothing waits for it at exit either.
    asking = Thread(target=reach, name="oaflow archive", daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    if asking.is_alive():
        yield Finding("problem", "archive", f"{where}: no answer for {_PATIENCE:.0f} s", "look at ARCHIVE_*")
    elif problems:
        yield Finding("problem", "archive", f"{where}: {problems[0].reason}", problems[0].help)
    else:
        folder = settings.archive_path if settings.archive_type == "file" else None
        if folder is not None and folder.exists():
            total, _, free = shutil.disk_usage(folder)
            yield _room("archive", folder, total, free)
        else:
            yield Finding("fine", "archive", where)


def _unpacking() -> Iterator[Finding]:
    from oaflow.stages.packed import library

    if library() is None:
        yield Finding(
            "note", "unpacking", "libarchive is not installed: RAR and 7Z are not unpacked", "apt install libarchive13"
        )
    else:
        yield Finding("fine", "unpacking", "RAR and 7Z are unpacked")


def _entities(settings: Settings, address: "Address") -> Iterator[Finding]:
    from oaflow.operations.schema import tables_without_index

    tables = tables_without_index(settings, address)
    if tables.problem:
        problem = f"the entity store could not be checked: {tables.problem}"
        yield Finding("problem", "entities", problem, "export FTM_FRAGMENTS_URI=postgresql://...")
    for table in tables.names:
        yield Finding(
            "note",
            "entities",
            f"{table} has no index on (origin, fragment): replacing a document reads the whole table",
            "oaflow db migrate --entity-indexes",
        )


def _database(settings: Settings) -> Iterator[Finding]:
    from oaflow.ledger.runs import OPEN_STATES, recent_runs
    from oaflow.ledger.schedules import schedules
    from oaflow.ledger.webhooks import webhooks
    from oaflow.ledger.workers import able, connections, workers
    from oaflow.operations.databases import database
    from oaflow.postgres.schema import inspect

    try:
        with database(settings) as opened, opened.connect() as made:
            state = inspect(opened.address)
            yield Finding("fine", "database", f"{opened.address}, PostgreSQL {state.release}")
            yield Finding("fine", "schema", f"{len(state.applied)} migrations applied, none pending")
            if state.captured:
                yield Finding("fine", "capture", "triggers record what services hand over, for external stages")
            if state.indexes:
                yield Finding(
                    "note", "indexes", f"missing: {', '.join(state.indexes)}; claims are slower", "oaflow db migrate"
                )
            yield from _entities(settings, opened.address)
            yield _connections(connections(made))
            live = workers(made, settings.dead_after)
            lacks = {one.id: one.lacks for one in able(made, settings.dead_after)}
            yield from _workers(live, lacks, private=opened.embedded)
            yield from _health(live)
            yield from _scheduled(schedules(made))
            yield from _webhooks(webhooks(made), settings)
            if opened.embedded and recent_runs(made, limit=1):
                yield _backup(settings, time.time())
            if opened.embedded:
                yield from _kept(settings)
            for run in recent_runs(made, states=OPEN_STATES):
                yield _run(made, run, live, private=opened.embedded)
                if not opened.embedded or any(one.run in (None, run.id) for one in live):
                    yield from _unserved(made, run, settings)
    except EnvironmentProblem as error:
        yield Finding("problem", "database", str(error), error.help)


def _workers(live: "Sequence[Worker]", lacks: Mapping[int, Mapping[str, str]], *, private: bool) -> Iterator[Finding]:
    for one in live:
        text = f"{one.id} on {one.host}, pid {one.pid}, {len(one.tasks)} tasks, {one.doing} jobs in hand"
        if one.stale:
            yield Finding("note", "worker", f"{text}; it {one.old_code}", one.restart)
        elif one.program != (this := f"oaflow {__version__}"):
            help = f"kill {one.pid}   # on {one.host}, then start it again with {this}"
            yield Finding("note", "worker", f"{text}; it is {one.program}, and this is {this}", help)
        elif not one.tasks and (lacking := lacks.get(one.id)):
            task, why = min(lacking.items())
            help = f"mend that on {one.host}, where it tries again by itself, or kill {one.pid} there"
            yield Finding("note", "worker", f"{text}; it can run nothing that it met: {task}: {why}", help)
        else:
            yield Finding("fine", "worker", text)
    if not live:
        where = "`oaflow run` starts its own" if private else "runs wait for one"
        yield Finding("fine" if private else "note", "workers", f"none; {where}", "oaflow worker")


def _run(made: "Connection[Any]", run: "Run", live: "Sequence[Worker]", *, private: bool) -> Finding:
    from oaflow.operations.waits import held, presence_of

    if run.state != "running":
        reason = f": {run.reason}" if run.reason else ""
        return Finding("note", "run", f"{run.id} is {run.state}{reason}", held(run).help)
    if presence_of(made, run, live, private=private) == "gone":
        return Finding("note", "run", f"{run.id}: no worker works on it", f"oaflow resume {run.id}")
    return Finding("fine", "run", f"{run.id} is running")


def _unserved(made: "Connection[Any]", run: "Run", settings: Settings) -> Iterator[Finding]:
    """
    Jobs of a run that no live worker can run.
    """
    from oaflow.operations.states import bound_plan
    from oaflow.operations.waits import waiting_of

    try:
        waiting = waiting_of(made, run, bound_plan(made, run), settings.dead_after)
    except EnvironmentProblem as error:
        yield Finding("problem", "run", f"{run.id}: {error}", error.help)
        return
    for job in waiting:
        reason = f" ({job.reason})" if job.reason else ""
        text = f"{job.trouble} task {job.task} of queue {job.queue}: jobs of {run.id} wait{reason}"
        yield Finding("problem", "queue", text, job.help)


def _collector(environment: Mapping[str, str]) -> Iterator[Finding]:
    from oaflow.runtime.options import wants_traces

    if not wants_traces(environment):
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        text = "a collector is set, but the library for traces is not installed: none are sent"
        yield Finding("problem", "traces", text, "pip install 'oaflow[telemetry]'")
        return
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    name = next(name for name in names if environment.get(name, "").strip())
    help = f"export {name}=http://HOST:4318"
    try:
        parts = urlsplit(environment[name].strip())
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # whose text contains a part of the address
        host, port = "", 0
    # Not the address itself, here or below, because it may contain a password.
    if not host:
        yield Finding("problem", "traces", f"{name} is not an address", help)
        return
    try:
        with socket.create_connection((host, port), _CONNECT):
            yield Finding("fine", "traces", f"the collector at {host}:{port} can be reached")
    except OSError as error:
        yield Finding("problem", "traces", f"the collector in {name} cannot be reached: {error}", help)


def _scheduled(schedules: "Iterable[Schedule]") -> Iterator[Finding]:
    from oaflow.ledger.schedules import LATE
    from oaflow.operations.scheduling import late

    for one in schedules:
        if (waits := late(one).total_seconds()) > LATE:
            text = f"{one.name} waits since {waits / 60:.0f} min: only a worker starts its runs, and none is running"
            yield Finding("problem", "schedule", text, "oaflow worker")
        if one.paused_at:
            text = f"{one.name} starts no runs: paused since {one.paused_at:%Y-%m-%d %H:%M} UTC"
            yield Finding("note", "schedule", text, f"oaflow schedule resume {shlex.quote(one.name)}")
        if one.problem and one.last_at:
            text = f"{one.name} started no run at {one.last_at:%Y-%m-%d %H:%M} UTC: {one.problem}"
            yield Finding(
                "note", "schedule", text, f"oaflow status   # or oaflow schedule remove {shlex.quote(one.name)}"
            )


def _webhooks(webhooks: "Iterable[Webhook]", settings: Settings) -> Iterator[Finding]:
    from oaflow.ledger.schedules import LATE

    for one in webhooks:
        told = f"{one.waiting} notifications wait, {one.given_up} were given up"
        if one.problem:
            yield Finding("problem", "webhook", f"{one.name}: {one.problem}; {told}", f"oaflow webhook test {one.name}")
        elif one.seconds is not None and one.seconds > LATE:
            text = f"{one.name}: nothing has been sent for {one.seconds / 60:.0f} min; {told}"
            yield Finding("problem", "webhook", text, "OAFLOW_WEBHOOK_SECRET=whsec_... oaflow worker")
        else:
            yield Finding(
                "fine", "webhook", f"{one.name}: {'accepted' if one.last_at else 'nothing has been sent yet'}"
            )
    if settings.webhook_secret is not None:
        from oaflow.operations.webhooks import WebhookSecretError, keys_of

        try:
            keys_of(settings.webhook_secret)
        except WebhookSecretError as error:
            yield Finding("problem", "webhook", str(error), error.help)


def _connections(found: "Connections") -> Finding:
    text = f"{found.used} of {found.most} that the server allows"
    if found.used <= _MANY_CONNECTIONS * found.most:
        return Finding("fine", "connections", text)
    help = "raise max_connections of the server, or put a pooler in front of it (OAFLOW_POOL_URI)"
    return Finding("note", "connections", f"{text}; when none are left, workers wait and commands fail", help)


def _backup(settings: Settings, now: float) -> Finding:
    last = last_backup(settings.home)
    if last is None:
        return Finding("note", "backup", f"there is none of {settings.home}", "oaflow backup FOLDER")
    days = (now - last) / 86400
    text = f"the last was taken {days:.0f} days ago" if days >= 1 else "the last was taken today"
    return Finding("note" if days > _OLD_BACKUP else "fine", "backup", text, "oaflow backup FOLDER")


def _kept(settings: Settings) -> Iterator[Finding]:
    """
    What `oaflow db upgrade` has left behind on purpose.
    """
    for kept in sorted(layout(settings.home).root.glob("data.[0-9]*")):
        text = f"the data of PostgreSQL {kept.suffix[1:]}, from before an upgrade, are still in {kept}"
        yield Finding("note", "old data", text, f"when everything works: rm -r {shlex.quote(str(kept))}")


def _health(live: "Iterable[Worker]") -> Iterator[Finding]:
    """
    The answers of workers on this machine that were started with `--health`.
    """
    pids = [one.pid for one in live if one.host == socket.gethostname()]
    for given in dict.fromkeys(filter(None, map(_health_of, pids))):
        from oaflow.operations.health import ask

        url, problem = ask(given)
        if problem is None:
            yield Finding("fine", "health", f"{url} reports that it is ready")
        else:
            yield Finding("problem", "health", f"{url}: {problem}", f"curl {url}")


def _health_of(worker: int) -> str | None:
    """
    The `--health` option of the supervisor of a worker process; None if it has none, or it cannot be seen.
    """
    import psutil

    try:
        supervisor = psutil.Process(worker).parent()
        line = [] if supervisor is None else supervisor.cmdline()
    except psutil.Error:
        return None
    for option, value in zip(line, [*line[1:], ""], strict=True):
        given = value if option == "--health" else option.removeprefix("--health=")
        if given != option and given.rpartition(":")[2] not in ("", "0"):
            return given
    return None
