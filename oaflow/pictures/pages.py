"""
A graph as a page that stands alone: the picture, which keys and a mouse move and enlarge, and below it the stages in a
table. Nothing is fetched, and nothing runs but what the page names by its hash.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files

from oaflow.graph import Graph, Node
from oaflow.pictures.svg import stylesheet, svg_of
from oaflow.rails import in_order
from oaflow.visible import visible


def page_of(graph: Graph) -> str:
    """
    The graph as one HTML file.
    """
    return "\n".join(_page(graph)) + "\n"


def _page(graph: Graph) -> Iterator[str]:
    style, script = stylesheet() + _part("page.css"), _part("page.js")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    title = _text(f"The pipeline {graph.pipeline}")
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield '<head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>"
    yield f"<style>{style}</style></head>"
    yield f"<body><header><h1>{title}</h1>"
    yield "<p>Arrow keys move it, <kbd>+</kbd> and <kbd>-</kbd> enlarge it, <kbd>0</kbd> shows all of it.</p></header>"
    yield '<main><div id="view" tabindex="0" role="region" aria-label="The picture">'
    yield svg_of(graph) + "</div>"
    yield "<table><caption>Its stages</caption>"
    yield "<thead><tr><th>stage</th><th>what it is for</th><th>task</th><th>queue</th><th>leads to</th></tr></thead>"
    yield "<tbody>"
    for node in in_order(graph):
        cells = (node.description or "", node.task, node.queue, _leads(graph, node))
        yield f'<tr><th scope="row">{_text(node.name)}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in cells)}</tr>'
    yield "</tbody></table></main>"
    yield f"<script>{script}</script></body></html>"


def _leads(graph: Graph, node: Node) -> str:
    return ", ".join(
        ("dropped" if arrow.to is None else arrow.to) + (f" ({arrow.label})" if arrow.label else "")
        for arrow in graph.arrows
        if arrow.source == node.name
    )


@cache
def _part(name: str) -> str:
    return files("oaflow.pictures").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(text: str) -> str:
    return escape(visible(text))
