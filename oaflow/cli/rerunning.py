"""
`rerun`: a part of a run again.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from oaflow.cli import completing
from oaflow.cli.leaving import leave
from oaflow.cli.options import Detach, Json, RunId, Workers, settings
from oaflow.cli.pages import add_command

if TYPE_CHECKING:
    from oaflow.operations.rerunning import Rerun


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "rerun", rerun, "oaflow rerun ingest-abc234 --stage analyze", "Running")


def rerun(
    run: RunId = None,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            metavar="STAGE",
            help="Only the jobs of this stage, and those that follow from them.",
            autocompletion=completing.stages,
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed jobs, with their documents.")] = False,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="EXPR",
            help="Only jobs with an entity for which this expression holds: is_a(e, 'Email').",
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="STAGE=VERSION",
            help="Only what ran with another version of the code at this stage; later releases count as the same.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would run again.")] = False,
    workers: Workers = None,
    detach: Detach = False,
    json: Json = False,
) -> int:
    """
    Repeat part of a run, as a run of its own: what it wrote before is replaced.
    """
    from oaflow.cli.output import clean, interactive, remark, say_json
    from oaflow.cli.verdicts import Limits
    from oaflow.errors import UsageError
    from oaflow.operations.crew import crew_of

    known = settings()
    choice = _choice(stage, failed, where, older_than)
    refused = False

    def agreed(found: "Rerun") -> bool:
        nonlocal refused
        if dry_run and json:
            say_json(found.as_json())
        else:
            for line in _of(found):
                remark(clean(line))
        if dry_run or yes:
            return not dry_run
        if not interactive():
            raise UsageError("nothing was started: there is no terminal to confirm in", help="add --yes, or --dry-run")
        refused = not typer.confirm("start it?", default=True, err=True)
        return not refused

    with crew_of(known, 0 if dry_run or detach else workers) as crew:
        from oaflow.cli.progress import show
        from oaflow.operations import rerunning

        events = rerunning.rerun(known, run, choice, agreed, crew=crew)
        first = next(events, None)
        if first is None:
            if refused:
                raise typer.Abort
            return 0
        if detach:
            return leave(known, _behind(first, events), workers, json)
        return show(_behind(first, events), Limits(), json)


def _behind(first: object, events: Generator[object]) -> Generator[object]:
    with closing(events):
        yield first
        yield from events


def _choice(stage: str | None, failed: bool, where: str | None, older_than: str | None):
    from oaflow.errors import UsageError
    from oaflow.operations.rerunning import Choice

    at, equals, version = (older_than or "").partition("=")
    if older_than is not None and not (at and equals and version):
        raise UsageError(
            f"--older-than takes STAGE=VERSION, not {older_than!r}",
            help="oaflow trace DOCUMENT   # shows the versions of code that ran",
        )
    return Choice(stage, failed, where, (at, version) if older_than is not None else None)


def _of(found: "Rerun") -> Iterator[str]:
    from oaflow.cli.output import count

    asked = f" ({found.choice})" if str(found.choice) else ""
    yield f"of run {found.run.id}, dataset {found.run.dataset}{asked}:"
    about = f", about {count(found.documents, 'document')}" if found.documents else ""
    yield f"  {count(sum(found.first.values()), 'job')} to start with{about}"
    for stage, jobs in found.first.items():
        yield f"    {stage}  {jobs:,}"
    if found.after:
        yield f"  followed last time by: {count(sum(found.after.values()), 'job')}"
        for stage, jobs in found.after.items():
            yield f"    {stage}  {jobs:,}"
    if found.versions:
        met = ", ".join(f"{version} ({jobs:,})" for version, jobs in found.versions.items())
        yield f"  code that ran them: {met}"
    if found.newer:
        yield f"  {count(found.newer, 'document')} left as is: processed by a later run, or gone"
    if found.lost:
        yield f"  {count(found.lost, 'document')} left as is: their jobs are no longer kept"
