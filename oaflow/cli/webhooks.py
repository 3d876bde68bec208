"""
`webhook`: who is told of the end of a run.
"""

from typing import Annotated

import typer

from oaflow import operations
from oaflow.cli import completing
from oaflow.cli.options import Json, settings
from oaflow.cli.pages import add_command, group

_ADD = "oaflow webhook add https://example.org/hook"

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the webhook.", autocompletion=completing.webhooks)]


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    webhook = group("Manage webhooks: addresses that are told when a run ends.", _ADD)
    add_command(webhook, "add", add, _ADD)
    add_command(webhook, "list", list_, "oaflow webhook list")
    add_command(webhook, "test", try_, "oaflow webhook test example.org")
    add_command(webhook, "remove", remove, "oaflow webhook remove example.org")
    app.add_typer(webhook, name="webhook", rich_help_panel="Operating")


def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Receives a POST for each run that ends.")],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Default: the host of the URL.")] = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", metavar="PIPELINE", help="Only runs of this pipeline; default: all.")
    ] = None,
    json: Json = False,
) -> int:
    """
    Add an address that is told, from now on, when a run is finished, incomplete or cancelled. Workers send this,
    signed with OAFLOW_WEBHOOK_SECRET; each end is sent at least once.
    """
    from oaflow.cli.output import clean, remark, say_json
    from oaflow.operations import webhooks

    known = settings()
    made = operations.add_webhook(url, name=name, pipeline=pipeline, settings=known)
    if json:
        say_json(webhooks.as_json(made))
    remark(f"webhook {clean(made.name)} will be notified of runs that end from now on")
    if known.webhook_secret is None:
        remark("nothing is sent without a secret: set it where `oaflow worker` runs and at the receiver", "yellow")
        new = f"export OAFLOW_WEBHOOK_SECRET={webhooks.new_secret()}"
        remark(f"help:  {new}   # a new secret, for all webhooks, shown only once")
    else:
        remark(f"try it: oaflow webhook test {clean(made.name)}")
    return 0


def list_(json: Json = False) -> int:
    """
    List the webhooks, with what could not be delivered yet, and why.
    """
    from oaflow.cli.output import clean, remark, say_json
    from oaflow.cli.tables import print_table
    from oaflow.operations import webhooks

    found = operations.list_webhooks(settings=settings())
    if json:
        for one in found:
            say_json(webhooks.as_json(one))
        return 0
    if not found:
        remark(f"there is no webhook: {_ADD}")
        return 0
    rows = [
        (
            one.name,
            webhooks.shown(one.url),
            one.pipeline or "all",
            one.waiting,
            one.given_up,
            one.problem or ("accepted" if one.last_at else ""),
        )
        for one in found
    ]
    columns = [
        ("webhook", False),
        ("address", False),
        ("pipeline", False),
        ("waits", True),
        ("given up", True),
        ("last", False),
    ]
    print_table(columns, rows)
    for one in found:
        if one.problem:
            remark(f"help:  oaflow webhook test {clean(one.name)}   # if that succeeds, sends what was given up")
    return 0


def try_(name: Name, json: Json = False) -> int:
    """
    Send an example now. If it is accepted, what could not be delivered yet is sent again; if not, the exit code is
    1.
    """
    from oaflow.cli.output import clean, count, remark, say_json

    tried = operations.try_webhook(name, settings=settings())
    if json:
        say_json(tried.as_json())
    elif tried.problem:
        remark(f"webhook {clean(name)}: {tried.problem}", "yellow")
    else:
        left = f"; {count(tried.again, 'end')} of runs that were given up: a worker sends them again"
        remark(f"webhook {clean(name)} accepted the message{left if tried.again else ''}")
    return 1 if tried.problem else 0


def remove(name: Name) -> int:
    """
    Remove a webhook, and what it has not been told yet.
    """
    from oaflow.cli.output import clean, remark

    operations.remove_webhook(name, settings=settings())
    remark(f"webhook {clean(name)} is removed")
    return 0
