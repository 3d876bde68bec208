"""
Strategies of hypothesis for plans.
"""

from collections.abc import Mapping
from functools import cache
from random import Random

from hypothesis import strategies as st

from oaflow.plan import Plan, PlannedEdge, PlannedParam, PlannedRetry, PlannedStage

NAMES = ("a", "b", "c", "d", "e")
PORTS = ("default", "children", "media")

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)

_texts = st.lists(st.sampled_from(["Person", "Company", "${params.flag}", "${params.many}"]), min_size=1).map(tuple)
wheres = st.fixed_dictionaries(
    {"schema": _texts}, optional={"country": _texts, "not": st.fixed_dictionaries({"mimeType": _texts})}
)

params = st.fixed_dictionaries(
    {},
    optional={
        "flag": st.builds(PlannedParam, type=st.just("bool"), default=st.none() | st.booleans()),
        "many": st.builds(PlannedParam, type=st.just("list"), of=st.just("string"), positional=st.booleans()),
        "wait": st.builds(PlannedParam, type=st.just("duration"), default=st.none() | st.floats(0, 1e6)),
    },
)


# A strategy is made once for the same names: made for each stage, it takes more than what it draws.
@cache
def stages(names: tuple[str, ...]) -> st.SearchStrategy[PlannedStage]:
    """
    One stage with edges to any of the names.
    """
    edges = st.builds(
        PlannedEdge,
        to=st.sampled_from(names),
        port=st.sampled_from(PORTS),
        recurse=st.none() | st.integers(1, 20),
        when=st.none() | st.just("job.context.ocr"),
        where=st.none() | st.just("is_a(e, 'Person')") | wheres,
        rest=st.booleans(),
        load=st.booleans(),
    )
    return st.builds(
        PlannedStage,
        task=st.sampled_from(["m.one", "m.two"]),
        queue=st.sampled_from(["q", "r"]),
        edges=st.lists(edges, max_size=4, unique_by=lambda edge: (edge.to, edge.port)).map(tuple),
        dropped=st.lists(st.sampled_from(["x", "y", "z"]), unique=True, max_size=3).map(tuple),
        options=st.dictionaries(st.sampled_from(["k", "l", "m"]), values, max_size=3),
        retry=st.builds(PlannedRetry, max=st.integers(0, 9), base=st.floats(0, 100)),
        timeout=st.none() | st.floats(0.1, 1e6),
        memory=st.none() | st.integers(1, 2**40),
        priority=st.integers(-100, 100),
        on_error=st.none() | st.sampled_from(names),
        emit=st.sampled_from(["success", "stream"]),
        choose=st.sampled_from(["all", "first"]),
        lock=st.none() | st.sampled_from(["job.dataset", "params.p"]),
        enabled=st.booleans() | st.just("params.flag"),
        external=st.booleans(),
        origin=st.none() | st.sampled_from(["p/a", "o"]),
        accepts=st.none() | st.lists(st.sampled_from(["Document", "Person"]), unique=True).map(tuple),
    )


@cache
def _plans_of(names: tuple[str, ...]) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        pipeline=st.just("p"),
        start=st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True).map(tuple),
        params=params,
        stages=st.fixed_dictionaries({name: stages(names) for name in names}),
    )


@cache
def plans() -> st.SearchStrategy[Plan]:
    """
    Plans of up to five stages, that need not have passed a check.
    """
    return st.integers(1, len(NAMES)).flatmap(lambda size: _plans_of(NAMES[:size]))


def shuffled(plan: Plan, random: Random) -> Plan:
    """
    The same plan, with everything in another order that comes from keys of a file.
    """

    def anew(pairs):
        items = list(pairs.items())
        random.shuffle(items)
        return dict(items)

    def edge_anew(edge: PlannedEdge) -> PlannedEdge:
        if not isinstance(edge.where, Mapping):
            return edge
        # Of the values of a key one is wanted, in whatever order they stand.
        mixed = {
            key: tuple(random.sample(wanted, len(wanted))) if isinstance(wanted, tuple) else wanted
            for key, wanted in edge.where.items()
        }
        return edge.model_copy(update={"where": anew(mixed)})

    def stage(planned: PlannedStage) -> PlannedStage:
        by_port = {}
        for edge in map(edge_anew, planned.edges):
            by_port.setdefault(edge.port, []).append(edge)
        dropped = list(planned.dropped)
        random.shuffle(dropped)
        return planned.model_copy(
            update={
                "edges": tuple(edge for edges in anew(by_port).values() for edge in edges),
                "dropped": tuple(dropped),
                "options": anew(planned.options),
            }
        )

    start = list(plan.start)
    random.shuffle(start)
    return plan.model_copy(
        update={
            "start": tuple(start),
            "params": anew(plan.params),
            "stages": anew({name: stage(planned) for name, planned in plan.stages.items()}),
        }
    )
