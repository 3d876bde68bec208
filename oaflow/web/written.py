"""
How values are written on a page: numbers, times, names. Templates escape; these do not.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from oaflow.operations.estimating import Estimate
from oaflow.quantities import data_size, duration
from oaflow.visible import visible

# What is longer is cut, in letters: a reason may be all that some parser said.
_LONGEST = 400


def number(value: float) -> str:
    """
    `1,200`
    """
    return f"{value:,}"


def clock(value: datetime | None) -> str:
    """
    A moment, here, to the second.
    """
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S}" if value is not None else ""


def took(seconds: float | None) -> str:
    """
    A time, in milliseconds where it is short.
    """
    if seconds is None:
        return ""
    return duration(seconds) if seconds >= 1 else f"{max(seconds, 0) * 1000:.0f} ms"


def plural(value: int, noun: str, nouns: str | None = None) -> str:
    """
    `1 job`, `1,200 jobs`
    """
    return f"{value:,} {noun if value == 1 else nouns or noun + 's'}"


def plain(text: object, longest: int = _LONGEST) -> str:
    """
    Text from data on one line: what is not to be seen, or turns the direction of writing, is shown as an escape.
    """
    line = visible(str(text), kept="\u3000")
    return line if len(line) <= longest else line[: longest - 1] + "…"


def lines(text: str, last: int = 60) -> str:
    """
    The end of a text of several lines, such as a traceback, as `plain` has each.
    """
    found = text.rstrip().splitlines()
    left_out = [f"… {plural(len(found) - last, 'line')} left out …"] if len(found) > last else []
    return "\n".join([*left_out, *(plain(line.expandtabs(), 2000) for line in found[-last:])])


def pieces(text: str, marks: Iterable[Sequence[int]]) -> list[tuple[str, bool]]:
    """
    A text cut at the words that were looked for: each piece, and whether it is one of them.
    """
    found: list[tuple[str, bool]] = []
    at = 0
    for start, end in marks:
        found += [(plain(text[at:start], 10_000), False), (plain(text[start:end], 10_000), True)]
        at = end
    return [(piece, marked) for piece, marked in [*found, (plain(text[at:], 10_000), False)] if piece]


def left(estimate: Estimate) -> str:
    """
    How long a run will still take, or why that is not known.
    """
    if estimate.seconds is None or estimate.low is None or estimate.high is None:
        return f"no estimate yet: {estimate.why}"
    about, low, high = (duration(max(seconds, 0)) for seconds in (estimate.seconds, estimate.low, estimate.high))
    return f"about {about} left" + (f" ({low} to {high})" if low != high else "")


def value(param: object) -> str:
    """
    A param's value as a pipeline file has it: a text as it is, all else as JSON, which is YAML.
    """
    return plain(param if isinstance(param, str) else json.dumps(param, ensure_ascii=False), 400)


def memory(size: int) -> str:
    """
    `812 MB`
    """
    return f"{size / 1e6:,.0f} MB"


FILTERS: dict[str, Callable[..., Any]] = {
    "clock": clock,
    "duration": duration,
    "left": left,
    "lines": lines,
    "memory": memory,
    "number": number,
    "pieces": pieces,
    "plain": plain,
    "plural": plural,
    "size": data_size,
    "took": took,
    "value": value,
}
