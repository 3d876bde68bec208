"""
Makes the values of a run's params from what was typed. Reads no file, no environment and no clock: they are arguments.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from oaflow.errors import UsageError
from oaflow.plan.plans import Plan, PlannedParam
from oaflow.quantities import seconds, size
from oaflow.spelling import did_you_mean


def check_params(
    plan: Plan,
    given: Mapping[str, Any],
    *,
    env: Mapping[str, str] | None = None,
    remembered: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """
    The value of every param of a run, as JSON holds it: durations in seconds, sizes in bytes, paths absolute texts.

    What was given counts first, then the environment, then what the dataset's last run used, then the default. A param
    without a value is None.

    Args:
        given: values by name; from a command line a list of texts each, from Python a value of the param's type.
        env: the environment of the process that starts the run.
        remembered: the values of the dataset's last run; only params that say `remember` look here.
        folder: what relative paths are relative to; None: the current folder.
        command: what was typed, to which a missing value is added; None: a run of the pipeline by its name.

    Raises:
        UsageError: unknown params, values of the wrong type, or params that need a value and have none: all at once.
    """
    wrong = [_unknown_param(name, plan.params) for name in given if name not in plan.params]
    base = folder or Path.cwd()
    values: dict[str, Any] = {}
    for name, param in plan.params.items():
        source, value = _first_given(name, param, given, env or {}, remembered or {})
        try:
            values[name] = None if value is None else read_param(name, param, value, source, base)
        except UsageError as error:
            wrong.append(error)
    missing = [name for name, param in plan.params.items() if param.required and values.get(name, "") in (None, [])]
    if missing:
        wrong.append(_missing_params(missing, plan, command or f"oaflow run {plan.pipeline} -d DATASET"))
    if wrong:
        raise UsageError("\n".join(map(str, wrong)), help=wrong[0].help)
    return values


def _first_given(
    name: str,
    param: PlannedParam,
    given: Mapping[str, Any],
    env: Mapping[str, str],
    remembered: Mapping[str, Any],
) -> tuple[str, Any]:
    if given.get(name) is not None and given[name] != []:
        return f"param {name!r}", given[name]
    if param.env is not None and param.env in env:
        return f"param {name!r} (from {param.env})", [env[param.env]]
    if param.remember and remembered.get(name) is not None:
        return f"param {name!r} (from the last run)", remembered[name]
    return f"param {name!r} (its default)", param.default


def read_param(name: str, param: PlannedParam, value: Any, source: str, folder: Path) -> Any:
    """
    The value of one param, as a run holds it. `source` begins the sentence about a wrong one.

    Raises:
        UsageError: it is not of the param's type, or none of its choices.
    """
    if param.type == "list":
        items: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
        return [_read_scalar(name, param, param.of or "string", item, source, folder) for item in items]
    if isinstance(value, list | tuple):
        several = cast("list[Any]", value)
        if len(several) != 1:
            raise UsageError(f"{source} is given {len(several)} times, but takes one value", help=f"-p {name}=VALUE")
        value = several[0]
    return _read_scalar(name, param, param.type, value, source, folder)


def _read_scalar(name: str, param: PlannedParam, kind: str, value: Any, source: str, folder: Path) -> Any:
    if kind == "choice":
        found = next((choice for choice in param.choices or () if as_text(choice) == as_text(value)), None)
    else:
        found = READERS[kind](value, folder)
    if found is None:
        wanted = _listed(param.choices or ()) if kind == "choice" else wanted_of(kind, value)
        raise UsageError(
            f"{source} is {shown(value)}, but must be {wanted}", help=_close_to(value, param.choices or ())
        )
    if param.choices and found not in param.choices:
        raise UsageError(
            f"{source} is {shown(value)}, but must be {_listed(param.choices)}", help=_close_to(value, param.choices)
        )
    return found


def _string(value: Any, _folder: Path) -> str | None:
    # A NUL cannot be stored by Postgres, and a lone surrogate (a byte of an argument that is not UTF-8) not by JSON.
    return value if isinstance(value, str) and "\0" not in value and not _surrogates(value) else None


def _surrogates(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _int(value: Any, _folder: Path) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _float(value: Any, _folder: Path) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _bool(value: Any, _folder: Path) -> bool | None:
    return value if isinstance(value, bool) else _BOOLEANS.get(value.lower()) if isinstance(value, str) else None


def _path(value: Any, folder: Path) -> str | None:
    text = _string(os.fspath(value), folder) if isinstance(value, str | os.PathLike) else None
    # normpath, not resolve: what the author named stays named so, also through a symlink.
    return os.path.normpath(folder / Path(text).expanduser()) if text else None


def _seconds(value: Any, _folder: Path) -> float | None:
    return seconds(value)


def _size(value: Any, _folder: Path) -> int | None:
    return size(value)


READERS: Mapping[str, Callable[[Any, Path], Any]] = {
    "string": _string,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "path": _path,
    "duration": _seconds,
    "size": _size,
}

_WANTED: Mapping[str, str] = {
    "string": "a text in UTF-8 without NUL",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path in UTF-8",
    "duration": "a duration like 500ms, 2s or 1h30m",
    "size": "a size like 16kB or 2GiB",
}


def wanted_of(kind: str, value: Any) -> str:
    """
    What a value must be that its type does not take.
    """
    match kind, value:
        case "string", int() | float() | list() | tuple() | Mapping():
            return "a text"
        case "int", int() if not isinstance(value, bool):
            return "a whole number of 64 bits"
        case _:
            return _WANTED[kind]


def _unknown_param(name: str, params: Mapping[str, PlannedParam]) -> UsageError:
    known = f"its params are: {', '.join(params)}" if params else "it has no params"
    return UsageError(f"the pipeline has no param {name!r}; {known}", help=did_you_mean(name, params))


def _missing_params(names: list[str], plan: Plan, command: str) -> UsageError:
    typed = [f"{name.upper()}..." if plan.params[name].positional else f"-p {name}=VALUE" for name in names]
    one, them = ("param", "needs a value") if len(names) == 1 else ("params", "need values")
    return UsageError(
        f"{one} {', '.join(map(repr, names))} of pipeline {plan.pipeline!r} {them}",
        help=f"{command} {' '.join(typed)}",
    )


def _close_to(value: Any, known: Iterable[Any]) -> str | None:
    return did_you_mean(as_text(value), map(as_text, known))


def _listed(choices: Iterable[Any]) -> str:
    return f"one of: {', '.join(as_text(choice) for choice in choices)}"


def shown(value: Any) -> str:
    """
    A value in a sentence about it: a text in quotes, and nothing else, so that the number 5 is not taken for one.
    """
    return repr(value) if isinstance(value, str) else as_text(value)


def as_text(value: Any) -> str:
    """
    A value inside a longer text, as a pipeline file would write it.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)
