"""
Describes an exception in the form that the history records. Pure.
"""

import hashlib
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any

from oaflow.errors import RouteError, says_full

_MOST_TEXT = 50_000


def describe(error: BaseException, stage: str, function: Callable[..., Any] | None) -> dict[str, Any]:
    """
    An exception in the form that the history records: type, message, traceback of the author's frames, the place in the
    author's code where it was raised, and the fingerprint of stage, type and place.
    """
    frames = [place for place, _ in authors(traceback.walk_tb(error.__traceback__), function)]
    shown = traceback.TracebackException(type(error), error, _first_of(error.__traceback__), compact=True)
    # If the output is wrong, no line of the author is to blame: the message names the problem, and our frames do not
    # help.
    lines = shown.format_exception_only() if isinstance(error, RouteError) and not frames else shown.format()
    kind = type(error)
    known = kind.__module__ == "builtins" or kind.__module__.startswith("oaflow.")
    name = kind.__qualname__ if known else f"{kind.__module__}.{kind.__qualname__}"
    place = frames[-1] if frames else stage
    told: dict[str, Any] = {
        "type": name,
        "message": storable(_said(error)),
        "traceback": storable("".join(lines)),
        "place": storable(place),
        "fingerprint": hashlib.sha256(f"{stage}\n{name}\n{place}".encode(errors="replace")).hexdigest()[:12],
    }
    if says_full(error):
        told["full"] = True
    if help := getattr(error, "help", None):
        told["help"] = storable(str(help))
    return told


_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
MACHINERY = os.path.dirname(os.path.abspath(__file__)) + os.sep  # the modules that call the functions of stages
_STAGES = os.path.join(_OWN, "stages") + os.sep
_NOT_AUTHORS = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def authors(frames: Iterable[tuple[FrameType, int]], function: Callable[..., Any] | None) -> Iterator[tuple[str, int]]:
    """
    `module:function` and line of the frames in code of the stage's author, in the order of `frames`.

    Args:
        function: of the stage; frames of its package are the author's, wherever it is installed; None: not known.
    """
    package = getattr(function, "__module__", None) or ""
    package = package.partition(".")[0]
    for frame, line in frames:
        file = frame.f_code.co_filename
        module = str(frame.f_globals.get("__name__", ""))
        ours = file.startswith(_OWN) and not file.startswith(_STAGES)
        foreign = ours or is_library(file)
        if not foreign or (not ours and module.partition(".")[0] == package):
            yield f"{module}:{frame.f_code.co_qualname}", line


def is_library(file: str) -> bool:
    """
    Whether a file belongs to Python or to an installed package.
    """
    return file.startswith((*_NOT_AUTHORS, "<frozen"))


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # the str() of an author's exception may fail, too
        return ""


def _first_of(trace: TracebackType | None) -> TracebackType | None:
    """
    The traceback without the frames that called the function; None if nothing else is left.
    """
    rest = trace
    while rest is not None and rest.tb_frame.f_code.co_filename.startswith(MACHINERY):
        rest = rest.tb_next
    return rest


def storable(text: str) -> str:
    """
    A text that Postgres can store: without NUL and lone surrogates, and of limited length.
    """
    text = text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT // 2]}\n[...]\n{text[-_MOST_TEXT // 2 :]}"
