"""
What a join waits for, against networkx.
"""

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from oaflow.plan.joins import RUN, waits_of

NAMES = ("a", "b", "c", "d", "e", "f")


class Node:
    def __init__(self, targets: tuple[str, ...] = (), join: tuple[str, ...] = ()) -> None:
        self.targets, self.join = targets, join


@st.composite
def graphs(draw) -> dict[str, Node]:
    joins = draw(st.sets(st.sampled_from(NAMES), max_size=3))
    others = st.sampled_from([name for name in NAMES if name not in joins])
    return {
        name: Node(
            tuple(draw(st.lists(others, max_size=2, unique=True))),
            draw(st.just((RUN,)) | st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple))
            if name in joins
            else (),
        )
        for name in NAMES
    }


@given(graphs())
def test_a_join_waits_for_what_it_names_and_all_that_leads_there(stages: dict[str, Node]):
    graph = nx.DiGraph({name: list(stage.targets) for name, stage in stages.items()})
    joins = {name for name, stage in stages.items() if stage.join}
    after = joins.union(*(nx.descendants(graph, name) for name in joins))

    for name, waits in waits_of(stages).items():
        said = stages[name].join
        if said == (RUN,):
            assert waits == set(stages) - after
            continue
        expected = set(said).union(*(nx.ancestors(graph, other) for other in said))
        assert waits >= expected
        # More only where one of these is a join, which brings what it waits for.
        if not waits & joins:
            assert waits == expected


def test_a_join_that_waits_for_a_join_waits_for_all_of_its_stages_too():
    stages = {"a": Node(("b",)), "b": Node(), "c": Node(), "one": Node((), ("b",)), "two": Node((), ("one", "c"))}

    assert waits_of(stages) == {"one": {"a", "b"}, "two": {"one", "a", "b", "c"}}


def test_the_end_of_the_run_leaves_out_joins_and_what_follows_them():
    stages = {
        "a": Node(("b",)),
        "b": Node(),
        "sum": Node(("write",), (RUN,)),
        "write": Node(),
        "mail": Node((), (RUN,)),
    }

    assert waits_of(stages) == {"sum": {"a", "b"}, "mail": {"a", "b"}}
