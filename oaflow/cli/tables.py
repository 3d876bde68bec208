"""
Tables whose words stay whole, so that ids and names can be copied: where a table has no room for that, each row is a
paragraph of its own.
"""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.text import Text

from oaflow.cli.output import clean, say, say_hanging, screen, table

# Between columns.
_GAP = 3


def print_table(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[object]]) -> None:
    """
    Prints a table to stdout; columns and cells are as for `table`. Where no terminal breaks lines, nothing does.
    """
    console = screen()
    made = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
    whole = [[Text(title), *(row[number] for row in made)] for number, (title, _) in enumerate(columns)]
    natural = [max(cell.cell_len for cell in column) for column in whole]
    least = [
        width if columns[number][1] else max(map(cell_len, " ".join(cell.plain for cell in whole[number]).split(" ")))
        for number, width in enumerate(natural)
    ]
    room = (console.width if console.is_terminal else sum(natural) + len(columns) * _GAP) - _GAP * (len(columns) - 1)
    if sum(least) > room:
        for row in made:
            _print_paragraph(columns, row, console.width)
        return
    shown = table(columns, made)
    for column, width in zip(shown.columns, fitted(natural, least, room), strict=True):
        column.width = width
    if console.is_terminal:
        console.print(shown)
        return
    for line in console.render_lines(
        shown, console.options.update(width=sum(natural) + len(columns) * _GAP), pad=False
    ):
        say("".join(segment.text for segment in line).rstrip())


def fitted(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """
    The widths of columns in some room that has place for the least of each: the widest of those that can gives. Pure.
    """
    widths = list(natural)
    while sum(widths) > room:
        gives = max((number for number, width in enumerate(widths) if width > least[number]), key=widths.__getitem__)
        widths[gives] -= 1
    return widths


def _print_paragraph(columns: Sequence[tuple[str, bool]], row: Sequence[Text], width: int) -> None:
    """
    What the row is about; below it the rest, each with its title.
    """
    say_hanging(row[0])
    line = Text()
    for (title, _), cell in zip(columns[1:], row[1:], strict=True):
        pair = Text.assemble((f"{title} ", "dim"), cell)
        if not cell.plain:
            continue
        if line and line.cell_len + pair.cell_len + 4 > width:
            say_hanging(line, 2)
            line = Text()
        line = Text.assemble(line, "  ", pair) if line else pair
    say_hanging(line, 2)
