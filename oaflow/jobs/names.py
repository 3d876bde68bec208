"""
File names of any encoding as text that a database can hold. Pure.
"""

import os
from urllib.parse import quote_from_bytes


def readable_name(raw: bytes | str) -> str:
    """
    A file name as people read it.

    The rule: bytes that are UTF-8 are read as UTF-8, all others as windows-1252, whose five undefined bytes become the
    control characters of Latin-1. It is a guess, so two different files can read the same: ids and lookups are made
    from `encoded_name`, which keeps the bytes.

    Args:
        raw: the bytes, or the text that `os.listdir` and `pathlib` make of them (undecodable bytes as surrogates).
    """
    data = os.fsencode(raw)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "".join(_WINDOWS[byte] for byte in data)


def encoded_name(raw: bytes | str) -> str:
    """
    A file name with every byte kept: what is not an unreserved ASCII character or `/` is written as `%XX`.

    `urllib.parse.unquote_to_bytes` gives the bytes back.
    """
    return quote_from_bytes(os.fsencode(raw))


def _windows(byte: int) -> str:
    data = bytes([byte])
    try:
        return data.decode("windows-1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


_WINDOWS = tuple(map(_windows, range(256)))
