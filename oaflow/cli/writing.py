"""
`new`, `fmt` and `import-env`: what writes files for who writes a pipeline.
"""

from pathlib import Path
from typing import Annotated

import typer

from oaflow.cli.pages import add_command


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "new", new, "oaflow new letters", "Writing pipelines")
    add_command(app, "import-env", import_env, "docker exec ingest env | oaflow import-env -", "Writing pipelines")
    add_command(app, "fmt", fmt, "oaflow fmt --check pipelines/*.yml", "Writing pipelines")


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The pipeline's name, optionally with a folder before it.")
    ],
) -> int:
    """
    Begin a pipeline: a file, a module with its stages, and a test, which can be run as they are.
    """
    from shlex import quote

    from oaflow.cli.output import clean, remark
    from oaflow.operations.beginning import begin

    files = [clean(file) for file in begin(name)]
    remark(f"wrote {', '.join(files)}")
    remark(f"run it: oaflow run {quote(files[0])} -d try Anna Boris")
    return 0


def fmt(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pipeline files.")],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if a file would change.")] = False,
) -> int:
    """
    Format pipeline files: indentation and spacing; comments and order stay as they are.
    """
    from oaflow.cli.diagnostics import print_diagnostics
    from oaflow.cli.output import clean, complain, remark
    from oaflow.formatting import FormatError
    from oaflow.operations.rewriting import UnreadableError, format_file

    wrong = False
    for file in files:
        try:
            changed = format_file(file, write=not check)
        except UnreadableError as error:
            print_diagnostics(error.diagnostics, "text", to_stderr=True)
            wrong = True
        except FormatError as error:
            complain(error)
            wrong = True
        else:
            if changed:
                remark(f"{clean(file)} {'would change' if check else 'was formatted'}")
            wrong = wrong or (check and changed)
    return int(wrong)


def import_env(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="Lines of NAME=value, as in .env; -: stdin. Default: the environment."),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The pipeline's name.")] = "openaleph",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
) -> int:
    """
    Write a pipeline that does what the settings (OPENALEPH_*) of OpenAleph's services say now.
    """
    from oaflow.cli.output import clean, complain, remark, say_into
    from oaflow.operations.importing import WrongSettingsError, import_environment, read_environment

    try:
        text, remarks = import_environment(name, read_environment(file))
    except WrongSettingsError as error:
        for one in error.mistakes:
            complain(one)
        return error.exit_code
    for sentence in remarks:
        remark(clean(sentence))
    say_into(text, output)
    return 0
