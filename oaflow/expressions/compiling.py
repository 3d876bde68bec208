"""
From the text of an expression to something that decides. Compiled once for each text; a worker makes its own.
"""

import ast
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from traceback import walk_tb
from types import FunctionType
from typing import Any

import orjson

from oaflow.expressions import operations
from oaflow.expressions.grammar import Kind
from oaflow.expressions.mistakes import EvaluationError, ExpressionError
from oaflow.expressions.operations import Unfit
from oaflow.expressions.reading import read
from oaflow.expressions.shapes import ANY, Shape
from oaflow.expressions.translating import translate
from oaflow.expressions.translation import Read, Translation

Params = Mapping[str, Shape] | Collection[str]
Entity = dict[str, Any]
Test = Callable[[Entity | None, Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Any]

_NOTHING: Mapping[str, Any] = {}
_NO_JOB: Mapping[str, Any] = {"payload": {}}

# The name of the compiled code, by which its place is found in what failed.
_FILE = "<expression>"

_FUNCTIONS: dict[str, Any] = {
    **{
        f"_{name}": value
        for name, value in vars(operations).items()
        if isinstance(value, FunctionType) and value.__module__ == operations.__name__
    },
    "_all": all,
    "_any": any,
    "_dict": dict,
    "_len": len,
    "_list": list,
}

_FRAME = """
def _test(e, job, params, run):
    return None
"""
_PROPERTIES = """
_properties = e.get("properties")
if _properties.__class__ is not _dict:
    _properties = _properties_of(e)
"""
_PROPERTY = """
{local} = _properties.get({name!r})
if {local}.__class__ is not _list:
    {local} = _values_of({local}) if {local} else []
"""


@dataclass(frozen=True)
class Expression:
    """
    An expression that was checked, and can be evaluated.

    Attributes:
        source: as the author wrote it.
        kind: which key it stands under, and so which names it knows.
        reads: the properties of entities that it reads, with their places.
        uses: the names that it uses, of `e job params run`.
        params: those that it mentions.
        pieces: what in it has a value of its own that decides, such as `e.language`.
        written: whether an author wrote it, and not oaflow.
        body, translation: what its code is made of.
    """

    source: str
    kind: Kind
    reads: tuple[Read, ...]
    uses: frozenset[str]
    params: frozenset[str]
    pieces: tuple[str, ...]
    written: bool
    body: ast.expr = field(repr=False, compare=False)
    translation: Translation = field(repr=False, compare=False)

    @cached_property
    def test(self) -> Test:
        """
        Decides about an entity (None, where the kind knows none), a job's fields, params and run. What goes wrong in it
        has no place yet.

        Made when it is first asked for: `oaflow check` asks no expression, and this is two thirds of what one costs.
        """
        return _test(self.body, self.translation)

    def value(
        self,
        *,
        params: Mapping[str, Any] = _NOTHING,
        job: Mapping[str, Any] = _NO_JOB,
        run: Mapping[str, Any] = _NOTHING,
        e: Entity | None = None,
    ) -> Any:
        """
        What it evaluates to.

        Args:
            params: every param of the run with its value.
            job: the fields of a job; `payload` is a dict, as plain data.
            run: `id`, `pipeline` and `dataset`.

        Raises:
            EvaluationError: a value that it cannot do with.
        """
        try:
            return self.test(e, job, params, run)
        except Exception as error:
            raise self._failed(error, e) from error

    def holds(
        self,
        *,
        params: Mapping[str, Any] = _NOTHING,
        job: Mapping[str, Any] = _NO_JOB,
        run: Mapping[str, Any] = _NOTHING,
        e: Entity | None = None,
    ) -> bool:
        """
        Whether it holds: what is empty, none, zero or false does not.

        Raises:
            EvaluationError: a value that it cannot do with.
        """
        return bool(self.value(params=params, job=job, run=run, e=e))

    def split(
        self, entities: Iterable[Entity], job: Mapping[str, Any], params: Mapping[str, Any], run: Mapping[str, Any]
    ) -> tuple[list[Entity], list[Entity]]:
        """
        The entities for which it holds, and the others, each in order.

        Raises:
            EvaluationError: a value that it cannot do with; nothing is split then.
        """
        test, taken, left, entity = self.test, [], [], None
        try:
            for entity in entities:
                (taken if test(entity, job, params, run) else left).append(entity)
        except Exception as error:
            raise self._failed(error, entity) from error
        return taken, left

    def key(
        self,
        *,
        params: Mapping[str, Any] = _NOTHING,
        job: Mapping[str, Any] = _NO_JOB,
        run: Mapping[str, Any] = _NOTHING,
    ) -> str | None:
        """
        The value as a text that is the same for equal values, to lock by; None where it is missing.

        Raises:
            EvaluationError: a value that it cannot do with.
        """
        found = self.value(params=params, job=job, run=run)
        if found is None or isinstance(found, str):
            return found or None
        try:
            return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError as error:
            reason = f"this is not a value that JSON can hold: {error}"
            raise EvaluationError(self.source, 0, len(self.source), reason, None) from error

    def values(
        self,
        *,
        params: Mapping[str, Any] = _NOTHING,
        job: Mapping[str, Any] = _NO_JOB,
        run: Mapping[str, Any] = _NOTHING,
        e: Entity | None = None,
    ) -> dict[str, Any]:
        """
        What decided: the pieces with their values.
        """
        found = {piece: compile_expression(piece, self.kind) for piece in self.pieces}
        return {piece: one.test(e, job, params, run) for piece, one in found.items()}

    def _failed(self, error: Exception, entity: Entity | None) -> EvaluationError:
        offset, length = self._place(error)
        reason = str(error) if isinstance(error, Unfit) else f"{type(error).__name__}: {error}"
        identity = entity.get("id") if isinstance(entity, dict) else None
        return EvaluationError(self.source, offset, length, reason, identity)

    def _place(self, error: Exception) -> tuple[int, int]:
        """
        The part that was being evaluated: Python knows it for each instruction.
        """
        whole = 0, len(self.source)
        for frame, _ in walk_tb(error.__traceback__):
            if frame.f_code.co_filename == _FILE:
                places = list(frame.f_code.co_positions())
                line, end_line, column, end_column = places[frame.f_lasti // 2]
                if line and end_line and column is not None and end_column is not None:
                    whole = self.translation.text.place(line, column, end_line, end_column)
        return whole

    def __reduce__(self) -> tuple[Any, ...]:
        # Functions that were made here do not travel. The params were checked where it was made.
        return _compiled, (self.source, self.kind, None, self.written)


def compile_expression(source: str, kind: Kind, params: Params | None = None) -> Expression:
    """
    Check an expression, and make it ready to be evaluated.

    Args:
        source: Python of the kind that is allowed.
        kind: the key that it stands under.
        params: names of the pipeline's params, if possible with their shapes; None: any name is a param.

    Raises:
        ExpressionError: with all mistakes that were found.
    """
    if params is None:
        return _compiled(source, kind, None, True)
    known = tuple(params.items()) if isinstance(params, Mapping) else tuple((name, ANY) for name in params)
    return _compiled(source, kind, known, True)


def compile_written(source: str) -> Expression:
    """
    An expression for `where` that oaflow wrote, which may be longer than an author's.
    """
    return _compiled(source, "where", None, False)


@lru_cache(maxsize=4096)
def _compiled(source: str, kind: Kind, params: tuple[tuple[str, Shape], ...] | None, written: bool) -> Expression:
    tree, text = read(source, written=written)
    body, translation = translate(tree, text, kind, None if params is None else dict(params))
    if translation.mistakes:
        once = dict.fromkeys(translation.mistakes)
        raise ExpressionError(source, sorted(once, key=lambda mistake: mistake.offset))
    return Expression(
        source=source,
        kind=kind,
        reads=tuple(translation.reads),
        uses=frozenset(translation.uses),
        params=frozenset(translation.used_params),
        pieces=tuple(translation.pieces),
        written=written,
        body=body,
        translation=translation,
    )


def _test(body: ast.expr, translation: Translation) -> Test:
    module = ast.parse(_FRAME)
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    answer = ast.copy_location(ast.Return(body), body)
    reading = _reading(translation.properties)
    for node in (node for statement in reading for node in ast.walk(statement)):
        ast.copy_location(node, body)
    function.body = [*reading, answer]
    code = compile(ast.fix_missing_locations(module), _FILE, "exec")
    # No builtins: what the code may call is what stands here.
    names: dict[str, Any] = {"__builtins__": {}, **_FUNCTIONS, **translation.patterns}
    exec(code, names)
    return names["_test"]


def _reading(properties: Mapping[str, str]) -> list[ast.stmt]:
    """
    What reads the properties of the entity into names, each once.
    """
    if not properties:
        return []
    source = _PROPERTIES + "".join(_PROPERTY.format(local=local, name=name) for name, local in properties.items())
    return ast.parse(source).body
