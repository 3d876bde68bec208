"""
Where a job would go, or what a past run returned, in a terminal: what `oaflow route` shows.
"""

import json
from itertools import groupby

from rich.text import Text

from oaflow.cli.output import clean, count, remark, say_hanging, screen, shortened
from oaflow.cli.tables import print_table
from oaflow.operations.replaying import EdgeFlow, Moved, Replay, To
from oaflow.operations.routing import Answer, RoutedEntity, Routing

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
    print_table([("to", False), ("takes", False), ("of these", True)], rows)
    for way in routing.ways[:_NAMED]:
        _print_way(way)
    if len(routing.ways) > _NAMED:
        console.print(f"\n[dim]and {len(routing.ways) - _NAMED:,} more, see --json[/]")
    if routing.reason is not None:
        console.print()
        say_hanging(Text(clean(routing.reason), "yellow"))
    for stage in routing.loads:
        remark(f"the edge to {clean(stage)} reads the entities from the store; here it saw only the given job")
    for stage, reason in routing.disabled.items():
        remark(f"{clean(stage)} is off: {clean(reason)}")


def _print_way(way: RoutedEntity) -> None:
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


def print_replay(replay: Replay) -> None:
    """
    What goes along each edge before and after; then samples of what would go elsewhere, and what is not known.
    """
    console = screen()
    routed = sum(replay.routed.values())
    what = f"all {routed:,} jobs" if replay.whole else f"a sample of {count(routed, 'job')}"
    console.print(Text.assemble((clean(replay.run.id), "bold"), f": {what} that its stages returned, routed again"))
    if replay.edges:
        console.print()
        names = ("stage", False), ("port", False), ("to", False), ("takes", False), ("before", True), ("after", True)
        print_table(names, [_flow(flow) for flow in replay.edges])
    if replay.moved:
        console.print()
        console.print(Text(f"{count(replay.moved, 'entity', 'entities')} would go elsewhere", "yellow"))
    elif not (replay.refused or replay.troubled or replay.absent):
        console.print()
        console.print(Text("nothing would go elsewhere", "green"))
    for (stage, port, was, would), group in groupby(
        replay.samples, lambda one: (one.stage, one.port, one.was, one.would)
    ):
        say_hanging(Text(f"{clean(stage)}, port {clean(port)}: {_named(was)} became {_named(would)}", "bold"))
        for moved in group:
            say_hanging(Text(_which(moved), "dim"), 2, 4)
    for refusal in replay.refused:
        say_hanging(
            Text(f"{count(refusal.jobs, 'job')} of {clean(refusal.stage)} would fail: {clean(refusal.problem)}", "red")
        )
    for troubled in replay.troubled:
        was, would = (f"to {clean(name)}" if name else "to the failures" for name in (troubled.was, troubled.would))
        say_hanging(
            Text(f"{count(troubled.jobs, 'job')} of {clean(troubled.stage)} failed, went {was}, and would go {would}")
        )
    for stage, reason in replay.absent.items():
        remark(f"{clean(stage)} is left out: {clean(reason)}")
    for stage in replay.loads:
        remark(f"the edge to {clean(stage)} reads the entities from the store as it is now")
    if not replay.whole:
        for name, of in replay.stages.items():
            jobs = f"{replay.routed.get(name, 0):,} of {of.jobs:,} jobs"
            remark(f"{clean(name)}: {jobs} of {of.kept:,} hand-overs; there were {of.hops:,}")


def _flow(flow: EdgeFlow) -> list[object]:
    to = Text("nothing", "yellow") if flow.to is None else flow.to
    takes = flow.takes if flow.takes is not None else ("" if flow.to is None else "the edge is gone")
    style = "" if flow.before == flow.after else "bold yellow"
    before, after = Text(f"{flow.before:,}"), Text(f"{flow.after:,}", style)
    return [flow.stage, flow.port, to, shortened(takes, _LONGEST), before, after]


def _named(to: To) -> str:
    return ", ".join(map(clean, to)) or "nothing"


def _which(moved: Moved) -> str:
    what = f"{clean(moved.entity)} ({clean(moved.schema)})" if moved.entity is not None else "a job without entities"
    return f"{what}, returned by job {moved.job}"
