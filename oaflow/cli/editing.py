"""
`schema` and `lsp`: what editors ask for.
"""

from pathlib import Path
from typing import Annotated

import typer

from oaflow.cli.pages import add_command
from oaflow.cli.piped import refuse_alone


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "schema", schema, "oaflow schema -o oaflow.schema.json", "Writing pipelines")
    add_command(app, "lsp", lsp, "oaflow lsp", "Writing pipelines")


def schema(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND...", help="With --json-output: only what this command prints, such as `db check`."
        ),
    ] = None,
    json_output: Annotated[
        bool,
        typer.Option("--json-output", help="The schema of what --json prints, instead of that of pipeline files."),
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
) -> int:
    """
    Print the JSON Schema of pipeline files, which editors use to complete and check them; or that of what commands
    print with --json.
    """
    import json

    from oaflow.cli.output import say_into
    from oaflow.errors import UsageError

    if json_output:
        from oaflow.operations.printing import output_schema

        made = output_schema(" ".join(command) if command else None)
    elif command:
        raise UsageError(
            "pipeline files have one schema, whatever the command",
            help=f"oaflow schema --json-output {' '.join(command)}   # what it prints",
        )
    else:
        from oaflow.editors.schema import pipeline_schema

        made = pipeline_schema()
    say_into(json.dumps(made, indent=1, ensure_ascii=False), output)
    return 0


def lsp() -> int:
    """
    Serve an editor as a language server, over stdin and stdout; editors start it themselves.
    """
    refuse_alone("lsp", "pygls", server="language server", caller="editor", page="docs/how-to/edit-pipelines.md")
    from oaflow.editors.server import server

    server().start_io()
    return 0
