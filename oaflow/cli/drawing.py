"""
A graph in the terminal: few stages as boxes, drawn by termaid, many as rails (see docs/decisions/terminal-graph.md).
"""

import shutil
from collections.abc import Iterator
from textwrap import wrap

from oaflow.graph import Graph, as_mermaid
from oaflow.rails import in_order, rails
from oaflow.visible import visible

# Above these termaid lays lines over each other, and arrows seem to start where they do not.
MOST_BOXES = 5
MOST_ARROWS = 8

# Columns that a description takes at least.
_LEAST_WORDS = 20


def drawn(graph: Graph, width: int | None = None) -> str:
    """
    The picture; below boxes also a line for each stage that is off or external; and what the stages are for.

    Args:
        width: columns that it may take; None: those of the terminal.
    """
    columns = width or shutil.get_terminal_size((100, 24)).columns
    boxes = _boxes(graph) if len(graph.nodes) <= MOST_BOXES and len(graph.arrows) <= MOST_ARROWS else None
    described = "".join(f"{line}\n" for line in _described(graph, columns))
    if boxes is None or not _fits(boxes, graph, columns):
        return rails(graph) + described
    notes = [f"{node.name} is off: {node.disabled}" for node in graph.nodes if node.disabled]
    notes += [
        f"{node.name} runs in another service ({node.task}, queue {node.queue})"
        for node in graph.nodes
        if node.external
    ]
    return "\n".join([*boxes, *(["", *map(visible, notes)] if notes else [])]) + "\n" + described


def _described(graph: Graph, width: int) -> Iterator[str]:
    """
    What the stages are for, below a blank line: one a line, broken where the terminal is narrower.
    """
    told = [(visible(node.name), visible(node.description)) for node in in_order(graph) if node.description]
    if told:
        yield ""
    widest = max((len(name) for name, _ in told), default=0)
    # Beside a very long name there is no room for words.
    room = max(width - widest - 2, _LEAST_WORDS)
    for name, description in told:
        for number, line in enumerate(wrap(description, room)):
            yield f"{'' if number else name:<{widest}}  {line}"


def _boxes(graph: Graph) -> list[str]:
    # 30 ms that no other command needs.
    import termaid

    # A line break of Mermaid's is none to termaid, which prints it; it knows `\n` instead.
    source = as_mermaid(graph, styles=False).replace("<br/>", "\\n")
    picture = termaid.render(source, padding_x=2, padding_y=0, gap=3)
    return [line.rstrip() for line in picture.rstrip().splitlines()]


def _fits(boxes: list[str], graph: Graph, width: int) -> bool:
    """
    Whether the picture is narrow enough, and says all that stands on its arrows: termaid drops a label where it finds
    no room.
    """
    text = "\n".join(boxes)
    labels = [arrow.label for arrow in graph.arrows if arrow.label]
    return max(map(len, boxes)) <= width and all(text.count(label) >= labels.count(label) for label in labels)
