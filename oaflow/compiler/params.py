"""
The params that a pipeline declares, each with what its default and choices must be.
"""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, cast, get_args

from oaflow.compiler import keys, synonyms
from oaflow.compiler.reading import PARAM, VARIABLE, Reader, kind_of
from oaflow.compiler.rules import shape as rules
from oaflow.diagnostics import Path
from oaflow.model import Param, ParamType
from oaflow.plan.params import READERS, as_text, wanted_of

PARAM_KEYS = tuple(keys.PARAM)

# What people call a value that must not be seen.
_SECRET = ("key", "token", "secret", "password")


def read_params(reader: Reader, value: object, path: Path) -> dict[str, Param]:
    """
    The params of a pipeline, by name.
    """
    if not isinstance(value, Mapping):
        reader.wrong_type(value, path, "a mapping from names to params")
        return {}
    params: dict[str, Param] = {}
    for key, data in cast("Mapping[Any, object]", value).items():
        place = (*path, str(key))
        name = reader.name(key, place, "a param", PARAM, key=True)
        param = _param(reader, data, place)
        if name is None or param is None:
            continue
        params[name] = param
        if name.lower().endswith(_SECRET):
            message = f"the value of param {name!r} is stored with every run, and shown"
            reader.report(
                rules.SECRET_PARAM,
                message,
                place,
                key=True,
                help="let the function read a secret from its worker's environment; otherwise rename the param",
            )
    return params


def _param(reader: Reader, data: object, path: Path) -> Param | None:
    before = len(reader.found)
    members = reader.mapping(data, path, "a param", PARAM_KEYS, synonyms=synonyms.PARAM)
    said: dict[str, Any] = {}
    if "type" in members:
        said["type"] = reader.choice(members["type"], (*path, "type"), get_args(ParamType), synonyms.TYPES)
    kind = said.get("type") or "string"
    if "of" in members:
        scalars = tuple(name for name in get_args(ParamType) if name != "list")
        said["of"] = reader.choice(members["of"], (*path, "of"), scalars, synonyms.TYPES)
        if kind != "list":
            message = f"`of` is only for lists, but this param is of type {kind}"
            reader.report(rules.PARAM_CONFLICT, message, (*path, "of"), key=True, help=f"type: list, of: {kind}")
    item = (said.get("of") or "string") if kind == "list" else kind
    for key in ("required", "positional", "remember"):
        if key in members:
            said[key] = reader.flag(members[key], (*path, key))
    if "help" in members:
        said["help"] = reader.text(members["help"], (*path, "help"))
    if "env" in members:
        said["env"] = reader.name(members["env"], (*path, "env"), "an environment variable", VARIABLE)
    if "choices" in members:
        said["choices"] = _choices(reader, members["choices"], (*path, "choices"), item)
    elif item == "choice":
        reader.missing(rules.MISSING_KEY, "a param of type choice needs `choices`", path, "choices: [a, b]")
    if len(reader.found) == before and members.get("default") is not None:
        said["default"] = _default(reader, members["default"], (*path, "default"), kind, item, said.get("choices"))
        if said.get("required"):
            message = "a param with a default always has a value, so `required` has no effect"
            reader.report(rules.PARAM_CONFLICT, message, (*path, "required"), key=True, help="remove one of the two")
    return Param(**said) if len(reader.found) == before else None


def _choices(reader: Reader, value: object, path: Path, kind: str) -> tuple[Any, ...] | None:
    if not isinstance(value, list | tuple) or not value:
        reader.wrong_type(value, path, "a list of at least one value")
        return None
    items = cast("list[object]", value)
    if kind == "choice":
        found = [
            item if isinstance(item, str) else _odd_choice(reader, item, (*path, index))
            for index, item in enumerate(items)
        ]
    else:
        found = [scalar(reader, item, (*path, index), kind) for index, item in enumerate(items)]
    return tuple(dict.fromkeys(found))


def _odd_choice(reader: Reader, item: object, path: Path) -> str | None:
    if isinstance(item, int | float) and not isinstance(item, bool):
        # `choices: [2, 4]` means what is typed on the command line, which is text.
        return as_text(item)
    reader.wrong_type(item, path, "texts", "put it in quotes")
    return None


def _default(
    reader: Reader, value: object, path: Path, kind: str, item: str, choices: tuple[Any, ...] | None
) -> object | None:
    if kind != "list":
        return _chosen(reader, value, path, item, choices)
    items = cast("list[object]", value) if isinstance(value, list | tuple) else [value]
    return [_chosen(reader, one, (*path, index), item, choices) for index, one in enumerate(items)]


def _chosen(reader: Reader, value: object, path: Path, kind: str, choices: tuple[Any, ...] | None) -> object | None:
    found = as_text(value) if kind == "choice" else scalar(reader, value, path, kind)
    if found is not None and choices and found not in choices:
        shown = ", ".join(as_text(choice) for choice in choices)
        message = f"the default is {as_text(value)!r}, which is not one of the choices: {shown}"
        reader.report(rules.BAD_DEFAULT, message, path)
    return found


def scalar(reader: Reader, value: object, path: Path, kind: str) -> object | None:
    """
    One value of a param's type, as the run would read it; a path stays as written, until it is known relative to what.
    """
    if isinstance(value, str) and "${" in value:
        message = "a default is a plain value, and nothing is filled in there"
        reader.report(rules.BAD_REFERENCE, message, path, help="write the value itself")
        return None
    if kind == "path" and isinstance(value, os.PathLike):
        value = str(cast("os.PathLike[str]", value))
    found = READERS[kind](value, FilePath("/"))
    if found is None:
        message = f"a value of type {kind} must be {wanted_of(kind, value)}, but is {kind_of(value)}"
        is_plain = kind in ("string", "path") and isinstance(value, int | float)
        help = (
            "put it in quotes, or give the param its `type`" if is_plain else "correct the value, or the param's `type`"
        )
        reader.report(rules.BAD_DEFAULT, message, path, help=help)
        return None
    return value if kind == "path" else found
