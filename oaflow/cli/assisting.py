"""
`mcp`: what assistants ask.
"""

import typer

from oaflow.cli.options import settings
from oaflow.cli.pages import Page


def register(app: typer.Typer) -> None:
    """
    Adds the command of this group.
    """
    app.command("mcp", cls=Page, rich_help_panel="Asking", epilog="Example: oaflow mcp")(mcp)


def mcp() -> int:
    """
    Answer an assistant about runs, failures and documents, as a server of the Model Context Protocol over stdin and
    stdout; assistants start it themselves. It only looks.
    """
    import sys
    from importlib.util import find_spec

    from oaflow.errors import EnvironmentProblem, UsageError

    if find_spec("mcp") is None:
        raise EnvironmentProblem(
            "the server for assistants needs 'mcp', which is not installed", help="pip install 'oaflow[mcp]'"
        )
    if sys.stdin.isatty():
        raise UsageError(
            "`oaflow mcp` speaks to an assistant over stdin, and this is a terminal",
            help="let the assistant start it: docs/how-to/ask-from-an-assistant.md says how",
        )
    from oaflow.assistants.server import serve

    serve(settings())
    return 0
