"""
`schedule`: runs that are begun by the clock.
"""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from oaflow import operations
from oaflow.cli import completing
from oaflow.cli.options import Dataset, Inputs, Json, Params, PipelineName, settings
from oaflow.cli.pages import add_command, group

if TYPE_CHECKING:
    from datetime import datetime

    from oaflow.ledger.schedules import Schedule

_Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the schedule.", autocompletion=completing.schedules)
]

_ADD = "oaflow schedule add ingest -d mails /srv/mails --cron '0 3 * * *'"


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    schedule = group("Schedule runs; a worker starts them at set times.", _ADD)
    add_command(schedule, "add", add, _ADD)
    add_command(schedule, "list", list_, "oaflow schedule list")
    add_command(schedule, "pause", pause, "oaflow schedule pause ingest-mails")
    add_command(schedule, "resume", resume, "oaflow schedule resume ingest-mails")
    add_command(schedule, "remove", remove, "oaflow schedule remove ingest-mails")
    app.add_typer(schedule, name="schedule", rich_help_panel="Running")


def add(
    pipeline: PipelineName,
    dataset: Dataset,
    cron: Annotated[
        str, typer.Option("--cron", metavar="EXPRESSION", help="Minute, hour, day, month, weekday: '0 3 * * *'.")
    ],
    inputs: Inputs = None,
    param: Params = None,
    zone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="The time zone of these times.")] = "UTC",
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Default: PIPELINE-DATASET.")] = None,
    json: Json = False,
) -> int:
    """
    Have workers run a pipeline over a dataset at these times, as its file is now: one run each time, however many
    workers there are, and one for all times missed while there was no worker.
    """
    from oaflow.cli.output import remark, say_json, typable
    from oaflow.cli.running import params_of, show_mistakes
    from oaflow.compiler.functions import import_folders
    from oaflow.operations import scheduling
    from oaflow.operations.programs import load, locate
    from oaflow.operations.starting import Request

    source = locate(pipeline)
    program = load(source)
    show_mistakes(program)
    request = Request(dataset, tuple(inputs or ()), params_of(param or ()), folders=import_folders(source.file))
    made = scheduling.add(settings(), program, request, cron=cron, zone=zone, name=name)
    if json:
        say_json(scheduling.as_json(made))
    remark(_due(made))
    remark(f"a worker starts it: {typable('oaflow worker')}")
    return 0


def list_(json: Json = False) -> int:
    """
    List the schedules: when each is due next, and how the last time went.
    """
    from oaflow.cli.output import clean, remark, say_json, typable
    from oaflow.cli.tables import print_table
    from oaflow.operations import scheduling

    found = operations.list_schedules(settings=settings())
    if json:
        for one in found:
            say_json(scheduling.as_json(one))
        return 0
    if not found:
        remark(f"nothing is scheduled: {_ADD}")
        return 0
    rows = [
        (
            one.name,
            one.dataset,
            one.cron if one.zone == "UTC" else f"{one.cron} {one.zone}",
            "paused" if one.paused_at else moment(one.due_at, one.zone),
            one.last_run or one.problem or "",
        )
        for one in found
    ]
    columns = ("schedule", "dataset", "cron", "next", "last")
    print_table([(column, False) for column in columns], rows)
    for one in found:
        if (waits := scheduling.late(one).total_seconds()) > 60:
            remark(f"{clean(one.name)} waits for a worker since {waits / 60:.0f} min", "yellow")
            remark(f"help:  {typable('oaflow worker')}")
    return 0


def pause(name: _Name, json: Json = False) -> int:
    """
    Pause a schedule: it starts no runs until it is resumed; a run that it has started goes on.
    """
    from oaflow.cli.output import clean, remark, say_json, typable
    from oaflow.operations import scheduling

    paused = operations.pause_schedule(name, settings=settings())
    if json:
        say_json(scheduling.as_json(paused))
    remark(f"schedule {clean(name)} is paused")
    remark(f"continue: {typable(f'oaflow schedule resume {clean(shlex.quote(name))}')}")
    return 0


def resume(name: _Name, json: Json = False) -> int:
    """
    Resume a paused schedule from its next time on; the times that it missed are left out.
    """
    from oaflow.cli.output import remark, say_json
    from oaflow.operations import scheduling

    resumed = operations.resume_schedule(name, settings=settings())
    if json:
        say_json(scheduling.as_json(resumed))
    remark(_due(resumed))
    return 0


def remove(name: _Name) -> int:
    """
    Remove a schedule; a run that it has started goes on.
    """
    from oaflow.cli.output import clean, remark

    operations.remove_schedule(name, settings=settings())
    remark(f"schedule {clean(name)} is removed")
    return 0


def _due(schedule: "Schedule") -> str:
    from oaflow.cli.output import clean

    at = moment(schedule.due_at, schedule.zone)
    return f"schedule {clean(schedule.name)}: next at {at} {clean(schedule.zone)}"


def moment(at: "datetime", zone: str) -> str:
    """
    `2026-11-27 03:00`, as clocks in a zone show it.
    """
    from zoneinfo import ZoneInfo

    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
