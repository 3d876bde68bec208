"""
`run`, `resume`, `retry`, `pause`, `cancel`: what starts work, follows it and holds it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from oaflow import operations
from oaflow.cli import completing
from oaflow.cli.leaving import leave
from oaflow.cli.options import Dataset, Detach, Inputs, Json, LogFormat, Params, PipelineName, RunId, Workers, settings
from oaflow.cli.pages import add_command
from oaflow.printed import runs as printed

if TYPE_CHECKING:
    from oaflow.ledger.runs import Run


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "run", run, "oaflow run ingest -d my_dataset ~/documents", "Running")
    add_command(app, "resume", resume, "oaflow resume ingest-abc234", "Running")
    add_command(app, "retry", retry, "oaflow retry ingest-abc234 --stage extract", "Running")
    add_command(app, "pause", pause, "oaflow pause ingest-abc234", "Running")
    add_command(app, "cancel", cancel, "oaflow cancel ingest-abc234", "Running")


def run(
    pipeline: PipelineName,
    dataset: Dataset,
    inputs: Inputs = None,
    param: Params = None,
    entities: Annotated[
        str | None, typer.Option("--input", "-i", metavar="FILE", help="FtM entities, one JSON a line; - is stdin.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the unfinished run of this dataset.")] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Cancel the unfinished run of this dataset, and start a new one.")
    ] = False,
    workers: Workers = None,
    at: Annotated[str | None, typer.Option("--at", metavar="STAGE", help="Start at this stage.")] = None,
    first: Annotated[
        int | None,
        typer.Option(
            "--first",
            min=1,
            metavar="N",
            help="Only the first N jobs of the first stage, or the first N entities of -i FILE.",
        ),
    ] = None,
    max_failed: Annotated[
        str,
        typer.Option(
            "--max-failed", metavar="N|P%", help="Exit with 0 even with so many failures (or percent of documents)."
        ),
    ] = "0",
    stop_after: Annotated[
        str | None,
        typer.Option(
            "--stop-after",
            metavar="N|P%",
            help="Cancel the run after so many failures (or percent of documents); default: never.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if some output matched no edge.")] = False,
    detach: Detach = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also process what has not changed since an earlier run.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove from the dataset what is gone from the folders.")
    ] = False,
    log_format: LogFormat = None,
    json: Json = False,
) -> int:
    """
    Run a pipeline over a dataset, and follow it to its end.
    """
    from oaflow.cli.verdicts import Limits, read_stop_after
    from oaflow.compiler.functions import import_folders
    from oaflow.errors import UsageError
    from oaflow.operations.crew import crew_of
    from oaflow.operations.programs import load, locate

    limits = Limits.read(max_failed, strict)
    most = read_stop_after(stop_after)
    if detach and limits != Limits():
        raise UsageError(
            f"{'--strict' if strict else '--max-failed'} decides the exit code, and --detach does not wait for the end",
            help="leave out one of them; oaflow receipt RUN exits with 1 if a run does not balance",
        )
    if resume and new:
        raise UsageError("--resume and --new exclude each other")
    if resume and (force or prune):
        raise UsageError(
            f"{'--force' if force else '--prune'} applies when a run starts, but --resume continues one",
            help="leave out --resume, or use --new instead",
        )
    known = settings(log_format)
    source, given = locate(pipeline), params_of(param or ())
    folders = import_folders(source.file)
    with crew_of(known, 0 if detach else workers, folders) as crew:
        # What opens connections takes a while to load; the workers do so meanwhile.
        from oaflow.ledger.runs import StopAfter
        from oaflow.operations import running
        from oaflow.operations.starting import Request

        program = load(source)
        show_mistakes(program)
        request = Request(
            dataset=dataset,
            inputs=tuple(inputs or ()),
            params=given,
            entities=entities,
            at=at,
            first=first,
            stop_after=StopAfter(*most) if most is not None else None,
            force=force,
            prune=prune,
            folders=folders,
        )
        mode = "resume" if resume else "new" if new else "ask"
        events = running.run(known, program, request, mode=mode, choose=_choose, crew=crew)
        return leave(known, events, workers, json) if detach else _show(events, limits, json)


def resume(run: RunId = None, workers: Workers = None, detach: Detach = False, json: Json = False) -> int:
    """
    Continue a run, whatever stopped it.
    """
    from oaflow.cli.verdicts import Limits
    from oaflow.operations.crew import crew_of

    known = settings()
    with crew_of(known, 0 if detach else workers) as crew:
        from oaflow.operations import running

        events = running.resume(known, run, crew=crew)
        return leave(known, events, workers, json) if detach else _show(events, Limits(), json)


def retry(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|JOB",
            help="Id of a run; default: the latest. With --here, the id of a job.",
            autocompletion=completing.runs,
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage", metavar="STAGE", help="Only jobs that failed at this stage.", autocompletion=completing.stages
        ),
    ] = None,
    cause: Annotated[
        str | None,
        typer.Option(
            "--cause",
            metavar="CAUSE",
            help="Only jobs that failed for this cause, as named by `oaflow failures`.",
            autocompletion=completing.causes,
        ),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Run one failed job in this process, handing over and writing nothing.")
    ] = False,
    debugger: Annotated[
        bool | None,
        typer.Option(
            "--pdb/--no-pdb", help="With --here: open the debugger where the error is raised; default in a terminal."
        ),
    ] = None,
    workers: Workers = None,
    detach: Detach = False,
    json: Json = False,
) -> int:
    """
    Send what failed in a run again, and follow it; or run one job of it here, with a debugger.
    """
    if here:
        if detach:
            from oaflow.errors import UsageError

            problem = "--here runs a job in this process, but --detach leaves a run to another one"
            raise UsageError(problem, help="leave out one of them")
        return _rehearse(run, debugger)
    if run is not None and run.isdecimal():
        from oaflow.operations.rehearsing import refuse_number

        refuse_number(settings(), int(run))
    from oaflow.cli.verdicts import Limits
    from oaflow.operations.crew import crew_of

    known = settings()
    with crew_of(known, 0 if detach else workers) as crew:
        from oaflow.operations import running

        events = running.retry(known, run, stage=stage, cause=cause, crew=crew)
        return leave(known, events, workers, json) if detach else _show(events, Limits(), json)


def _rehearse(job: str | None, debugger: bool | None) -> int:
    import faulthandler

    from oaflow.cli.output import interactive, log
    from oaflow.cli.rehearsals import debug, print_prepared, print_rehearsed
    from oaflow.errors import UsageError
    from oaflow.operations.rehearsing import rehearse

    if job is None or not job.isdecimal():
        problem = "--here runs one job" if job is None else f"--here runs one job, but {job!r} is not a job id"
        raise UsageError(problem, help="oaflow failures --json   # shows the job ids")
    wanted = interactive() if debugger is None else debugger
    faulthandler.enable()  # a stage that crashes ends this process, and says where
    rehearsed = rehearse(
        settings(), int(job), prepared=print_prepared, raised=debug if wanted else lambda error: None, logged=log
    )
    print_rehearsed(rehearsed)
    return 0 if rehearsed.error is None else 1


def pause(run: RunId = None, json: Json = False) -> int:
    """
    Pause a run: jobs that are running are finished, and no more are started until it is resumed.
    """
    from oaflow.cli.output import remark, say_json, typable

    found = operations.pause(run, settings=settings())
    if json:
        held: printed.Paused = {"run": found.id, "state": found.state}
        say_json(held)
    else:
        remark(f"run {found.id} is paused")
        remark(f"continue: {typable(f'oaflow resume {found.id}')}")
    return 0


def cancel(run: RunId = None, json: Json = False) -> int:
    """
    Cancel a run: jobs that wait are removed, and the results of those that are running are discarded.
    """
    from oaflow.cli.output import count, remark, say_json

    found, waiting = operations.cancel(run, settings=settings())
    if json:
        cancelled: printed.Cancelled = {"run": found.id, "state": found.state, "waiting": waiting}
        say_json(cancelled)
    else:
        remark(f"run {found.id} is cancelled; {count(waiting, 'waiting job')} removed")
    return 0


def params_of(given: "list[str] | tuple[()]") -> dict[str, tuple[str, ...]]:
    from oaflow.errors import UsageError

    params: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"a param is given as KEY=VALUE, not {text!r}", help=f"-p {name or 'key'}=VALUE")
        params[name] = (*params.get(name, ()), value)
    return params


def _choose(run: "Run") -> Literal["resume", "new"] | None:
    from oaflow.cli.output import clean, interactive, remark
    from oaflow.quantities import duration

    if not interactive():
        return None
    remark(f"run {clean(run.id)} of this pipeline and dataset has not ended: {run.state}, {duration(run.seconds)} old")
    if run.cut:
        remark(clean(run.reason))
        return "new" if typer.confirm("cancel it and start a new run?", default=True, err=True) else None
    answer = typer.prompt("continue it? [Y]es, [n]ew run instead, [q]uit", default="y", show_default=False, err=True)
    match answer.strip().lower()[:1]:
        case "y":
            return "resume"
        case "n":
            return "new"
        case _:
            raise typer.Abort


def show_mistakes(program: Any) -> None:
    """
    Mistakes and warnings are shown as `check` shows them, each with its place; mistakes end the command.
    """
    if program.diagnostics:
        from oaflow.cli.diagnostics import print_diagnostics, raise_failures

        raise_failures([program])
        print_diagnostics(program.diagnostics, "text", to_stderr=True)
    program.checked()


def _show(events: Iterator[Any], limits: Any, json: bool) -> int:
    from oaflow.cli.progress import show

    return show(events, limits, json)
