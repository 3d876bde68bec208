"""
Drawings are compared with golden files, which somebody has looked at. After a change:
`python -m tests.unit.test_graph`, and look again.
"""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given

from oaflow.cli.drawing import drawn
from oaflow.graph import Graph, Node, as_dot, as_json, as_mermaid, graph_of
from oaflow.plan import Plan, PlannedCollect, PlannedEdge, PlannedStage
from oaflow.rails import in_order, rails
from tests.unit.graphs import THIRTY, THREE, TWELVE, plan_from
from tests.unit.plans import plans

GOLDEN = Path(__file__).parent / "golden" / "graph"

OFF = {"translate": "param 'translate' is false"}
COUNTS = {"crawl": {"open": 1, "done": 300, "failed": 0}}

assert [len(plan.stages) for plan in (THREE, TWELVE, THIRTY)] == [3, 12, 30]

DESCRIPTIONS = {
    "files": "Name every file of a folder, one job each.",
    "report": "Write the words of a file, the most frequent first, each with its number, to a file of that name.",
}

GRAPHS = {
    "3": graph_of(THREE, descriptions=DESCRIPTIONS),
    "12": graph_of(TWELVE, OFF, COUNTS),
    "30": graph_of(THIRTY, OFF),
}

FORMS = {
    "terminal.txt": lambda graph: drawn(graph, 100),
    "rails.txt": rails,
    "mmd": as_mermaid,
    "dot": as_dot,
    "json": lambda graph: as_json(graph) + "\n",
}

CASES = [(size, form) for size in GRAPHS for form in FORMS]


@pytest.mark.parametrize(("size", "form"), CASES)
def test_a_drawing_is_as_it_was_when_somebody_looked_at_it(size, form):
    assert FORMS[form](GRAPHS[size]) == (GOLDEN / f"{size}.{form}").read_text()


@pytest.mark.parametrize("size", GRAPHS)
def test_no_drawing_is_wider_than_80_columns(size):
    assert max(map(len, drawn(GRAPHS[size], 80).splitlines())) <= 80


def test_boxes_give_way_to_rails_where_the_terminal_is_narrow_and_where_stages_are_many():
    few = GRAPHS["3"]

    assert "┌" in drawn(few, 80)
    assert drawn(few, 20).startswith(rails(few))
    assert drawn(GRAPHS["12"], 1000) == rails(GRAPHS["12"])


def test_boxes_say_what_is_off_and_what_runs_elsewhere():
    graph = graph_of(plan_from("p", "a: b c\nb: external\nc: ?on"), {"c": "param 'on' is false"})

    picture = drawn(graph, 80)

    assert "c (off)" in picture
    assert "c is off: param 'on' is false\n" in picture
    assert "b runs in another service (p.b, queue b)\n" in picture


def test_boxes_say_how_the_stages_of_a_run_stand_on_lines_of_their_own():
    graph = graph_of(plan_from("p", "a: b\nb:"), counts={"a": {"done": 1}, "b": {"done": 31, "waiting": 17}})

    lines = [line.strip("│() ") for line in drawn(graph, 80).splitlines()]

    assert [line for line in lines if line[:1].isalnum()] == ["a", "1 done", "b", "31 done, 17 waiting"]
    assert "br" not in drawn(graph, 80)


def test_a_stage_says_how_it_comes_to_its_jobs_and_a_join_stands_after_what_it_waits_for():
    stages = {
        "after": PlannedStage(task="m.f", queue="q", join=("read",), edges=(PlannedEdge(to="cut"),)),
        "all": PlannedStage(task="m.f", queue="q", join=("run",)),
        "cut": PlannedStage(task="m.f", queue="q", split=3, lock="job.dataset"),
        "gather": PlannedStage(
            task="m.f", queue="q", collect=PlannedCollect(size="${params.size}"), lock="job.context.author"
        ),
        "read": PlannedStage(task="m.f", queue="q", edges=(PlannedEdge(to="gather"),)),
    }
    graph = graph_of(Plan(pipeline="p", start=("read",), stages=stages))

    assert rails(graph).splitlines() == [
        "●  read",
        "●  gather  (collect ${params.size}, lock job.context.author)",
        "●  after  (after read)",
        "●  cut  (split 3, lock job.dataset)",
        "●  all  (after all else)",
    ]
    assert 's_cut["cut<br/>split 3, lock job.dataset"]' in as_mermaid(graph)
    assert 'label="gather\\ncollect ${params.size}, lock job.context.author"' in as_dot(graph)
    assert "gather (collect" in drawn(graph, 200)


