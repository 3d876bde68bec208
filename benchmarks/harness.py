"""
What a measurement is: rounds in which all variants take turns, medians and ratios of these, and how they are shown.

Pure, but for `interleaved`, which calls what it is given.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Size = Literal["tiny", "small", "full"]
Better = Literal["at most", "at least", "exactly"]


@dataclass(frozen=True)
class Target:
    """
    What a figure must reach.
    """

    better: Better
    value: float

    def met(self, figure: float) -> bool:
        """
        Whether a figure reaches it.
        """
        match self.better:
            case "at most":
                return figure <= self.value
            case "at least":
                return figure >= self.value
            case "exactly":
                return figure == self.value

    def __str__(self) -> str:
        return f"{self.better} {number(self.value)}"


@dataclass(frozen=True)
class Figure:
    """
    One line of a report: a figure of each round.

    Attributes:
        what: what was measured.
        unit: of the figures.
        rounds: one figure for each round.
        target: what their median must reach; None where it is only told.
    """

    what: str
    unit: str
    rounds: tuple[float, ...]
    target: Target | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def range(self) -> tuple[float, float]:
        return min(self.rounds), max(self.rounds)

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met(self.median)


@dataclass(frozen=True)
class Report:
    """
    What one benchmark found. `remarks` say what a reader of the figures has to know.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> dict[str, Any]:
        """
        All of it, with medians and targets spelled out.
        """
        return {
            **asdict(self),
            "figures": [
                {**asdict(figure), "median": figure.median, "range": figure.range, "met": figure.met}
                for figure in self.figures
            ],
        }


def interleaved(variants: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """
    Calls every variant once a round, so that what the machine does meanwhile meets all of them alike. The order turns
    with each round: none is always the first after a pause.
    """
    names = list(variants)
    found: dict[str, list[T]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(variants[name]())
    return found


def ratios(over: Sequence[float], under: Sequence[float]) -> tuple[float, ...]:
    """
    Round by round: on a machine that is not quiet, two figures of one round are comparable, those of two rounds less.
    """
    return tuple(above / below for above, below in zip(over, under, strict=True))


def number(value: float) -> str:
    """
    A figure as people read it: three significant digits, thousands parted.
    """
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def table(report: Report) -> str:
    """
    A report in lines for a terminal; the mark at the end says whether the target was met.
    """
    head = ("", "median", "range", "unit", "must be", "")
    rows = [head, *(_row(figure) for figure in report.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column in (0, 3, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([report.title, *(f"  {line}" for line in lines), *(f"  {remark}" for remark in report.remarks)])


def markdown(report: Report) -> str:
    """
    The same for a page of the docs.
    """
    lines = ["| what | median | range | must be |", "|---|---|---|---|"]
    for figure in report.figures:
        _, median, spread, unit, target, mark = _row(figure)
        lines.append(f"| {figure.what} | {median} {unit} | {spread} | {' '.join(filter(None, (target, mark)))} |")
    return "\n".join([*lines, "", *report.remarks])


def _row(figure: Figure) -> tuple[str, str, str, str, str, str]:
    low, high = figure.range
    spread = f"{number(low)}-{number(high)}" if len(figure.rounds) > 1 else ""
    mark = {None: "", True: "met", False: "MISSED"}[figure.met]
    target = "" if figure.target is None else str(figure.target)
    return figure.what, number(figure.median), spread, figure.unit, target, mark
