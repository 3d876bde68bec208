"""
Bytes to text: which encoding, and which letters Postgres can hold. Pure.
"""

import re

# The C0 controls but tab, newline and return; and lone surrogates. Postgres holds neither NUL nor surrogates.
_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

# All bytes but control characters that no text has.
_PRINTED = bytes(byte for byte in range(256) if byte >= 32 or byte in b"\t\n\r\x0c\x1b")

# Enough to tell an encoding, and a tenth of a second at most.
_SAMPLE = 64_000

# Below this a guess of the detector is little better than none.
_CERTAIN = 0.2


def cleaned(text: str) -> str:
    """
    A text without the characters that a database cannot hold or nobody can read.
    """
    return _UNWANTED.sub("", text) if _UNWANTED.search(text) else text


def kept_text(text: str) -> str | None:
    """
    A text as followthemoney keeps it.
    """
    if text.isascii() and text.isprintable() and text == text.strip():  # as most names: then as it is
        return text or None
    from followthemoney.types import registry

    return registry.string.clean(text)


def decoded(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """
    The text of some bytes, and the encoding it was read as.

    A byte order mark decides; then UTF-8 where every byte fits; then what the file declares; then chardet's guess.

    Args:
        declared: the encoding that the file, or the mail around it, says it has.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return cleaned(data.decode(encoding, "replace")), encoding.removesuffix("-sig")
    if (wide := _wide(data)) is not None:
        return cleaned(data.decode(wide, "replace")), wide
    try:
        return cleaned(data.decode()), "utf-8"
    except UnicodeDecodeError as error:
        # Cut within a letter, or one bad byte in a long text: still UTF-8.
        text = data.decode(errors="replace")
        if error.start > 2_000 and text.count("�") * 1_000 < len(text):
            return cleaned(text), "utf-8"
    for encoding in (declared, _guessed(data)):
        if encoding is None:
            continue
        try:
            return cleaned(data.decode(encoding, "replace" if encoding != declared else "strict")), encoding.lower()
        except (LookupError, UnicodeError):
            continue
    return cleaned(data.decode("windows-1252", "replace")), "windows-1252"


def _wide(data: bytes) -> str | None:
    # UTF-16 without a mark: in most scripts with spaces and digits every other byte of these is a NUL.
    sample = data[:2_000]
    if len(sample) < 4 or b"\x00" not in sample:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    for encoding, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > len(sample) / 10 and others < zeros / 10:
            text = sample.decode(encoding, "replace")
            # Tables of small numbers have as many NULs, and are no text.
            return encoding if len(_UNWANTED.findall(text)) * 50 < len(text) else None
    return None


def _guessed(data: bytes) -> str | None:
    from chardet import detect

    # The letters that tell an encoding may come late: the sample starts at the first byte that is not ASCII.
    start = next((at for at, byte in enumerate(data[:5_000_000]) if byte > 127), 0)
    found = detect(data[max(0, start - 1_000) : start + _SAMPLE])
    confidence = found["confidence"]
    return found["encoding"] if confidence > _CERTAIN else None


def is_text(data: bytes) -> bool:
    """
    Whether some first bytes of a file look like text rather than a binary format.
    """
    if not data:
        return False
    if any(data.startswith(mark) for mark, _ in _MARKS) or _wide(data) is not None:
        return True
    if b"\x00" in data:
        return False
    return len(data.translate(None, _PRINTED)) * 50 < len(data)
