"""
Tables in text files: CSV and its relatives.
"""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from oaflow.stages.content import Content
from oaflow.stages.desk import Desk
from oaflow.stages.texts import decoded

# A cell of a table that people made is shorter; the standard library stops at 128 kB otherwise.
csv.field_size_limit(16 * 1024**2)


def read_table(path: Path, mime: str, desk: Desk) -> Content:
    """
    A table: a line of text for each row, and the names of its columns.
    """
    text, encoding = decoded(path.read_bytes())
    rows = 0
    columns: list[str] = []
    lines: list[str] = []
    for row in _rows(text, "\t" if mime == "text/tab-separated-values" else None):
        rows += 1
        if rows == 1:
            columns = row
        if rows % 10_000 == 0:
            desk.check_time("reading the table")
        lines.append("\t".join(cell.strip() for cell in row))
    properties = {"encoding": [encoding], "rowCount": [str(rows)]}
    if columns:
        properties["columns"] = [json.dumps(columns, ensure_ascii=False)]
    return Content("Table", text="\n".join(lines), properties=properties)


def _rows(text: str, delimiter: str | None) -> Iterator[list[str]]:
    if delimiter is None:
        try:
            delimiter = csv.Sniffer().sniff(text[:8_000], delimiters=",;\t|").delimiter
        except csv.Error:
            delimiter = ","
    # A quote that is never closed would swallow the rest of the file as one cell: then lines are rows.
    try:
        yield from [row for row in csv.reader(StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    except csv.Error:
        for line in text.splitlines():
            if line.strip():
                yield line.split(delimiter)
