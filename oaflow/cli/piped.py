"""
Commands that another program starts and speaks to, over stdin and stdout.
"""

import importlib.util
import sys


def refuse_alone(command: str, library: str, *, server: str, caller: str, page: str) -> None:
    """
    Refuses to serve where it cannot, or where nobody is who would speak.

    Args:
        command: as it is typed, and the name of the extra that brings the library.
        library: the module that it needs.
        server: what it is, in words.
        caller: who starts it: an editor, an assistant.
        page: of the docs, which says how.

    Raises:
        EnvironmentProblem: the library is not installed.
        UsageError: stdin is a terminal.
    """
    from oaflow.errors import EnvironmentProblem, UsageError

    if importlib.util.find_spec(library) is None:
        raise EnvironmentProblem(
            f"the {server} needs {library!r}, which is not installed", help=f"pip install 'oaflow[{command}]'"
        )
    if sys.stdin.isatty():
        raise UsageError(
            f"`oaflow {command}` talks to an {caller} over stdin, but stdin is a terminal",
            help=f"let the {caller} start it: see {page}",
        )
