"""
`check`, `graph`, `plan`, `route`, `test`, `explain`: for who writes a pipeline.
"""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oaflow import operations
from oaflow.cli import completing
from oaflow.cli.options import Json, PipelineName, form_of, settings
from oaflow.cli.pages import add_command

if TYPE_CHECKING:
    from oaflow.operations.comparing import Comparison
    from oaflow.plan import Plan

NoImport = Annotated[bool, typer.Option("--no-import", help="Do not check the functions of the stages.")]
GivenParams = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE", help="A param; decides which stages are off.")
]


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "check", check, "oaflow check pipelines/ingest.yml -f github", "Writing pipelines")
    add_command(app, "test", try_tests, "oaflow test pipelines/*.yml --junit t.xml", "Writing pipelines")
    add_command(app, "graph", graph, "oaflow graph ingest -f html -o ingest.html", "Writing pipelines")
    add_command(app, "route", route, "oaflow route new.yml --against ingest-abc234", "Writing pipelines")
    add_command(app, "plan", plan, "oaflow plan --diff old.yml new.yml", "Writing pipelines")
    add_command(app, "explain", explain, "oaflow explain OAF201", "Writing pipelines")


def check(
    pipelines: Annotated[list[str], typer.Argument(metavar="PIPELINE...", help="Files, names, or module:name.")],
    no_import: NoImport = False,
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="text, concise, json, github, sarif or summary.")
    ] = "text",
    fix: Annotated[
        bool, typer.Option("--fix", help="Fix in the files what is clear: a name, a missing drop, quotes.")
    ] = False,
    db: Annotated[
        bool, typer.Option("--db", help="Ask the database too: its live workers, its limits, its runs in flight.")
    ] = False,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="A param; with --db: a param of the run to check for."),
    ] = None,
    json: Json = False,
) -> int:
    """
    Check pipelines; exit code 1 if one has a mistake.
    """
    from oaflow.cli.diagnostics import FORMATS, print_diagnostics, raise_failures
    from oaflow.cli.output import clean, count, remark, say_json
    from oaflow.cli.running import params_of
    from oaflow.errors import UsageError

    form = form_of(format, json, (*FORMATS, "summary"))
    if db and no_import:
        raise UsageError(
            "--db asks workers about the functions, but --no-import skips the functions", help="leave out one of them"
        )
    if param and not db:
        raise UsageError("-p needs --db: without it, check covers all values of the params", help="leave -p out")
    if fix:
        _mend(pipelines, no_import)
    # What a check finds out of a pipeline stays to its end: to look through it again and again takes 0.6 s of 1,000.
    gc.set_threshold(500_000)
    found = operations.check(
        *pipelines, imports=not no_import, db=db, params=params_of(param or ()), settings=settings() if db else None
    )
    raise_failures(found)
    if form == "summary":
        for one in found:
            say_json(one.as_json())
    else:
        print_diagnostics([diagnostic for one in found for diagnostic in one.diagnostics], form)
    for one in found:
        warned = f", {count(one.warnings, 'warning')}" if one.warnings else ""
        where = f"; {count(one.workers, 'live worker')} in {clean(one.database)}" if one.database is not None else ""
        if one.mistakes:
            remark(f"{clean(one.pipeline)}: {count(one.mistakes, 'mistake')}{warned}{where}")
        else:
            unseen = " (its functions were not checked)" if no_import else ""
            if one.unannotated:
                unseen = f" ({count(len(one.unannotated), 'function')} without annotations)"
            stages = count(one.stages, "stage") if one.stages is not None else ""
            remark(f"{clean(one.pipeline)}: {stages}, no mistakes{warned}{unseen}{where}")
    return int(any(one.mistakes for one in found))


