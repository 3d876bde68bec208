"""
Whether text in images can be read here: kreuzberg brings Tesseract, but not the data of its languages.
"""

import atexit
import ctypes
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

NO_LANGUAGES = (
    "text in images was not read: no Tesseract language data here "
    "(Debian: apt install tesseract-ocr; else set TESSDATA_PREFIX)"
)

_PLACES = (
    "/usr/share/tesseract-ocr/*/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)


def _folders() -> Iterator[Path]:
    if prefix := os.environ.get("TESSDATA_PREFIX"):
        yield Path(prefix)
        yield Path(prefix) / "tessdata"
    for place in _PLACES:
        yield from sorted(Path("/").glob(place[1:]), reverse=True)


def tessdata() -> Path | None:
    """
    The folder with Tesseract's language data, or None.
    """
    for folder in _folders():
        if any(folder.glob("*.traineddata")):
            return folder
    return None


@cache
def languages(wanted: str) -> str | None:
    """
    Those of the wanted languages that are here, joined by `+`; where none of them is, one that is; else None.

    Args:
        wanted: Tesseract's names, joined by `+`.
    """
    folder = tessdata()
    if folder is None:
        return None
    here = sorted(path.stem for path in folder.glob("*.traineddata") if path.stem not in ("osd", "equ"))
    chosen = [name for name in wanted.replace(",", "+").split("+") if name in here] or here[:1]
    if not chosen:
        return None
    # For the library, which looks at the environment only.
    os.environ.setdefault("TESSDATA_PREFIX", str(folder))
    return "+".join(chosen)


@contextmanager
def muted() -> Generator[None]:
    """
    Keep what Tesseract writes on descriptor 2 (`Empty page!!`, for every picture without text) out of the logs.
    """
    _mute_at_exit()
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def give_back() -> None:
    """
    Return to the system what reading pictures took and does not need any more: a quarter to a third of the process.
    """
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], object] | None:
    # glibc keeps what was freed, for good. Others (musl, macOS) have no such call, and need none.
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


@cache
def _mute_at_exit() -> None:
    # Tesseract counts its leaks when the process ends, after everything that Python could say.
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
