"""
`web`: the same in a browser.
"""

from typing import Annotated

import typer

from oaflow.cli.options import settings
from oaflow.cli.pages import add_command


def register(app: typer.Typer) -> None:
    """
    Adds the command of this group.
    """
    add_command(app, "web", web, "oaflow web --open", "Watching")


def web(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen at; one that other machines can reach needs OAFLOW_WEB_PASSWORD.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="PORT", help="0: any free port.")] = 8080,
    read_only: Annotated[bool, typer.Option("--read-only", help="Do not allow any changes from the page.")] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="A host name under which browsers reach the page; repeatable."),
    ] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="PATH", help="The path under which a reverse proxy serves the page.")
    ] = "",
    trust_header: Annotated[
        str | None,
        typer.Option(
            "--trust-header",
            metavar="HEADER",
            help="Trust this header, in which a reverse proxy names the user who has logged in.",
        ),
    ] = None,
) -> int:
    """
    Show runs, failures, documents and search in a browser, live, until a signal comes.
    """
    import sys
    import traceback
    import webbrowser

    from oaflow.cli.output import clean, complain, remark, say
    from oaflow.errors import OaflowError
    from oaflow.web.serving import serve

    known = settings()

    def said(error: Exception) -> None:
        if known.debug or "--debug" in sys.argv:
            traceback.print_exception(error)
        complain(OaflowError(f"{type(error).__name__}: {error}", help="this is a bug; --debug shows where"))

    with serve(
        known,
        host,
        port,
        header=trust_header,
        names=tuple(name or ()),
        read_only=read_only,
        prefix=prefix,
        said=said,
    ) as serving:
        say(serving.url)
        for text in serving.remarks:
            remark(clean(text), "yellow")
        remark("Ctrl-C ends it")
        if open_it:
            webbrowser.open(serving.url)
        serving.answer()
    return 0
