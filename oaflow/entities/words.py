"""
Cuts a text into words, in a form in which equal words are the same. Pure. Both the index and queries use it.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

# A lexeme of Postgres holds 2046 bytes; of a longer run of letters (mostly base64), only the beginning counts.
LONGEST = 200

# Letters that Unicode does not decompose, although readers do; and spellings that Arabic and Persian keyboards mix up
# (as in Lucene's ArabicNormalizer and PersianNormalizer).
_ALIKE = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
    | {"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ـ": ""}
)

# Scripts that write without spaces between words, and Hangul, whose endings are written together with the word.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
# The ones among them in which a space means nothing: OCR and line ends put one between any two characters.
_HAN = (
    r"\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)


_ASCII_WORD = re.compile(r"[a-z0-9]+")


class Word(NamedTuple):
    """
    A lexeme at its position in a text, and the characters of the folded text that it stands for.
    """

    lexeme: str
    position: int
    start: int
    end: int


class _Strip(dict[int, int | str | None]):
    """
    A table for `str.translate`, filled as characters are met: accents and format characters out, digits to ASCII.
    """

    def __missing__(self, code: int) -> int | str | None:
        character = chr(code)
        match unicodedata.category(character):
            case "Mn" if _is_accent(unicodedata.combining(character)):
                answer = None
            case "Cf":
                answer = None
            case "Nd":
                answer = str(unicodedata.digit(character))
            case _:
                answer = code
        self[code] = answer
        return answer


def _is_accent(combining_class: int) -> bool:
    # 8 is the voicing of kana, 9 the virama, 103 to 132 Thai, Lao and Tibetan vowels: these make another word.
    return combining_class in (1, 7) or 10 <= combining_class <= 36 or combining_class >= 200


_STRIP = _Strip()


def fold(text: str) -> str:
    """
    A text without what does not distinguish words: case, accents, width, ligatures, vowel points, tatweel.
    """
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFKD", text).translate(_STRIP).translate(_ALIKE)
    return unicodedata.normalize("NFC", text)


class Folded:
    """
    A folded text that remembers where each of its characters came from.
    """

    def __init__(self, text: str) -> None:
        self.source = text
        pieces: list[str] = []
        self._folded: list[int] = []
        self._original: list[int] = []
        length = 0
        for match in _clusters().finditer(text):
            piece = fold(match.group())
            self._folded.append(length)
            self._original.append(match.start())
            pieces.append(piece)
            length += len(piece)
        self.text = "".join(pieces)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """
        The part of the original text that folds to `text[start:end]`, whole characters with their accents.
        """
        first = bisect_right(self._folded, start) - 1
        last = bisect_right(self._folded, end - 1) - 1
        stop = self._original[last + 1] if last + 1 < len(self._original) else len(self.source)
        begin = self._original[first] + (start - self._folded[first] if self._is_plain(first) else 0)
        if self._is_plain(last):
            stop = self._original[last] + (end - self._folded[last])
        return begin, stop

    def _is_plain(self, index: int) -> bool:
        start = self._original[index]
        return self.source[start] < "\x80" and (start + 1 >= len(self.source) or self.source[start + 1] < "\x80")


@cache
def _clusters() -> re.Pattern[str]:
    # Stretches of ASCII as one (the last letter may carry an accent and stands alone), else a character with its marks.
    marks = rf"[{_marks()}\u00ad\u061c\u1160-\u11ff\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\uff9e\uff9f]"
    return re.compile(rf"[\x00-\x7f]+(?![^\x00-\x7f])|(?s:.){marks}*")


@cache
def _marks() -> str:
    # 0x20000 and above there is none but the variation selectors.
    codes = [code for code in range(0x300, 0x20000) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    codes += range(0xE0100, 0xE01F0)
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@cache
def _runs() -> re.Pattern[str]:
    spaced = rf"(?:(?![{_UNSPACED}])[^\W_]|(?![{_UNSPACED}])[{_marks()}])+"
    return re.compile(rf"(?P<unspaced>[{_UNSPACED}](?:(?<=[{_HAN}])\s+(?=[{_HAN}])|[{_UNSPACED}])*)|{spaced}")


def prepare() -> None:
    """
    Make what the first text that is not plain ASCII would make: a process that forks others does it once for all.
    """
    _runs()


def words(folded: str) -> Iterator[Word]:
    """
    The words of a folded text, each at the position that phrases are measured by.

    Scripts without spaces give every two neighbouring characters, and the last one alone, so that a word of any length
    is found in them; a character there counts as one position.
    """
    position = 0
    if folded.isascii():
        for position, match in enumerate(_ASCII_WORD.finditer(folded)):
            yield Word(match.group()[:LONGEST], position, match.start(), match.end())
        return
    for match in _runs().finditer(folded):
        if match.lastgroup is None:
            yield Word(match.group()[:LONGEST], position, match.start(), match.end())
            position += 1
            continue
        places = [i for i in range(match.start(), match.end()) if not folded[i].isspace()]
        for here, following in zip(places, [*places[1:], None], strict=True):
            lexeme = folded[here] if following is None else folded[here] + folded[following]
            yield Word(lexeme, position, here, (here if following is None else following) + 1)
            position += 1


def lexemes(folded: str) -> list[str]:
    """
    The lexemes of the words of a folded text, each at its position in the list: all that is indexed of them.
    """
    if not folded.isascii():
        return [word.lexeme for word in words(folded)]
    found = _ASCII_WORD.findall(folded)
    return found if max(map(len, found), default=0) <= LONGEST else [word[:LONGEST] for word in found]


def is_pair_begun(lexeme: str) -> bool:
    """
    Whether a lexeme is one character of a script whose words are found as pairs of characters.
    """
    return len(lexeme) == 1 and re.match(f"[{_UNSPACED}]", lexeme) is not None
