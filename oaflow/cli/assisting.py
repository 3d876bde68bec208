"""
`mcp`: what assistants ask.
"""

import typer

from oaflow.cli.options import settings
from oaflow.cli.pages import add_command
from oaflow.cli.piped import refuse_alone


def register(app: typer.Typer) -> None:
    """
    Adds the command of this group.
    """
    add_command(app, "mcp", mcp, "oaflow mcp", "Watching")


def mcp() -> int:
    """
    Answer an assistant's questions about runs, failures and documents, as a Model Context Protocol server over
    stdin and stdout; assistants start it themselves. It changes nothing.
    """
    refuse_alone(
        "mcp",
        "mcp",
        server="server for assistants",
        caller="assistant",
        page="docs/how-to/ask-from-an-assistant.md",
    )
    from oaflow.assistants.server import serve

    serve(settings())
    return 0