def test_an_arrow_says_what_goes_along_it_in_a_few_words():
    edges = (
        PlannedEdge(to="b", where={"schema": ("Person", "Company"), "not": {"country": ("de",)}}),
        PlannedEdge(to="c", when='job.context.kind == "a\nb"'),
        PlannedEdge(to="d", rest=True),
    )
    stages = {"a": PlannedStage(task="m.f", queue="q", edges=edges)}
    stages |= {name: PlannedStage(task="m.f", queue="q") for name in "bcd"}
    graph = graph_of(Plan(pipeline="p", start=("a",), stages=stages))

    assert [arrow.label for arrow in graph.arrows] == [
        "where {schema: [Person, Company], ...",
        'when job.context.kind == "a b"',
        "else",
    ]
    assert "(else)" in rails(graph)
    assert '-->|"when job.context.kind == #quot;a b#quot;"| s_c' in as_mermaid(graph)
    (first, *_) = json.loads(as_json(graph))["edges"]
    assert first["condition"] == "where {schema: [Person, Company], not: {country: de}}"


@given(plans())
def test_rails_show_every_stage_once_and_every_way_of_a_branch_in_words(plan):
    picture = rails(graph_of(plan))

    shown = [re.sub(r"^[│┆ ]*[●○◆] *[│┆ ]*", "", line) for line in picture.splitlines() if re.search("[●○◆]", line)]
    assert sorted(line.split("  ")[0] for line in shown) == sorted(plan.stages)
    for stage in plan.stages.values():
        for port in stage.dropped:
            assert f"╳ {port}: dropped" in picture
        for edge in stage.edges:
            if edge.recurse is not None:
                assert f"recurse {edge.recurse}" in picture
            if edge.port != "default":
                assert edge.port in picture
    assert not [line for line in picture.splitlines() if line != line.rstrip()]


@given(plans())
def test_a_lane_has_no_gap_from_where_it_branches_off_to_its_stage(plan):
    lanes = [re.match("[│┆├┤┼╮╭╯╰●○◆─┄┬┴ ]*", line).group() for line in rails(graph_of(plan)).splitlines()]

    for above, below in zip(["", *lanes], [*lanes, ""], strict=True):
        for column in range(0, max(len(above), len(below)), 2):
            over, under = above[column : column + 1], below[column : column + 1]
            if under in tuple("│┆├┤┼╯╰┴"):
                assert over in tuple("│┆├┤┼╮╭┬●○◆"), (above, below)
            if over in tuple("│┆├┤┼╮╭┬"):
                assert under in tuple("│┆├┤┼╯╰┴●○◆"), (above, below)


@given(plans())
def test_each_stage_stands_after_all_that_lead_to_it_where_there_is_no_cycle(plan):
    graph = graph_of(plan)
    place = {node.name: number for number, node in enumerate(in_order(graph))}
    reach = {name: reached(graph, name) for name in plan.stages}

    assert set(place) == set(plan.stages)
    for arrow in graph.arrows:
        if arrow.to is not None and arrow.source not in reach[arrow.to]:
            assert place[arrow.source] < place[arrow.to]


def reached(graph: Graph, name: str) -> set[str]:
    found, waiting = {name}, [name]
    while waiting:
        at = waiting.pop()
        for arrow in graph.arrows:
            if arrow.source == at and arrow.to is not None and arrow.to not in found:
                found.add(arrow.to)
                waiting.append(arrow.to)
    return found


def test_a_chain_of_a_thousand_stages_is_drawn():
    names = [f"s{number}" for number in range(1000)]
    stages = {
        name: PlannedStage(task="m.f", queue="q", edges=(PlannedEdge(to=following),) if following else ())
        for name, following in zip(names, [*names[1:], None], strict=True)
    }

    assert rails(graph_of(Plan(pipeline="p", start=("s0",), stages=stages))).splitlines() == [
        f"●  {name}" for name in names
    ]


def test_mermaid_tells_apart_what_differs_in_a_hyphen_and_knows_no_reserved_word():
    text = as_mermaid(graph_of(plan_from("p", "end: a-b a_b\na-b:\na_b:")))

    assert 's_end(["end"])' in text
    assert 's_a_b["a-b"]' in text
    assert 's_a_b_["a_b"]' in text


def test_text_from_data_neither_breaks_a_form_nor_moves_the_cursor():
    odd = 'a"]#<b>\n\x1b[31m'
    node = Node(odd, 'm."f"', "q", True, True, False, None, {"open": 1})
    graph = Graph("p", (node,), ())

    for form in (as_mermaid, as_dot, rails):
        assert "\x1b" not in form(graph)
        assert len(form(graph).splitlines()) == len(
            form(Graph("p", (Node("a", "m.f", "q", True, True, False, None),), ())).splitlines()
        )
    assert '"a#quot;]#35;#lt;b>\\n\\x1b[31m<br/>1 open"' in as_mermaid(graph)
    assert '"a\\"]#<b>\\n\\x1b[31m"' in as_dot(graph)
    assert json.loads(as_json(graph))["stages"][0]["name"] == odd


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for size, form in CASES:
        (GOLDEN / f"{size}.{form}").write_text(FORMS[form](GRAPHS[size]))
        print((GOLDEN / f"{size}.{form}").read_text() if form.endswith("txt") else "")
