"""
A plan as a picture: nodes and arrows, and the forms they are written in. Pure; choosing a drawing for a terminal is the
command's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Literal

from oaflow.plan import Plan
from oaflow.printed import pipelines as printed
from oaflow.visible import visible

# Letters of a condition that stand on an arrow.
_CONDITION = 40

ArrowKind = Literal["next", "error", "drop"]

# Which arrows are meant: from this stage, to that one, of this kind.
ArrowKey = tuple[str, str, Literal["next", "error"]]


def said_count(word: str, number: int) -> str:
    """
    How much there is of something that a stage counts: `1,200 done`, `1 entity`.
    """
    return f"{number:,} {'entity' if (word, number) == ('entities', 1) else word}"


@dataclass(frozen=True, slots=True)
class Node:
    """
    A stage. `disabled` is the reason why it is off with the given params, or None; `counts` is how it stands in a run;
    `join` are the stages that it waits for, or `run`; `collect` is how many entities are put into one of its jobs,
    `split` how many one holds at most, a number or an open param; of its jobs with one `lock`, an expression, one at a
    time runs; `description` is one line for people.
    """

    name: str
    task: str
    queue: str
    start: bool
    end: bool
    external: bool
    disabled: str | None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    join: tuple[str, ...] = ()
    collect: int | str | None = None
    split: int | str | None = None
    description: str | None = None
    lock: str | None = None

    @property
    def counted(self) -> str | None:
        """
        How it stands in a run, in words; None where nothing is known of it. What is 0 is not said.
        """
        return ", ".join(said_count(word, number) for word, number in self.counts.items() if number) or None

    @property
    def takes(self) -> str | None:
        """
        How it comes to its jobs, in words; None where each that arrives is one of them, and runs when it can.
        """
        said: list[str] = []
        if self.join:
            said.append("after all else" if self.join == ("run",) else f"after {' and '.join(self.join)}")
        elif self.collect is not None:
            said.append(f"collect {self.collect}")
        elif self.split is not None:
            said.append(f"split {self.split}")
        if self.lock is not None:
            said.append(f"lock {shorten(self.lock, _CONDITION, placeholder=' ...')}")
        return ", ".join(said) or None


@dataclass(frozen=True, slots=True)
class Arrow:
    """
    A way out of a stage. `to` is None where what is emitted on the port is dropped. `condition` is what goes along it,
    in the words of the file; empty where that is all; `count` is how many jobs of a
    run went along it, and the others of its kind between the same two stages.
    """

    source: str
    to: str | None
    port: str
    kind: ArrowKind
    recurse: int | None = None
    condition: str = ""
    count: int | None = None

    @property
    def label(self) -> str:
        """
        What stands on it: the port where it is not the default one, what goes along it, how deep it may recurse.
        """
        parts = [] if self.port == "default" or self.kind == "error" else [self.port]
        if self.kind == "error":
            parts.append("on error")
        if self.condition:
            parts.append(visible(shorten(self.condition, _CONDITION, placeholder=" ...")))
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


def graph_of(
    plan: Plan,
    disabled: Mapping[str, str] | None = None,
    counts: Mapping[str, Mapping[str, int]] | None = None,
    descriptions: Mapping[str, str] | None = None,
    passed: Mapping[ArrowKey, int] | None = None,
) -> Graph:
    """
    The graph of a plan.

    Args:
        disabled: the stages that are off, each with the reason (`BoundPlan.disabled`).
        counts: of a run, by stage: how many jobs are done, failed and so on; what is 0 is not shown.
        descriptions: what each stage is for. A plan has none: its digest does not depend on them.
        passed: of a run, how many jobs went from a stage to another, along all ways of a kind.
    """
    off, counted, described = disabled or {}, counts or {}, descriptions or {}
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
                off.get(name),
                counted.get(name, {}),
                stage.join,
                stage.collect.size if stage.collect else None,
                stage.split,
                described.get(name),
                stage.lock,
            )
            for name, stage in plan.stages.items()
        ),
        tuple(_arrows(plan, passed or {})),
    )


def _arrows(plan: Plan, passed: Mapping[ArrowKey, int]) -> Iterator[Arrow]:
    for name, stage in plan.stages.items():
        for edge in stage.edges:
            count = passed.get((name, edge.to, "next"))
            yield Arrow(name, edge.to, edge.port, "next", edge.recurse, edge.condition, count)
        for port in stage.dropped:
            yield Arrow(name, None, port, "drop")
        if stage.on_error is not None:
            yield Arrow(name, stage.on_error, "error", "error", count=passed.get((name, stage.on_error, "error")))


def as_json(graph: Graph) -> str:
    """
    The graph for other programs.
    """
    whole: printed.Graph = {
        "pipeline": graph.pipeline,
        "stages": [_node_json(node) for node in graph.nodes],
        "edges": [
            {
                "from": arrow.source,
                "to": arrow.to,
                "port": arrow.port,
                "kind": arrow.kind,
                "recurse": arrow.recurse,
                "condition": arrow.condition,
                "count": arrow.count,
            }
            for arrow in graph.arrows
        ],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _node_json(node: Node) -> printed.Node:
    return {
        "name": node.name,
        "task": node.task,
        "queue": node.queue,
        "start": node.start,
        "end": node.end,
        "external": node.external,
        "disabled": node.disabled,
        "counts": dict(node.counts),
        "join": list(node.join),
        "collect": node.collect,
        "split": node.split,
        "description": node.description,
        "lock": node.lock,
    }


# --- Mermaid ---


def as_mermaid(graph: Graph, *, styles: bool = True) -> str:
    """
    The graph as a Mermaid flowchart.

    Args:
        styles: colours too; without them what is off or elsewhere says so in its text.
    """
    ids = _ids(graph)
    lines = ["flowchart TD"]
    # What a loop says stands in its stage: beside the loop, Mermaid lays it over other edges.
    loops = {each.source: f"<br/>↻ {each.label}" for each in graph.arrows if styles and each.to == each.source}
    for node in graph.nodes:
        left, right = ("([", "])") if node.start else ("[[", "]]") if node.external and styles else ("[", "]")
        lines.append(
            f"    {ids[node.name]}{left}{_mermaid_text(_told(node, styles) + loops.get(node.name, ''))}{right}"
        )
    for number, arrow in enumerate(graph.arrows):
        inside = arrow.to == arrow.source and arrow.source in loops
        label = f"|{_mermaid_text(arrow.label)}|" if arrow.label and not inside else ""
        if arrow.to is None:
            lines.append(f'    drop_{number}("dropped")')
            lines.append(f"    {ids[arrow.source]} -.->{label} drop_{number}")
        else:
            line = "-.->" if arrow.kind == "error" else "-->"
            lines.append(f"    {ids[arrow.source]} {line}{label} {ids[arrow.to]}")
    if styles:
        lines += _classes(graph, ids)
    return "\n".join(lines) + "\n"


def _told(node: Node, styles: bool) -> str:
    text = visible(node.name)
    if not styles:
        text += " (off)" if node.disabled else " (external)" if node.external else ""
        text += f" ({visible(node.takes)})" if node.takes else ""
        return f"{text}<br/>{visible(node.counted)}" if node.counted else text
    return "<br/>".join([text, *(visible(line) for line in (node.takes, node.counted) if line)])


def _mermaid_text(text: str) -> str:
    # Mermaid has no escapes in a quoted text but entities; `<br/>` is its line break.
    parts = (part.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;") for part in text.split("<br/>"))
    return f'"{"<br/>".join(parts)}"'


def _ids(graph: Graph) -> dict[str, str]:
    """
    A word for each stage: `end`, `class` and the like are Mermaid's own, and `--` would be a line.
    """
    ids: dict[str, str] = {}
    for node in graph.nodes:
        word = "s_" + re.sub(r"\W", "_", node.name, flags=re.ASCII)
        while word in ids.values():
            word += "_"
        ids[node.name] = word
    return ids


def _classes(graph: Graph, ids: Mapping[str, str]) -> Iterator[str]:
    off = [ids[node.name] for node in graph.nodes if node.disabled]
    outside = [ids[node.name] for node in graph.nodes if node.external and not node.disabled]
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


# --- Graphviz ---


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
        facts = ["tooltip=" + _quoted("\n".join(filter(None, [node.description, node.task])))]
        told = [line for line in (node.name, node.takes, node.counted) if line]
        facts += ["label=" + _quoted("\n".join(told))] if len(told) > 1 else []
        facts += ["penwidth=2"] if node.start else []
        facts += ["peripheries=2"] if node.external else []
        facts += ['style="rounded,dashed"', "color=gray", "fontcolor=gray"] if node.disabled else []
        lines.append(f"    {_quoted(node.name)} [{', '.join(facts)}];")
    for number, arrow in enumerate(graph.arrows):
        facts = [f"label={_quoted(arrow.label)}"] if arrow.label else []
        target = _quoted(arrow.to) if arrow.to is not None else f'"drop {number}"'
        if arrow.to is None:
            lines.append(f'    {target} [label="dropped", shape=plaintext, fontcolor=gray];')
            facts += ["style=dotted", "color=gray"]
        elif arrow.kind == "error":
            facts += ["style=dashed", "color=firebrick", "fontcolor=firebrick"]
        said = f" [{', '.join(facts)}]" if facts else ""
        lines.append(f"    {_quoted(arrow.source)} -> {target}{said};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').split("\n")
    return '"' + "\\n".join(visible(part) for part in escaped) + '"'
