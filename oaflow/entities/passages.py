"""
Cuts the text of an entity into passages to be indexed, and finds the piece to show for a search. Pure: `search` has the
database.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from oaflow.entities.query import Term
from oaflow.entities.words import Folded, Word, fold, is_pair_begun, lexemes, words

if TYPE_CHECKING:
    from followthemoney.property import Property
    from followthemoney.proxy import EntityProxy

# A lexeme keeps at most 255 positions, at most 16383 high: a block within both has every phrase of its text. 16 kB are
# 2,500 English words; the 100 kB that a tsvector of 1 MB would allow lost the phrases of its second half.
_BLOCK = 16_000
_BLOCK_WORDS = 12_000
_WORD_PLACES = 250
# Blocks overlap, so that a phrase, or a word of words.LONGEST letters, is whole in one of them.
_OVERLAP = 256
_NAME_WORDS = 2_000
# Body text starts so far after the names that no phrase reaches from one into the other.
_GAP = 16

_PASSAGE = 240

_TEXT = ("bodyText", "indexText", "translatedText", "description", "summary", "notes")
_SILENT_TYPES = frozenset(("checksum", "entity", "mimetype", "html", "json", "language", "topic", "gender", "country"))
_SILENT_OF_DOCUMENTS = frozenset(("date", "number"))
_SILENT = frozenset(
    ("generator", "crawler", "encoding", "processingAgent", "processingStatus", "messageId", "extension")
)
_ADDRESSED = re.compile(r"([^<>]+) <([^<>\s]+@[^<>\s]+)>")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


class Row(NamedTuple):
    """
    One row of `oaflow.passages`, without its dataset. `words` is the text form of a tsvector.
    """

    entity: str
    part: int
    document: str
    schema: str
    name: str | None
    page: int | None
    words: str
    text: str


@dataclass(frozen=True)
class Passage:
    """
    A piece of a text, and where in it the words are that were looked for: (start, end) pairs, in order.
    """

    text: str
    marks: tuple[tuple[int, int], ...]


def rows(entity: "EntityProxy") -> Iterator[Row]:
    """
    The rows of one entity: its names and short properties first, then its text, block by block.

    Raises:
        ValueError: the entity has no id.
    """
    if entity.id is None:
        raise ValueError("an entity without an id cannot be indexed")
    schema = entity.schema
    owner = entity.first("document", quiet=True)
    page = _page(entity)
    if owner is None:
        name = entity.first("fileName", quiet=True) or entity.caption
        # A file's name is shown beside the passage; in it, there is room for more.
        shown = name if schema.is_a("Document") else None
        about = " · ".join(value for value in _short_values(entity) if value != shown)
        vector = _vector(_names(entity), lexemes(fold(about)))
        yield Row(entity.id, 0, entity.id, schema.name, name, None, vector, about)
    for part, block in enumerate(_blocks(_long_values(entity)), start=1):
        vector = _vector((), block.lexemes)
        yield Row(entity.id, part, owner or entity.id, schema.name, None, page, vector, block.text)


def passage(text: str, terms: Sequence[Term], length: int = _PASSAGE) -> Passage:
    """
    The piece of a text that has most of the terms, cut at words, with its white space as single blanks.

    A text without any of them (they were found in the names) gives its beginning.
    """
    found = list(_found(text, terms))
    start, end = _window(text, found, length)
    pieces: list[str] = []
    marks: list[tuple[int, int]] = []
    size = 0

    def add(piece: str) -> int:
        nonlocal size
        # A blank at the seam of two pieces is one blank.
        piece = re.sub(r"\s+", " ", piece)
        if piece.startswith(" ") and (not pieces or pieces[-1].endswith(" ")):
            piece = piece[1:]
        if piece:
            pieces.append(piece)
            size += len(piece)
        return size

    if text[:start].strip():
        add("… ")
    here = start
    for first, last in _merged(found, start, end):
        begin = add(text[here:first])
        marks.append((begin, add(text[first:last])))
        here = last
    add(text[here:end].rstrip())
    if text[end:].strip():
        add(" …")
    return Passage("".join(pieces), tuple(marks))


def marks(text: str, terms: Sequence[Term]) -> tuple[tuple[int, int], ...]:
    """
    Where in a short text (a file name) the terms are.
    """
    return tuple(_merged(_found(text, terms), 0, len(text)))


class _Mark(NamedTuple):
    start: int
    end: int
    term: int


def _found(text: str, terms: Sequence[Term]) -> Iterator[_Mark]:
    folded = Folded(text)
    place = {word.position: word for word in words(folded.text)}
    for position in place:
        for number, term in enumerate(terms):
            hit = _match(place, position, term)
            if hit:
                # One character of a script of pairs stands for itself, not for the pair that it begins.
                end = hit[-1].start + 1 if is_pair_begun(term.wanted[-1].lexeme) else hit[-1].end
                yield _Mark(*folded.span(hit[0].start, end), number)


def _match(place: dict[int, Word], position: int, term: Term) -> list[Word]:
    hit: list[Word] = []
    for wanted in term.wanted:
        word = place.get(position + wanted.offset)
        if word is None or not wanted.matches(word.lexeme):
            return []
        hit.append(word)
    return hit


def _window(text: str, found: Sequence[_Mark], length: int) -> tuple[int, int]:
    best, start, end = (0, 0), 0, 0
    inside: list[_Mark] = []
    for mark in found:
        inside = [other for other in inside if mark.end - other.start <= length // 2]
        inside.append(mark)
        worth = (len({other.term for other in inside}), len(inside))
        if worth > best:
            best, start, end = worth, inside[0].start, max(other.end for other in inside)
    room = max(0, length - (end - start))
    before = min(start, room // 3) if best[0] else 0
    return _to_word(text, start - before, start), _from_word(text, min(len(text), end + room - before), end)


def _to_word(text: str, start: int, limit: int) -> int:
    # Forward to the next blank, or to where a script has none.
    while 0 < start < limit and not text[start - 1].isspace() and not _cuts_anywhere(text[start]):
        start += 1
    return start


def _from_word(text: str, end: int, limit: int) -> int:
    stop = end
    while limit < stop < len(text) and not text[stop].isspace():
        if _cuts_anywhere(text[stop]):
            return stop
        stop -= 1
    return stop if stop > limit else end


def _cuts_anywhere(character: str) -> bool:
    return "\u3000" <= character <= "\ud7a3"


def _merged(found: Iterable[_Mark], start: int, end: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for mark in sorted(found):
        if mark.start < start or mark.end > end:
            continue
        if merged and mark.start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], mark.end))
        else:
            merged.append((mark.start, mark.end))
    return merged


def _page(entity: "EntityProxy") -> int | None:
    if entity.schema.name != "Page":
        return None
    value = entity.first("index")
    try:
        return int(float(value)) if value else None
    except ValueError:
        return None


def _names(entity: "EntityProxy") -> list[str]:
    # What an entity is called; names that are mentioned in a document are not the document's.
    names = [entity.caption]
    for prop, value in entity.itervalues():
        if prop.name in ("fileName", "title") or (prop.type.name == "name" and not _is_mention(prop)):
            names.append(value)
    return list(dict.fromkeys(names))


def _short_values(entity: "EntityProxy") -> Iterator[str]:
    silent = _SILENT_TYPES | _SILENT_OF_DOCUMENTS if entity.schema.is_a("Document") else _SILENT_TYPES
    seen: set[str] = set()
    featured = entity.schema.featured
    # What says most about it first (the subject of a mail), what was found in its text last.
    ordered = sorted(entity.itervalues(), key=lambda pair: (_is_mention(pair[0]), pair[0].name not in featured))
    for prop, value in ordered:
        if prop.type.name in silent or prop.name in _SILENT or prop.type.name == "text" or value in seen:
            continue
        seen.add(value)
        if addressed := _ADDRESSED.fullmatch(value):
            # What was found in a header again is no news beside the header.
            seen.update((addressed[1], addressed[2], addressed[2].lower()))
        yield value


def _is_mention(prop: "Property") -> bool:
    return prop.name.endswith("Mentioned")


def _long_values(entity: "EntityProxy") -> Iterator[str]:
    spoke = False
    for prop in sorted(entity.iterprops(), key=lambda prop: _TEXT.index(prop.name) if prop.name in _TEXT else 99):
        if prop.type.name == "text":
            for value in entity.get(prop):
                spoke = True
                yield value
    if not spoke:
        for prop in entity.iterprops():
            if prop.type.name == "html":
                yield from (_TAG.sub(" ", value) for value in entity.get(prop))


class _Block(NamedTuple):
    text: str
    lexemes: list[str]


def _blocks(texts: Iterable[str]) -> Iterator[_Block]:
    size = _BLOCK
    for text in texts:
        start = 0
        while start < len(text):
            # A size that did not fit will not fit the next block of the same kind of text either.
            block, size = _fit(text, start, min(_BLOCK, 2 * size))
            if block.lexemes:
                yield block
            end = start + len(block.text)
            if end >= len(text):
                break
            # Always forward, by no less than half of what was taken.
            start = max(_cut(text, end - _OVERLAP, end - 2 * _OVERLAP), start + (end - start + 1) // 2)


def _fit(text: str, start: int, size: int) -> tuple[_Block, int]:
    while True:
        end = min(len(text), start + size)
        if end < len(text):
            end = _cut(text, end, start + size // 2)
        block = _Block(text[start:end], lexemes(fold(text[start:end])))
        most = max(Counter(block.lexemes).values(), default=0)
        if (len(block.lexemes) <= _BLOCK_WORDS and most <= _WORD_PLACES) or size <= 2 * _OVERLAP:
            return block, size
        size //= 2


def _cut(text: str, wanted: int, lowest: int) -> int:
    # Back from where the cut is wanted to the nearest blank; where there is none, cut there all the same.
    for place in range(wanted, max(lowest, 0), -1):
        if text[place - 1].isspace():
            return place
    return wanted


def _vector(names: Iterable[str], body: Sequence[str]) -> str:
    places: dict[str, list[str]] = {}
    position = 1
    for name in names:
        last = 0
        for last, lexeme in enumerate(lexemes(fold(name))):
            if position + last < _NAME_WORDS:
                places.setdefault(lexeme, []).append(f"{position + last}A")
        position += last + _GAP
    position = min(position, _NAME_WORDS + _GAP)
    for at, lexeme in enumerate(body, position):
        places.setdefault(lexeme, []).append(str(at))
    # A lexeme is letters and digits only, so that quotes are all the quoting there is.
    return " ".join(f"'{lexeme}':{','.join(at)}" for lexeme, at in places.items())
