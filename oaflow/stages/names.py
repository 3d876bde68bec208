"""
Names in a text, found by how they are written: rigour's legal forms and titles, and capital letters.

It sees what is plain to see: `Nordlicht Logistik GmbH`, `Dr. Anna Keller`, `Mr Chen Wei`, and what looks like a name of
someone or something. It does not know who is meant. A model that reads does better: see `examples/spacy_names`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import getaddresses

from oaflow.stages.mentions import frequent
from oaflow.stages.patterns import NO_SPACE, Pattern

# Long documents repeat their names.
_LONGEST = 1_000_000

# Mail and web addresses: what is written small in them is no word of the language.
_ADDRESS = Pattern(rf"https?://{NO_SPACE}+|www\.{NO_SPACE}+|(?<![\w.+-])[\w.+-]{{1,64}}@[\w.-]{{1,255}}")

_WORD = r"[^\W\d_][\w'’&.-]*"
_TOKEN = Pattern(rf"{_WORD}|{NO_SPACE}")
# The letters before a full stop are looked at after it: as nothing else can begin there, all places without a mark are
# passed over at once.
_ENDS = re.compile(r"[\n\r\t;:!?|(){}\[\]<>„“”\"«»•,،。，、；：！？（）]+|\.(?<=[^\W\d_]{3}.)\s+")
_SMALL = Pattern(r"\b[^\W\d_A-Z][^\W\d_]+\b")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_JOINERS = _set("de del della der den di do dos da du la le van von und y e zu of the and & bin ibn al el")

_BETWEEN = _set("and und y e et & и")

# Forms that are words as well: alone they make no company.
_AMBIGUOUS = _set("as ab co sa se ag spa sal sas plc inc in a.s de and company corp e.g")

_GREETINGS = _set(
    "dear hello hi lieber liebe liebes geehrte geehrter cher chère chers estimado estimada querido caro cara"
)

# What stands behind these is a thing, where things are written large; no given name is spelt so (as Su, Una, My are).
_ARTICLES = _set(
    "this that your our their das die ein eine einem einen einer eines mein meine dein deine ihr ihre unser unsere "
    "мой моя твой твоя наш наша ваш ваша этот эта"
)

# Heads of columns: no name has a currency in it.
_CURRENCIES = _set("eur usd gbp chf rub cny jpy aed uah sek nok dkk pln czk huf try cad aud")

_TITLES = _set(
    "mr mrs ms miss mx dr prof sir dame lord lady herr frau monsieur madame mme m. sr sra señor señora don doña "
    "signor signora ing mag г-н г-жа господин госпожа sheikh judge captain capt colonel general senator "
    "president minister капитан директор"
)

_NEVER_FIRST = _JOINERS | _GREETINGS | _ARTICLES


@dataclass(slots=True)
class Names:
    """
    What was found, each kind without what stands in the ones before it.
    """

    companies: list[str] = field(default_factory=list[str])
    people: list[str] = field(default_factory=list[str])
    others: list[str] = field(default_factory=list[str])


def names_in(text: str) -> Names:
    """
    The names in a text.
    """
    text = text[:_LONGEST]
    if "@" in text or "://" in text or "www." in text:
        text = _ADDRESS.of(text).sub(" ; ", text)
    small = _small_words(text)
    companies: list[str] = []
    people: list[str] = []
    others: list[str] = []
    for line in _sentences(text):
        for run in _runs(line):
            _sort(run, small, companies, people, others)
    companies = _shortened(companies)
    known = {*companies, *people}
    within = {part for name in known for part in _parts(name)}
    return Names(
        frequent(companies),
        frequent(name for name in people if name not in companies),
        frequent(name for name in others if name not in known and name not in within),
    )


def _shortened(companies: list[str]) -> list[str]:
    # `Bid of Northlight Ltd`, where the text also has `Northlight Ltd`: the shorter one is the name.
    known = sorted(set(companies), key=len)
    whole = {name: next((each for each in known if name == each or name.endswith(" " + each)), name) for name in known}
    return [whole[name] for name in companies]


def people_of(header: list[str]) -> list[str]:
    """
    The names of people in the address lines of a mail.
    """
    named = (name.strip(" '\"") for name, address in getaddresses(header) if name and name != address)
    return frequent(name for name in named if " " in name and "@" not in name)


def _parts(name: str) -> Iterator[str]:
    words = name.split()
    for start in range(len(words)):
        for end in range(start + 2, len(words) + 1):
            yield " ".join(words[start:end])


def _small_words(text: str) -> frozenset[str]:
    # What is also written small in this text is a word, not a name, where it stands at the start of a sentence.
    return frozenset(filter(str.islower, set(_SMALL.of(text).findall(text))))


def _sentences(text: str) -> Iterator[str]:
    yield from _ENDS.split(text)


def _runs(line: str) -> Iterator[list[str]]:
    """
    Words written large, one after the other; small joiners between them belong to the run.
    """
    run: list[str] = []
    for token in _TOKEN.of(line).findall(line):
        if token[0].isupper():
            run.append(token)
        elif run:  # most words are small, and follow a small one
            if token.isdigit() or token.lower() in _JOINERS:
                run.append(token)
            else:
                yield from _ended(run)
                run = []
    yield from _ended(run)


def _ended(run: list[str]) -> Iterator[list[str]]:
    while run and (run[-1].lower() in _JOINERS or run[-1].isdigit()):
        run.pop()
    if run:
        yield run


def _sort(run: list[str], small: frozenset[str], companies: list[str], people: list[str], others: list[str]) -> None:
    run = _without_start(run, small)
    if not run:
        return
    name = " ".join(run)
    if len(run) > 1 and len(name) <= 300:
        found, rest = _companies(name)
        companies.extend(found)
        run = rest.split() if found else run
    for part in _apart(run):
        _sort_person(part, people, others)


def _apart(run: list[str]) -> Iterator[list[str]]:
    # Two people in one run: joined by a word, or the second with a title.
    part: list[str] = []
    for word in run:
        if word.lower() in _BETWEEN or (part and word.rstrip(".").lower() in _TITLES and not _is_titles(part)):
            yield part
            part = []
        if word.lower() not in _BETWEEN:
            part.append(word)
    yield part


def _is_titles(words: list[str]) -> bool:
    return all(word.rstrip(".").lower() in _TITLES for word in words)


def _sort_person(run: list[str], people: list[str], others: list[str]) -> None:
    titles = 0
    while titles < len(run) and run[titles].rstrip(".").lower() in _TITLES:
        titles += 1
    rest = run[titles:]
    if titles and 1 < len(rest) <= 5 and _is_plain(rest):
        people.append(" ".join(rest).rstrip("."))
    elif (
        2 <= len(rest) <= 4 and _is_plain(rest) and not any(map(_is_currency, rest)) and not all(map(str.isupper, rest))
    ):
        others.append(" ".join(rest).rstrip("."))


def _is_currency(word: str) -> bool:
    return word.isupper() and word.lower() in _CURRENCIES


def _without_start(run: list[str], small: frozenset[str]) -> list[str]:
    start = 0
    while start < len(run) and (word := run[start].rstrip(".").lower()) not in _TITLES:
        if word not in small and word not in _NEVER_FIRST:
            break
        start += 1
    return run[start:]


def _is_plain(words: list[str]) -> bool:
    return all(len(word) > 1 and not any(character.isdigit() for character in word) for word in words)


def _companies(name: str) -> tuple[list[str], str]:
    """
    The names in a run of words that end with a legal form, or the run itself where it starts with one; and what is
    left behind them.
    """
    from rigour.names import extract_org_types

    found = [form for form, _ in extract_org_types(name) if form.lower().strip(".") not in _AMBIGUOUS or form.isupper()]
    names: list[str] = []
    start = 0
    for form in found:
        at = name.find(form, start)
        if at < 0:
            continue
        if at == 0:
            # ООО Ромашка, PT Maju: the form stands first.
            return ([name], "") if len(name.split()) > len(form.split()) else ([], "")
        before = name[start:at].strip(" ,&")
        if before:
            names.append(f"{before} {form}")
        start = at + len(form)
    return names, name[start:].strip(" ,.&")