def _mend(pipelines: list[str], no_import: bool) -> None:
    from oaflow.cli.output import clean, remark
    from oaflow.errors import UsageError
    from oaflow.loader import shown_path
    from oaflow.operations.programs import locate
    from oaflow.operations.rewriting import mend_file

    for source in map(locate, pipelines):
        if source.file is None or source.packaged:
            where = "in Python" if source.file is None else "a part of oaflow"
            raise UsageError(f"{source.typed!r} is {where}, and is not mended", help="name a file that is yours")
        for repair in mend_file(source.file, imports=not no_import):
            place = f"{clean(shown_path(source.file))}:{repair.line}"
            remark(f"{place}: mended {repair.diagnostic.code}: {clean(repair.said)}")


def graph(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="A file, a name in ./pipelines or of oaflow's own, or module:name. Not with --run.",
            autocompletion=completing.pipelines,
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="terminal, svg, html, mermaid, dot or json.")
    ] = "terminal",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
    param: GivenParams = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="A run, to show how far it has come; or `latest`.",
            autocompletion=completing.runs,
        ),
    ] = None,
    json: Json = False,
) -> int:
    """
    Draw a pipeline, or how far a run of it has come.
    """
    from oaflow.cli.drawing import drawn
    from oaflow.cli.output import say_into
    from oaflow.cli.running import params_of, show_mistakes
    from oaflow.errors import UsageError
    from oaflow.graph import as_dot, as_json, as_mermaid
    from oaflow.operations.graphs import graph_of, graph_of_run
    from oaflow.operations.programs import load, locate
    from oaflow.pictures import page_of, picture_of

    form = form_of(format, json, ("terminal", "svg", "html", "mermaid", "dot", "json"))
    if run is not None:
        if pipeline is not None or param:
            what = "PIPELINE" if pipeline is not None else "--param"
            raise UsageError(
                f"a run has its own plan and params, so {what} cannot be combined with --run", help="leave it out"
            )
        picture = graph_of_run(settings(), None if run == "latest" else run)
    elif pipeline is None:
        raise UsageError("there is nothing to draw", help="oaflow graph PIPELINE, or oaflow graph --run RUN")
    else:
        program = load(locate(pipeline), imports=False)
        show_mistakes(program)
        picture = graph_of(program, params_of(param or ()))
    match form:
        case "svg":
            text = picture_of(picture)
        case "html":
            text = page_of(picture)
        case "mermaid":
            text = as_mermaid(picture)
        case "dot":
            text = as_dot(picture)
        case "json":
            text = as_json(picture) + "\n"
        case _:
            text = drawn(picture)
    say_into(text, output)
    return 0


def plan(
    pipeline: PipelineName,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff", metavar="OLD", help="Show what changed since OLD: a pipeline, a plan in a .json file, or a run."
        ),
    ] = None,
    no_import: NoImport = False,
    json: Json = False,
) -> int:
    """
    Print the plan of a pipeline as canonical JSON, and its digest on stderr; or the changes since another plan.
    """
    from oaflow.cli.output import remark, say, say_json

    if diff is not None:
        from oaflow.cli.comparing import print_comparison

        comparison = _compared(diff, pipeline, no_import)
        if json:
            say_json(comparison.as_json())
        else:
            print_comparison(comparison)
        return 0
    made = _plan_of(pipeline, no_import)
    say(made.canonical().decode())
    remark(f"sha256:{made.digest}" + (" (made without the functions: it cannot run)" if no_import else ""))
    return 0


def _compared(old: str, new: str, no_import: bool) -> "Comparison":
    from oaflow.errors import UsageError
    from oaflow.operations.comparing import compare, kept_run
    from oaflow.operations.programs import NoSuchPipelineError

    try:
        before, run = _plan_of(old, no_import), None
    except NoSuchPipelineError as problem:
        found = kept_run(settings(), old)
        if found is None:
            raise UsageError(f"there is no pipeline or run {old!r}", help=problem.help) from None
        run, before = found
    return compare(before, _plan_of(new, no_import), run)


