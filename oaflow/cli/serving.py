"""
`worker`, `limit`, `doctor`, `db`: for who keeps it running.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from oaflow import operations
from oaflow.cli import completing
from oaflow.cli.options import Json, LogFormat, settings
from oaflow.cli.pages import add_command, group
from oaflow.printed import operating as printed


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "worker", worker, "oaflow worker --executors 8", "Operating")
    add_command(app, "doctor", doctor, "oaflow doctor", "Operating")
    add_command(app, "limit", limit, "oaflow limit ocr/stages.read --concurrency 3", "Operating")
    db = group("Manage the database: its schema, and old jobs and history.", "oaflow db migrate --dry-run")
    add_command(db, "migrate", migrate, "oaflow db migrate --dry-run")
    add_command(db, "upgrade", upgrade, "oaflow db upgrade --programs /usr/lib/postgresql/17/bin")
    add_command(db, "check", check, "oaflow db check")
    add_command(db, "prune", prune, "oaflow db prune --older-than 30 --dry-run")
    app.add_typer(db, name="db", rich_help_panel="Operating")


def worker(
    executors: Annotated[
        int | None,
        typer.Option(
            "--executors", min=1, metavar="N", help="Processes that run sync stages; default: as many as cores."
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Worker processes.")] = 1,
    health: Annotated[
        str | None,
        typer.Option(
            "--health",
            metavar="[ADDRESS:]PORT",
            help="Serve /live and /ready (200, or 503 with the reasons) and /metrics for Prometheus here; by default"
            " only to this machine.",
        ),
    ] = None,
    log_format: LogFormat = None,
) -> int:
    """
    Work on the jobs of all runs until a signal comes: the first lets running jobs finish, the second stops at once.
    If the database does not answer, the worker waits for it.
    """
    import os
    from contextlib import ExitStack

    from oaflow.cli.output import clean, remark
    from oaflow.cli.progress import of_a_death, of_old_code
    from oaflow.compiler.functions import import_folders
    from oaflow.operations.crew import Crew
    from oaflow.operations.webhooks import Told
    from oaflow.runtime.supervisor import Died, Ended, Registered, Stale, Warned

    known = settings(log_format)
    with ExitStack() as stack:
        from oaflow.operations.health import HealthServer, Watched, health_address

        watched = Watched(known, workers, os.environ)
        if health is not None:
            answers = stack.enter_context(HealthServer(health_address(health), watched))
            remark(f"answers {answers.url}/live and {answers.url}/ready")
        crew = stack.enter_context(Crew(known, workers, executors=executors, folders=import_folders()))
        from oaflow.operations import running

        for event in running.worker(known, crew, watched):
            match event:
                case Registered():
                    remark(f"worker {event.worker} is ready (pid {event.pid})")
                case Died():
                    for line in of_a_death(event.pid, event.code, event.pause, event.log):
                        remark(line, "yellow")
                case Stale():
                    for line in of_old_code(event.pid, event.text, event.help):
                        remark(line, "yellow")
                case Warned():
                    remark(f"worker process {event.pid}: {clean(event.text)}", "yellow")
                case Ended():
                    remark(
                        f"worker process {event.pid} is drained"
                        if event.code == 0
                        else f"worker process {event.pid} has ended"
                    )
                case running.Awaited(problem):
                    remark(f"{clean(str(problem))}; waiting for it", "yellow")
                    remark(f"help:  {clean(problem.help or '')}")
                case running.Ticked(schedule, run, problem):
                    began = f"run {run} has begun" if run else f"no run: {clean(problem or '')}"
                    remark(f"schedule {clean(schedule)}: {began}", "" if run else "yellow")
                case Told(problem=str(problem)):
                    remark(
                        f"webhook {clean(event.webhook)} could not be notified of {clean(event.run)}: {problem}",
                        "yellow",
                    )
                case _:
                    pass
    return 0


def limit(
    name: Annotated[
        str | None,
        typer.Argument(metavar="QUEUE/TASK", help="The task; default: shows all.", autocompletion=completing.limits),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, metavar="N", help="How many jobs run at once.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="N/TIME", help="How many jobs start per period: 50/s, 1000/m.")
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove the limit, so that the plans of the runs apply.")
    ] = False,
    json: Json = False,
) -> int:
    """
    Show, set or clear how many jobs of a task run at once, across all workers and runs; effective immediately.
    """
    from oaflow.cli.output import remark, say_json
    from oaflow.cli.tables import print_table

    found = operations.limit(name, concurrency=concurrency, rate=rate, clear=clear, settings=settings())
    if json:
        say_json([one.as_json() for one in found.limits])
        return 0
    for text in found.remarks:
        remark(text, "yellow")
    if not found.limits:
        remark("nothing is limited" if name is None else f"{name} is not limited")
        return 0
    rows = [
        (
            one.name,
            one.concurrency or "",
            one.rate_text or "",
            "operator" if one.said_concurrency or one.said_rate else "plans",
            one.running,
            one.waiting_text,
        )
        for one in found.limits
    ]
    columns = [("queue/task", False), ("at once", True), ("rate", True), ("by", False), ("runs", True), ("waits", True)]
    print_table(columns, rows)
    return 0


def doctor(json: Json = False) -> int:
    """
    Check the environment and the database; exit code 3 if something is wrong.
    """
    from rich.table import Table

    from oaflow.cli.output import escape, say_json, screen, typable
    from oaflow.operations.checkup import examine

    marks = {"fine": "[green]✓[/]", "note": "[yellow]![/]", "problem": "[red]✗[/]"}
    wrong = False
    console = screen()
    for finding in examine(settings(aloud=False)):
        wrong = wrong or finding.level == "problem"
        if json:
            say_json(finding.as_json())
            continue
        rows = [(f"{marks[finding.level]} [bold]{escape(finding.what):<14}[/]", escape(finding.text))]
        if finding.level != "fine" and finding.help:
            rows.append((" " * 16, f"[cyan]help:[/] {escape(typable(finding.help))}"))
        for head, text in rows:
            if not console.is_terminal:  # one line, whatever its length
                console.print(f"{head} {text}")
                continue
            grid = Table.grid(padding=(0, 1))
            grid.add_column(width=16, no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(head, text)
            console.print(grid)
    return 3 if wrong else 0


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    entity_indexes: Annotated[
        bool | None,
        typer.Option(
            "--entity-indexes/--no-entity-indexes",
            help="Whether to add the missing index to entity tables of other programs; in a terminal you are asked.",
        ),
    ] = None,
    capture: Annotated[
        bool | None,
        typer.Option(
            "--capture/--no-capture",
            help="Create or remove the triggers that record what services hand over, for `external` stages.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """
    Migrate the database to this program's schema.
    """
    from oaflow.cli.output import clean, count, interactive, remark, say, say_json
    from oaflow.operations.schema import db_migrate

    def wanted(tables: Sequence[str]) -> bool:
        if entity_indexes is not None or dry_run or not interactive():
            return bool(entity_indexes)
        for line in lacking(tables):
            remark(line, "yellow")
        return typer.confirm(f"make {'it' if len(tables) == 1 else 'them'}?", default=True, err=True)

    done = db_migrate(settings(), dry_run=dry_run, wanted=wanted, capture=capture)
    steps = [*map(str, done.steps), *(f"index on {table} (origin, fragment)" for table in done.indexed)]
    if json:
        migrated: printed.Migrated = {
            "steps": steps,
            "done": not dry_run,
            "entity_indexes_missing": list(done.left.names),
        }
        say_json(migrated)
    else:
        for step in steps:
            say(clean(step))
    what = f"{count(len(steps), 'step')} {'to be done' if dry_run else 'done'}" if steps else "nothing to do"
    remark(f"{clean(done.address)}: {what}")
    if entity_indexes is None:
        for line in lacking(done.left.names):
            remark(line, "yellow")
        if done.left.names:
            remark("help:  oaflow db migrate --entity-indexes")
    if done.left.problem:
        remark(f"the entity store could not be checked: {clean(done.left.problem)}", "yellow")
    return 0


def lacking(tables: Sequence[str]) -> Iterator[str]:
    for table in tables:
        yield f"{table} has no index on (origin, fragment): replacing a document's fragments reads the whole table"


def prune(
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, metavar="DAYS", help="Days; default: OAFLOW_KEEP, which is 90."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show how many jobs would be removed.")] = False,
    json: Json = False,
) -> int:
    """
    Remove ended jobs and history that are older than so many days. Workers remove old history each hour, and on
    oaflow's own server old jobs, too.
    """
    from oaflow.cli.output import clean, count, remark, say_json
    from oaflow.operations.schema import db_prune

    address, days, pruned = db_prune(settings(), older_than, dry_run=dry_run)
    if json:
        taken: printed.Pruned = {
            "older_than": days,
            "jobs": pruned.jobs,
            "history": list(pruned.history),
            "done": not dry_run,
        }
        say_json(taken)
    what = count(pruned.jobs, "job that has ended", "jobs that have ended")
    tables = f", and history from {', '.join(map(clean, pruned.history))}" if pruned.history else ""
    verb = "would be removed" if dry_run else "removed"
    remark(f"{clean(address)}: {what}, older than {days:g} days{tables}: {verb}")
    return 0


def upgrade(
    programs: Annotated[
        Path | None,
        typer.Option(
            "--programs",
            metavar="FOLDER",
            help="Folder with postgres and pg_ctl of the PostgreSQL that made the data; default: Debian's.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """
    Upgrade oaflow's own database to the PostgreSQL that comes with this oaflow. The old data are kept beside it.
    """
    from shlex import quote

    from oaflow.cli.output import clean, remark, say_json
    from oaflow.operations.upgrading import db_upgrade
    from oaflow.quantities import data_size

    done = db_upgrade(settings(), programs)
    if json:
        upgraded: printed.Upgraded = {
            "before": done.before,
            "now": done.now,
            "kept": str(done.kept),
            "bytes": done.size,
        }
        say_json(upgraded)
    remark(f"the database is now on PostgreSQL {done.now} (before: {done.before})")
    remark(f"the old data are in {clean(str(done.kept))} ({data_size(done.size)})")
    remark(f"help:  when everything works: rm -r {clean(quote(str(done.kept)))}")
    return 0


def check(json: Json = False) -> int:
    """
    Check the schema of the database; exit code 3 if this program cannot work with it.
    """
    from oaflow.cli.output import clean, remark, say, say_json
    from oaflow.operations.schema import db_check

    address, state, tables = db_check(settings())
    if json:
        checked: printed.Checked = {
            "postgres": state.release,
            "migrations": list(state.applied),
            "indexes_missing": list(state.indexes),
            "captured": state.captured,
            "entity_indexes_missing": list(tables.names),
        }
        say_json(checked)
        return 0
    say(f"PostgreSQL\t{state.release}")
    for name in state.applied:
        say(f"oaflow\t{clean(name)}")
    if state.captured:
        say("capture\ttriggers on procrastinate_jobs")
    for name in state.indexes:
        remark(f"index {clean(name)} is missing; claims are slower", "yellow")
    for line in lacking(tables.names):
        remark(line, "yellow")
    if tables.problem:
        remark(f"the entity store could not be checked: {clean(tables.problem)}", "yellow")
    remark(f"{clean(address)}: fine")
    return 0
