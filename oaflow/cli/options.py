"""
Options that several commands share, and what they mean.
"""

import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oaflow.cli import completing

if TYPE_CHECKING:
    from oaflow.settings import Settings


# Whether a command was given `--debug`, which stands anywhere.
debugging: ContextVar[bool] = ContextVar("debugging", default=False)


def _say_version(value: bool) -> None:
    if value:
        from oaflow import __version__

        typer.echo(f"oaflow {__version__}")
        raise typer.Exit


version_option: Any = typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True)

PipelineName = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE",
        help="A file, a name in ./pipelines or of oaflow's own, or module:name.",
        autocompletion=completing.pipelines,
    ),
]
RunId = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="Id of a run; default: the latest.", autocompletion=completing.runs),
]
Dataset = Annotated[
    str,
    typer.Option("--dataset", "-d", metavar="DATASET", help="Name of the dataset.", autocompletion=completing.datasets),
]
Inputs = Annotated[
    list[str] | None, typer.Argument(metavar="INPUT...", help="Values of the pipeline's positional param.")
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="KEY=VALUE", help="Set a param; repeat it to give a list."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
LogFormat = Annotated[
    str | None,
    typer.Option(
        "--log-format", metavar="FORMAT", help="text, or json: one object a line on stderr, also for what stages print."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        metavar="N",
        help="Worker processes to start; default: 1, but 0 with a database server, where `oaflow worker` works.",
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the run to a background process, and print its id.")]


def form_of(format: str, json: bool, forms: Sequence[str]) -> str:
    """
    The form in which a command prints: `--json` is one of them, too.

    Raises:
        UsageError: there is no such form.
    """
    from oaflow.errors import UsageError

    form = "json" if json else format
    if form not in forms:
        raise UsageError(f"there is no format {form!r}", help=f"one of: {', '.join(forms)}")
    return form


def settings(log_format: str | None = None, *, aloud: bool = True) -> "Settings":
    """
    What the environment says, read once for a command.

    Args:
        log_format: what was typed in place of `OAFLOW_LOG_FORMAT`.
        aloud: whether variables are named that were probably meant for settings.
    """
    import os

    from oaflow.cli.output import log_as, remark
    from oaflow.operations.variables import unheard
    from oaflow.settings import Settings

    known = Settings.model_validate({} if log_format is None else {"log_format": log_format})
    log_as(known.log_format)
    if sys.stderr.isatty():
        from oaflow.cli.output import tell_of_server

        tell_of_server()
    for one in unheard(os.environ) if aloud else ():
        if one.meant is not None:
            remark(f"{one.name} is not a setting of oaflow and has no effect: did you mean {one.meant}?", "yellow")
    return known
