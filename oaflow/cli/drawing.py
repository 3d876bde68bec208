"""
A graph in the terminal: few stages as boxes, drawn by termaid, many as rails (see docs/decisions/terminal-graph.md).
"""

import shutil

from oaflow.graph import Graph, as_mermaid, printable
from oaflow.rails import rails

# Above these termaid lays lines over each other, and arrows seem to start where they do not.
MOST_BOXES = 5
MOST_ARROWS = 8


def drawn(graph: Graph, width: int | None = None) -> str:
    """
    The picture; below boxes also a line for each stage that is off or external.

    Args:
        width: columns that it may take; None: those of the terminal.
    """
    boxes = _boxes(graph) if len(graph.nodes) <= MOST_BOXES and len(graph.arrows) <= MOST_ARROWS else None
    if boxes is None or not _fits(boxes, graph, width or shutil.get_terminal_size((100, 24)).columns):
        return rails(graph)
    notes = [f"{node.name} is off: {node.disabled}" for node in graph.nodes if node.disabled]
    notes += [
        f"{node.name} runs in another service ({node.task}, queue {node.queue})"
        for node in graph.nodes
        if node.external
    ]
    return "\n".join([*boxes, *(["", *map(printable, notes)] if notes else [])]) + "\n"


def _boxes(graph: Graph) -> list[str]:
    # 30 ms that no other command needs.
    import termaid

    picture = termaid.render(as_mermaid(graph, styles=False), padding_x=2, padding_y=0, gap=3)
    return [line.rstrip() for line in picture.rstrip().splitlines()]


def _fits(boxes: list[str], graph: Graph, width: int) -> bool:
    """
    Whether the picture is narrow enough, and says all that stands on its arrows: termaid drops a label where it finds
    no room.
    """
    text = "\n".join(boxes)
    labels = [arrow.label for arrow in graph.arrows if arrow.label]
    return max(map(len, boxes)) <= width and all(text.count(label) >= labels.count(label) for label in labels)
