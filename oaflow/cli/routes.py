"""
Where a job would go, in a terminal: what `oaflow route` shows.
"""

import json

from rich.text import Text

from oaflow.cli.output import clean, count, remark, say_hanging, screen, shortened, table
from oaflow.operations.routing import Answer, Routing, Way

# Letters of a condition or a value, and entities that are shown one by one.
_LONGEST = 60
_NAMED = 20


def print_routing(routing: Routing) -> None:
    """
    Each edge with what it takes; then each entity with what every edge was asked about it.
    """
    console = screen()
    entities = sum(way.entity is not None for way in routing.ways)
    what = count(entities, "entity", "entities") if entities else "a job without entities"
    console.print(Text.assemble((f"{clean(routing.stage)}, port {clean(routing.port)}", "bold"), f": {what}"))
    console.print()
    answers = routing.ways[0].answers
    rows: list[list[object]] = [
        [answer.to, shortened(answer.condition, _LONGEST), str(sum(answer.to in way.to for way in routing.ways))]
        for answer in answers
    ]
    lost = sum(not way.to for way in routing.ways)
    if lost:
        rows.append([Text("nothing", "yellow"), "", Text(str(lost), "yellow")])
    console.print(table([("to", False), ("takes", False), ("of these", True)], rows))
    for way in routing.ways[:_NAMED]:
        _print_way(way)
    if len(routing.ways) > _NAMED:
        console.print(f"\n[dim]and {len(routing.ways) - _NAMED:,} more, which --json has[/]")
    if routing.reason is not None:
        console.print()
        say_hanging(Text(clean(routing.reason), "yellow"))
    for stage in routing.loads:
        remark(f"the edge to {clean(stage)} reads the entities from the store; here it saw only what was given")
    for stage, reason in routing.disabled.items():
        remark(f"{clean(stage)} is off: {clean(reason)}")


def _print_way(way: Way) -> None:
    console = screen()
    console.print()
    named = f"{clean(way.entity)} ({clean(way.schema)})" if way.entity is not None else "the job"
    to = Text(", ".join(map(clean, way.to)), "green") if way.to else Text("nothing", "yellow")
    console.print(Text.assemble((named, "bold"), " goes to ", to))
    width = max((len(clean(answer.to)) for answer in way.answers), default=0)
    for answer in way.answers:
        say_hanging(_said(answer, width), 2, 6)


def _said(answer: Answer, width: int) -> Text:
    mark = {True: ("✓", "green"), False: ("✗", "yellow"), None: (" ", "")}[answer.holds]
    values = ", ".join(f"{piece} is {shortened(_shown(value), _LONGEST)}" for piece, value in answer.values.items())
    return Text.assemble(mark, f" {clean(answer.to).ljust(width)}  ", (clean(values), "dim"))


def _shown(value: object) -> str:
    return "empty" if value in (None, "", [], ()) else json.dumps(value, ensure_ascii=False, default=str)
