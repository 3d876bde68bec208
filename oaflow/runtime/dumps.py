"""
What a process that crashed leaves behind: the lines that its stage printed, and where it was, which faulthandler writes
to stderr. Pure.
"""

import re
from collections.abc import Sequence

from oaflow.runtime.troubles import MACHINERY

LINES = 20  # of what a stage printed, at most

# What is kept until then. A dump may have 100 frames of the thread that crashed, and some of others; it pushes out what
# the stage printed before, where no more is kept than is shown.
KEPT = 300

_BEGINS = "Fatal Python error: "
_FRAME = re.compile(r'\s+File "(.+)", line (\d+) in (.+)')


def taken_apart(printed: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], str | None]:
    """
    What a stage printed last, apart from the dump.

    Args:
        printed: `stdout` or `stderr`, and the text, of each line.

    Returns:
        the lines; and where the thread was that crashed, as a traceback is read: the innermost frame is the last, and
        none is of the machinery that called the stage. None where nothing was dumped.
    """
    begins = [number for number, (stream, text) in enumerate(printed) if _is_begin(stream, text)]
    if not begins:
        return tuple(text for _, text in printed[-LINES:]), None
    # Nothing follows a dump on its own pipe; what came over the other one may have been read after it began.
    begin = begins[-1]
    said = [text for number, (stream, text) in enumerate(printed) if number < begin or stream == "stdout"]
    return tuple(said[-LINES:]), _traceback([text for stream, text in printed[begin:] if stream == "stderr"])


def _is_begin(stream: str, text: str) -> bool:
    return stream == "stderr" and text.startswith(_BEGINS)


def _traceback(dump: Sequence[str]) -> str:
    what = dump[0].removeprefix(_BEGINS)
    current = next((number for number, line in enumerate(dump) if line.startswith("Current thread ")), len(dump))
    frames: list[str] = []
    for line in dump[current + 1 :]:
        frame = _FRAME.fullmatch(line)
        if frame is None:
            break
        file, number, function = frame.groups()
        if not file.startswith((MACHINERY, "<frozen ")):
            frames.append(f'  File "{file}", line {number}, in {function}')
    return "\n".join([f"{what} (most recent call last):", *reversed(frames)] if frames else [what])
