"""
What became of a document, as a tree in a terminal: what `oaflow trace` shows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.text import Text
from rich.tree import Tree

from oaflow.cli.output import clean, count, remark, say, say_hanging, screen, shortened, typable
from oaflow.cli.tables import print_table
from oaflow.entities.said import Said
from oaflow.operations.passports import Attempt, Passport, Step
from oaflow.operations.tracing import MOST, Found, Traced
from oaflow.quantities import duration

# Children and entities that are named; the rest is counted, and `--json` has all.
_CHILDREN = 10
_WRITTEN = 3

# Letters of a name, and of what an error says.
_LONGEST = 200

# Letters of a line, where no terminal breaks it.
_ENDLESS = 100_000

_STYLES = {
    "done": "green",
    "indexed": "green",
    "failed": "red",
    "crashed": "red",
    "vanished": "red",
    "retried": "yellow",
    "orphaned": "yellow",
    "diverted": "yellow",
    "parted": "yellow",
}


def print_traced(traced: Traced) -> None:
    """
    The passport of what was found, or what it may stand for.
    """
    if traced.entity:
        _print_entity(traced.entity)
    if not traced.passports:
        _print_found(traced.found)
        return
    for number, passport in enumerate(traced.passports):
        if number or traced.entity:
            screen().print()
        _print_passport(passport)
    others = [run for found in traced.found for run in found.others]
    if others:
        more = f" and {len(others) - 5:,} more" if len(others) > 5 else ""
        remark(f"in other runs too: {', '.join(others[:5])}{more}")
        remark(f"help:  {typable(f'oaflow trace {traced.found[0].document} --run {others[0]}')}")


def _print_found(found: Iterable[Found]) -> None:
    rows = [(one.document, shortened(one.name, _LONGEST), one.dataset, one.run) for one in found]
    columns = [("document", False), ("name", False), ("dataset", False), ("latest run", False)]
    print_table(columns, rows)
    if len(rows) < MOST:
        remark(f"this matches {count(len(rows), 'document')}")
    else:
        remark(f"this matches {len(rows)} documents, and maybe more; name a folder before it to match fewer")
    remark(f"help:  {typable(f'oaflow trace {rows[0][0]}')}")


def _print_entity(told: Iterable[Said]) -> None:
    for one in told:
        what = _named(one)
        text = Text.assemble((what, "bold"), f", written by {clean(one.origin)}")
        if one.fragment != "default":
            text.append(f" because of {clean(one.fragment)}", "dim")
        say_hanging(text)


def _print_passport(passport: Passport) -> None:
    console, run = screen(), passport.run
    say_hanging(Text(shortened(passport.way or passport.name, _LONGEST), "bold"))
    line = passport.line or "on its way"
    text = Text.assemble((line, _STYLES.get(line, "yellow")))
    if passport.kind == "unreadable":
        text.append(", unreadable", "yellow")
    if passport.reason:
        text.append(f": {shortened(passport.reason, _LONGEST)}")
    say_hanging(text)
    say_hanging(Text(f"document {clean(passport.document)}  dataset {clean(run.dataset)}", "dim"))
    say_hanging(Text(f"run {clean(run.id)}, {run.state}, started {run.created_at.astimezone():%Y-%m-%d %H:%M}", "dim"))
    console.print()
    tree = Tree(_root(passport), guide_style="dim")
    _grow(tree, passport.steps, passport.line)
    if console.is_terminal:
        console.print(tree)
    else:  # nothing breaks lines
        for line in console.render_lines(tree, console.options.update(width=_ENDLESS), pad=False):
            say("".join(segment.text for segment in line).rstrip())
    if not passport.steps:
        remark(
            f"the history of run {clean(run.id)} does not mention it (OAFLOW_KEEP says for how many days it is kept)"
        )
    if passport.line == "failed" and (failed := _last_failed(passport)) is not None:
        if not failed.external:
            remark(f"look at it: {typable(f'oaflow retry {failed.job} --here')}")
        elif run.state != "cancelled":
            remark(f"ask its service again: {typable(f'oaflow retry {run.id} --stage {failed.stage}')}")
    _print_children(passport)
    _print_said(passport)


def _last_failed(passport: Passport) -> Step | None:
    steps = [step for step in passport.walk() if step.attempts and step.attempts[-1].outcome == "failed"]
    return steps[-1] if steps else None


def _root(passport: Passport) -> Text:
    finder = passport.finder
    if finder is None:
        return Text("it entered the run")
    place = f" in {shortened(finder.container[1], _LONGEST)}" if finder.container else ""
    return Text.assemble((clean(finder.stage), "bold"), (f"  job {finder.job}", "dim"), f"  found it{place}")


def _grow(tree: Tree, steps: Iterable[Step], line: str | None) -> None:
    # Not by recursion: archives lie in archives, and retries hang below what they repeat.
    ahead = [(tree, step) for step in reversed(list(steps))]
    while ahead:
        above, step = ahead.pop()
        node = above.add(Text("\n").join(_lines(step, line)))
        ahead += [(node, next) for next in reversed(step.next)]


def _lines(step: Step, line: str | None) -> Iterator[Text]:
    head = Text.assemble((clean(step.stage), "bold"), (f"  job {step.job}", "dim"))
    if step.of is not None:
        head.append(f", job {step.of} again", "dim")
    if step.beside:
        head.append(f", with {count(step.beside, 'other document')}", "dim")
    if step.state is not None:
        head.append(f"  {step.state}", "cyan")
    yield head
    for attempt in step.attempts:
        yield from _attempt(attempt, line, alone=len(step.attempts) == 1)
    if step.wrote:
        yield Text(f"wrote {_written(step.wrote)}")


def _attempt(attempt: Attempt, outcome: str | None, *, alone: bool) -> Iterator[Text]:
    line = Text()
    if attempt.number is not None and not alone:
        line.append(f"attempt {attempt.number} ")
    line.append(attempt.outcome, _STYLES.get(attempt.outcome, ""))
    facts: list[str] = []
    if attempt.wait is not None:
        facts.append(f"waited {_short(attempt.wait)}")
    if attempt.seconds is not None:
        facts.append(f"took {_short(attempt.seconds)}")
    if attempt.parts:
        facts.append(f"in {attempt.parts + 1:,} parts")
    if facts:
        line.append(f"  {', '.join(facts)}")
    who = [f"worker {attempt.worker}"] if attempt.worker is not None else []
    if attempt.place:
        who[0] += f" on {clean(attempt.place)}"
    if attempt.version:
        who.append(f"code {clean(attempt.version)}")
    if who:
        line.append(f"  {', '.join(who)}", "dim")
    yield line
    if attempt.error:
        said = ": ".join(filter(None, [attempt.error.get("type"), attempt.error.get("message")]))
        yield Text(f"  {shortened(said, _LONGEST)}", "red" if attempt.outcome in ("failed", "crashed") else "yellow")
    for reason in attempt.lost:
        # That nothing follows the last stage is no news.
        if outcome != "indexed" or not reason.startswith("ended: "):
            yield Text(f"  {shortened(reason, _LONGEST)}", "dim")


def _short(seconds: float) -> str:
    return duration(seconds) if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _written(wrote: Iterable[Said]) -> str:
    """
    `1 Pages, 4 Page: report.pdf`
    """
    some = list(wrote)
    schemata = Counter(one.schema or "?" for one in some)
    text = ", ".join(f"{number:,} {clean(schema)}" for schema, number in schemata.items())
    names = list(dict.fromkeys(shortened(one.caption, 60) for one in some if one.caption))
    if names:
        text += f": {', '.join(names[:_WRITTEN])}"
        text += f" and {len(names) - _WRITTEN:,} more" if len(names) > _WRITTEN else ""
    return text


def _print_children(passport: Passport) -> None:
    if not passport.children:
        return
    console = screen()
    console.print()
    console.print(f"[bold]in it[/] {count(len(passport.children), 'document')} found:")
    within = f"{passport.name.rpartition('/')[2]}/"  # named above already
    for id, name in passport.children[:_CHILDREN]:
        say_hanging(Text.assemble(shortened(name.removeprefix(within), _LONGEST), (f"  {clean(id)}", "dim")), 2, 6)
    if len(passport.children) > _CHILDREN:
        console.print(f"  [dim]and {len(passport.children) - _CHILDREN:,} more, see --json[/]")


def _print_said(passport: Passport) -> None:
    origins: dict[str, list[Said]] = {}
    for one in passport.said:
        origins.setdefault(one.origin, []).append(one)
    if not origins:
        return
    console = screen()
    console.print()
    console.print("[bold]other stages wrote about it:[/]")
    for origin, some in origins.items():
        say_hanging(Text(f"{clean(origin)}: {_written(some)}"), 2, 6)


def _named(one: Said) -> str:
    return " ".join(filter(None, [clean(one.schema or "entity"), shortened(one.caption or "", _LONGEST), one.entity]))
