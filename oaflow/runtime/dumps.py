"""
Reads what an executor left behind when it crashed or ran out of time: the last lines of its stage, and the stack that
faulthandler wrote to stderr. Pure.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from oaflow.packages import module_of
from oaflow.runtime.troubles import MACHINERY, is_library

LINES = 20  # how many of the lines that a stage printed are shown

# How many lines are kept until then. A dump may have 100 frames of the crashed thread, and some of others; if only the
# shown lines were kept, it would push out what the stage printed before.
KEPT = 300

_BEGINS = "Fatal Python error: "

# What it writes if it was only asked for its position, for the one thread that was asked.
_ASKED = "Stack (most recent call first):"
_SHOWN = re.compile(r'  File "(.+)", line \d+, in (.+)')
_FRAME = re.compile(r'\s+File "(.+)", line (\d+) in (.+)')


def taken_apart(printed: Sequence[tuple[str, str]], *, asked: bool = False) -> tuple[tuple[str, ...], str | None]:
    """
    Separate what a stage printed last from the dump.

    Args:
        printed: `stdout` or `stderr`, and the text, of each line.
        asked: whether it was asked for its position instead of having crashed.

    Returns:
        the lines; and the stack of the thread that crashed, or was asked, as a traceback: innermost frame last, without
        the frames that called the stage. None if nothing was dumped.
    """
    begins = [
        number for number, (stream, text) in enumerate(printed) if _is_begin(stream, text, _ASKED if asked else _BEGINS)
    ]
    if not begins:
        return tuple(text for _, text in printed[-LINES:]), None
    # Nothing follows a dump on its own pipe; lines from the other pipe may be read after it has started.
    begin = begins[-1]
    said = [text for number, (stream, text) in enumerate(printed) if number < begin or stream == "stdout"]
    dump = [text for stream, text in printed[begin:] if stream == "stderr"]
    return tuple(said[-LINES:]), _asked(dump) if asked else _traceback(dump)


def place_in(traceback: str, task: str) -> str | None:
    """
    `module:function` of the innermost frame in code of the stage's author.

    Args:
        traceback: as returned by `taken_apart`.
        task: of the stage; other modules are known only by their file names.
    """
    module = module_of(task)
    for line in reversed(traceback.splitlines()):
        if (frame := _SHOWN.fullmatch(line)) and not is_library(frame[1]):
            stem = Path(frame[1]).stem
            return f"{module if module.rpartition('.')[2] == stem else stem}:{frame[2]}"
    return None


def _is_begin(stream: str, text: str, begins: str) -> bool:
    return stream == "stderr" and text.startswith(begins)


def _asked(dump: Sequence[str]) -> str | None:
    frames = _frames(dump, 0)
    return "\n".join(["it was here (most recent call last):", *frames]) if frames else None


def _traceback(dump: Sequence[str]) -> str:
    what = dump[0].removeprefix(_BEGINS)
    current = next((number for number, line in enumerate(dump) if line.startswith("Current thread ")), len(dump))
    frames = _frames(dump, current)
    return "\n".join([f"{what} (most recent call last):", *frames] if frames else [what])


def _frames(dump: Sequence[str], current: int) -> list[str]:
    frames: list[str] = []
    for line in dump[current + 1 :]:
        frame = _FRAME.fullmatch(line)
        if frame is None:
            break
        file, number, function = frame.groups()
        if not file.startswith((MACHINERY, "<frozen ")):
            frames.append(f'  File "{file}", line {number}, in {function}')
    return frames[::-1]
