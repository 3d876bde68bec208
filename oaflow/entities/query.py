"""
Reads a search query as terms. Pure. Every text is a valid query, and no part of it is syntax for the database.
"""

import re
from typing import NamedTuple

from oaflow.entities.words import fold, is_pair_begun, words

# The quotes of all keyboards; not the apostrophe, which occurs inside names.
_QUOTES = '"“”„‟«»「」『』'
_PART = re.compile(rf"[{_QUOTES}](?P<phrase>[^{_QUOTES}]*)[{_QUOTES}]?|(?P<word>[^\s{_QUOTES}]+)")

_BEGINNING = re.compile(r"\w\*+$")


class Wanted(NamedTuple):
    """
    A lexeme, or a prefix of one, at its distance from the first of its term.
    """

    lexeme: str
    offset: int
    prefix: bool = False

    def matches(self, lexeme: str) -> bool:
        return lexeme.startswith(self.lexeme) if self.prefix else lexeme == self.lexeme


class Term(NamedTuple):
    """
    Words that must occur together and in this order: one word, a quoted phrase, or a compound (`e-mail`).
    """

    text: str
    wanted: tuple[Wanted, ...]


def terms(text: str) -> list[Term]:
    """
    The terms of a query, each of which a document must have: `zurich "letter of intent" invoi*`.
    """
    found: dict[tuple[Wanted, ...], Term] = {}
    for match in _PART.finditer(text):
        phrase = match["phrase"]
        spelled = match["word"] if phrase is None else phrase
        wanted = _wanted(spelled.rstrip("*"), prefix=phrase is None and _BEGINNING.search(spelled) is not None)
        if wanted:
            found.setdefault(wanted, Term(spelled, wanted))
    return list(found.values())


def tsquery(term: Term) -> str:
    """
    A term as Postgres reads it; a lexeme has only letters and digits, and is in quotes.
    """
    pieces: list[str] = []
    before = 0
    for wanted in term.wanted:
        if pieces:
            pieces.append(f"<{wanted.offset - before}>")
        pieces.append(f"'{wanted.lexeme}'" + (":*" if wanted.prefix else ""))
        before = wanted.offset
    return " ".join(pieces)


def _wanted(text: str, *, prefix: bool) -> tuple[Wanted, ...]:
    folded = fold(text)
    found = list(words(folded))
    wanted: list[Wanted] = []
    for place, word in enumerate(found):
        # The last character of a run without spaces stands alone in the index only where a run ends, but begins a pair
        # everywhere: needed when it is all there is, and else already said by the pair before it.
        alone = is_pair_begun(word.lexeme)
        after_pair = place > 0 and len(found[place - 1].lexeme) == 2 and found[place - 1].end == word.end
        if alone and after_pair:
            continue
        wanted.append(Wanted(word.lexeme, word.position - found[0].position, alone or (prefix and word is found[-1])))
    return tuple(wanted)
