"""
From where a stage, a param or a function is named to where it is declared, and to all that names it. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from oaflow.compiler.functions import Inspected
from oaflow.compiler.reading import NAME, NAME_LENGTH, RULES_OF
from oaflow.compiler.shape import RESERVED_STAGES
from oaflow.diagnostics import Span
from oaflow.editors.documents import Document
from oaflow.editors.places import PARAM, Named, part_at, path_at, value_at
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


def stage_at(document: Document, offset: int) -> Named | None:
    """
    The stage that is named at an offset.
    """
    for named in document.stages_named:
        start, end = document.text.ends(named.span)
        if start <= offset <= end:
            return named
    return None


def declaration(document: Document, offset: int) -> Declared | None:
    """
    Where that is declared which is named at an offset: a stage, a param, or the function of a `task`.
    """
    named = stage_at(document, offset)
    if named is not None:
        found = [one for one in document.stages_named if one.definition and one.name == named.name]
        return Declared(document.text.ends(found[0].span)) if found else None
    param = param_at(document, offset)
    if param is not None:
        return (
            Declared(document.text.ends(document.spans.keys[("params", param)])) if param in document.params else None
        )
    task = task_at(document, offset)
    function = (document.functions or {}).get(task) if task is not None else None
    if isinstance(function, Inspected) and function.file is not None and function.line is not None:
        return Declared(file=FilePath(function.file), line=function.line)
    return None


def param_at(document: Document, offset: int) -> str | None:
    """
    The param that is read at an offset: `params.NAME`, in an expression or to be filled in.
    """
    start = document.source.rfind("\n", 0, offset) + 1
    end = document.source.find("\n", offset)
    line = document.source[start : end if end >= 0 else len(document.source)]
    for found in PARAM.finditer(line):
        if found.start() <= offset - start <= found.end():
            return found[1]
    return None


def task_at(document: Document, offset: int) -> str | None:
    """
    The function that is named at an offset, by its dotted path.
    """
    line, column = document.text.place(offset)
    found = path_at(document.spans, line, column)
    if found is None or found[1] or part_at(found[0]) != "task":
        return None
    value = value_at(document.data, found[0])
    return value if isinstance(value, str) else None


def references(document: Document, offset: int, *, declared: bool = True) -> list[Ends]:
    """
    All places where the stage is named that is named at an offset.
    """
    named = stage_at(document, offset)
    if named is None:
        return []
    return [document.text.ends(span) for span in _spans(document, named.name, declared=declared)]


def _spans(document: Document, name: str, *, declared: bool = True) -> Iterator[Span]:
    for one in document.stages_named:
        if one.name == name and (declared or not one.definition):
            yield one.span


def renamed(document: Document, offset: int, new: str) -> list[Ends]:
    """
    The places at which a new name for a stage is to be written.

    Raises:
        UsageError: no stage is named there, the name cannot be one, or the text cannot be read as a whole.
    """
    named = stage_at(document, offset)
    if named is None or named.name not in document.stages:
        raise UsageError("no stage is named here", help="put the cursor on the name of a stage")
    if load_text(document.source).data is None:
        raise UsageError("the file cannot be read as YAML now, so not all places are known", help="mend it first")
    if new == named.name:
        return []
    if not NAME.fullmatch(new) or len(new) > NAME_LENGTH:
        raise UsageError(f"{new!r} is no name of a stage: {RULES_OF[NAME]}")
    if new in RESERVED_STAGES:
        raise UsageError(f"{new!r} is a word of the language, and no name of a stage", help="choose another name")
    if new in document.stages:
        raise UsageError(f"there is a stage {new!r} already", help="choose another name")
    return references(document, offset)
