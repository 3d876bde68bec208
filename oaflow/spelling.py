"""
What a name that does not exist was meant to be: close names, and letters that only look like the one meant. Pure.
"""

import difflib
import unicodedata
from collections.abc import Iterable

# Letters that look like an ASCII letter in most fonts, by that letter.
_TWINS = {
    "a": "аɑα", "c": "сϲ", "d": "ԁ", "e": "еҽ", "g": "ɡ", "h": "һ", "i": "іıι", "j": "јϳ", "k": "κк", "l": "ӏ",
    "n": "ո", "o": "оοօ", "p": "рρ", "q": "ԛ", "s": "ѕ", "u": "υս", "v": "ѵν", "w": "ԝ", "x": "хχ", "y": "уγ",
    "-": "‐‑‒–—−", "_": "＿", " ": "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000",
}  # fmt: skip
_LOOKS_LIKE = {twin: letter for letter, twins in _TWINS.items() for twin in twins}


def spelled(text: str) -> tuple[str, str] | None:
    """
    For a word with letters that only look like ASCII: the word in ASCII, and the first such letter's name; else None.
    """
    strange = [letter for letter in text if letter in _LOOKS_LIKE]
    if not strange:
        return None
    return "".join(_LOOKS_LIKE.get(letter, letter) for letter in text), unicodedata.name(
        strange[0], "an unnamed letter"
    )


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
    folded = {candidate.lower(): candidate for candidate in known}
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
