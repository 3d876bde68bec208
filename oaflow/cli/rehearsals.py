"""
A failed job that is run here, in a terminal: what `oaflow retry JOB --here` shows.
"""

import pdb
from collections import Counter

from rich.text import Text

from oaflow.cli.output import clean, count, escape, remark, say_hanging, screen, shortened, typable
from oaflow.entities.rehearsal import Change
from oaflow.operations.rehearsing import Prepared, Rehearsed
from oaflow.quantities import duration

# Changes that are named; the rest is counted.
_NAMED = 20

# Letters of a name or a message.
_LONGEST = 200

_MARKS = {"new": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}


def print_prepared(prepared: Prepared) -> None:
    """
    What is about to run, and where its files are.
    """
    say_hanging(
        Text.assemble((f"job {prepared.job}", "bold"), f" of {clean(prepared.stage)}, task {clean(prepared.task)}")
    )
    say_hanging(Text(f"it failed with {shortened(prepared.before, _LONGEST)}", "dim"))
    for name, path in prepared.files.items():
        if path is None:
            remark(f"the archive does not have {shortened(name, _LONGEST)}", "yellow")
        else:
            say_hanging(Text.assemble(("file: ", "bold"), clean(path)), 0, 6)
    if prepared.crashed:
        remark("what killed its process may also kill this command", "yellow")
    screen().print()


def debug(error: BaseException) -> None:
    """
    The debugger, where it was raised.
    """
    remark(f"{type(error).__name__}: {shortened(error, _LONGEST)}", "red")
    remark("the debugger stopped where the error was raised: u and d move through the calls, q quits")
    pdb.post_mortem(error.__traceback__)


def print_rehearsed(rehearsed: Rehearsed) -> None:
    """
    How it went, and what of it was not done.
    """
    console = screen()
    if rehearsed.error is not None:
        for line in str(rehearsed.error.get("traceback") or "").rstrip().splitlines():
            console.print(f"[dim]{escape(line)}[/]")
        what = ": ".join(filter(None, [rehearsed.error.get("type"), rehearsed.error.get("message")]))
        say_hanging(
            Text.assemble(("failed", "red"), f" after {duration(rehearsed.seconds)}: {shortened(what, _LONGEST)}")
        )
        if rehearsed.error.get("help"):
            console.print(f"[cyan]help:[/] {escape(typable(rehearsed.error['help']))}")
    else:
        console.print(f"[green]done[/] after {duration(rehearsed.seconds)}")
    for stage, jobs in rehearsed.handed.items():
        say_hanging(Text(f"would hand {count(jobs, 'job')} to {clean(stage)}"))
    for reason in rehearsed.lost:
        say_hanging(Text(shortened(reason, _LONGEST), "dim"))
    if rehearsed.indexed:
        console.print(f"would make {count(rehearsed.indexed, 'entity', 'entities')} searchable")
    if rehearsed.deferred:
        console.print(f"would queue {count(rehearsed.deferred, 'job')} of other tasks")
    _print_changes(rehearsed.changes)
    remark("nothing was handed over or written")


def _print_changes(changes: tuple[Change, ...]) -> None:
    if not changes:
        return
    console = screen()
    kinds = Counter(change.kind for change in changes)
    console.print(f"would change the store: {', '.join(f'{number:,} {kind}' for kind, number in kinds.items())}")
    for change in changes[:_NAMED]:
        mark, style = _MARKS[change.kind]
        name = shortened(change.caption or change.entity, _LONGEST)
        line = Text.assemble((f"{mark} {clean(change.schema)} {name}", style))
        if change.properties:
            line.append(f"  {', '.join(change.properties)}", "dim")
        say_hanging(line, 2, 6)
    if len(changes) > _NAMED:
        console.print(f"  [dim]and {len(changes) - _NAMED:,} more[/]")
