"""
Diagnostics on the screen: `oaflow.rendering` says how they read, and this gives the text form its colours.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from oaflow.cli.options import debugging
from oaflow.cli.output import is_text, remark, remarks, say, screen
from oaflow.diagnostics import Diagnostic
from oaflow.rendering import FORMS, render, text_lines

if TYPE_CHECKING:
    from oaflow.operations.checking import Checked
    from oaflow.operations.programs import Program

FORMATS = tuple(FORMS)


def print_diagnostics(diagnostics: Sequence[Diagnostic], form: str, *, to_stderr: bool = False) -> None:
    """
    Prints diagnostics in one of `FORMATS`.
    """
    if form != "text":
        if text := render(diagnostics, form):
            say(text)
        return
    if to_stderr and not is_text():
        for diagnostic in diagnostics:
            remark(render([diagnostic], "concise").strip(), "red" if diagnostic.is_error else "yellow")
        return
    console = remarks() if to_stderr else screen()
    for diagnostic in diagnostics:
        # One print for all lines: each takes longer than what it prints.
        lines = [_coloured(line, diagnostic) for line in text_lines(diagnostic)]
        console.print(*lines, sep="\n", end="\n\n", markup=False, soft_wrap=True)


def raise_failures(programs: "Iterable[Program | Checked]") -> None:
    """
    With `--debug`: raises what the checks of a pipeline themselves raised, in place of telling it.
    """
    failure = next((program.failure for program in programs if program.failure is not None), None)
    if failure is not None and debugging.get():
        raise failure


def _coloured(line: str, diagnostic: Diagnostic) -> Any:
    from rich.text import Text

    colour = "red" if diagnostic.is_error else "yellow"
    text = Text(line)
    head = f"{diagnostic.rule.severity}[{diagnostic.code}]"
    if line.startswith(head):
        text.stylize(f"bold {colour}", 0, len(head))
    elif line.startswith("  help:"):
        text.stylize("bold cyan", 2, 7)
    elif line.startswith("  -->"):
        text.stylize("blue", 2, 5)
    elif line.startswith("      | ") and line.strip("| ").startswith("^"):
        text.stylize(f"bold {colour}", line.index("|") + 1)
    return text
