"""
Where everything is printed: data on stdout, remarks on stderr, and text from data only through `clean` or `escape`.
"""

import json
import os
import re
import select
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from oaflow.errors import EnvironmentProblem, OaflowError
from oaflow.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from oaflow.runtime.jsonlog import JsonLines
    from oaflow.runtime.logged import Level, Logged

_NAME = "oaflow"

_format: str | None = None

# How bad a remark is, by the colour that people see it in.
_LEVELS: "dict[str, Level]" = {"yellow": "warning", "red": "error"}

_COMMAND = re.compile(rf"(: +){_NAME}(?= [a-z])")

_OPENING = re.compile(r"(\\*)(\[|\Z)")


def clean(text: object) -> str:
    """
    Text from data on one line that no terminal obeys: control characters, line ends and lone surrogates are shown as
    escapes, and so are the marks that turn the direction of writing.
    """
    return visible(str(text), kept="\u3000")


def escape(text: object) -> str:
    """
    The same for a text that rich prints: what looks like its markup is text too (`report[/red].pdf`).
    """
    # Not rich's own `escape`: it prints the backslashes at the end of a name twice, and loses one before a bracket. A
    # mark that changes nothing keeps a bracket from being read with what follows it.
    return _OPENING.sub(_unread, clean(text))


def _unread(found: "re.Match[str]") -> str:
    slashes, bracket = found.groups()
    apart = f"{slashes * 2}[none][/none]" if slashes else ""
    return f"{apart}[[none][/none]" if bracket else apart


def shortened(text: object, width: int = 100) -> str:
    """
    A cleaned text of at most `width` letters.
    """
    line = clean(text)
    return line if len(line) <= width else line[: width - 1] + "…"


@cache
def screen() -> "Console":
    """
    For people, on stdout.
    """
    from rich.console import Console

    return Console(highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())


def can_be_drawn_on(console: "Console") -> bool:
    """
    Whether what stands there can be drawn anew: a terminal that obeys, where TERM=dumb and pipes get lines.
    """
    return console.is_terminal and not console.is_dumb_terminal


def fit(console: "Console") -> None:
    """
    Takes the size of the terminal as it is now, for what is drawn again and again. LINES and COLUMNS, which count for
    all else, are what it was when they were exported.
    """
    if not can_be_drawn_on(console):
        return
    with suppress(OSError, ValueError, AttributeError):
        columns, lines = os.get_terminal_size(console.file.fileno())
        if columns and lines:
            console.size = (columns, lines)  # pyright: ignore[reportAttributeAccessIssue]  # rich takes any pair


@cache
def remarks() -> "Console":
    """
    For people, on stderr: what goes on, and what went wrong.
    """
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def say(text: str) -> None:
    """
    Prints lines of data to stdout, as they are.
    """
    write(text if text.endswith("\n") else f"{text}\n")


