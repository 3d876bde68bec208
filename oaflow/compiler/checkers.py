"""
Reads annotations as a type checker does: it also knows names that a module imports under `if TYPE_CHECKING:`. For the
process that imported the function.
"""

import ast
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, get_type_hints

from oaflow.dsl.sources import Source


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """
    Each annotation of a function that can be resolved; the others are left out.
    """
    known: dict[str, Any] = getattr(function, "__globals__", {})
    code = getattr(function, "__code__", None)
    names = _Names(known, None if code is None else code.co_filename)
    found: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        one = SimpleNamespace(__annotations__={name: annotation})
        # Its module may not be installed, or be one that cannot be imported here: then nothing is known of it.
        try:
            found |= get_type_hints(one, known, names)
        except (Exception, SystemExit):
            continue
    return found


class _Names(dict[str, Any]):
    """
    What a type checker knows beside the names of a module. Each is looked up when it is asked for, so that of what is
    imported for a type checker only that is imported which an annotation of a stage names.
    """

    def __init__(self, known: dict[str, Any], file: str | None) -> None:
        super().__init__()
        self.known = known
        self.file = file
        self.statements: dict[str, list[ast.stmt]] | None = None

    def __missing__(self, name: str) -> Any:
        if name in self.known or self.file is None:
            raise KeyError(name)
        if self.statements is None:
            # Most modules import nothing of the kind, and need not be read.
            self.statements = {}
            for called, statement in _for_checkers(Source(self.file).tree):
                self.statements.setdefault(called, []).append(statement)
        statements = self.statements.pop(name)
        exec(compile(ast.Module(statements, []), self.file, "exec"), self.known.copy(), self)
        return self[name]


def _for_checkers(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """
    The names that are known to type checkers only, each with the statement that makes it.
    """
    for node in tree.body:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), body=body):
                for statement in body:
                    yield from _named(statement)
            case _:
                continue


def _named(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    match statement:
        case ast.Import(names=aliases):
            for alias in aliases:
                only = ast.copy_location(ast.Import([alias]), statement)
                yield alias.asname or alias.name.partition(".")[0], only
        case ast.ImportFrom(module=module, names=aliases, level=level):
            for alias in aliases:
                only = ast.copy_location(ast.ImportFrom(module, [alias], level), statement)
                yield alias.asname or alias.name, only
        case ast.ClassDef(name=name):
            yield name, statement
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name, statement
        case _:
            return
