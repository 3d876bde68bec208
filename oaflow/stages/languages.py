"""
In which language a text is.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingua import LanguageDetector

# More does not change the answer, and costs a millisecond for each 2,000 letters.
_SAMPLE = 4_000

# A dozen words; of less, a guess would be worse than none.
_SHORTEST = 25
_SHORTEST_IDEOGRAPHS = 6

# How much likelier the best must be than the next: names and numbers alone are close between many languages.
_DISTANCE = 0.1


@cache
def _detector() -> "LanguageDetector":
    from lingua import LanguageDetectorBuilder

    # The small models: 0.4 s and 65 MB once in a process, against 9 s and 1.1 GB; from a sentence on the same answers.
    builder = LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode()
    return builder.with_minimum_relative_distance(_DISTANCE).build()


def language_of(text: str) -> str | None:
    """
    The language of a text as ISO 639-3 (`eng`), or None where it is too short or too mixed to tell.
    """
    sample = _sample(text)
    letters = sum(character.isalpha() for character in sample)
    ideographs = sum("\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3" for character in sample)
    if letters < _SHORTEST and ideographs < _SHORTEST_IDEOGRAPHS:
        return None
    language = _detector().detect_language_of(sample)
    return None if language is None else language.iso_code_639_3.name.lower()


def _sample(text: str) -> str:
    # From the middle too: documents start with letterheads, and lists of names.
    if len(text) <= _SAMPLE:
        return text
    middle = len(text) // 2
    return text[: _SAMPLE // 2] + "\n" + text[middle : middle + _SAMPLE // 2]
