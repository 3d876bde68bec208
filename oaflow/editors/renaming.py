"""
From where a stage, a param or a function is named to where it is declared, and to all that names it. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path as FilePath

from oaflow.compiler.functions import Inspected
from oaflow.compiler.reading import NAME, NAME_LENGTH, PARAM, RULES_OF
from oaflow.compiler.shape import RESERVED_STAGES
from oaflow.editors.documents import Document
from oaflow.editors.places import Named, part_at, path_at, value_at
from oaflow.errors import UsageError
from oaflow.loader import load_text

# Where a text begins and ends, as offsets.
Ends = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Declared:
    """
    Where something is declared: in the pipeline file at `ends`, or in another file at a line, counted from 1.
    """

    ends: Ends = (0, 0)
    file: FilePath | None = None
    line: int = 0


def named_at(document: Document, offset: int) -> Named | None:
    """
    The stage or param that is named at an offset.
    """
    for named in document.named:
        start, end = document.text.ends(named.span)
        if start <= offset <= end:
            return named
    return None


def declaration(document: Document, offset: int) -> Declared | None:
    """
    Where that is declared which is named at an offset: a stage, a param, or the function of a `task`.
    """
    named = named_at(document, offset)
    if named is not None:
        found = [one for one in _same(document, named) if one.definition]
        return Declared(document.text.ends(found[0].span)) if found else None
    task = task_at(document, offset)
    function = (document.functions or {}).get(task) if task is not None else None
    if isinstance(function, Inspected) and function.file is not None and function.line is not None:
        return Declared(file=FilePath(function.file), line=function.line)
    return None


def task_at(document: Document, offset: int) -> str | None:
    """
    The function that is named at an offset, by its dotted path.
    """
    found = path_at(document.spans, *document.text.place(offset))
    if found is None or found[1] or part_at(found[0]) != "task":
        return None
    value = value_at(document.data, found[0])
    return value if isinstance(value, str) else None


def references(document: Document, offset: int, *, declared: bool = True) -> list[Ends]:
    """
    All places where that is named which is named at an offset.
    """
    named = named_at(document, offset)
    if named is None:
        return []
    return [document.text.ends(one.span) for one in _same(document, named) if declared or not one.definition]


def _same(document: Document, named: Named) -> Iterator[Named]:
    return (one for one in document.named if (one.kind, one.name) == (named.kind, named.name))


def renamed(document: Document, offset: int, new: str) -> list[Ends]:
    """
    The places at which a new name for a stage or a param is to be written.

    Raises:
        UsageError: none is named there, the name cannot be one, or the text cannot be read as a whole.
    """
    named = named_at(document, offset)
    known = document.stages if named is None or named.kind == "stage" else document.params
    if named is None or named.name not in known:
        raise UsageError("no stage or param is named here", help="put the cursor on the name of one")
    if load_text(document.source).data is None:
        raise UsageError("the file cannot be read as YAML now, so not all places are known", help="mend it first")
    if new == named.name:
        return []
    pattern, reserved = (NAME, RESERVED_STAGES) if named.kind == "stage" else (PARAM, ())
    if not pattern.fullmatch(new) or len(new) > NAME_LENGTH:
        raise UsageError(f"{new!r} is not a valid name for a {named.kind}: {RULES_OF[pattern]}")
    if new in reserved:
        raise UsageError(f"{new!r} is a reserved word, so it cannot be the name of a stage", help="choose another name")
    # It is put in the place of the old one as it is, which may stand without quotes, and behind a dot.
    if load_text(f"name: {new}").data != {"name": new}:
        raise UsageError(f"{new!r} needs quotes to be a text", help="choose another name")
    if named.kind == "param" and iskeyword(new):
        raise UsageError(
            f"{new!r} is a keyword of Python, so it cannot be a name in an expression", help="choose another name"
        )
    if new in known:
        raise UsageError(f"there is a {named.kind} {new!r} already", help="choose another name")
    return references(document, offset)
