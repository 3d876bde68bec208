"""
In which language a text is.
"""

from functools import cache
from typing import Any

# More does not change the answer, and costs a millisecond for each 10,000 letters.
_SAMPLE = 8_000

# Words of a line of letterhead; of less, a guess is worse than none.
_SHORTEST = 20
_SHORTEST_IDEOGRAPHS = 4

# Names and numbers alone are close between many languages. Measured on short lines: right answers began at 0.12, wrong
# ones ended at 0.04.
_CERTAIN = 0.12


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # Labels of two letters are the world's written languages. The rest are mostly close kin of one of these (Wu of
    # Chinese, Moroccan of Arabic, Nigerian Pidgin of English), and take part of its certainty away.
    identifier.set_languages([label for label in identifier.labels if len(label) == 2])
    return identifier


def language_of(text: str) -> str | None:
    """
    The language of a text as ISO 639-3 (`eng`), or None where it is too short or too mixed to tell.
    """
    from followthemoney.types import registry

    sample = _sample(text)
    letters = sum(character.isalpha() for character in sample)
    ideographs = sum("\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3" for character in sample)
    if letters < _SHORTEST and ideographs < _SHORTEST_IDEOGRAPHS:
        return None
    label, certainty = _identifier().classify(sample)
    return registry.language.clean(label) if certainty >= _CERTAIN else None


def _sample(text: str) -> str:
    # From the middle too: documents start with letterheads, and lists of names.
    if len(text) <= _SAMPLE:
        return text
    middle = len(text) // 2
    return text[: _SAMPLE // 2] + "\n" + text[middle : middle + _SAMPLE // 2]
