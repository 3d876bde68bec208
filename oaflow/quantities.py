"""
Durations, sizes and rates as people write them: `2s`, `1.5h`, `1h30m`, `2GiB`, `16kB`, `50/s`. Pure.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"

_SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(rf"({_NUMBER})\s*(ms|[smhdw])")

# Decimal and binary, as in the standards: a kB is 1000 bytes, a KiB is 1024. `K` alone is read as `kB`.
_BYTES: Mapping[str, int] = {
    "": 1,
    "b": 1,
    **{f"{letter}{unit}": 1000**power for power, letter in enumerate("kmgt", 1) for unit in ("", "b")},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}

# The same for editors, which know patterns only: each text that is read here fits, and what is more than nothing.
_UNITS = "(?:ms|[smhdw])"
DURATION_PATTERN = rf"\s*(?:{_NUMBER}|(?:{_NUMBER}\s*{_UNITS}\s*)+)\s*"
SIZE_PATTERN = rf"(?=.*[1-9])\s*{_NUMBER}\s*(?:[kKmMgGtT](?:[iI]?[bB])?|[bB])?\s*"
_TIME = rf"(?:{_NUMBER}\s*)?{_UNITS}(?:\s*{_NUMBER}\s*{_UNITS})*"
RATE_PATTERN = rf"(?=.*[1-9].*/)\s*{_NUMBER}\s*/\s*(?=[a-z]|.*[1-9]){_TIME}\s*"

_RATE = re.compile(rf"({_NUMBER})\s*/\s*(.+)")
_SIZE = re.compile(rf"({_NUMBER})\s*([a-z]*)", re.IGNORECASE)


def seconds(value: object) -> float | None:
    """
    The seconds that a duration means: a number is seconds, a text has units (`500ms`, `2s`, `1h30m`); else None.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and value >= 0 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.fullmatch(_NUMBER, text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(_DURATION.split(text)[::3]).strip():
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def per_second(value: object) -> float | None:
    """
    How often in a second a rate means: a number in a time (`50/s`, `1000/m`, `1/10s`), more than nothing; else None.
    """
    if not isinstance(value, str) or not (match := _RATE.fullmatch(value.strip())):
        return None
    time = f"1{match[2]}" if match[2][0].isalpha() else match[2]
    # `50/10` does not say ten of what.
    within = seconds(time) if time[-1].isalpha() else None
    found = float(match[1]) / within if within else 0.0
    return found if 0 < found < math.inf else None


def size(value: object) -> int | None:
    """
    The bytes that a size means: a whole number is bytes, a text has a unit (`16kB`, `2GiB`); else None.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    if not isinstance(value, str) or not (match := _SIZE.fullmatch(value.strip())):
        return None
    factor = _BYTES.get(match[2].lower())
    # Exact: a float knows no odd number above 2 ** 53.
    return None if factor is None else round(Decimal(match[1]) * factor)


def duration_text(value: float) -> str:
    """
    Seconds as an author writes them: `1h30m`, `2s`, `500ms`. What `seconds` reads from it is the same.
    """
    rest = round(value * 1000)
    parts: list[str] = []
    for unit, factor in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1), ("ms", 0.001)):
        number, rest = divmod(rest, round(factor * 1000))
        if number:
            parts.append(f"{number}{unit}")
    text = "".join(parts) or "0s"
    # Finer than a millisecond, which hardly anybody writes.
    return text if seconds(text) == value else f"{_decimal(value)}s"


def duration(seconds: float) -> str:
    """
    Seconds as a person says them: `0.8 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
    """
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size_text(value: int) -> str:
    """
    Bytes as an author writes them: in the largest unit that needs no fraction (`2GiB`, `16kB`).
    """
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        number, rest = divmod(value, _BYTES[unit.lower()])
        if number and not rest:
            return f"{number}{unit}"
    return f"{value}B"


def data_size(value: int) -> str:
    """
    Bytes as a person says them: `812 B`, `1.2 MB`.
    """
    if value < 1000:
        return f"{value} B"
    number, units = value / 1000, ["kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        del units[0]
    return f"{number:,.1f} {units[0]}"


def rate_text(value: float) -> str:
    """
    How often in a second, as an author writes it: `50/s`, `1000/m`, `1/7s`. What `per_second` reads is the same.
    """
    for unit, factor in (("s", 1), ("m", 60), ("h", 3600), ("d", 86400)):
        number = round(value * factor)
        if number and number / factor == value:
            return f"{number}/{unit}"
    pause = round(1 / value)
    return f"1/{duration_text(pause)}" if pause and 1 / pause == value else f"{_decimal(value)}/s"


def _decimal(value: float) -> str:
    """
    The shortest number that is read as this one, without an exponent.
    """
    return f"{Decimal(repr(value)):f}"
