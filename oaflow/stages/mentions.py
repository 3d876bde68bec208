"""
What a text mentions: addresses, numbers, countries. Patterns find candidates, maintained libraries decide.

Pure, but for the data that those libraries load. Every pattern is linear in the length of the text.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache

from oaflow.stages.patterns import Pattern

# The most of one kind that a document may carry along; the most frequent are kept.
MOST = 1_000

# What was read lately and need not be read again: documents that lie together mention the same.
_LATELY = 4_096

_EMAIL = Pattern(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_URL = re.compile(
    r"\bhttps?://[^\s<>\"'`{}|\\^\[\]]{3,2000}|\bwww\.[\w-]+(?:\.[\w-]+)+[^\s<>\"'`{}|\\^\[\]]{0,500}", re.I
)
# What stands before is looked at after the first letter: all places without such a letter are passed over at once.
_IBAN = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z]\d{2}(?:[  -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_IPV4 = re.compile(r"\d(?<![\w.-].)\d{0,2}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f:]*::?[0-9A-Fa-f])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_PHONE = re.compile(r"(?:\+(?<![\w+].)|00(?<![\w+]..))[  ]?[1-9](?:[  ()./\u2010-\u2015-]{0,3}\d){6,16}(?!\d)")
_WORD = Pattern(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")
_IDEOGRAPHS = re.compile(r"[\u3040-\u9fff]")

# What people write and CLDR does not, or writes otherwise.
_ALIASES = {
    "uk": "gb",
    "u.k": "gb",
    "great britain": "gb",
    "britain": "gb",
    "england": "gb",
    "usa": "us",
    "u.s": "us",
    "u.s.a": "us",
    "united states of america": "us",
    "uae": "ae",
    "turkey": "tr",
    "czech republic": "cz",
    "ivory coast": "ci",
    "holland": "nl",
    "burma": "mm",
    "macedonia": "mk",
    "russian federation": "ru",
    "people's republic of china": "cn",
    "republic of korea": "kr",
    "korea": "kr",
}
_LONGEST_NAME = 6

# Where sections of software versions and chapters look like addresses: no network has these.
_NOWHERE = ("0.", "255.")


def frequent(found: Iterable[str], read: Callable[[str], str | None] = str) -> list[str]:
    """
    Each once, the most frequent first, at most `MOST`.

    Args:
        found: what was found, as often as it was found.
        read: what each of them means, or None where it is not what it looks like; asked once for what occurs often.
    """
    occurred = Counter(found)
    if not occurred:  # as of most kinds in most documents
        return []
    counts: Counter[str] = Counter()
    for value, count in occurred.items():
        if (meant := read(value)) is not None:
            counts[meant] += count
    return [value for value, _ in counts.most_common(MOST)]


def emails(text: str) -> list[str]:
    """
    E-mail addresses.
    """
    if "@" not in text:
        return []
    return frequent((match[0].rstrip(".-_").lower() for match in _EMAIL.of(text).finditer(text)), _email)


@lru_cache(_LATELY)
def _email(candidate: str) -> str | None:
    from followthemoney.types import registry

    return registry.email.clean(candidate)


def urls(text: str) -> list[str]:
    """
    Addresses of web pages.
    """
    if not _may_have_urls(text):
        return []
    return frequent((match[0] for match in _URL.finditer(text)), _whole)


def _may_have_urls(text: str) -> bool:
    # Two plain searches take a thirtieth of the time of the pattern, which begins with letters in any case.
    return "://" in text or "www." in text.lower()


def _whole(url: str) -> str:
    # A sentence ends after an address; a bracket belongs to it only where it opened in it.
    while url and (url[-1] in ".,;:!?*_" or (url[-1] == ")" and url.count("(") < url.count(")"))):
        url = url[:-1]
    return url


def ibans(text: str) -> list[str]:
    """
    International bank account numbers, with a right check sum and length, without blanks.
    """
    return frequent((match[0] for match in _IBAN.finditer(text)), _iban)


def _iban(candidate: str) -> str | None:
    from stdnum import iban
    from stdnum.exceptions import ValidationError

    # What follows an account number can look like a part of it: shorten word by word until one is right.
    words = re.split(r"[  -]", candidate)
    while words:
        try:
            return str(iban.validate("".join(words), check_country=False))
        except ValidationError:
            words.pop()
    return None


def phones(text: str) -> list[str]:
    """
    Telephone numbers in international form, as E.164. A number without its country could be anything.
    """
    return frequent((match[0] for match in _PHONE.finditer(text)), _phone)


@lru_cache(_LATELY)
def _phone(candidate: str) -> str | None:
    import phonenumbers

    written = "+" + candidate[2:] if candidate.startswith("00") else candidate
    # `+49 (0) 30 ...`: the zero is for callers inside the country.
    written = written.replace("(0)", "")
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def addresses(text: str) -> list[str]:
    """
    IP addresses.
    """
    return frequent(_candidates(text), _address)


def _candidates(text: str) -> Iterator[str]:
    for match in _IPV4.finditer(text):
        yield match[0]
    if ":" in text:
        for match in _IPV6.finditer(text):
            yield match[0]


def _address(candidate: str) -> str | None:
    if candidate.startswith(_NOWHERE):
        return None
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return None
    # `::1` and times such as 12:30:45 do not name a machine.
    if address.is_unspecified or address.is_loopback or (address.version == 6 and candidate.count(":") < 3):
        return None
    return str(address)


def countries(
    text: str, language: str | None = None, numbers: Iterable[str] = (), accounts: Iterable[str] = ()
) -> list[str]:
    """
    Countries, as FtM codes: those that are named, and those of telephone numbers and bank accounts.

    Args:
        language: of the text (ISO 639-3). Names are known in English and in this one: in all at once, an English
            island would be Iceland, which Danes call so.
        numbers: telephone numbers as `phones` gives them.
        accounts: account numbers as `ibans` gives them.
    """
    coded = (_country(account[:2]) for account in accounts)
    called = (_called(number) for number in numbers)
    return frequent(code for code in (*_named(text, language), *coded, *called) if code)


def _named(text: str, language: str | None) -> Iterator[str]:
    names = country_names(language)
    for name in _written_without_blanks(language):
        yield from [names[name]] * text.count(name)
    starts = _first_words(language)
    # A name is written large, in a script that has large letters: turkey and china are not countries.
    begin = {word for word in set(_WORD.of(text).findall(text)) if not word[0].islower() and word.casefold() in starts}
    if not begin:
        return
    words = list(_WORD.of(text).finditer(text))
    for at, word in enumerate(words):
        if word[0] not in begin:
            continue
        for length in range(min(_LONGEST_NAME, len(words) - at), 0, -1):
            phrase = " ".join(text[word.start() : words[at + length - 1].end()].split())
            # Short forms are abbreviations: `Uk` and `usa` are words of other languages.
            if (code := names.get(phrase.casefold())) is not None and (len(phrase) > 3 or phrase.isupper()):
                yield code
                break


@lru_cache(_LATELY)
def _called(number: str) -> str | None:
    from followthemoney.types import registry

    return registry.phone.country_hint(number)


@cache
def _country(code: str) -> str | None:
    # Not `registry.country.clean`: for a code that it does not know (CLDR has several) it folds the names of all
    # territories first, half a second in each executor.
    from rigour.territories import get_territory

    territory = get_territory(code)
    return territory.ftm_country if territory else None


@cache
def country_names(language: str | None = None) -> dict[str, str]:
    """
    Names of countries in small letters, and the FtM code of each.
    """
    from babel import Locale, UnknownLocaleError

    names = dict(_ALIASES)
    for tongue in dict.fromkeys(("en", language)):
        try:
            locale = Locale.parse(tongue) if tongue else None
        except (UnknownLocaleError, ValueError):
            continue
        for code, name in (locale.territories if locale else {}).items():
            country = _country(code) if len(code) == 2 else None
            if country and (len(name) > 3 or not name.isascii()):
                names.setdefault(name.casefold().removesuffix(" sar china"), country)
    return names


@cache
def _first_words(language: str | None) -> frozenset[str]:
    return frozenset(name.split()[0] for name in country_names(language))


@cache
def _written_without_blanks(language: str | None) -> tuple[str, ...]:
    return tuple(name for name in country_names(language) if len(name) > 1 and _IDEOGRAPHS.match(name))
