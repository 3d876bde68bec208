"""
Pipeline files, written anew in their place: whole or not at all.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from oaflow.diagnostics import Diagnostic, errors
from oaflow.errors import EnvironmentProblem
from oaflow.formatting import FormatError, formatted
from oaflow.loader import load, shown_path


class UnreadableError(Exception):
    """
    A file that is no YAML that oaflow reads; `diagnostics` say why.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics


def format_file(path: Path, *, write: bool = True) -> bool:
    """
    Writes a file in the one way of indents and spaces.

    Returns:
        whether something of it changed, or would.

    Raises:
        UnreadableError: it cannot be read.
        FormatError: it cannot be written anew without a loss.
    """
    loaded = load(path)
    if loaded.data is None or errors(loaded.diagnostics):
        raise UnreadableError(loaded.diagnostics)
    before = path.read_bytes().decode("utf-8-sig")
    try:
        after = formatted(before)
    except FormatError as error:
        place = f"{shown_path(path)}:{error.line}" if error.line else shown_path(path)
        raise FormatError(error.line, f"{place}: {error}", error.help or "") from error
    if after == before:
        return False
    if write:
        rewrite(path, after)
    return True


def rewrite(path: Path, text: str) -> None:
    """
    Puts a text in the place of what a file held, with its rights; whoever reads meanwhile sees the one or the other.

    Raises:
        EnvironmentProblem: it cannot be written.
    """
    there = path.resolve()
    try:
        handle, name = tempfile.mkstemp(dir=there.parent, prefix=f".{there.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as new:
                new.write(text)
            os.chmod(name, there.stat().st_mode & 0o7777)
            os.replace(name, there)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise EnvironmentProblem(f"{str(path)!r} cannot be written: {error.strerror}") from error
