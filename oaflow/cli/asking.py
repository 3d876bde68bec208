"""
`status`, `simulate`, `failures`, `receipt`, `trace`, `logs`: what can be asked about a run, and about a document in all
of them.
"""

from typing import Annotated

import typer

from oaflow import operations
from oaflow.cli import completing
from oaflow.cli.options import Json, RunId, form_of, settings
from oaflow.cli.pages import add_command


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "status", status, "oaflow status ingest-abc234 --json", "Watching")
    add_command(app, "simulate", simulate, "oaflow simulate ingest-abc234 --workers 1,2,4", "Watching")
    add_command(app, "failures", failures, "oaflow failures ingest-abc234", "Watching")
    add_command(app, "receipt", receipt, "oaflow receipt ingest-abc234 --list failed", "Watching")
    add_command(app, "trace", trace, "oaflow trace report_2024-Q3.pdf -d mine", "Watching")
    add_command(app, "logs", logs, "oaflow logs ingest-abc234 -n 100 --follow", "Watching")


def status(
    run: RunId = None,
    all: Annotated[bool, typer.Option("--all", "-a", help="The latest runs, one a line.")] = False,
    watched: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Keep showing it: all unfinished runs, or RUN until it ends; q quits."),
    ] = False,
    json: Json = False,
) -> int:
    """
    Show how a run stands.
    """
    if watched:
        from oaflow.cli.watching import follow
        from oaflow.errors import UsageError

        if all:
            raise UsageError("--all and --watch exclude each other", help="--watch alone shows all unfinished runs")
        return follow(settings(), run, json=json)
    from oaflow.cli.output import remark, say_json
    from oaflow.cli.summary import print_details
    from oaflow.cli.tables import print_table
    from oaflow.quantities import duration

    if all:
        found = operations.runs(limit=10, settings=settings())
        if json:
            for one in found:
                say_json(one.as_json())
        elif not found:
            remark("there is no run yet: oaflow run PIPELINE -d DATASET")
        else:
            rows = [
                (one.id, one.state, one.dataset, f"{one.created_at:%Y-%m-%d %H:%M}", duration(one.seconds))
                for one in found
            ]
            columns = [("run", False), ("state", False), ("dataset", False), ("started", False), ("took", True)]
            print_table(columns, rows)
        return 0
    details = operations.status(run, settings=settings())
    if json:
        say_json(details.as_json())
    else:
        print_details(details)
    return 0


def simulate(
    run: RunId = None,
    workers: Annotated[
        list[str] | None,
        typer.Option(
            "--workers", metavar="N|STAGE=N", help="How many workers; or, for one stage, how many of its own."
        ),
    ] = None,
    executors: Annotated[
        str | None, typer.Option("--executors", metavar="N", help="How many executors each worker has.")
    ] = None,
    concurrency: Annotated[
        list[str] | None,
        typer.Option("--concurrency", metavar="STAGE=N", help="How many jobs of a stage run at once."),
    ] = None,
    json: Json = False,
) -> int:
    """
    Estimate how long a run would take with other workers or limits; 1,2,4 in place of a number tries each.
    """
    from oaflow.cli.output import say_json
    from oaflow.cli.simulations import print_simulated
    from oaflow.operations.simulating import variants_of

    variants = variants_of(workers or (), executors, concurrency or ())
    found = operations.simulate(run, variants, settings=settings())
    if json:
        say_json(found.as_json())
    else:
        print_simulated(found)
    return 0


def failures(
    run: RunId = None,
    stage: Annotated[
        str | None,
        typer.Option("--stage", metavar="STAGE", help="Only those of this stage.", autocompletion=completing.stages),
    ] = None,
    cause: Annotated[
        str | None,
        typer.Option(
            "--cause",
            metavar="CAUSE",
            help="Only those with this cause; by default, all causes are listed.",
            autocompletion=completing.causes,
        ),
    ] = None,
    json: Json = False,
) -> int:
    """
    Show what failed in a run, by cause; with --json every job, one a line.
    """
    from oaflow.cli.output import clean, remark, say_json
    from oaflow.operations import reading

    with reading.failed(settings(), run, stage=stage, cause=cause) as found:
        if json:
            for job in found.jobs():
                say_json(job.as_json(found.run.id))
            return 0
        from oaflow.cli.failures import print_clusters

        if causes := found.causes():
            print_clusters(found.run, found.jobs(), causes, found.services())
        else:
            remark(f"nothing failed in run {clean(found.run.id)}")
    return 0