def write(text: str) -> None:
    """
    Writes to stdout, also what its encoding does not hold.
    """
    stream = sys.stdout
    stream.write(text.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8"))
    stream.flush()


def say_into(text: str, output: Path | None) -> None:
    """
    Prints lines of data to stdout, or writes them to a file, and says so.

    Raises:
        EnvironmentProblem: the file cannot be written.
    """
    if output is None:
        say(text)
        return
    try:
        output.write_text(text if text.endswith("\n") else f"{text}\n", "utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"{str(output)!r} cannot be written: {error.strerror}") from error
    remark(f"wrote {clean(str(output))}")


def say_json(value: object) -> None:
    """
    Prints one JSON value on a line of its own. What is to be typed is under `help`, as people are told it.
    """
    if _program() != _NAME:
        value = _typable_within(value)
    write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def remark(text: str, style: str | None = None) -> None:
    """
    Prints a plain line to stderr. It is not markup; text from data in it has been cleaned. A command behind a colon is
    one to be typed.
    """
    text = _COMMAND.sub(lambda found: found[1] + _program(), text)
    if (lines := _json_lines()) is not None:
        lines.write(_LEVELS.get(style or "", "info"), "oaflow", text)
        return
    remarks().print(text, style=style, markup=False)


def tell_of_server() -> None:
    """
    From now on it is said that the private server is made, which takes seconds on a busy machine.
    """
    import logging

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            remark(clean(record.getMessage()))

    server = logging.getLogger("oaflow.postgres.cluster")
    if not server.handlers:
        server.setLevel(logging.INFO)
        server.addHandler(Told())


def log(logged: "Logged") -> None:
    """
    Prints to stderr what a stage function told Python's logging.
    """
    if (lines := _json_lines()) is not None:
        lines.write(logged.level, logged.logger, logged.text)
        return
    from oaflow.runtime.logged import as_text

    for line in as_text(logged).splitlines():
        remarks().print(clean(line), markup=False)


def log_as(format: str) -> None:
    """
    From now on remarks are logged so: as `text`, or as `json`.
    """
    global _format
    _format = format


def is_text() -> bool:
    """
    Whether remarks are text: what was typed counts, and before that is known, what the environment says.
    """
    return (_format or os.environ.get("OAFLOW_LOG_FORMAT")) != "json"


def _json_lines() -> "JsonLines | None":
    if is_text():
        return None
    from oaflow.runtime.jsonlog import JsonLines

    return JsonLines(sys.stderr.fileno())


def complain(error: OaflowError) -> None:
    """
    Prints an error as one sentence, and the next thing to type.
    """
    if (lines := _json_lines()) is not None:
        lines.write("error", "oaflow", str(error), help=error.help and typable(error.help))
        return
    console = remarks()
    console.print(f"[bold red]error:[/] {_several(str(error))}")
    if error.help:
        console.print(f"[bold cyan]help:[/]  {_several(typable(error.help))}")


def typable(command: str) -> str:
    """
    What is to be typed, by the way to this program that was typed now: where it was called by a path, as
    `.venv/bin/oaflow`, its bare name may be found nowhere.
    """
    word, space, rest = command.partition(" ")
    return f"{_program()}{space}{rest}" if word == _NAME else command


def _typable_within(value: object) -> object:
    match value:
        case dict():
            told = cast("dict[str, object]", value)
            return {
                key: typable(one) if key == "help" and isinstance(one, str) else _typable_within(one)
                for key, one in told.items()
            }
        case list() | tuple():
            return [_typable_within(one) for one in cast("Sequence[object]", value)]
        case _:
            return value


@cache
def _program() -> str:
    called = sys.argv[0] if sys.argv else ""
    by_path = os.sep in called and os.path.basename(called) == _NAME
    return shlex.quote(called) if by_path and shutil.which(_NAME) is None else _NAME


def _several(text: str) -> str:
    return "\n".join(escape(line) for line in text.splitlines()) or "unknown"


def interactive() -> bool:
    """
    Whether somebody sits there who can answer.
    """
    return is_text() and sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")


def table(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[object]]) -> "Table":
    """
    A plain table without lines; columns are (title, whether they hold numbers), cells are text from data.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for title, number in columns:
        # A number that is cut says so: 3,0 of 3,000 would be another one.
        made.add_column(
            title,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="ellipsis" if number else "fold",
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    return made


def hanging(text: "Text", width: int, first: int = 0, rest: int = 4) -> "list[Text]":
    """
    The lines of a text, no wider than `width`: the first is indented by `first`, those that go on by `rest`.
    """
    from rich.console import Console
    from rich.text import Text

    lines = text.wrap(Console(width=width), max(width - max(first, rest), 1), overflow="fold")
    return [Text(" " * (rest if number else first)).append_text(line) for number, line in enumerate(lines)]


def say_hanging(text: "Text", first: int = 0, rest: int = 4) -> None:
    """
    Prints a text to stdout, broken to the width of the terminal; where there is none, it is one line.
    """
    from rich.text import Text

    console = screen()
    whole = [Text(" " * first).append_text(text)]
    for line in hanging(text, console.width, first, rest) if console.is_terminal else whole:
        console.print(line)


def say_indented(text: "Text") -> None:
    """
    Prints a text to stdout with all its lines indented by two; where no terminal breaks lines, it is one.
    """
    from rich.padding import Padding
    from rich.text import Text

    console = screen()
    console.print(Padding(text, (0, 0, 0, 2)) if console.is_terminal else Text("  ").append_text(text))


def count(number: int, noun: str, plural: str | None = None) -> str:
    """
    `1 document`, `1,200 documents`.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def is_read() -> bool:
    """
    Whether somebody may still read what is written: `head` and `grep -m` end before those who write to them.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(0)
