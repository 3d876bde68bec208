"""
Phase 3: the graph that the edges make. Pure.

Whether something is wrong is found out with the few lines of reachability below; networkx, which takes longer to import
than a pipeline takes to be read and checked (measured: 0.3 s against 0.03 s), names the ways that are wrong, and so is
loaded only then. The tests hold the lines below against it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice, pairwise

from oaflow.compiler.rules import graph as rules
from oaflow.compiler.rules.expressions import NEVER_HOLDS
from oaflow.compiler.switches import switches_of
from oaflow.diagnostics import Diagnostic, Path, Span, Spans
from oaflow.model import Edge, Pipeline, Stage
from oaflow.plan.conditions import mapping_text
from oaflow.plan.joins import RUN, waits_of

# Which stages each stage leads to.
Graph = Mapping[str, Collection[str]]


def graph_of(pipeline: Pipeline, *, recurse: bool = True, on_error: bool = True) -> dict[str, list[str]]:
    """
    The stages that each stage leads to, in the order written.

    Args:
        recurse: whether edges that are marked `recurse` count.
        on_error: whether `on_error` counts as an edge.
    """
    graph: dict[str, list[str]] = {}
    for name, stage in pipeline.stages.items():
        targets = [edge.to for edge in stage.next if recurse or edge.recurse is None]
        if on_error and stage.on_error is not None:
            targets.append(stage.on_error)
        graph[name] = list(dict.fromkeys(target for target in targets if target in pipeline.stages))
    return graph


def reached_from(graph: Graph, sources: Iterable[str]) -> set[str]:
    """
    The sources and all that they lead to.
    """
    reached: set[str] = set()
    waiting = [name for name in sources if name in graph]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    return reached


def without_ends(graph: Graph) -> Graph:
    """
    What is left when stages that nothing leads to are taken away again and again: empty exactly if there is no cycle.

    Linear, where looking for a way back from every stage is not.
    """
    led_to = dict.fromkeys(graph, 0)
    for targets in graph.values():
        for target in targets:
            led_to[target] += 1
    ends = [name for name, count in led_to.items() if count == 0]
    for name in ends:
        for target in graph[name]:
            led_to[target] -= 1
            if led_to[target] == 0:
                ends.append(target)
    return {name: targets for name, targets in graph.items() if led_to[name]}


def on_one_way_round(graph: Graph) -> dict[str, int]:
    """
    For each stage a number: two have the same exactly if each leads to the other, or they are one.

    Linear (Kosaraju's way, twice through the graph), where asking for each edge what it reaches is not: of 5,000
    stages, 700 of which recurse, it was a third of the whole check. Not networkx, which answers the same: it takes
    longer to load than a check may, and this is asked of every pipeline.
    """
    ended: list[str] = []
    seen: set[str] = set()
    for root in graph:
        # Each stage twice: when it is come to, and when all behind it has been.
        waiting = [(root, False)]
        while waiting:
            name, done = waiting.pop()
            if done:
                ended.append(name)
            elif name not in seen:
                seen.add(name)
                waiting.append((name, True))
                waiting += [(target, False) for target in graph[name] if target not in seen]
    back: dict[str, list[str]] = {name: [] for name in graph}
    for name, targets in graph.items():
        for target in targets:
            back[target].append(name)
    numbers: dict[str, int] = {}
    for root in reversed(ended):
        rest = [root]
        while rest:
            name = rest.pop()
            if name not in numbers:
                numbers[name] = numbers.get(root, len(numbers))
                rest += back[name]
    return numbers


def path_between(graph: Graph, start: str, end: str) -> list[str] | None:
    """
    A shortest way of at least one step, both ends included; None where there is none.
    """
    if end not in reached_from(graph, graph[start]):
        return None
    import networkx as nx

    edges = nx.DiGraph({name: list(targets) for name, targets in graph.items()})
    ways = [nx.shortest_path(edges, first, end) for first in graph[start] if nx.has_path(edges, first, end)]
    return [start, *min(ways, key=len)]


def entries(pipeline: Pipeline) -> tuple[str, ...]:
    """
    Where a run starts: at what `start` says, else at the stages to which no other stage leads, joins left out.
    """
    if pipeline.start:
        return pipeline.start
    led_to = {target for name, targets in graph_of(pipeline).items() for target in targets if target != name}
    return tuple(name for name, stage in pipeline.stages.items() if name not in led_to and not stage.join)


def roots(pipeline: Pipeline) -> tuple[str, ...]:
    """
    Where work comes from: where a run starts, and joins, which are reached by waiting.
    """
    return (*entries(pipeline), *(name for name, stage in pipeline.stages.items() if stage.join))


def check_graph(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Everything that is wrong with the graph of a pipeline whose names are right.
    """
    yield from edges_to_joins(pipeline, spans)
    yield from start_of_run(pipeline, spans)
    yield from cycles(pipeline, spans)
    yield from idle_recursion(pipeline, spans)
    yield from error_cycles(pipeline, spans)
    yield from waiting_for_themselves(pipeline, spans)
    yield from unreachable(pipeline, spans)
    yield from ports_to_disabled(pipeline, spans)
    yield from unneeded_conditions(pipeline, spans)


def edges_to_joins(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    What would send jobs to a join.
    """
    help = "remove the edge: the join waits for {}, and gets one job when that is done"
    for index, name in enumerate(pipeline.start):
        if pipeline.stages[name].join:
            path: Path = ("start", index) if ("start", index) in spans.values else ("start",)
            message = f"no run starts at {name!r}: it is a join"
            yield Diagnostic(rules.EDGE_TO_JOIN, message, spans.value(*path), "name a stage that is not a join")
    for name, stage in pipeline.stages.items():
        places = [(edge.to, _place(name, edge)) for edge in stage.next]
        places += [(stage.on_error, ("stages", name, "on_error"))] if stage.on_error is not None else []
        for to, place in places:
            if said := pipeline.stages[to].join:
                waits = help.format("the run" if RUN in said else ", ".join(said))
                message = f"no edge leads to {to!r}: it is a join"
                yield Diagnostic(rules.EDGE_TO_JOIN, message, spans.value(*place), waits)


def waiting_for_themselves(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Joins that wait for what only comes after them.
    """
    for name, waits in waits_of(pipeline.stages).items():
        if name in waits:
            way = path_between(graph_of(pipeline), name, other) if (other := _after(pipeline, name)) else None
            yield Diagnostic(
                rules.JOIN_OF_ITSELF,
                f"join {name!r} would wait for itself" + (f": {' -> '.join(way)}" if way else ""),
                spans.value("stages", name, "join"),
                "let it wait for stages that do not come after it",
            )


def _after(pipeline: Pipeline, join: str) -> str | None:
    """
    A stage that a join names, and that comes after it.
    """
    after = reached_from(graph_of(pipeline), [join])
    return next((name for name in pipeline.stages[join].join if name in after and name != join), None)


def start_of_run(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Pipelines that start nowhere, or do not say where.
    """
    found = entries(pipeline)
    if len(found) == 0:
        first = next(iter(pipeline.stages))
        message = "some edge leads to every stage, so no run can start"
        yield Diagnostic(rules.NO_ENTRY, message, spans.key("stages"), f"say where a run starts: `start: {first}`")
    elif len(found) > 1 and not pipeline.start:
        names = ", ".join(found)
        yield Diagnostic(
            rules.SEVERAL_ENTRIES,
            f"no edge leads to {' nor to '.join(repr(name) for name in found)}, so a run could start at any of them",
            spans.key("stages", found[1]),
            f"add the missing edge; or write `start: [{names}]`, so that each of them gets the first job",
            tuple((f"nothing leads to {name!r}", spans.key("stages", name)) for name in found if name != found[1]),
        )
    elif found and all(pipeline.stages[name].enabled is False for name in found):
        yield Diagnostic(
            rules.START_DISABLED,
            f"a run starts at {found[0]!r}, which is disabled, so no stage of this pipeline would run",
            spans.value("stages", found[0], "enabled"),
            "enable it, or name another `start`",
        )


def cycles(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Ways back to the same stage on which no edge says `recurse`: each group of stages once, with a shortest way.
    """
    graph = without_ends(graph_of(pipeline, recurse=False, on_error=False))
    told: set[str] = set()
    for name in graph:
        way = None if name in told else path_between(graph, name, name)
        if way is None:
            continue
        told |= {other for other in reached_from(graph, [name]) if name in reached_from(graph, [other])}
        closing = _edge(pipeline.stages[way[-2]], name)
        help = f"if that is intended, set a depth on the edge: {{to: {name}, recurse: 16}}"
        yield Diagnostic(
            rules.CYCLE, _goes_round(way), spans.value(*_place(way[-2], closing)), help, _steps(pipeline, way, spans)
        )


def idle_recursion(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Edges with `recurse` that lie on no way back.
    """
    if not any(edge.recurse is not None for stage in pipeline.stages.values() for edge in stage.next):
        return
    round_ = on_one_way_round(graph_of(pipeline, on_error=False))
    for name, stage in pipeline.stages.items():
        for edge in stage.next:
            if edge.recurse is not None and round_[name] != round_[edge.to]:
                yield Diagnostic(
                    rules.IDLE_RECURSE,
                    f"stage {edge.to!r} never leads back to {name!r}, so `recurse` has nothing to limit",
                    spans.key(*_place(name, edge)[:-1], "recurse"),
                    "remove `recurse`, or add the edge that leads back",
                )


def error_cycles(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    `on_error`s on a way back to the stage that failed.
    """
    graph = graph_of(pipeline)
    round_ = on_one_way_round(graph)
    told: set[frozenset[str]] = set()
    for name, stage in pipeline.stages.items():
        if stage.on_error is None or round_[name] != round_[stage.on_error]:
            continue
        way = [name, name] if stage.on_error == name else path_between(graph, stage.on_error, name)
        if way is None:
            continue
        way = way if stage.on_error == name else [name, *way]
        if frozenset(way) in told:
            continue
        told.add(frozenset(way))
        yield Diagnostic(
            rules.ERROR_CYCLE,
            f"a job that keeps failing would cycle for ever: {' -> '.join(way)}",
            spans.value("stages", name, "on_error"),
            "name a stage that does not lead back, or leave it out: failed jobs are kept for `oaflow retry`",
            _steps(pipeline, way[1:], spans),
        )


def unreachable(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Stages to which no run comes.
    """
    start = entries(pipeline)
    reached = reached_from(graph_of(pipeline), roots(pipeline))
    for name in pipeline.stages:
        # Without an entry there is one mistake, and this is not it.
        if start and name not in reached:
            yield Diagnostic(
                rules.UNREACHABLE,
                f"no run reaches stage {name!r}",
                spans.key("stages", name),
                f"add an edge to it from a stage that is reached ({', '.join(sorted(reached))}), or remove it",
            )


def ports_to_disabled(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Ports whose output has nowhere to go when stages are disabled.
    """
    switches = switches_of(pipeline)

    @cache
    def left(off: frozenset[str]) -> set[str]:
        return alive(pipeline, off)

    for name, stage in pipeline.stages.items():
        for port, edges in _by_port(stage).items():
            targets = [pipeline.stages[edge.to] for edge in edges]
            if any(target.enabled is True for target in targets):
                continue
            off = {target.enabled for target in targets if isinstance(target.enabled, str)}
            if not any(name in left(frozenset(together)) for together in switches.off_with(off)):
                continue
            names = " and ".join(repr(edge.to) for edge in edges)
            what = "which is disabled" if not off else "which can be disabled"
            yield Diagnostic(
                rules.ONLY_DISABLED,
                f"port {port!r} of stage {name!r} leads only to {names}, {what}",
                spans.value(*_place(name, edges[0])),
                f"add {{to: STAGE, else: true}} on port {port!r}, to a stage that is always on; or `{port}: drop`",
                tuple(
                    (f"{edge.to!r} is on only if {target.enabled}", spans.value("stages", edge.to, "enabled"))
                    for edge, target in zip(edges, targets, strict=True)
                    if isinstance(target.enabled, str)
                ),
            )


def unneeded_conditions(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Edges that nothing is left for, and `choose` where there is no choice.
    """
    for name, stage in pipeline.stages.items():
        # Of `defaults` only priority holds for an external stage.
        yield from _impossible(name, stage, spans)
        first = (stage.choose or (None if stage.external else pipeline.defaults.choose)) == "first"
        ports = _by_port(stage)
        for port, edges in ports.items():
            yield from _several_else(name, port, edges, spans)
            # What can be disabled takes everything in some runs only.
            always = [edge for edge in edges if pipeline.stages[edge.to].enabled is True]
            all_takers = [edge for edge in always if edge.takes_all]
            if not all_takers:
                yield from _taken_before(name, port, edges, always, first, spans)
            behind = False
            for edge in edges if all_takers else ():
                taker = all_takers[0]
                notes = ((f"{taker.to!r} gets everything", spans.value(*_place(name, taker))),)
                if edge.rest:
                    message = (
                        f"nothing is left for the `else` to {edge.to!r}: {taker.to!r} takes everything on port {port!r}"
                    )
                    help = f"give the edge to {taker.to!r} a condition, or remove the `else`"
                    yield Diagnostic(rules.IDLE_ELSE, message, spans.key(*_place(name, edge)[:-1], "else"), help, notes)
                elif first and behind:
                    message = f"nothing is left for {edge.to!r}: {taker.to!r} comes before it and takes everything"
                    help = f"put the edge to {taker.to!r} last, or give it a condition"
                    yield Diagnostic(rules.NEVER_TAKEN, message, spans.value(*_place(name, edge)), help, notes)
                behind = behind or edge is taker
        if stage.choose == "first" and not any(
            edge.when or edge.where for edges in ports.values() if len(edges) > 1 for edge in edges
        ):
            message = f"stage {name!r} has nothing to choose from: no port has several edges and a condition"
            help = "remove `choose`, or give edges a `where` or a `when`"
            yield Diagnostic(rules.IDLE_CHOOSE, message, spans.key("stages", name, "choose"), help)


def _by_port(stage: Stage) -> dict[str, list[Edge]]:
    ports: dict[str, list[Edge]] = {}
    for edge in stage.next:
        ports.setdefault(edge.port, []).append(edge)
    return ports


def _impossible(name: str, stage: Stage, spans: Spans) -> Iterator[Diagnostic]:
    for edge in stage.next:
        if edge.when is None and edge.where is None:
            continue
        # Loaded where there is one, as expressions are.
        from oaflow.expressions import admitted, formula, possible

        if isinstance(edge.where, Mapping) and not admitted(edge.where):
            asked = mapping_text(edge.where)
            message = f"no entity passes this `where`: no schema of FollowTheMoney is all of {asked}"
            help = "remove a key, or add a second edge to that stage"
            yield Diagnostic(rules.NO_SCHEMA, message, spans.key(*_place(name, edge)[:-1], "where"), help)
        elif not possible([formula(edge.when, edge.where)]):
            keys = [key for key in ("when", "where") if not possible([formula(**{key: getattr(edge, key)})])]
            key, also = (keys[0], "") if keys else ("where", " where its `when` does")
            message = f"nothing goes to {edge.to!r}: this `{key}` never holds{also}"
            both = ": `and` means both at once" if " and " in str(getattr(edge, key)) else ""
            help = f"remove the edge, or change its condition{both}"
            yield Diagnostic(NEVER_HOLDS, message, spans.value(*_place(name, edge)[:-1], key), help)


def _taken_before(
    name: str, port: str, edges: list[Edge], always: list[Edge], first: bool, spans: Spans
) -> Iterator[Diagnostic]:
    """
    Edges for which the others of their port leave nothing, by what their conditions say together.
    """
    asking = [edge for edge in edges if edge.when is not None or edge.where is not None]
    rest = [edge for edge in edges if edge.rest]
    if len(asking) < 2 or not (first or rest):
        return
    from oaflow.expressions import LONGEST, formula, possible

    asked = {id(edge): formula(edge.when, edge.where) for edge in asking}
    # By identity: to compare edges of a pydantic model by value, each with all others, took most of the time.
    stays = {id(edge) for edge in always}
    for number, edge in enumerate(asking if first else ()):
        # A job without entities is taken by a `when` alone. What an edge loads may be more than what another one sees.
        earlier = (
            other
            for other in islice(asking, number)
            if id(other) in stays and other.load == edge.load and (other.where is None or edge.where is not None)
        )
        # Of more nothing would be told.
        before = list(islice(earlier, LONGEST + 1))
        mine = [asked[id(edge)]]
        if before and possible(mine) and not possible(mine, [asked[id(other)] for other in before]):
            alone = [other for other in before if not possible(mine, [asked[id(other)]])]
            takers = alone[:1] or before
            who = f"{takers[0].to!r} takes" if alone else "the edges before it take"
            message = f"nothing is left for {edge.to!r}: {who} all that it would"
            help = "put the narrower condition first"
            notes = tuple((f"{other.to!r} comes before it", spans.value(*_place(name, other))) for other in takers)
            yield Diagnostic(rules.NEVER_TAKEN, message, spans.value(*_place(name, edge)), help, notes)
    whens = [asked[id(edge)] for edge in asking if edge.where is None and id(edge) in stays]
    for edge in rest if whens and not possible([], whens) else ():
        message = f"nothing is left for the `else` to {edge.to!r}: each job on port {port!r} is taken by a `when`"
        help = "remove the `else`, or change a `when`"
        yield Diagnostic(rules.IDLE_ELSE, message, spans.key(*_place(name, edge)[:-1], "else"), help)


def _several_else(name: str, port: str, edges: list[Edge], spans: Spans) -> Iterator[Diagnostic]:
    places = [spans.key(*_place(name, edge)[:-1], "else") for edge in edges if edge.rest]
    for place in places[1:]:
        message = f"port {port!r} of stage {name!r} has a second `else`"
        notes = (("the first is here", places[0]),)
        yield Diagnostic(rules.SEVERAL_ELSE, message, place, "remove one of them", notes)


def alive(pipeline: Pipeline, off: Collection[str]) -> set[str]:
    """
    The stages that are left where exactly these expressions are false.
    """
    on = {name for name, stage in pipeline.stages.items() if stage.enabled is not False and stage.enabled not in off}
    edges = graph_of(pipeline)
    graph = {name: [to for to in edges[name] if to in on] for name in on}
    reached, sources = set[str](), {*entries(pipeline)} & on
    while sources:
        reached |= reached_from(graph, sources)
        joins = {name for name in on if (said := pipeline.stages[name].join) and (RUN in said or reached & {*said})}
        sources = joins - reached
    return reached


def _goes_round(way: list[str]) -> str:
    return f"stage {way[0]!r} leads to itself" if len(way) == 2 else f"stages form a cycle: {' -> '.join(way)}"


def _edge(stage: Stage, to: str) -> Edge | None:
    return next((edge for edge in stage.next if edge.to == to and edge.recurse is None), None)


def _place(name: str, edge: Edge | None) -> Path:
    return ("stages", name, "on_error") if edge is None else ("stages", name, *edge.place)


def _steps(pipeline: Pipeline, way: list[str], spans: Spans) -> tuple[tuple[str, Span], ...]:
    """
    The places of all edges of a way but the last, which has the caret.
    """
    steps: list[tuple[str, Span]] = []
    for here, there in pairwise(way[:-1]):
        edge = next((edge for edge in pipeline.stages[here].next if edge.to == there), None)
        steps.append((f"{here!r} leads to {there!r} here", spans.value(*_place(here, edge))))
    return tuple(steps)
