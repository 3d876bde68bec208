"""
From the text of an expression to Python's syntax tree, with places that count characters. Nothing is evaluated.
"""

import ast
import re
import warnings
from keyword import kwlist

from oaflow.expressions.mistakes import ExpressionError, Mistake

# More is a program, and belongs in a stage.
LENGTH = 2_000
DEPTH = 32

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|[\ud800-\udfff]")
_INTERPOLATION = re.compile(r"\$\{[^}]*\}?")
_PARAM = re.compile(r"\$\{\s*(params\.\w+)\s*\}")

# What is written otherwise elsewhere, and how it is written here.
_HABITS = (
    (re.compile(r"&&"), "and"),
    (re.compile(r"\|\|"), "or"),
    (re.compile(r"!(?!=)"), "not"),
    (re.compile(r"===|(?<![=!<>])=(?!=)"), "=="),
    (re.compile(r"<>"), "!="),
    (re.compile(r"[“”„«»]"), '"'),
    (re.compile(r"[‘’]"), "'"),
    (re.compile(r"\?"), "A if TEST else B"),
)
# A word of Python cannot stand behind a dot: `e.from`.
_WORD_BEHIND_DOT = re.compile(rf"([A-Za-z_][\w.]*)\.({'|'.join(kwlist)})\b")
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class Text:
    """
    An expression as written. Python reads it in brackets, so that it may go over several lines; places are without.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.wrapped = f"({source}\n)"
        lines = self.wrapped.split("\n")
        self._lines = [line.encode() for line in lines]
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def place(self, line: int, column: int, end_line: int, end_column: int) -> tuple[int, int]:
        """
        Offset and length in characters, of what Python counts in lines and bytes.
        """
        start, end = self._offset(line, column), self._offset(end_line, end_column)
        return start, max(0, end - start)

    def of(self, node: ast.expr) -> tuple[int, int]:
        """
        Offset and length of a node in characters.
        """
        return self.place(node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0)

    def segment(self, node: ast.expr) -> str:
        """
        What the author wrote for a node.
        """
        offset, length = self.of(node)
        return self.source[offset : offset + length]

    def _offset(self, line: int, column: int) -> int:
        within = len(self._lines[line - 1][:column].decode("utf-8", "ignore"))
        return min(max(0, self._starts[line - 1] + within - 1), len(self.source))


def can_be_read(source: str) -> bool:
    """
    Whether this is Python, and not too much of it. Nothing is said about what it means.
    """
    try:
        read(source)
    except ExpressionError:
        return False
    return True


def read(source: str, *, written: bool = True) -> tuple[ast.expr, Text]:
    """
    The tree of an expression.

    Args:
        written: whether an author wrote it, and not oaflow.

    Raises:
        ExpressionError: it is empty, too long, nested too deep, or no Python.
    """
    if mistake := _unreadable(source, written):
        raise ExpressionError(source, [mistake])
    text = Text(source)
    try:
        tree = _parsed(text.wrapped)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(source, [_misread(source, error)]) from None
    # A tuple without brackets, or brackets that close ours and open others: then the whole begins with our bracket.
    if (tree.lineno, tree.col_offset) == (1, 0) and not (isinstance(tree, ast.GeneratorExp) and _balanced(source)):
        if isinstance(tree, ast.Tuple) and tree.elts and _balanced(source):
            message, help = "put values with commas between them in a list", f"[{source.strip()}]"
        elif isinstance(tree, ast.Tuple) and not tree.elts:
            message, help = "there is no expression", None
        else:
            message, help = "this cannot be read: the brackets do not match", None
        raise ExpressionError(source, [Mistake("syntax", message, help, 0, len(source))])
    if mistake := _too_deep(tree, text):
        raise ExpressionError(source, [mistake])
    return tree, text


def _unreadable(source: str, written: bool) -> Mistake | None:
    if not source.strip():
        return Mistake("syntax", "there is no expression", "leave out the key, or write an expression")
    if written and len(source) > LENGTH:
        message = f"an expression is at most {LENGTH:,} characters long, but this one is {len(source):,}"
        return Mistake("too-large", message, "decide it in a stage that emits on two ports", 0, len(source))
    if found := _CONTROL.search(source):
        return Mistake("syntax", f"there is a control character (U+{ord(found[0]):04X})", None, found.start(), 1)
    if written and (found := _INTERPOLATION.search(source)):
        meant = _PARAM.fullmatch(found[0])
        message = f"{found[0]!r} is not filled in inside an expression"
        help = f"write {meant[1] if meant else 'params.NAME'}"
        return Mistake("interpolation", message, help, found.start(), len(found[0]))
    return None


def _parsed(text: str) -> ast.expr:
    with warnings.catch_warnings():
        # An escape that Python does not know, as in a pattern that is no raw text, is left as it is.
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def _misread(source: str, error: Exception) -> Mistake:
    if not isinstance(error, SyntaxError):
        if isinstance(error, MemoryError | RecursionError):
            return Mistake("too-large", "this is nested too deep", None, 0, len(source))
        return Mistake("syntax", f"this cannot be read: {error}", None, 0, len(source))
    if "too many nested" in error.msg:
        return Mistake("too-large", "this is nested too deep", None, 0, len(source))
    bare = _TEXT.sub(lambda found: " " * len(found[0]), source)
    for habit, meant in _HABITS:
        if found := habit.search(bare):
            message = f"this cannot be read: there is no {found[0]!r} here"
            return Mistake("syntax", message, f"write {meant!r}", found.start(), len(found[0]))
    if found := _WORD_BEHIND_DOT.search(bare):
        message = f"this cannot be read: {found[2]!r} is a keyword of Python, so it cannot follow a dot"
        return Mistake("syntax", message, f'in brackets: {found[1]}["{found[2]}"]', found.start(2), len(found[2]))
    # Once more without our brackets, since they would be told as the author's.
    flat = " ".join(source.split("\n"))
    stripped = flat.lstrip()
    try:
        _parsed(stripped)
    except SyntaxError as bare_error:
        error = bare_error
    except (ValueError, MemoryError, RecursionError):
        pass
    if not error.offset:
        return Mistake("syntax", "this cannot be read: it is incomplete", None, len(source.rstrip()) - 1, 1)
    offset = len(flat) - len(stripped) + error.offset - 1
    if "forgot a comma" in error.msg:
        length = max(1, (error.end_offset or 0) - error.offset)
        return Mistake("syntax", "this cannot be read: a comma is missing in it", None, offset, length)
    return Mistake("syntax", f"this cannot be read: {_said(error)}", None, min(offset, len(source) - 1), 1)


def _said(error: SyntaxError) -> str:
    """
    Python's sentence, without what it is unsure about.
    """
    said = error.msg.split(". ")[0]
    return "invalid syntax here" if said == "invalid syntax" else said[:1].lower() + said[1:]


def _balanced(source: str) -> bool:
    depth = 0
    for letter in _TEXT.sub("", source):
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _too_deep(tree: ast.expr, text: Text) -> Mistake | None:
    level: list[ast.AST] = [tree]
    for _ in range(DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return None
    deepest = next((node for node in level if isinstance(node, ast.expr)), None)
    if deepest is None:
        return None
    message = f"this is nested deeper than {DEPTH}"
    return Mistake("too-large", message, "decide it in a stage that emits on two ports", *text.of(deepest))
