"""
`new`: writes files for who writes a pipeline.
"""

from typing import Annotated

import typer

from oaflow.cli.pages import Page


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    panel = "Writing pipelines"
    app.command("new", cls=Page, rich_help_panel=panel, epilog="Example: oaflow new letters")(new)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The pipeline's name; a folder may stand before it.")],
) -> int:
    """
    Begin a pipeline: a file, a module with its stages, and a test, which can be run as they are.
    """
    from oaflow.cli.output import clean, remark
    from oaflow.operations.beginning import begin

    files = [clean(file) for file in begin(name)]
    remark(f"wrote {', '.join(files)}")
    remark(f"run it: oaflow run {files[0]} -d try Anna Boris")
    return 0
