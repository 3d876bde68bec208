"""
How wide a text comes out, before anybody knows in which font: as wide as in DejaVu Sans, the widest of those that a
reader's system may choose, so that a box made for it always holds it.
"""

import unicodedata

# In ems, rounded up; what is not named here is as wide as most small letters.
_NARROW = dict.fromkeys(" ',.:;!|()[]{}/\\-\"", 0.42) | dict.fromkeys("ijlfrtIJ", 0.42)
_WIDE = dict.fromkeys("mwMWGDHNOQU&#%@<>=+~^·", 0.9) | dict.fromkeys("mMW@%", 1.01) | dict.fromkeys("↻✕…", 0.95)
_LETTERS = _NARROW | _WIDE
_SMALL, _LARGE, _FULL = 0.65, 0.74, 1.05

# Letters of a bold text are wider by this.
_BOLD = 1.13


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """
    The width of a text of a font size, in the unit of the size.
    """
    ems = sum(_LETTERS.get(letter) or _other(letter) for letter in text)
    return ems * size * (_BOLD if bold else 1)


def _other(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return _FULL
    if unicodedata.combining(letter):
        return 0.01
    return _LARGE if letter.isupper() else _SMALL if letter.isascii() else _LARGE
