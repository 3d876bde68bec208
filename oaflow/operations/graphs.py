"""
A plan as a picture: nodes and edges, and the forms they are written in. Pure; drawing in a terminal is the command's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from oaflow.errors import OaflowError
from oaflow.operations.starting import without_required
from oaflow.plan import Plan, bind, check_params

EdgeKind = Literal["next", "error", "drop"]


@dataclass(frozen=True, slots=True)
class Node:
    """
    A stage. `disabled` is the reason why it is off with the given params, or None.
    """

    name: str
    task: str
    queue: str
    start: bool
    end: bool
    external: bool
    disabled: str | None


@dataclass(frozen=True, slots=True)
class Arrow:
    """
    A way out of a stage. `to` is None where what is emitted on the port is dropped.
    """

    source: str
    to: str | None
    port: str
    kind: EdgeKind
    recurse: int | None = None

    @property
    def label(self) -> str:
        """
        What stands on it: the port where it is not the default one, how deep it may recurse.
        """
        parts = [] if self.port == "default" or self.kind == "error" else [self.port]
        if self.kind == "error":
            parts.append("on error")
        if self.recurse is not None:
            parts.append(f"recurse {self.recurse}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Graph:
    """
    The stages of a pipeline, in the order of its plan, and the ways between them.
    """

    pipeline: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


def graph_of(plan: Plan, given: Mapping[str, object] | None = None) -> Graph:
    """
    The graph of a plan, with the stages that are off under the given params (else under their defaults).
    """
    disabled = _disabled(plan, given or {})
    return Graph(
        plan.pipeline,
        tuple(
            Node(
                name,
                stage.task,
                stage.queue,
                name in plan.start,
                stage.end,
                stage.external,
                disabled.get(name),
            )
            for name, stage in plan.stages.items()
        ),
        tuple(_arrows(plan)),
    )


def _arrows(plan: Plan) -> Iterator[Arrow]:
    for name, stage in plan.stages.items():
        for edge in stage.edges:
            yield Arrow(name, edge.to, edge.port, "next", edge.recurse)
        for port in stage.dropped:
            yield Arrow(name, None, port, "drop")
        if stage.on_error is not None:
            yield Arrow(name, stage.on_error, "error", "error")


def _disabled(plan: Plan, given: Mapping[str, object]) -> Mapping[str, str]:
    loose = without_required(plan)
    values = check_params(loose, given)
    try:
        return bind(loose, values).disabled
    except OaflowError:
        # A plan that cannot be bound without values can be drawn all the same: then only what is off for good is off.
        return {name: "enabled: false" for name, stage in plan.stages.items() if stage.enabled is False}


def as_json(graph: Graph) -> str:
    """
    The graph for other programs.
    """
    return json.dumps(
        {
            "pipeline": graph.pipeline,
            "stages": [asdict(node) for node in graph.nodes],
            "edges": [
                {"from": arrow.source, "to": arrow.to, "port": arrow.port, "kind": arrow.kind, "recurse": arrow.recurse}
                for arrow in graph.arrows
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def as_mermaid(graph: Graph, *, styles: bool = True, direction: str = "TD") -> str:
    """
    The graph as a Mermaid flowchart.

    Args:
        styles: colours too; without them what is off says so in its text.
    """
    lines = [f"flowchart {direction}"]
    for node in graph.nodes:
        text = node.name if styles or not node.disabled else f"{node.name} (off)"
        text = text if not node.external or styles else f"{text} (external)"
        left, right = ("([", "])") if node.start else ("[[", "]]") if node.external and styles else ("[", "]")
        lines.append(f'    {_id(node.name)}{left}"{text}"{right}')
    for number, arrow in enumerate(graph.arrows):
        label = f'|"{arrow.label}"|' if arrow.label else ""
        if arrow.to is None:
            dropped = f"drop_{number}"
            lines.append(f'    {dropped}("dropped")')
            lines.append(f"    {_id(arrow.source)} -.->{label} {dropped}")
        else:
            line = "-.->" if arrow.kind == "error" else "-->"
            lines.append(f"    {_id(arrow.source)} {line}{label} {_id(arrow.to)}")
    if styles:
        lines += list(_classes(graph))
    return "\n".join(lines) + "\n"


def _classes(graph: Graph) -> Iterator[str]:
    off = [_id(node.name) for node in graph.nodes if node.disabled]
    outside = [_id(node.name) for node in graph.nodes if node.external and not node.disabled]
    dropped = [f"drop_{number}" for number, arrow in enumerate(graph.arrows) if arrow.to is None]
    if off:
        yield "    classDef off stroke-dasharray:4 4,color:#888,stroke:#aaa,fill:#f6f6f6"
        yield f"    class {','.join(off)} off"
    if outside:
        yield "    classDef external stroke:#7a5af5,fill:#f3f0ff"
        yield f"    class {','.join(outside)} external"
    if dropped:
        yield "    classDef dropped color:#888,stroke:none,fill:none"
        yield f"    class {','.join(dropped)} dropped"
    errors = [str(number) for number, arrow in enumerate(graph.arrows) if arrow.kind == "error"]
    if errors:
        yield f"    linkStyle {','.join(errors)} stroke:#c0392b"


def as_dot(graph: Graph) -> str:
    """
    The graph for Graphviz.
    """
    lines = [
        f"digraph {_quoted(graph.pipeline)} {{",
        "    rankdir=LR;",
        '    node [shape=box, style=rounded, fontname="sans-serif", fontsize=11];',
        '    edge [fontname="sans-serif", fontsize=9];',
    ]
    for node in graph.nodes:
        kind = ", penwidth=2" if node.start else ""
        kind += ", peripheries=2" if node.external else ""
        kind += ', style="rounded,dashed", color=gray, fontcolor=gray' if node.disabled else ""
        lines.append(f"    {_quoted(node.name)} [tooltip={_quoted(node.task)}{kind}];")
    for number, arrow in enumerate(graph.arrows):
        label = f"label={_quoted(arrow.label)}" if arrow.label else ""
        if arrow.to is None:
            lines.append(f'    "drop {number}" [label="dropped", shape=plaintext, fontcolor=gray];')
            lines.append(f'    {_quoted(arrow.source)} -> "drop {number}" [style=dotted, color=gray, {label}];')
            continue
        style = ["style=dashed", "color=firebrick", "fontcolor=firebrick"] if arrow.kind == "error" else []
        facts = ", ".join(filter(None, [label, *style]))
        lines.append(f"    {_quoted(arrow.source)} -> {_quoted(arrow.to)}{f' [{facts}]' if facts else ''};")
    return "\n".join([*lines, "}"]) + "\n"


def _id(name: str) -> str:
    # `end`, `class` and the like are words of Mermaid; names of stages have no other letters than these.
    return "s_" + re.sub(r"\W", "_", name)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
