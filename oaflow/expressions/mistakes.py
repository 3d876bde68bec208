"""
What is wrong with an expression, and what went wrong with one that was evaluated.

    OaflowError
    |- ExpressionError     mistakes in what an author wrote, each with its place in it
    `- EvaluationError     a value that an expression cannot do with, known only when it is evaluated
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from oaflow.diagnostics import Path
from oaflow.errors import OaflowError

MistakeKind = Literal[
    "syntax",  # Python cannot read it
    "too-large",  # too long, or nested too deep
    "interpolation",  # ${} in an expression
    "lookalike",  # a letter that only looks like the one meant
    "not-allowed",  # Python, but not of the kind that expressions are made of
    "unknown-name",  # a name that is not known here
    "unknown-function",
    "unknown-param",
    "unknown-field",  # of the job, or of the run
    "unknown-property",
    "unknown-schema",
    "list-compared",  # a property beside == != < >
    "never",  # values that can never be equal, ordered, or in each other
    "always",  # what decides nothing
    "wrong-argument",
    "bad-pattern",
    "bad-value",  # of the mapping form
]


@dataclass(frozen=True, slots=True)
class Mistake:
    """
    One mistake. `offset` and `length` are characters of the expression; `path` leads through the mapping form, where
    the place is a key if `key` says so.
    """

    kind: MistakeKind
    message: str
    help: str | None = None
    offset: int = 0
    length: int = 0
    path: Path = ()
    key: bool = False


class ExpressionError(OaflowError):
    """
    What an author wrote is no expression that can be evaluated here.
    """

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.source, self.mistakes = source, tuple(mistakes)
        super().__init__("; ".join(mistake.message for mistake in self.mistakes), help=self.mistakes[0].help)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.source, self.mistakes)


class EvaluationError(OaflowError):
    """
    An expression met a value that it cannot do with. The same job will meet it again.

    Attributes:
        source: the whole expression.
        offset, length: the part of it that failed, in characters.
        reason: why.
        entity: id of the entity that it looked at, or None.
    """

    def __init__(self, source: str, offset: int, length: int, reason: str, entity: str | None = None) -> None:
        self.source, self.offset, self.length, self.reason, self.entity = source, offset, length, reason, entity
        part = source[offset : offset + length]
        where = f"{part!r} in {source!r}" if part and part != source.strip() else repr(source)
        about = f" for entity {entity!r}" if entity is not None else ""
        super().__init__(f"the expression {where} failed{about}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.source, self.offset, self.length, self.reason, self.entity)
