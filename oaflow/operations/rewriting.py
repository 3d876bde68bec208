"""
Writes a changed pipeline file in place of the old one: completely or not at all.
"""

import os
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from oaflow.compiler.checking import Checked, check_data
from oaflow.compiler.functions import Inspect, Inspector, import_folders
from oaflow.compiler.repairs import Repair, mended, repairs
from oaflow.diagnostics import Diagnostic, Spans, errors
from oaflow.errors import EnvironmentProblem
from oaflow.loader import load, load_text, shown_path


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
    # Only here: ruamel.yaml takes longer to load than a file to be checked.
    from oaflow.formatting import FormatError, formatted

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


def mend_file(path: Path, *, imports: bool = True) -> list[Repair]:
    """
    Mends in a file what can be mended without asking, check by check, as long as each takes away what it was for.

    Args:
        imports: whether the functions are looked at.

    Returns:
        what was mended, in the order in which it was.
    """
    loaded = load(path)
    if loaded.data is None and not any(one.span.line for one in loaded.diagnostics):
        return []  # no text, or none that can be read
    inspect = Inspector(import_folders(path)) if imports else None
    text = before = path.read_bytes().decode("utf-8-sig", "strict")
    made: list[Repair] = []
    checked, spans = _looked_at(text, path, inspect)
    while found := repairs(text, checked, spans):
        after, told = mended(text, found), _told(checked)
        checked, spans = _looked_at(after, path, inspect)
        # A line may have the same mistake twice, of which one is mended at a time.
        gone = told - _told(checked)
        if any(_key(one.diagnostic) not in gone for one in found):
            break
        text = after
        made += found
    if text != before:
        rewrite(path, text)
    return made


def _looked_at(text: str, path: Path, inspect: Inspect | None) -> tuple[Checked, Spans]:
    loaded = load_text(text, shown_path(path))
    if loaded.data is None:
        return Checked(None, None, loaded.diagnostics), loaded.spans
    return check_data(loaded.data, loaded.spans, inspect), loaded.spans


def _told(checked: Checked) -> Counter[tuple[str, str, int]]:
    return Counter(map(_key, checked.diagnostics))


def _key(one: Diagnostic) -> tuple[str, str, int]:
    return one.code, one.message, one.span.line


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
