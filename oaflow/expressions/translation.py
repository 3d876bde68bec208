"""
What is known while an expression is translated, and what was found on the way.
"""

import ast
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from oaflow.expressions import nodes, shapes
from oaflow.expressions.grammar import NAMES, REFUSED, Kind
from oaflow.expressions.mistakes import Mistake, MistakeKind
from oaflow.expressions.reading import Text
from oaflow.expressions.shapes import Shape, described
from oaflow.spelling import spelled


@dataclass(frozen=True, slots=True)
class Typed:
    """
    A piece of the result, and what is known of its value.
    """

    node: ast.expr
    shape: Shape


@dataclass(frozen=True, slots=True)
class Read:
    """
    A property that is read: the `own` of the entity that is decided about, or that of another in the job. `offset` and
    `length` are the place of its name in the text.
    """

    name: str
    offset: int
    length: int
    own: bool


Translate = Callable[["Translation", ast.expr], Typed]


@dataclass
class Translation:
    """
    One expression on its way.

    Attributes:
        translators: what knows each type of node.
        params: those of the pipeline, by name with their shapes, or names only; None: any name is one.
        scope: the name of the generator that is being translated.
        reads: properties of entities.
        properties: those of `e`, each with the name that its values have in the result.
        patterns: what searches, by its name in the result.
        pieces: what can be shown with its value.
        held: how many values were given a name.
    """

    text: Text
    kind: Kind
    params: Mapping[str, Shape] | Collection[str] | None
    translators: Mapping[type[ast.expr], Translate]
    scope: dict[str, Shape] = field(default_factory=dict[str, Shape])
    mistakes: list[Mistake] = field(default_factory=list[Mistake])
    uses: set[str] = field(default_factory=set[str])
    reads: list[Read] = field(default_factory=list[Read])
    used_params: set[str] = field(default_factory=set[str])
    properties: dict[str, str] = field(default_factory=dict[str, str])
    patterns: dict[str, Callable[[bytes], object]] = field(default_factory=dict[str, Callable[[bytes], object]])
    pieces: dict[str, None] = field(default_factory=dict[str, None])
    held: int = 0

    @property
    def names(self) -> Mapping[str, Shape]:
        """
        The names that are known here.
        """
        return {**NAMES[self.kind], **self.scope}

    def any(self, node: ast.expr) -> Typed:
        """
        Whatever a node is, names that are no values included.
        """
        translate = self.translators.get(type(node))
        if translate is not None:
            return translate(self, node)
        what, help = REFUSED.get(type(node), ("this is not part of expressions", None))
        return self.mistake("not-allowed", what, node, help)

    def value(self, node: ast.expr) -> Typed:
        """
        What may be compared, tested, or given to a function.
        """
        typed = self.any(node)
        if not typed.shape.is_namespace:
            return typed
        help = f"name a field: {self.text.segment(node)}.NAME"
        return self.mistake("wrong-argument", f"{described(typed.shape)} is not a condition by itself", node, help)

    def mistake(self, kind: MistakeKind, message: str, node: ast.expr, help: str | None = None) -> Typed:
        """
        Tell that a node is wrong. What stands for it then has no further mistakes.
        """
        self.at(kind, message, self.text.of(node), help)
        return self.wrong(node)

    def at(self, kind: MistakeKind, message: str, place: tuple[int, int], help: str | None = None) -> None:
        """
        Tell that what stands at an offset, so many characters long, is wrong.
        """
        self.mistakes.append(Mistake(kind, message, help, *place))

    def wrong(self, node: ast.expr) -> Typed:
        """
        What stands for a node whose mistake was told.
        """
        return Typed(nodes.constant(None, node), shapes.WRONG)

    def is_twisted(self, written: str, name: str, end: int) -> bool:
        """
        Whether a name has letters outside of ASCII; then it is told. Python would take some of them for others.

        Args:
            written: as it stands in the text.
            name: what Python made of it.
            end: the offset after it.
        """
        if written.isascii():
            return False
        twin = spelled(written)
        plain = twin[0] if twin else name
        what = f"has a {twin[1]}" if twin else "has letters that names here cannot have"
        place = end - len(written), len(written)
        self.at("lookalike", f"{written!r} {what}", place, f"write {plain}" if plain.isascii() else None)
        return True

    def note(self, node: ast.expr) -> None:
        """
        Remember what can be shown with its value, instead of what it is a field of. In a generator it has many.
        """
        if self.scope:
            return
        if isinstance(node, ast.Attribute | ast.Subscript):
            self.pieces.pop(self.text.segment(node.value), None)
        self.pieces[self.text.segment(node)] = None