def receipt(
    run: RunId = None,
    list_line: Annotated[
        str | None,
        typer.Option(
            "--list", "-l", metavar="LINE", help="List the documents of a line: failed, indexed, unreadable, ..."
        ),
    ] = None,
    json: Json = False,
) -> int:
    """
    Show what became of every document of a run; exit code 0 only if all are accounted for.
    """
    from rich.text import Text

    from oaflow.cli.output import clean, remark, say, say_json, screen, table
    from oaflow.cli.summary import print_again, print_unmatched
    from oaflow.operations import reading

    if list_line is not None:
        with reading.receipt_list(settings(), run, list_line) as (_found, listed):
            for one in listed:
                if json:
                    say_json(one.as_json())
                else:
                    say(
                        "\t".join(
                            filter(None, [clean(one.way or one.name), clean(one.reason or ""), clean(one.why or "")])
                        )
                    )
        return 0
    found, account, unmatched = reading.receipt_of(settings(), run)
    if json:
        say_json(account.as_json())
    else:
        rows: list[list[object]] = [[Text("found", "bold"), Text(f"{account.found:,}", "bold")]]
        for line, number in account.as_json().items():
            if line in account.counts and (number or line == "indexed"):
                rows.append([f"  {line}", f"{number:,}"])
                if line == "dropped" and account.cancelled:
                    rows.append([Text("    of these cancelled", "dim"), Text(f"{account.cancelled:,}", "dim")])
            elif line == "unreadable" and number:
                rows.append([Text("    of these unreadable", "dim"), Text(f"{number:,}", "dim")])
        console = screen()
        if not account.found and not sum(account.counts.values()):
            remark(f"run {clean(found.id)} has no documents to account for: none of its stages found any")
            print_unmatched(unmatched)
            return 0 if account.balanced else 1
        console.print(table([(f"documents of {clean(found.id)}", False), ("", True)], rows))
        print_again(account)
        console.print()
        print_unmatched(unmatched)
    if account.balanced:
        if not json:
            remark("balanced: every document is accounted for", "green")
        return 0
    rest = account.found - sum(account.counts.values())
    reasons = [f"{rest:,} not accounted for"] if rest else []
    reasons += [f"{account.open:,} jobs open"] if account.open else []
    remark(f"not balanced: {', '.join(reasons)}", "red")
    if rest and not json:
        remark(f"list them: oaflow receipt {found.id} --list open")
    return 1


def trace(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT|ENTITY|FILE",
            help="An id, the SHA-1 of a file, a document's name or the end of it, or a path.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", metavar="DATASET", help="Only in this dataset.", autocompletion=completing.datasets
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="In this run; default: the latest that had the document.",
            autocompletion=completing.runs,
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="terminal, json or prov (W3C PROV, as PROV-JSON).")
    ] = "terminal",
    json: Json = False,
) -> int:
    """
    Show what became of a document: each stage that it went through, and what was written because of it.
    """
    from oaflow.cli.output import say_json

    form = form_of(format, json, ("terminal", "json", "prov"))
    traced = operations.trace(wanted, dataset=dataset, run=run, every=form != "terminal", settings=settings())
    if form == "prov":
        from oaflow.operations.provenance import provenance

        say_json(provenance(traced.passports))
        return 0
    if form == "json":
        for passport in traced.passports:
            say_json(passport.as_json())
        return 0
    from oaflow.cli.tracing import print_traced

    print_traced(traced)
    return 0


def logs(
    run: RunId = None,
    stage: Annotated[
        str | None,
        typer.Option("--stage", metavar="STAGE", help="Only lines of this stage.", autocompletion=completing.stages),
    ] = None,
    job: Annotated[int | None, typer.Option("--job", metavar="JOB", help="Only lines of this job.")] = None,
    document: Annotated[
        str | None,
        typer.Option("--document", metavar="DOCUMENT", help="Only lines about this document: its id, or its name."),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="Only the last N lines; 0: all.")
    ] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing lines as they come, until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> int:
    """
    Show what the stages of a run printed.
    """
    from oaflow.cli.output import clean, is_read, remark, say_json, write
    from oaflow.operations import logs

    found, file, wanted = logs.find_log(settings(), run, stage=stage, job=job, document=document)
    at_all = False
    for line in logs.log_lines(file, lines or None, follow=follow, wanted=wanted, is_read=is_read):
        at_all = True
        if json:
            say_json(line)
        else:
            where = " ".join(str(line[key]) for key in ("stage", "job") if line.get(key) is not None)
            said = f"{logs.named(line)}{line.get('text', '')}"
            for text in said.splitlines() or [""]:
                write(f"{clean(where)}: {clean(text)}\n")
    if not at_all:
        what = "nothing that matches" if wanted != logs.LogFilter() else "nothing"
        remark(f"the stages of run {clean(found)} printed {what} ({clean(file)})")
    return 0
