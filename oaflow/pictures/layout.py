"""
Where the stages and ways of a graph stand in a picture. Layers, order and ways are graphlay's; what stands in a box and
on a way, and how much room that takes, is said here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap
from typing import Any, Literal

from oaflow.graph import Arrow, Graph, Node, printable
from oaflow.pictures.widths import width_of
from oaflow.rails import in_order

NAME_SIZE, LINE_SIZE = 13.0, 11.0
_NAME_HEIGHT, _LINE_HEIGHT = 18.0, 15.0
_PAD_X, _PAD_Y = 14.0, 9.0
_LEAST_WIDTH = 90.0
_MARGIN = 16.0

# Letters of a line on a way, and in a box: what is longer is broken.
_LABEL, _INSIDE = 24, 34

# What a run may come to say in a box or on a way, where room is kept for it.
_ROOM = ("9,999,999 done · 99,999 failed", "9,999,999 waiting · 999 running")
_ROOM_ON_WAY = "9,999,999"

# Between two layers, and between two boxes of one.
_SPACING = {"layer_gap": 44.0, "node_gap": 36.0}

# How much more room is given, in turn, until nothing stands over anything else.
_SPREAD = (1.0, 1.3, 1.7, 2.2, 3.0)

# Ways that matter more are drawn straighter.
_WEIGHTS = {"next": 3.0, "error": 1.0, "wait": 0.5}

LineKind = Literal["name", "takes", "loop", "drop", "off", "counts"]
WayKind = Literal["next", "error", "wait"]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """
    A rectangle: its left upper corner, and its size.
    """

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: "Box") -> bool:
        """
        Whether both have some room in common.
        """
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def within(self, gap: float) -> "Box":
        """
        The same, smaller by a gap on each side.
        """
        return Box(self.x + gap, self.y + gap, self.width - 2 * gap, self.height - 2 * gap)


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
    it, in lines, and where. `number` is that of its arrow in the graph, None of the ways that a join waits for.
    """

    kind: WayKind
    source: str
    to: str
    points: tuple[Point, ...]
    number: int | None = None
    arrow: Arrow | None = None
    lines: tuple[str, ...] = ()
    label: Box | None = None

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
        What stands over something else: labels, boxes, and ways that are not theirs.
        """
        for number, stage in enumerate(self.stages):
            for other in self.stages[:number]:
                if stage.box.meets(other.box):
                    yield f"stage {stage.node.name!r} stands over {other.node.name!r}"
            for way in self.ways:
                if _crosses(way.points, stage.box.within(0.5)):
                    yield f"the way from {way.source!r} to {way.to!r} runs through {stage.node.name!r}"
                if way.label is not None and way.label.within(0.5).meets(stage.box):
                    yield f"{' '.join(way.lines)!r} stands over {stage.node.name!r}"
        for number, way in enumerate(self.ways):
            for other in self.ways:
                if other is not way and way.label is not None and _crosses(other.points, way.label.within(0.5)):
                    yield f"the way from {other.source!r} to {other.to!r} runs through {' '.join(way.lines)!r}"
            for other in self.ways[:number]:
                if way.label is not None and other.label is not None and way.label.meets(other.label):
                    yield f"{' '.join(way.lines)!r} stands over {' '.join(other.lines)!r}"


@dataclass(frozen=True, slots=True)
class _Way:
    """
    A way that is to be laid out.
    """

    kind: WayKind
    source: str
    to: str
    number: int | None = None
    arrow: Arrow | None = None
    lines: tuple[str, ...] = ()
    size: Point = (0.0, 0.0)


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
    lines = [Line("name", printable(node.name))]
    if node.takes:
        lines += [Line("takes", text) for text in _broken(node.takes, _INSIDE)]
    for arrow in graph.arrows:
        if arrow.source == node.name and arrow.to == node.name:
            lines += [Line("loop", text) for text in _broken(f"↻ {arrow.label}", _INSIDE)]
        elif arrow.source == node.name and arrow.to is None:
            lines += [Line("drop", text) for text in _broken(f"✕ {arrow.label or 'default'} dropped", _INSIDE)]
    if node.disabled:
        lines += [Line("off", text) for text in _broken(f"off: {node.disabled}", _INSIDE)]
    counts = counts_in(node.counts)
    return (*lines, *(Line("counts", text) for text in (counts or ("", "") if live else counts)))


def counts_in(counts: Mapping[str, int]) -> tuple[str, ...]:
    """
    What stands in a box about a run: what has ended, and what is to come.
    """
    ended = " · ".join(f"{counts[word]:,} {word}" for word in counts if counts[word] and word not in ("waiting", "running"))
    coming = " · ".join(f"{counts[word]:,} {word}" for word in ("waiting", "running") if counts.get(word))
    return tuple(line for line in (ended, coming) if line)


def _broken(text: str, letters: int) -> list[str]:
    return wrap(printable(text), letters, break_on_hyphens=False) or [""]


def _size(lines: tuple[Line, ...], live: bool) -> Point:
    texts = [(line.text, line.kind == "name") for line in lines] + [(text, False) for text in _ROOM if live]
    widest = max(width_of(text, NAME_SIZE if bold else LINE_SIZE, bold=bold) for text, bold in texts)
    return max(_LEAST_WIDTH, widest + 2 * _PAD_X), _height(lines) + 2 * _PAD_Y


def _height(lines: tuple[Line, ...]) -> float:
    return sum(_NAME_HEIGHT if line.kind == "name" else _LINE_HEIGHT for line in lines)


def _ways(graph: Graph, live: bool) -> Iterator[_Way]:
    for number, arrow in enumerate(graph.arrows):
        if arrow.to is None or arrow.to == arrow.source:
            continue  # stands in its box
        lines = _broken(arrow.label, _LABEL) if arrow.label else []
        if arrow.count:
            lines.append(f"{arrow.count:,}")
        room = [*lines, _ROOM_ON_WAY] if live else lines
        size = (max(width_of(line, LINE_SIZE) for line in room) + 6, len(room) * _LINE_HEIGHT) if room else (0.0, 0.0)
        kind = "error" if arrow.kind == "error" else "next"
        yield _Way(kind, arrow.source, arrow.to, number, arrow, tuple(lines), size)
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
    asked = graphlay.Graph()
    for node in order:
        width, height = sizes[node.name]
        asked.node(node.name, width=width, height=height, rank="first" if node.start else "free")
    turned = [place[way.to] < place[way.source] for way in ways]
    for way, back in zip(ways, turned, strict=True):
        # A way back is laid out as one ahead, so that the start stays on top, and turned again.
        source, to = (way.to, way.source) if back else (way.source, way.to)
        room = {"label_size": {"width": way.size[0], "height": way.size[1]}} if way.size[0] else {}
        asked.edge(source, to, weight=_WEIGHTS[way.kind], **room)
    options = {"direction": "topbottom", "spacing": {name: gap * spread for name, gap in _SPACING.items()}}
    drawn: Any = graphlay.layout(asked, options=options)
    left, top, right, bottom = _extent(drawn, ways)
    stages = [
        PlacedStage(node, _centred(at["center"], sizes[node.name], left, top), boxes[node.name])
        for node, at in zip(order, drawn.nodes, strict=True)
    ]
    placed = [
        PlacedWay(
            way.kind,
            way.source,
            way.to,
            tuple((point["x"] - left, point["y"] - top) for point in (reversed(at["points"]) if back else at["points"])),
            way.number,
            way.arrow,
            way.lines,
            _centred(at["label_anchor"], way.size, left, top) if at["label_anchor"] else None,
        )
        for way, back, at in zip(ways, turned, drawn.edges, strict=True)
    ]
    return Layout(right - left, bottom - top, tuple(stages), tuple(placed))


def _extent(drawn: Any, ways: Sequence[_Way]) -> tuple[float, float, float, float]:
    """
    The sides of all that is drawn, with a margin.
    """
    corners = [(point["x"], point["y"]) for at in drawn.edges for point in at["points"]]
    held = [(at["center"], (at["size"]["width"], at["size"]["height"])) for at in drawn.nodes]
    held += [(at["label_anchor"], way.size) for way, at in zip(ways, drawn.edges, strict=True) if at["label_anchor"]]
    for centre, (width, height) in held:
        corners += [(centre["x"] + side * width / 2, centre["y"] + side * height / 2) for side in (-1, 1)]
    across, down = zip(*corners, strict=True)
    return min(across) - _MARGIN, min(down) - _MARGIN, max(across) + _MARGIN, max(down) + _MARGIN


def _centred(at: Mapping[str, float], size: Point, left: float, top: float) -> Box:
    return Box(at["x"] - left - size[0] / 2, at["y"] - top - size[1] / 2, size[0], size[1])


def _crosses(points: tuple[Point, ...], box: Box) -> bool:
    """
    Whether a line with right angles runs through a box.
    """
    return any(
        Box(min(a[0], b[0]), min(a[1], b[1]), abs(a[0] - b[0]), abs(a[1] - b[1])).meets(box)
        for a, b in pairwise(points)
    )
