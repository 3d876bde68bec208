"""
In which language a text is.
"""

import lzma
import re
from array import array
from functools import cache
from io import BytesIO
from shutil import copyfileobj
from typing import Any, Literal, cast

# More does not change the answer, and costs a millisecond for each 10,000 letters.
_SAMPLE = 8_000

# Words of a line of letterhead; of less, a guess is worse than none.
_ENOUGH = re.compile(r"(?:[^\W\d_][\W\d_]*){20}|(?:[\u3040-\u9fff\uac00-\ud7a3][^\u3040-\u9fff\uac00-\ud7a3]*){4}")

# Names and numbers alone are close between many languages. Measured on short lines: right answers began at 0.12, wrong
# ones ended at 0.04.
_CERTAIN = 0.12

_PIECE = 1024**2


@cache
def identifier() -> Any:
    """
    py3langid with its own model, without the labels that are not wanted here.
    """
    import numpy
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier

    # Not with its own loader, which unpacks 65 MB into the temp folder.
    unpacked = BytesIO()
    with lzma.open(MODEL_DIR / MODEL_FILE) as packed:
        copyfileobj(packed, unpacked, _PIECE)
    unpacked.seek(0)
    with numpy.load(unpacked, allow_pickle=False) as model:
        labels: list[str] = model["classes"].tolist()
        # Labels of two letters are the world's written languages. The rest are mostly close kin of one of these (Wu of
        # Chinese, Moroccan of Arabic, Nigerian Pidgin of English), and take part of its certainty away.
        kept = [at for at, label in enumerate(labels) if len(label) == 2]
        return LanguageIdentifier(
            # A text takes some hundred rows of it: as they are cut out, each number of a row lies far from the next.
            numpy.ascontiguousarray(model["ptc"][:, kept]),
            model["pc"][kept],
            [labels[at] for at in kept],
            _packed(model["nextmove"]),
            _packed(model["out_feat"]),
            norm_probs=True,
            tk_row=_packed(model["nextmove_row"]),
        )


def _packed(numbers: Any) -> "array[int]":
    # Python's arrays give Python's numbers, which are shifted in the search and must not overflow.
    packed = array(cast(Literal["H", "I", "i"], numbers.dtype.char))
    packed.frombytes(memoryview(numbers).cast("B"))
    return packed


def language_of(text: str) -> str | None:
    """
    The language of a text as ISO 639-3 (`eng`), or None where it is too short or too mixed to tell.
    """
    from followthemoney.types import registry

    sample = _sample(text)
    if not _ENOUGH.search(sample):
        return None
    label, certainty = identifier().classify(sample)
    return registry.language.clean(label) if certainty >= _CERTAIN else None


def _sample(text: str) -> str:
    # From the middle too: documents start with letterheads, and lists of names.
    if len(text) <= _SAMPLE:
        return text
    middle = len(text) // 2
    return text[: _SAMPLE // 2] + "\n" + text[middle : middle + _SAMPLE // 2]
