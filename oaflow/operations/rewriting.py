"""
Replaces a pipeline file with a changed one: completely or not at all.
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
    A file that is not YAML that oaflow can read; `diagnostics` say why.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics


def format_file(path: Path, *, write: bool = True) -> bool:
    """
    Format the indentation and spacing of a file.

    Returns:
        whether anything changed, or would.

    Raises:
        UnreadableError: it cannot be read.
        FormatError: it cannot be written again without a loss.
    """
    # Imported here, because loading ruamel.yaml takes longer than checking a file.
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
    Fix in a file what can be fixed without asking, check by check, as long as each fix removes its mistake.

    Args:
        imports: whether the functions are checked.

    Returns:
        what was fixed, in order.
    """
    loaded = load(path)
    if loaded.data is None and not any(one.span.line for one in loaded.diagnostics):
        return []  # not text, or not readable
    inspect = Inspector(import_folders(path)) if imports else None
    text = before = path.read_bytes().decode("utf-8-sig", "strict")
    made: list[Repair] = []
    checked, spans = _looked_at(text, path, inspect)
    while found := repairs(text, checked, spans):
        after, told = mended(text, found), _told(checked)
        checked, spans = _looked_at(after, path, inspect)
        # A line may have the same mistake twice, and one is fixed at a time.
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
    Replace the content of a file, keeping its permissions; a concurrent reader sees either the old or the new text.

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