def _plan_of(typed: str, no_import: bool) -> "Plan":
    from oaflow.cli.running import show_mistakes
    from oaflow.operations.comparing import kept_plan
    from oaflow.operations.programs import load, locate

    kept = kept_plan(typed)
    if kept is not None:
        return kept
    program = load(locate(typed), imports=not no_import)
    show_mistakes(program)
    return program.checked()


def route(
    pipeline: PipelineName,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="STAGE", help="The stage that returned the job; with --against: only this stage."),
    ] = None,
    port: Annotated[str, typer.Option("--port", metavar="PORT", help="The port that it was returned on.")] = "default",
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="FILE", help="The job as JSON, or FtM entities, one a line; -: stdin."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="RUN", help="What stages returned in RUN, or `latest`, in place of one job."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="With --against: at most N hand-overs of each stage.")
    ] = 1000,
    param: GivenParams = None,
    json: Json = False,
) -> int:
    """
    Show where a job would go, and what decided it; or which jobs of a past run would now go elsewhere.
    """
    from oaflow.cli.output import say_json
    from oaflow.cli.routes import print_replay, print_routing
    from oaflow.cli.running import params_of, show_mistakes
    from oaflow.errors import UsageError
    from oaflow.operations.programs import load, locate
    from oaflow.operations.replaying import replay
    from oaflow.operations.routing import read_example, routing_of

    if against is None and at is None:
        problem = "name the stage that the job comes from, or the run whose jobs to replay"
        raise UsageError(problem, help=f"oaflow route {pipeline} --at STAGE, or --against RUN")
    if against is not None and job is not None:
        raise UsageError(
            "--against takes the jobs of a run, but --job gives one of your own", help="leave out one of them"
        )
    program = load(locate(pipeline), imports=False)
    show_mistakes(program)
    params = params_of(param or ())
    if against is not None:
        replayed = replay(settings(), program, None if against == "latest" else against, params, stage=at, limit=limit)
        if json:
            say_json(replayed.as_json())
        else:
            print_replay(replayed)
        return 0
    routing = routing_of(program, at or "", port, read_example(job), params)
    if json:
        say_json(routing.as_json())
    else:
        print_routing(routing)
    return 0


def try_tests(
    pipelines: Annotated[list[str], typer.Argument(metavar="PIPELINE...", help="Files, names, or module:name.")],
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write a report in JUnit's XML.")
    ] = None,
    json: Json = False,
) -> int:
    """
    Run the tests of pipelines, which say where jobs should go; exit code 1 if one goes elsewhere.
    """
    from oaflow.cli.output import say_json
    from oaflow.cli.running import show_mistakes
    from oaflow.cli.trials import print_totals, print_trial, write_junit
    from oaflow.operations.programs import load, locate
    from oaflow.operations.trying import trial_of

    programs = [load(locate(name), imports=False) for name in pipelines]
    for program in programs:
        show_mistakes(program)
    trials = list(map(trial_of, programs))
    for trial in trials:
        if json:
            for one in trial.tried:
                say_json(one.as_json(trial.pipeline))
            say_json(trial.coverage())
        else:
            print_trial(trial)
    print_totals(trials)
    if junit is not None:
        write_junit(junit, trials)
    return int(any(not one.passed for trial in trials for one in trial.tried))


def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="For example OAF201; all are listed if it is left out.")
    ] = None,
    json: Json = False,
) -> int:
    """
    Explain a mistake by its code: what it means, an example, and how to fix it.
    """
    from oaflow.cli.output import say, say_json
    from oaflow.cli.tables import print_table
    from oaflow.compiler import explain as explanation
    from oaflow.operations.explaining import as_json, every_rule, line_json, rule_of

    if code is None:
        rules = every_rule()
        if json:
            for rule in rules:
                say_json(line_json(rule))
        else:
            columns = [("code", False), ("name", False), ("what", False)]
            print_table(columns, [(r.code, r.slug, r.summary) for r in rules])
        return 0
    rule = rule_of(code)
    if json:
        say_json(as_json(rule))
        return 0
    say(explanation(code))
    return 0
