"""
What a check has to say: a rule, a place, a sentence, and the next thing to type. Data only: nothing here prints.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]

_STAGE = re.compile(r"\bstage '[^']*'")

# Where something stands in what the author wrote: the keys and positions that lead to it.
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Rule:
    """
    One kind of mistake. `code` is never reused; its first digit is the phase that finds it.

    `explanation`, `example` (what is wrong) and `repair` (the same, mended) are what `oaflow explain` shows and what
    the reference page is made of. The last two are a pipeline, or several files, each below a line with its name, or
    what one types, after `$ `.
    """

    code: str
    slug: str
    summary: str
    explanation: str
    example: str
    repair: str
    severity: Severity = "error"


class Span(NamedTuple):
    """
    A piece of what the author wrote. Lines and columns count from 1, the end is exclusive; `source` is the first line.

    What was declared in Python has no lines: then `line` is 0 and only `path` says where it stands.
    """

    path: Path = ()
    file: str | None = None
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    source: str = ""

    @property
    def dotted(self) -> str:
        """
        The path as a person would write it: `stages.extract.next[0]`.
        """
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")


@dataclass(frozen=True)
class Diagnostic:
    """
    One mistake or one warning. `notes` are other places that belong to it, each with a few words.
    """

    rule: Rule
    message: str
    span: Span = field(default_factory=Span)
    help: str | None = None
    notes: tuple[tuple[str, Span], ...] = ()

    @property
    def code(self) -> str:
        return self.rule.code

    @property
    def is_error(self) -> bool:
        return self.rule.severity == "error"


@dataclass(frozen=True)
class Spans:
    """
    The places of all that the author wrote, by path: of values, and of the keys that they stand under; and the lines of
    the file. `letters` are line and column, from 0, of each letter of texts that are not written as YAML writes them.
    """

    file: str | None = None
    values: Mapping[Path, Span] = field(default_factory=dict[Path, Span])
    keys: Mapping[Path, Span] = field(default_factory=dict[Path, Span])
    lines: Sequence[str] = ()
    letters: Mapping[Path, Sequence[tuple[int, int]]] | None = None

    def value(self, *path: str | int) -> Span:
        """
        The place of a value; of the nearest thing around it where the author did not write it.
        """
        return self._nearest(self.values, path)

    def key(self, *path: str | int) -> Span:
        """
        The place of a key; of its value where it has none, as in a list.
        """
        found = self.keys.get(path)
        return found if found is not None else self._nearest(self.values, path)

    def _nearest(self, places: Mapping[Path, Span], path: Path) -> Span:
        for length in range(len(path), -1, -1):
            found = places.get(path[:length])
            if found is not None:
                # A whole mapping is no place to put a caret under: its key is.
                return self.keys.get(path[:length], found) if length < len(path) else found
        return Span(path, self.file)


# What was declared in Python has paths and no lines.
NO_SPANS = Spans()


def in_order(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """
    By place in the file, each once: what an alias repeats is written once, and so is its mistake, whichever stage it
    is told of.
    """
    once: dict[object, Diagnostic] = {}
    for one in found:
        # Where nothing has a line, the path is the place, and the order of the checks remains.
        place = (one.span.line, one.span.column) if one.span.line else one.span.path
        within = bool(one.span.line) and one.span.path[:1] == ("stages",)
        said = _STAGE.sub("stage", one.message, count=1) if within else one.message
        once.setdefault((one.code, said, place), one)
    return sorted(once.values(), key=lambda one: (one.span.line, one.span.column))


def errors(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """
    Those that keep a pipeline from running.
    """
    return [diagnostic for diagnostic in diagnostics if diagnostic.is_error]
