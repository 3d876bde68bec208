"""
What is shown of what stands at a place of a pipeline file: what a key means, what a stage is, what flows along an edge.
Markdown. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from oaflow.compiler.flows import flow_of, in_words
from oaflow.diagnostics import Path
from oaflow.editors.completing import meaning
from oaflow.editors.documents import Document
from oaflow.editors.places import EXPRESSIONS, KEYS, mapping_at, part_at, path_at, value_at
from oaflow.editors.renaming import Ends, named_at, task_at
from oaflow.expressions.grammar import USAGE
from oaflow.model import Edge
from oaflow.schemata import PROPERTIES, SCHEMATA, travels

# Schemata that are named where many have a property.
_NAMED = 6

_WORD = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shown:
    """
    A text, and of what it is.
    """

    text: str
    ends: Ends


def shown_at(document: Document, offset: int) -> Shown | None:
    """
    What there is to show at an offset; None where there is nothing.
    """
    line, column = document.text.place(offset)
    found = path_at(document.spans, line, column)
    if found is None:
        return None
    path, is_key = found
    span = document.spans.keys[path] if is_key else document.spans.values[path]
    ends = document.text.ends(span)
    if is_key and (text := _key(document, path)):
        return Shown(text, ends)
    if (named := named_at(document, offset)) is not None:
        if named.kind == "param":
            text = _param(named.name, mapping_at(document.params, named.name))
        else:
            text = "\n\n".join(part for part in (_edges(document, named.path), _stage(document, named.name)) if part)
        return Shown(text, document.text.ends(named.span)) if text else None
    if (task := task_at(document, offset)) is not None:
        text = _function(document, task)
        return Shown(text, ends) if text else None
    if part_at(path) in EXPRESSIONS and (word := _word(document, offset)) is not None:
        text = _named(document.source[slice(*word)])
        return Shown(text, word) if text else None
    value = value_at(document.data, path)
    if isinstance(value, str) and value in SCHEMATA and part_at(path) in ("schema", "wanted"):
        return Shown(_schema(value), ends)
    return None


def _key(document: Document, path: Path) -> str:
    part, name = part_at(path[:-1]), str(path[-1])
    key = KEYS.get(part, {}).get(name)
    match part:
        case "stages" | "expect":
            return _stage(document, name)
        case "params" | "given":
            return _param(name, mapping_at(document.params, name))
        case "next" if "to" not in mapping_at(document.data, *path[:-1]):
            return f"Port `{name}` of stage `{path[1]}`."
        case "where" | "not" | "properties":
            return _property(name)
        case "with":
            return _option(document, path)
        case _:
            return f"**{name}**\n\n{meaning(key)}" if key is not None else ""


def _stage(document: Document, name: str) -> str:
    stage = mapping_at(document.stages, name)
    if not stage:
        return ""
    function = document.function_of(name)
    said = stage.get("description") or (function.doc if function else None)
    lines = [f"**{name}** `{stage.get('task', '')}`", *([str(said)] if said else [])]
    pipeline = document.checked.pipeline
    if pipeline is not None and name in pipeline.stages:
        before = [
            f"- from `{other}`: {_flow(document, other, edge)}"
            for other, one in pipeline.stages.items()
            for edge in one.next
            if edge.to == name
        ]
        after = [f"- to `{edge.to}`: {_flow(document, name, edge)}" for edge in pipeline.stages[name].next]
        errors = [f"- from `{other}`: what failed" for other, one in pipeline.stages.items() if one.on_error == name]
        lines += ["\n".join([*before, *errors, *after])] if before or errors or after else []
    return "\n\n".join(lines)


def _edges(document: Document, path: Path) -> str:
    """
    What flows along the edge whose target stands at a path.
    """
    pipeline = document.checked.pipeline
    if pipeline is None or path[0] != "stages":
        return ""
    name = str(path[1])
    edges = [edge for edge in pipeline.stages[name].next if ("stages", name, *edge.place) == path]
    return "\n\n".join(f"`{name}` → `{edge.to}`: {_flow(document, name, edge)}" for edge in edges)


def _flow(document: Document, name: str, edge: Edge) -> str:
    """
    What goes along an edge, in words.
    """
    before, after = document.function_of(name), document.function_of(edge.to)
    flow = flow_of(edge, before.options if before else None, after.options if after else None)
    what = in_words(flow.passed) if flow.passed else "all that it returns"
    accepted = flow.accepted if flow.accepted != flow.passed else None
    return ", ".join(
        [
            what if edge.port == "default" else f"{what} on port `{edge.port}`",
            *_conditions(edge),
            *([f"at most {edge.recurse} deep"] if edge.recurse else []),
            *([f"and `{edge.to}` accepts {in_words(accepted)}"] if accepted else []),
        ]
    )


def _conditions(edge: Edge) -> Iterator[str]:
    if edge.rest:
        yield "what no other edge took"
    if edge.when is not None:
        yield f"when `{edge.when}`"
    if isinstance(edge.where, str):
        yield f"where `{edge.where}`"
    elif edge.where is not None:
        yield f"where {_mapping(edge.where)}"


def _mapping(where: Mapping[str, Any]) -> str:
    return " and ".join(
        f"not ({_mapping(wanted)})" if isinstance(wanted, Mapping) else f"`{key}` is {' or '.join(map(str, wanted))}"
        for key, wanted in where.items()
    )


def _param(name: str, param: Mapping[str, Any]) -> str:
    if not param:
        return ""
    kind = str(param.get("type", "string"))
    default = f", `{param['default']}` where a run says nothing" if param.get("default") is not None else ""
    return "\n\n".join([f"**params.{name}**", *([str(param["help"])] if param.get("help") else []), f"{kind}{default}"])


def _function(document: Document, task: str) -> str:
    stage = next((name for name, one in document.stages.items() if mapping_at(one).get("task") == task), None)
    function = document.function_of(stage) if stage is not None else None
    if function is None:
        return ""
    options = ", ".join(f"{one.name}: {one.annotation}" if one.annotation else one.name for one in function.parameters)
    ports = ", ".join(f"`{port}`" for port in function.options.ports)
    signature = f"```python\n{task}({options}) -> {function.returns or 'Any'}\n```"
    return "\n\n".join([signature, *([function.doc] if function.doc else []), f"Ports: {ports}"])


def _option(document: Document, path: Path) -> str:
    function = document.function_of(str(path[1])) if path[0] == "stages" else None
    found = next((one for one in function.parameters if one.name == path[-1]), None) if function else None
    return f"`{found.name}: {found.annotation or 'Any'}`" if found is not None else ""


def _named(word: str) -> str:
    """
    What a word of an expression is: a function, or a property of an entity.
    """
    if word in USAGE:
        return f"`{USAGE[word]}`"
    return _property(word.rpartition(".")[2]) if "." in word else ""


@cache
def _property(name: str) -> str:
    owners = [schema for schema, found in PROPERTIES.items() if name in found]
    if not owners:
        return ""
    kinds = ", ".join(sorted({PROPERTIES[schema][name] for schema in owners}))
    more = f" and {len(owners) - _NAMED} more" if len(owners) > _NAMED else ""
    stays = "" if travels(name) else "\n\nIt stays in the store: a condition on it needs `load: true`."
    return f"**{name}**: {kinds}\n\nOf {', '.join(owners[:_NAMED])}{more}, and all that descend from them.{stays}"


def _schema(name: str) -> str:
    above = [one for one in SCHEMATA[name] if one != name]
    return f"**{name}**" + (f"\n\nDescends from {', '.join(above)}." if above else "")


def _word(document: Document, offset: int) -> Ends | None:
    """
    The word with its dots at an offset.
    """
    start = document.source.rfind("\n", 0, offset) + 1
    end = document.source.find("\n", offset)
    line = document.source[start : end if end >= 0 else len(document.source)]
    for found in _WORD.finditer(line):
        if found.start() <= offset - start <= found.end():
            return start + found.start(), start + found.end()
    return None
