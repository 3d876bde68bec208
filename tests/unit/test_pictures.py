"""
Pictures are held to geometry, not to golden files: nothing stands over anything else, whatever the pipeline.
"""

import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from oaflow.graph import Arrow, Graph, Node, graph_of
from oaflow.pictures import page_of, picture_of, stylesheet, svg_of
from oaflow.pictures.forms import Box, strokes
from oaflow.pictures.layout import Layout, PlacedWay, counts_in, laid_out
from tests.unit.drawn_pipelines import pipeline_of
from tests.unit.graphs import THIRTY, THREE, TWELVE

SVG = "{http://www.w3.org/2000/svg}"
GRAPHS = {"3": graph_of(THREE), "12": graph_of(TWELVE), "30": graph_of(THIRTY)}

HOSTILE = '<script>alert("1")</script> & \x1b[31m\ud800 ]]>'


def node_of(name: str, **facts) -> Node:
    return Node(name, f"m.{name}", "q", facts.pop("start", False), False, False, facts.pop("disabled", None), **facts)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 12, 30, 60])
def test_nothing_stands_over_anything_else_in_pipelines_of_up_to_60_stages(size):
    for seed in range(8 if size < 30 else 3):
        layout = laid_out(pipeline_of(size, seed), live=seed % 2 == 0)

        assert list(layout.faults()) == []


def test_all_that_is_drawn_lies_in_the_picture():
    for graph in (*GRAPHS.values(), pipeline_of(60, 1)):
        layout = laid_out(graph)

        boxes = [stage.box for stage in layout.stages] + [way.label for way in layout.ways if way.label]
        points = [point for way in layout.ways for point in way.points] + [at for box in boxes for at in box.corners]
        assert all(0 < x < layout.width and 0 < y < layout.height for x, y in points)


def test_ways_have_right_angles_begin_at_their_stage_and_end_at_the_other_and_run_behind_what_they_say():
    layout = laid_out(pipeline_of(30, 3))
    boxes = {stage.node.name: stage.box for stage in layout.stages}

    def on_the_border(point, box):
        return Box.around(point, (1, 1)).meets(box) and not Box.around(point, (1, 1)).meets(box.within(1))

    for way in layout.ways:
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in zip(way.points, way.points[1:], strict=False))
        assert on_the_border(way.points[0], boxes[way.source])
        assert on_the_border(way.points[-1], boxes[way.to])
        if way.label is not None:
            assert any(stroke.meets(way.label) for stroke in strokes(way.points))


def test_stages_stand_below_what_leads_to_them_but_for_ways_back():
    layout = laid_out(GRAPHS["12"])
    top = {stage.node.name: stage.box.y for stage in layout.stages}

    assert min(top, key=top.__getitem__) == "crawl"
    assert all(top[way.source] < top[way.to] for way in layout.ways)


def test_faults_are_found():
    one, other = (laid_out(Graph("p", (node_of(name),), ())).stages[0] for name in "ab")
    through = PlacedWay("next", "a", "b", ((0.0, 30.0), (200.0, 30.0)), label=Box(20, 20, 40, 15), lines=("x",))
    beside = PlacedWay("next", "b", "a", ((30.0, 0.0), (30.0, 200.0)), label=Box(25, 25, 40, 15), lines=("y",))

    faults = list(Layout(200, 200, (one, other), (through, beside)).faults())

    assert "stage 'b' stands over 'a'" in faults
    assert "the way from 'a' to 'b' runs through 'a'" in faults
    assert "what the way from 'a' to 'b' says stands over 'a'" in faults
    assert "the way from 'b' to 'a' runs through what the way from 'a' to 'b' says" in faults
    assert "what the way from 'b' to 'a' says stands over what the way from 'a' to 'b' says" in faults


@pytest.mark.parametrize("size", GRAPHS)
def test_every_stage_and_every_way_is_drawn_once_with_its_name_for_scripts(size):
    graph = GRAPHS[size]
    root = ElementTree.fromstring(svg_of(graph))

    stages = [each.get("data-stage") for each in root.iter() if each.get("data-stage")]
    ways = [(each.get("data-from"), each.get("data-to"), "error" in each.get("class")) for each in root.iter(f"{SVG}g")]
    assert sorted(stages) == sorted(node.name for node in graph.nodes)
    drawn = {
        (arrow.source, arrow.to, arrow.kind == "error")
        for arrow in graph.arrows
        if arrow.to is not None and arrow.to != arrow.source
    }
    assert sorted(way for way in ways if way[0]) == sorted(drawn)
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))


