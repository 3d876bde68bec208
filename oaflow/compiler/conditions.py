"""
`when`, `where`, `else` and `load`: what an edge takes, as it is written.
"""

from collections.abc import Mapping
from typing import Any, cast

from oaflow.compiler.quoting import is_balanced, quoted_expression
from oaflow.compiler.reading import Reader
from oaflow.compiler.rules import shape as rules
from oaflow.diagnostics import Path
from oaflow.model import Where

NOT = "not"


def read_condition(reader: Reader, members: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """
    The members of an `Edge` that say what it takes.
    """
    said: dict[str, Any] = {}
    if "when" in members:
        said["when"] = read_expression(reader, members["when"], (*path, "when"))
    if "where" in members:
        place = (*path, "where")
        mapping = isinstance(members["where"], Mapping)
        said["where"] = (_mapping if mapping else read_expression)(reader, members["where"], place)
    if "else" in members:
        said["rest"] = reader.flag(members["else"], (*path, "else")) or False
    if "load" in members:
        said["load"] = reader.flag(members["load"], (*path, "load")) or False
    if said.get("rest"):
        for key in ("when", "where", "load"):
            if key in members:
                message = f"an edge with `else` takes what no other edge of its port took, so it cannot have {key!r}"
                help = f"remove `{key}`; or remove `else`, and the edge takes what `{key}` selects"
                reader.report(rules.ELSE_CONFLICT, message, (*path, key), key=True, help=help)
    elif said.get("load") and "where" not in members:
        message = "`load` reads the entities for a `where`, but this edge has none"
        reader.report(rules.IDLE_LOAD, message, (*path, "load"), key=True, help="take `load` out")
    return said


def cut_by_yaml(reader: Reader, members: Mapping[Any, object], path: Path) -> str | None:
    """
    The help for an edge of which YAML has made other keys than were meant, since an expression is not quoted.
    """
    for key in ("when", "where"):
        written = members.get(key)
        if isinstance(written, str) and not is_balanced(written):
            return quoted_expression(reader.spans.value(*path, key).source)
    return None


def read_expression(reader: Reader, value: object, path: Path) -> str | None:
    """
    An expression, of which only its names and its grammar are not looked at.
    """
    if not isinstance(value, str):
        help = quoted_expression(reader.spans.value(*path).source) or "an expression must be in quotes"
        reader.wrong_type(value, path, "an expression", help)
        return None
    if not value.strip():
        reader.wrong_type(None, path, "an expression")
        return None
    return value


def _mapping(reader: Reader, value: Mapping[Any, object], path: Path, *, inside: bool = False) -> dict[str, Any] | None:
    """
    The mapping form of `where`: to each key the values of which one is wanted.
    """
    if not value and inside:
        reader.wrong_type(None, path, "a mapping from keys to values", "not: {schema: Document}")
        return {}
    if not value:
        reader.wrong_type(None, path, "an expression, or a mapping from keys to values", "where: {schema: Document}")
        return None
    wanted: dict[str, Any] = {}
    for key, item in value.items():
        place = (*path, key)
        if not isinstance(key, str):
            reader.wrong_type(key, place, "the name of a property", "put it in quotes")
        elif key == NOT and inside:
            message = "`not` cannot contain another `not`"
            reader.report(rules.UNKNOWN_KEY, message, place, key=True, help="write the condition as an expression")
        elif key == NOT:
            if isinstance(item, Mapping):
                wanted[key] = _mapping(reader, cast("Mapping[Any, object]", item), place, inside=True)
            else:
                reader.wrong_type(item, place, "a mapping from keys to values", "not: {schema: Document}")
        else:
            wanted[key] = _values(reader, item, place)
    return wanted


def as_written(where: Where) -> dict[str, Any]:
    """
    The mapping form as its author most likely wrote it: one value is no list.
    """
    return {
        key: as_written(cast("Where", wanted))
        if isinstance(wanted, Mapping)
        else wanted[0]
        if len(wanted) == 1
        else list(wanted)
        for key, wanted in where.items()
    }


def _values(reader: Reader, value: object, path: Path) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list | tuple) else [value]
    if not items:
        reader.wrong_type(None, path, "a value, or a list of values")
    places = [(*path, index) if isinstance(value, list | tuple) else path for index in range(len(items))]
    texts = [_value(reader, item, place) for item, place in zip(items, places, strict=True)]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _value(reader: Reader, value: object, path: Path) -> str | None:
    if isinstance(value, str):
        return value if reader.references(value, path) else None
    help = f"values of properties are texts: '{_quoted(value)}'" if isinstance(value, bool | int | float) else None
    reader.wrong_type(value, path, "a text", help)
    return None


def _quoted(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
