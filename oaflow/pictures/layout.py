"""
Where the stages and ways of a graph stand in a picture. Layers, order and ways are graphlay's; what stands in a box and
on a way, and how much room that takes, is said here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Literal

from oaflow.graph import Arrow, Graph, Node, said_count
from oaflow.pictures.forms import Box, Point, strokes
from oaflow.pictures.widths import width_of
from oaflow.rails import in_order
from oaflow.visible import visible

NAME_SIZE, LINE_SIZE = 13.0, 11.0
_NAME_HEIGHT, _LINE_HEIGHT = 18.0, 15.0
_PAD_X, _PAD_Y = 14.0, 9.0
_LEAST_WIDTH = 90.0
_MARGIN = 16.0

# Letters of a line on a way, and in a box: what is longer is broken.
_LABEL, _INSIDE = 24, 34

# Of the counts of a stage: what is to come, and what is kept of it.
_COMING, _KEPT = ("waiting", "running"), ("entities",)

# What a run may come to say in a box or on a way, where room is kept for it.
_ROOM = ("9,999,999 done · 99,999 failed", "9,999,999 waiting · 999 running")
_ROOM_ON_WAY = "999M · 99.9K/s"

# Between two layers, and between two boxes of one.
_SPACING = {"layer_gap": 34.0, "node_gap": 30.0}

# How much more room is given, in turn, until nothing stands over anything else.
_SPREAD = (1.0, 1.3, 1.7, 2.2, 3.0)

# Ways that matter more are drawn straighter.
_WEIGHTS = {"next": 3.0, "error": 1.0, "wait": 0.5}

LineKind = Literal["name", "takes", "loop", "drop", "off", "counts"]
WayKind = Literal["next", "error", "wait"]


@dataclass(frozen=True, slots=True)
class Line:
    """
    A line of text in a box.
    """

    kind: LineKind
    text: str


@dataclass(frozen=True, slots=True)
class PlacedStage:
    """
    A stage, its box, and the lines in it, from the top.
    """

    node: Node
    box: Box
    lines: tuple[Line, ...]

    def baselines(self) -> Iterator[tuple[Line, float]]:
        """
        The lines, each with the height that its letters stand on.
        """
        top = self.box.y + (self.box.height - _height(self.lines)) / 2
        for line in self.lines:
            height = _NAME_HEIGHT if line.kind == "name" else _LINE_HEIGHT
            top += height
            yield line, top - height * 0.28


@dataclass(frozen=True, slots=True)
class PlacedWay:
    """
    A way from a stage to another one: its corners, from the border of the one box to that of the other; what stands on
    it, in lines, and where. It is drawn once for all arrows of a kind between two stages: `number` is that of the first
    of them in the graph, None of the ways that a join waits for; `count` is how many jobs of a run went along it.
    """

    kind: WayKind
    source: str
    to: str
    points: tuple[Point, ...]
    number: int | None = None
    arrows: tuple[Arrow, ...] = ()
    count: int | None = None
    lines: tuple[str, ...] = ()
    label: Box | None = None

    def __str__(self) -> str:
        return f"the way from {self.source!r} to {self.to!r}"

    def baselines(self) -> Iterator[tuple[str, float]]:
        """
        The lines on it, each with the height that its letters stand on.
        """
        if self.label is not None:
            for number, line in enumerate(self.lines):
                yield line, self.label.y + (number + 0.74) * _LINE_HEIGHT


@dataclass(frozen=True, slots=True)
class Layout:
    """
    A graph that is laid out, its left upper corner at 0, 0.
    """

    width: float
    height: float
    stages: tuple[PlacedStage, ...]
    ways: tuple[PlacedWay, ...]

    def faults(self) -> Iterator[str]:
        """
        What stands over something else.
        """
        lines = [tuple(strokes(way.points)) for way in self.ways]
        for number, stage in enumerate(self.stages):
            for other in self.stages[:number]:
                if stage.box.meets(other.box):
                    yield f"stage {stage.node.name!r} stands over {other.node.name!r}"
            inner = stage.box.within(0.5)
            for way, line in zip(self.ways, lines, strict=True):
                if any(part.meets(inner) for part in line):
                    yield f"{way} runs through {stage.node.name!r}"
                if way.label is not None and way.label.meets(inner):
                    yield f"what {way} says stands over {stage.node.name!r}"
        for number, way in enumerate(self.ways):
            if way.label is None:
                continue
            inner = way.label.within(0.5)
            for at, other in enumerate(self.ways):
                if at != number and any(part.meets(inner) for part in lines[at]):
                    yield f"{other} runs through what {way} says"
                if at < number and other.label is not None and way.label.meets(other.label):
                    yield f"what {way} says stands over what {other} says"


@dataclass(frozen=True, slots=True)
class _Way:
    """
    A way that is to be laid out.
    """

    kind: WayKind
    source: str
    to: str
    number: int | None = None
    arrows: tuple[Arrow, ...] = ()
    count: int | None = None
    lines: tuple[str, ...] = ()
    size: Point | None = None


def laid_out(graph: Graph, *, live: bool = False) -> Layout:
    """
    The graph, from the top down.

    Args:
        live: room is kept for what a run will say in each box and on each way.
    """
    boxes = {node.name: _lines(graph, node, live) for node in graph.nodes}
    sizes = {name: _size(lines, live) for name, lines in boxes.items()}
    ways = list(_ways(graph, live))
    found: list[tuple[int, Layout]] = []
    for spread in _SPREAD:
        layout = _placed(graph, boxes, sizes, ways, spread)
        wrong = sum(1 for _ in layout.faults())
        if not wrong:
            return layout
        found.append((wrong, layout))
    return min(found, key=lambda one: one[0])[1]


def _lines(graph: Graph, node: Node, live: bool) -> tuple[Line, ...]:
    lines = [Line("name", visible(node.name))]
    if node.takes:
        lines += [Line("takes", text) for text in _broken(node.takes, _INSIDE)]
    for arrow in graph.arrows:
        if arrow.source == node.name and arrow.to == node.name:
            count = f": {arrow.count:,}" if arrow.count else ""
            lines += [Line("loop", text) for text in _broken(f"↻ {arrow.label}{count}", _INSIDE)]
        elif arrow.source == node.name and arrow.to is None:
            lines += [Line("drop", text) for text in _broken(f"✕ {arrow.label or 'default'} dropped", _INSIDE)]
    if node.disabled:
        lines += [Line("off", text) for text in _broken(f"off: {node.disabled}", _INSIDE)]
    counts = counts_in(node.counts)
    return (*lines, *(Line("counts", text) for text in (counts or ("", "") if live else counts)))


def counts_in(counts: Mapping[str, int]) -> tuple[str, ...]:
    """
    What stands in a box about a run: what has ended, what is to come, and what the store has of it.
    """

    def said(words: Iterable[str]) -> str:
        return " · ".join(said_count(word, counts[word]) for word in words if counts.get(word))

    lines = (said(word for word in counts if word not in (*_COMING, *_KEPT)), said(_COMING), said(_KEPT))
    return tuple(line for line in lines if line)


def _broken(text: str, letters: int) -> list[str]:
    return wrap(visible(text), letters, break_on_hyphens=False) or [""]


def _size(lines: tuple[Line, ...], live: bool) -> Point:
    texts = [(line.text, line.kind == "name") for line in lines] + [(text, False) for text in _ROOM if live]
    widest = max(width_of(text, NAME_SIZE if bold else LINE_SIZE, bold=bold) for text, bold in texts)
    return max(_LEAST_WIDTH, widest + 2 * _PAD_X), _height(lines) + 2 * _PAD_Y


def _height(lines: tuple[Line, ...]) -> float:
    return sum(_NAME_HEIGHT if line.kind == "name" else _LINE_HEIGHT for line in lines)


def _ways(graph: Graph, live: bool) -> Iterator[_Way]:
    together: dict[tuple[str, str, WayKind], list[int]] = {}
    for number, arrow in enumerate(graph.arrows):
        if arrow.to is not None and arrow.to != arrow.source:  # these stand in their box
            together.setdefault((arrow.source, arrow.to, "error" if arrow.kind == "error" else "next"), []).append(
                number
            )
    for (source, to, kind), numbers in together.items():
        arrows = [graph.arrows[number] for number in numbers]
        said = [arrow.label or "default" for arrow in arrows] if len(arrows) > 1 or arrows[0].label else []
        lines = [line for text in said if kind != "error" for line in _broken(text, _LABEL)]
        count = arrows[0].count
        if count:
            lines.append(f"{count:,}")
        room = [*lines, _ROOM_ON_WAY] if live else lines
        size = (max(width_of(line, LINE_SIZE) for line in room) + 6, len(room) * _LINE_HEIGHT) if room else None
        yield _Way(kind, source, to, numbers[0], tuple(arrows), count, tuple(lines), size)
    names = {node.name for node in graph.nodes}
    for node in graph.nodes:
        for name in node.join:
            if name in names:
                yield _Way("wait", name, node.name)


def _placed(
    graph: Graph,
    boxes: Mapping[str, tuple[Line, ...]],
    sizes: Mapping[str, Point],
    ways: Sequence[_Way],
    spread: float,
) -> Layout:
    # 10 ms that no other command needs.
    import graphlay

    order = in_order(graph)
    place = {node.name: number for number, node in enumerate(order)}
    wanted = graphlay.Graph()
    for node in order:
        width, height = sizes[node.name]
        wanted.node(node.name, label="", width=width, height=height, rank="first" if node.start else "free")
    turned = [place[way.to] < place[way.source] for way in ways]
    for number, (way, back) in enumerate(zip(ways, turned, strict=True)):
        # A way back is laid out as one ahead, so that the start stays on top, and turned again.
        source, to = (way.to, way.source) if back else (way.source, way.to)
        weight = _WEIGHTS[way.kind]
        if way.size is None:
            wanted.edge(source, to, weight=weight)
        else:
            # What is said on a way is a stop on it: so nothing can stand over it, and it is where its way is.
            wanted.node(number, label="", width=way.size[0], height=way.size[1])
            wanted.edge(source, number, weight=weight)
            wanted.edge(number, to, weight=weight)
    options = {
        "direction": "topbottom",
        "spacing": {name: gap * spread for name, gap in _SPACING.items()},
        "routing": {"port_sides": "facing_only"},
    }
    drawn: Any = graphlay.layout(wanted, options=options)
    at = {name: _point(node["center"]) for name, node in zip(wanted.ids, drawn.nodes, strict=True)}
    places = [Box.around(at[node.name], sizes[node.name]) for node in order]
    labels = [Box.around(at[number], way.size) if way.size else None for number, way in enumerate(ways)]
    parts = iter([tuple(_point(point) for point in edge["points"]) for edge in drawn.edges])
    lines: list[tuple[Point, ...]] = []
    for way, back in zip(ways, turned, strict=True):
        line = next(parts) if way.size is None else _joined(next(parts), next(parts))
        lines.append(line[::-1] if back else line)
    corners = [point for line in lines for point in line]
    corners += [corner for box in (*places, *labels) if box is not None for corner in box.corners]
    left, top = (min(axis) - _MARGIN for axis in zip(*corners, strict=True))
    right, bottom = (max(axis) + _MARGIN for axis in zip(*corners, strict=True))
    return Layout(
        right - left,
        bottom - top,
        tuple(
            PlacedStage(node, box.moved(-left, -top), boxes[node.name]) for node, box in zip(order, places, strict=True)
        ),
        tuple(
            PlacedWay(
                way.kind,
                way.source,
                way.to,
                tuple((x - left, y - top) for x, y in line),
                way.number,
                way.arrows,
                way.count,
                way.lines,
                label.moved(-left, -top) if label is not None else None,
            )
            for way, line, label in zip(ways, lines, labels, strict=True)
        ),
    )


def _joined(before: tuple[Point, ...], after: tuple[Point, ...]) -> tuple[Point, ...]:
    """
    One way of its parts to and from what is said on it. Where they do not meet, it bends behind that.
    """
    (x, y), (to_x, to_y) = before[-1], after[0]
    if x == to_x:
        return before[:-1] + after[1:]
    return (*before, (x, (y + to_y) / 2), (to_x, (y + to_y) / 2), *after)


def _point(at: Mapping[str, float]) -> Point:
    return round(at["x"], 1), round(at["y"], 1)
