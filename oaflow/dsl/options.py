"""
The options of `@stage`, checked where they are written: a wrong value is an error when the author's module is imported.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from oaflow.dsl.keys import EDGE_WORDS
from oaflow.errors import UsageError
from oaflow.model import PORT, Retry, StageOptions
from oaflow.quantities import seconds, size
from oaflow.spelling import did_you_mean


def read_options(name: str, options: Mapping[str, Any]) -> StageOptions:
    said = {key: value for key, value in options.items() if value is not None}
    unknown = [key for key in said if key not in _OPTIONS]
    if unknown:
        raise UsageError(
            f"@stage of {name} has no option {unknown[0]!r}; its options are: {', '.join(_OPTIONS)}",
            help=did_you_mean(unknown[0], _OPTIONS)
            or "what belongs to one pipeline goes in .stage(...) or in the pipeline file",
        )
    return StageOptions(**{key: _OPTIONS[key](value, f"{key!r} of @stage of {name}") for key, value in said.items()})


def _wrong(value: object, place: str, wanted: str) -> UsageError:
    return UsageError(f"{place} is {value!r}, but must be {wanted}")


def _queue(value: Any, place: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 40:
        raise _wrong(value, place, "a text of at most 40 characters")
    return value


def _names(value: Any, place: str) -> tuple[str, ...]:
    # A text is a sequence of texts: `ports="default"` would be seven ports.
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(value, place, "a list of names")
    names = cast("Sequence[Any]", value)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise _wrong(value, place, "a list of names")
    return tuple(dict.fromkeys(names))


def _ports(value: Any, place: str) -> tuple[str, ...]:
    names = _names(value, place)
    for name in names:
        if name in EDGE_WORDS:
            raise UsageError(f"{place} names {name!r}, which is a key of an edge", help="choose another name")
        if not PORT.fullmatch(name):
            wanted = "a letter or '_', then letters, digits, '_', '-' and '.'"
            raise UsageError(f"{place} names {name!r}, which is not a valid name for a port: {wanted}")
    return names


def _emit(value: Any, place: str) -> Any:
    if value not in ("success", "stream", "always"):
        raise _wrong(value, place, "'success', 'stream' or 'always'")
    return value


def _emits(value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        return {port: _names(names, place) for port, names in cast("Mapping[str, Any]", value).items()}
    return _names(value, place)


def _timeout(value: Any, place: str) -> float:
    found = seconds(value)
    if not found:
        raise _wrong(value, place, "a duration above 0, like 30m or 1.5s")
    return found


def _pause(value: Any, place: str) -> float:
    found = seconds(value)
    if found is None:
        raise _wrong(value, place, "a duration, like 30m or 1.5s")
    return found


def _memory(value: Any, place: str) -> int:
    found = size(value)
    if not found:
        raise _wrong(value, place, "a size above 0, like 512MiB")
    return found


def _whole(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
        raise _wrong(value, place, "a whole number")
    return value


def _count(value: Any, place: str) -> int:
    if _whole(value, place) < 0:
        raise _wrong(value, place, "a whole number, 0 or more")
    return value


def _backoff(value: Any, place: str) -> Any:
    if value not in ("none", "exponential"):
        raise _wrong(value, place, "'none' or 'exponential'")
    return value


_RETRY: Mapping[str, Callable[[Any, str], Any]] = {"max": _count, "backoff": _backoff, "base": _pause, "cap": _pause}


def _retry(value: Any, place: str) -> Retry:
    if not isinstance(value, Mapping):
        return Retry(max=_count(value, place))
    keys = cast("Mapping[str, Any]", value)
    if unknown := [key for key in keys if key not in _RETRY]:
        raise UsageError(f"{place} has no key {unknown[0]!r}; its keys are: {', '.join(_RETRY)}")
    return Retry(**{key: _RETRY[key](member, f"{key!r} in {place}") for key, member in keys.items()})


_OPTIONS: Mapping[str, Callable[[Any, str], Any]] = {
    "queue": _queue,
    "ports": _ports,
    "emit": _emit,
    "retry": _retry,
    "timeout": _timeout,
    "memory": _memory,
    "priority": _whole,
    "accepts": _names,
    "emits": _emits,
}