def test_a_box_says_what_its_stage_returns_to_itself_drops_takes_and_has_done():
    graph = Graph(
        "p",
        (
            node_of("a", start=True, counts={"done": 1200, "failed": 3, "waiting": 7, "running": 0}),
            node_of("b", collect=100, disabled="param 'on' is false"),
            node_of("c", join=("a", "b")),
        ),
        (
            Arrow("a", "a", "children", "next", 16),
            Arrow("a", None, "junk", "drop"),
            Arrow("a", "b", "default", "next", count=1500),
            Arrow("a", "b", "media", "next", condition="schema: Document", count=1500),
            Arrow("a", "b", "error", "error", count=4),
        ),
    )
    root = ElementTree.fromstring(svg_of(graph))
    texts = {each.get("data-stage"): [text.text for text in each.iter(f"{SVG}text")] for each in root.iter(f"{SVG}g")}
    kinds = {each.get("data-stage"): each.get("class").split() for each in root.iter(f"{SVG}g")}

    assert texts["a"] == ["a", "↻ children, recurse 16", "✕ junk dropped", "1,200 done · 3 failed", "7 waiting"]
    assert texts["b"] == ["b", "collect 100", "off: param 'on' is false"]
    assert texts["c"] == ["c", "after a and b"]
    assert kinds["a"] == ["stage", "start", "failed", "waits"]
    assert kinds["b"] == ["stage", "off"]
    said = {each.get("class"): [text.text for text in each.iter(f"{SVG}text")] for each in root.iter(f"{SVG}g")}
    assert said["edge next"] == ["default", "media, schema: Document", "1,500"]
    assert said["edge error"] == ["4"]
    assert said["edge wait"] == []


def test_counts_are_said_in_the_order_ended_and_to_come():
    assert counts_in({"done": 1, "failed": 0, "waiting": 2, "running": 3}) == ("1 done", "2 waiting · 3 running")
    assert counts_in({"done": 1200, "entities": 1}) == ("1,200 done", "1 entity")
    assert counts_in({}) == ()


def test_a_live_picture_has_room_for_counts_everywhere():
    root = ElementTree.fromstring(svg_of(GRAPHS["12"], live=True))

    for each in root.iter(f"{SVG}g"):
        kind = each.get("class").split()[0]
        held = [
            text for text in each.iter(f"{SVG}text") if text.get("data-counts") == "" or text.get("data-count") == ""
        ]
        assert len(held) == {"stage": 2, "edge": 1}[kind]


def test_an_element_stands_under_a_strict_policy_and_links_lead_where_they_are_told():
    text = svg_of(GRAPHS["12"], link=lambda stage: f"/stages/{stage}?a&b")
    root = ElementTree.fromstring(text)

    assert not [each for each in root.iter() if each.tag in (f"{SVG}style", f"{SVG}script") or each.get("style")]
    assert not re.search(r"\son\w+=", text)
    assert root.get("role") == "group"
    assert "/stages/crawl?a&b" in [each.get("href") for each in root.iter(f"{SVG}a")]


def test_what_a_name_holds_is_text():
    graph = Graph(
        HOSTILE,
        (node_of(HOSTILE, start=True, description=HOSTILE), node_of("b", disabled=HOSTILE)),
        (Arrow(HOSTILE, "b", HOSTILE, "next", condition=HOSTILE), Arrow(HOSTILE, HOSTILE, HOSTILE, "next")),
    )
    for text in (picture_of(graph), page_of(graph)):
        assert "<script>alert" not in text
        assert "\x1b" not in text
        text.encode()
    ElementTree.fromstring(picture_of(graph).encode())


def test_programs_that_know_no_names_of_colours_find_the_light_ones_in_a_file():
    style = picture_of(pipeline_of(3, 1)).partition("<style>")[2].partition("</style>")[0]
    names = style.count("var(")
    assert names > 15
    assert len(re.findall(r"([\w-]+): #\w+; \1: var\(--\w+\);", style)) == names
    assert ".oaflow-graph .failed .counts { fill: #b3261e; fill: var(--fail); }" in style


def test_a_picture_is_the_same_each_time_and_in_another_process():
    script = (
        "import sys; from oaflow.pictures import picture_of; from tests.unit.drawn_pipelines import pipeline_of\n"
        "sys.stdout.write(picture_of(pipeline_of(12, 1)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert picture_of(pipeline_of(12, 1)) == picture_of(pipeline_of(12, 1)) == ran.stdout


def test_a_page_fetches_nothing_and_runs_only_what_it_names_by_its_hash():
    text = page_of(GRAPHS["12"])

    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.addresses, self.policies, self.rows = [], [], 0

        def handle_starttag(self, tag, attrs):
            facts = dict(attrs)
            self.addresses += [facts[name] for name in ("src", "href", "data", "action") if name in facts]
            self.policies += [facts["content"]] if facts.get("http-equiv") == "Content-Security-Policy" else []
            self.rows += tag == "tr"

    reader = Reader()
    reader.feed(text)
    assert reader.addresses == []
    assert len(reader.policies) == 1
    assert reader.policies[0].startswith("default-src 'none'; style-src 'sha256-")
    assert "url(" not in stylesheet()
    assert reader.rows == 1 + len(GRAPHS["12"].nodes)
