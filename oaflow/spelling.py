"""
What a name that does not exist was meant to be: close names, and letters that only look like the one meant.
"""

import difflib
import unicodedata
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar

# Letters that look like an ASCII letter in most fonts, by that letter.
_TWINS = {
    "a": "аɑα", "c": "сϲ", "d": "ԁ", "e": "еҽ", "g": "ɡ", "h": "һ", "i": "іıι", "j": "јϳ", "k": "κк", "l": "ӏ",
    "n": "ո", "o": "оοօ", "p": "рρ", "q": "ԛ", "s": "ѕ", "u": "υս", "v": "ѵν", "w": "ԝ", "x": "хχ", "y": "уγ",
    "-": "‐‑‒–—−", "_": "＿", " ": "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000",
}  # fmt: skip
_LOOKS_LIKE = {twin: letter for letter, twins in _TWINS.items() for twin in twins}

# To compare two names takes some 50 us: all names of a large file with all others, minutes.
_MOST = 50_000

_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def few_hints() -> Generator[None]:
    """
    Within it names are compared so often and no more: what is asked afterwards has no close name.
    """
    token = _left.set([_MOST])
    try:
        yield
    finally:
        _left.reset(token)


def spelled(text: str) -> tuple[str, str] | None:
    """
    For a word with letters that only look like ASCII: the word in ASCII, and the first such letter's name; else None.
    A word with other letters, too, is one of another script, and meant as it is.
    """
    strange = [letter for letter in text if letter in _LOOKS_LIKE]
    plain = "".join(_LOOKS_LIKE.get(letter, letter) for letter in text)
    if not strange or not plain.isascii():
        return None
    return plain, unicodedata.name(strange[0], "an unnamed letter")


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """
    The help for a name that does not exist, where one that does is close.
    """
    close = closest(name, known)
    twin = spelled(name)
    if close is None:
        return None
    return f"did you mean {close!r}?" + (f" what is written has a {twin[1]}" if twin is not None else "")


def closest(name: str, known: Iterable[str]) -> str | None:
    """
    The known name that is most like another one; None where none is.
    """
    left = _left.get()
    if left is not None and left[0] <= 0:
        return None
    folded = {candidate.lower(): candidate for candidate in known}
    if left is not None:
        left[0] -= len(folded)
    twin = spelled(name)
    close = difflib.get_close_matches((twin[0] if twin is not None else name).lower(), folded, n=1)
    return folded[close[0]] if close else None


def only_close(name: str, known: Iterable[str]) -> str | None:
    """
    The known name that another one can only be a misspelling of; None where two come into question.
    """
    candidates = list(known)
    best = closest(name, candidates)
    return best if best is not None and closest(name, [one for one in candidates if one != best]) is None else None
