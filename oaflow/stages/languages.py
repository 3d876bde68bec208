"""
In which language a text is.
"""

import lzma
import math
import re
import unicodedata
from functools import cache
from io import BytesIO
from shutil import copyfileobj
from typing import Any

# More does not change the answer, and costs a tenth of a millisecond for each 3,000 letters.
_SAMPLE = 8_000

# Words of a line of letterhead; of less, a guess is worse than none.
_ENOUGH = re.compile(r"(?:[^\W\d_][\W\d_]*){20}|(?:[\u3040-\u9fff\uac00-\ud7a3][^\u3040-\u9fff\uac00-\ud7a3]*){4}")

# Names and numbers alone are close between many languages. Measured on short lines: right answers began at 0.12, wrong
# ones ended at 0.04.
_CERTAIN = 0.12

_PIECE = 1024**2

# The most bytes that the model looks for at once.
_LONGEST = 6


class Identifier:
    """
    py3langid's model and its answers, without the labels that are not wanted here. Asked for all places of a text at
    once: its own loop over the bytes, in Python, takes three times as long.
    """

    def __init__(self, model: Any) -> None:
        """
        Args:
            model: the arrays in py3langid's file.
        """
        import numpy

        labels: list[str] = model["classes"].tolist()
        # Labels of two letters are the world's written languages. The rest are mostly close kin of one of these (Wu of
        # Chinese, Moroccan of Arabic, Nigerian Pidgin of English), and take part of its certainty away.
        kept = [at for at, label in enumerate(labels) if len(label) == 2]
        self.labels = [labels[at] for at in kept]
        # A language that is written in two scripts has its label twice.
        self._again = [(self.labels.index(label), at) for at, label in enumerate(self.labels)]
        self._again = [(first, at) for first, at in self._again if first != at]
        # Not the halves that are in the file, of which each text would make numbers again; and not as they are cut
        # out, each number of a row far from the next: a text takes some hundred rows.
        self._weights = numpy.ascontiguousarray(model["ptc"][:, kept], dtype=numpy.float32)
        self._before = model["pc"][kept]
        self._next, self._features = model["nextmove"], model["out_feat"]
        self._rows = model["nextmove_row"].astype(numpy.intp) << 8

    def classify(self, text: str) -> tuple[str, float]:
        """
        The likeliest label of a text, and how certain it is, from 0 to 1.
        """
        import numpy

        data = unicodedata.normalize("NFC", text.lower() if text.isupper() else text).encode("utf-8", "surrogatepass")
        features, counts = self._found(numpy.frombuffer(data, dtype=numpy.uint8).astype(numpy.intp))
        if not len(features):
            return self.labels[0], 0.0
        scores = numpy.log1p(counts, dtype=numpy.float32) @ self._weights[features] + self._before
        scores /= math.sqrt(len(data))
        shares = numpy.exp(scores - scores.max())
        for first, again in self._again:
            shares[first] += shares[again]
            shares[again] = 0
        best = int(shares.argmax())
        return self.labels[best], float(shares[best] / shares.sum())

    def _found(self, letters: Any) -> tuple[Any, Any]:
        """
        What the model knows in some bytes, and how often each stands there.
        """
        import numpy

        # Its automaton stands, after any byte, where the last `_LONGEST` bytes alone would lead it from its beginning.
        # So all places are walked to at the same time, each from so far before it.
        states = numpy.zeros(len(letters), dtype=numpy.intp)
        for back in range(min(_LONGEST, len(letters)) - 1, -1, -1):
            moves = self._rows.take(states[back:])
            moves += letters[: len(letters) - back]
            states[back:] = self._next.take(moves)
        features = self._features.take(states)
        features = numpy.sort(features[features >= 0])
        begins = numpy.flatnonzero(numpy.diff(features, prepend=-1))
        return features[begins], numpy.diff(begins, append=len(features))


@cache
def identifier() -> Identifier:
    """
    The model, which is read once.
    """
    import numpy
    from py3langid.langid import MODEL_DIR, MODEL_FILE

    # Not with its own loader, which unpacks 65 MB into the temp folder.
    unpacked = BytesIO()
    with lzma.open(MODEL_DIR / MODEL_FILE) as packed:
        copyfileobj(packed, unpacked, _PIECE)
    unpacked.seek(0)
    with numpy.load(unpacked, allow_pickle=False) as model:
        return Identifier(model)


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
