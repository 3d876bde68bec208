"""
A graph in the terminal: drawn by termaid, with a legend of what the drawing cannot say.
"""

from oaflow.cli.output import clean
from oaflow.operations.graphs import Graph, as_mermaid


def drawn(graph: Graph) -> str:
    """
    The picture, and below it a line for each stage that is off or external.
    """
    import termaid

    picture = termaid.render(as_mermaid(graph, styles=False), padding_x=2, padding_y=0, gap=3)
    lines = [line.rstrip() for line in picture.splitlines()]
    notes = [f"{node.name} is off: {node.disabled}" for node in graph.nodes if node.disabled]
    notes += [
        f"{node.name} runs in another service ({node.task}, queue {node.queue})"
        for node in graph.nodes
        if node.external
    ]
    return "\n".join([*lines, *(["", *map(clean, notes)] if notes else [])]) + "\n"
