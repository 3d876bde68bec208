"""
A graph as SVG: one element that a page can hold, and a file that stands alone.

All looks are classes, which `graph.css` dresses: so the element stands under a strict Content-Security-Policy. Scripts
find a stage by `data-stage`, a way by `data-edge`, `data-from` and `data-to`, and where counts go by `data-counts`.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from html import escape
from importlib.resources import files

from oaflow.graph import Arrow, Graph, Node
from oaflow.pictures.forms import Box, Point
from oaflow.pictures.layout import Layout, PlacedStage, PlacedWay, laid_out
from oaflow.visible import visible

# Round corners of ways, of boxes and of the boxes of starts; the head of an arrow.
_BEND, _ROUND, _PILL, _HEAD = 7.0, 7.0, 18.0, 7.0


@cache
def stylesheet() -> str:
    """
    The looks of pictures, light and dark, as CSS.
    """
    return files("oaflow.pictures").joinpath("graph.css").read_text(encoding="utf-8")


def picture_of(graph: Graph) -> str:
    """
    The graph as an SVG file that stands alone.
    """
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + svg_of(graph, style=_plain(stylesheet()))


def _plain(style: str) -> str:
    """
    The looks with each light colour in front of its name: viewers of images and other programs that are no browsers
    know no names of colours, and would paint all of it black.
    """
    light = dict(re.findall(r"(--\w+): (#\w+);", style.partition("@media")[0]))
    return re.sub(r"([\w-]+): var\((--\w+)\);", lambda found: f"{found[1]}: {light[found[2]]}; {found[0]}", style)


def svg_of(
    graph: Graph, *, link: Callable[[str], str] | None = None, live: bool = False, style: str | None = None
) -> str:
    """
    The graph as one `<svg>` element.

    Args:
        link: the address behind a stage.
        live: each box and way keeps room for counts, which a script fills in.
        style: CSS that it brings; None where the page around it has `stylesheet()`.
    """
    return "\n".join(_element(graph, laid_out(graph, live=live), link, live, style)) + "\n"


def _element(
    graph: Graph, layout: Layout, link: Callable[[str], str] | None, live: bool, style: str | None
) -> Iterator[str]:
    size = f'width="{_number(layout.width)}" height="{_number(layout.height)}"'
    view = f'viewBox="0 0 {_number(layout.width)} {_number(layout.height)}"'
    # Behind links are things to reach; without, it is one image to a screen reader, told in words.
    role = "group" if link else "img"
    yield f'<svg xmlns="http://www.w3.org/2000/svg" class="oaflow-graph" role="{role}" {size} {view}>'
    yield f"<title>{_text(f'The pipeline {graph.pipeline}')}</title>"
    yield f"<desc>{_text(told(graph))}</desc>"
    if style is not None:
        yield f"<style>{style}</style>"
    for way in layout.ways:
        yield from _way(way, live)
    places = {node.name: number for number, node in enumerate(graph.nodes)}
    for stage in layout.stages:
        yield from _stage(stage, places[stage.node.name], link)
    yield "</svg>"


def told(graph: Graph) -> str:
    """
    The graph in sentences, for who does not see it.
    """
    return " ".join(
        _sentence(node, [arrow for arrow in graph.arrows if arrow.source == node.name]) for node in graph.nodes
    )


def _sentence(node: Node, leaving: list[Arrow]) -> str:
    facts = ["the start"] if node.start else []
    facts += ["in another service"] if node.external else []
    facts += [f"off: {node.disabled}"] if node.disabled else []
    facts += [fact for fact in (node.takes, node.counted) if fact]
    said = node.name + (f" ({', '.join(facts)})" if facts else "")
    ways = [
        ("to itself" if arrow.to == node.name else f"to {arrow.to}" if arrow.to else "nowhere")
        + (f" ({arrow.label})" if arrow.label else "")
        for arrow in leaving
    ]
    return f"{said} leads {', '.join(ways)}." if ways else f"{said} is an end."


# --- Ways ---


def _way(way: PlacedWay, live: bool) -> Iterator[str]:
    ports = " ".join(dict.fromkeys(arrow.port for arrow in way.arrows))
    number = f' id="graph-edge-{way.number}" data-edge="{way.number}"' if way.number is not None else ""
    ends = f'data-from="{_text(way.source)}" data-to="{_text(way.to)}" data-port="{_text(ports)}"'
    yield f'<g class="edge {way.kind}"{number} {ends}>'
    yield f"<title>{_text(_way_told(way))}</title>"
    yield f'<path class="line" d="{_line(way.points)}"/>'
    yield f'<path class="head" d="{_head(way.points)}"/>'
    if way.label is not None:
        yield from _label(way, way.label, live)
    yield "</g>"


def _way_told(way: PlacedWay) -> str:
    if way.kind == "wait":
        return f"{way.to} runs after {way.source}"
    labels = "; ".join(arrow.label for arrow in way.arrows if arrow.label)
    count = f", {way.count:,} jobs" if way.count is not None else ""
    return f"{way.source} → {way.to}" + (f" ({labels})" if labels else "") + count


def _label(way: PlacedWay, label: Box, live: bool) -> Iterator[str]:
    middle = _number(label.x + label.width / 2)
    yield f'<rect class="behind" {_rectangle(label)} rx="3"/>'
    lines = list(way.baselines())
    for number, (line, base) in enumerate(lines):
        kind = "count" if way.count and number == len(lines) - 1 else "label"
        yield f'<text class="{kind}" x="{middle}" y="{_number(base)}">{_text(line)}</text>'
    if live and not way.count:
        yield f'<text class="count" data-count="" x="{middle}" y="{_number(label.y + label.height - 4)}"/>'


def _line(points: tuple[Point, ...]) -> str:
    """
    The way with its corners rounded, up to where the head begins.
    """
    *before, (x, y) = points
    last = _back(before[-1], (x, y), _HEAD - 1)
    drawn = [f"M{_pair(points[0])}"]
    for previous, corner, following in zip(points, points[1:-1], points[2:], strict=False):
        near = min(_BEND, _length(previous, corner) / 2, _length(corner, following) / 2)
        drawn.append(f"L{_pair(_back(previous, corner, near))}Q{_pair(corner)} {_pair(_back(following, corner, near))}")
    return "".join([*drawn, f"L{_pair(last)}"])


def _head(points: tuple[Point, ...]) -> str:
    tip, before = points[-1], points[-2]
    foot = _back(before, tip, _HEAD)
    across = ((tip[1] - foot[1]) * 0.5, (tip[0] - foot[0]) * 0.5)
    left, right = (foot[0] - across[0], foot[1] + across[1]), (foot[0] + across[0], foot[1] - across[1])
    return f"M{_pair(tip)}L{_pair(left)}L{_pair(right)}Z"


def _back(start: Point, end: Point, distance: float) -> Point:
    """
    The point on a line that is so far before its end.
    """
    part = distance / (_length(start, end) or 1.0)
    return end[0] + (start[0] - end[0]) * part, end[1] + (start[1] - end[1]) * part


def _length(start: Point, end: Point) -> float:
    return abs(start[0] - end[0]) + abs(start[1] - end[1])


# --- Stages ---


def _stage(stage: PlacedStage, number: int, link: Callable[[str], str] | None) -> Iterator[str]:
    node, box = stage.node, stage.box
    kinds = [
        kind
        for kind, holds in {
            "start": node.start,
            "end": node.end,
            "external": node.external,
            "off": node.disabled is not None,
            "failed": bool(node.counts.get("failed")),
            "busy": bool(node.counts.get("running")),
            "waits": bool(node.counts.get("waiting")),
        }.items()
        if holds
    ]
    name = _text(node.name)
    yield f'<g class="{" ".join(["stage", *kinds])}" id="graph-stage-{number}" data-stage="{name}">'
    if link is not None:
        yield f'<a href="{_text(link(node.name))}">'
    yield f"<title>{_text(_stage_told(node))}</title>"
    yield f'<rect class="box" {_rectangle(box)} rx="{_number(_PILL if node.start else _ROUND)}"/>'
    if node.external:
        for x in (box.x + 5, box.x + box.width - 5):
            yield f'<path class="bar" d="M{_pair((x, box.y))}V{_number(box.y + box.height)}"/>'
    middle = _number(box.x + box.width / 2)
    for line, base in stage.baselines():
        data = ' data-counts=""' if line.kind == "counts" else ""
        yield f'<text class="{line.kind}"{data} x="{middle}" y="{_number(base)}">{_text(line.text)}</text>'
    if link is not None:
        yield "</a>"
    yield "</g>"


def _stage_told(node: Node) -> str:
    where = f"{node.task}, queue {node.queue}" + (", in another service" if node.external else "")
    return "\n".join(filter(None, [node.name, node.description, where, node.disabled and f"off: {node.disabled}"]))


# --- Forms ---


def _rectangle(box: Box) -> str:
    return " ".join(
        f'{name}="{_number(value)}"'
        for name, value in (("x", box.x), ("y", box.y), ("width", box.width), ("height", box.height))
    )


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    """
    A text for SVG: on lines, each without what is no letter, and with nothing that is markup.
    """
    return escape("\n".join(map(visible, text.split("\n"))))
