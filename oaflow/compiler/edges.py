"""
The key `next`: reads all its forms as edges.
"""

from collections.abc import Mapping
from typing import Any, cast

from oaflow.compiler import keys, synonyms
from oaflow.compiler.conditions import cut_by_yaml, read_condition
from oaflow.compiler.reading import Reader
from oaflow.compiler.rules import shape as rules
from oaflow.diagnostics import Path
from oaflow.model import PORT, Edge

EDGE_KEYS = tuple(keys.EDGE)

DROP = "drop"
DEEPEST = 1000


def read_next(
    reader: Reader, value: object, path: Path, *, first: bool = False
) -> tuple[tuple[Edge, ...], tuple[str, ...]]:
    """
    The edges of a `next`, and the ports that it drops.

    Args:
        first: whether an entity goes along the first edge that takes it, so that two may lead to one stage.
    """
    if isinstance(value, Mapping) and "to" not in value:
        edges, dropped = _ports(reader, cast("Mapping[Any, object]", value), path)
    else:
        edges, dropped = _edges(reader, value, path, None), []
    if not first:
        _refuse_copies(reader, edges, path)
    return tuple(edges), tuple(dropped)


def _ports(reader: Reader, ports: Mapping[Any, object], path: Path) -> tuple[list[Edge], list[str]]:
    """
    The edges of a `next` that names ports, and the ports that it drops.
    """
    edges: list[Edge] = []
    dropped: list[str] = []
    if not ports:
        help = "leave it out: without it, nothing follows"
        reader.report(rules.EMPTY_NEXT, "'next' leads nowhere", path, key=True, help=help)
    elif all(key in EDGE_KEYS for key in ports):
        _missing_to(reader, path)
    elif any(key in EDGE_KEYS for key in ports):
        for key in ports:
            if key in EDGE_KEYS:
                message = f"no port is named {key!r}: it is a key of an edge"
                reader.report(rules.RESERVED_NAME, message, (*path, key), key=True, help="an edge has a `to`")
    else:
        for key, target in ports.items():
            port = reader.name(key, (*path, str(key)), "a port", PORT, key=True)
            if target == DROP and port is not None:
                dropped.append(port)
            elif port is not None or target is not None:  # `{to:b}` is one mistake
                # A name that is wrong was told; it still tells two ports apart.
                edges += _edges(reader, target, (*path, str(key)), port or str(key))
    return edges, dropped


def _edges(reader: Reader, value: object, path: Path, port: str | None) -> list[Edge]:
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        if not items:
            help = "name a stage, or `drop`" if port else "leave out `next`: without it, nothing follows"
            reader.report(rules.EMPTY_NEXT, "an empty list leads nowhere", path, help=help)
        found = [_edge(reader, item, (*path, index), port) for index, item in enumerate(items)]
    else:
        found = [_edge(reader, value, path, port)]
    return [edge for edge in found if edge is not None]


def _edge(reader: Reader, value: object, path: Path, port: str | None) -> Edge | None:
    if value == DROP:
        help = "next: {default: drop}" if port is None else f"next: {{{port}: drop}}, and nothing else on that port"
        reader.report(rules.DROP_MISPLACED, "`drop` must be the only target of its port", path, help=help)
        return None
    if isinstance(value, str):
        target = reader.name(value, path, "a stage")
        return None if target is None else Edge(to=target, port=port or "default", place=path[2:])
    if not isinstance(value, Mapping):
        nothing = f"`{port}: drop` if nothing should follow" if value is None and port is not None else None
        reader.wrong_type(value, path, "a stage's name, or an edge with `to`", nothing)
        return None
    if "to" not in value:
        _missing_to(reader, path)
        return None
    written = cast("Mapping[Any, object]", value)
    cut = cut_by_yaml(reader, written, path)
    elsewhere = dict.fromkeys([key for key in written if isinstance(key, str)], cut) if cut else None
    members = reader.mapping(written, path, "an edge", EDGE_KEYS, elsewhere=elsewhere, synonyms=synonyms.EDGE)
    target = None
    if members["to"] == DROP:
        reader.report(
            rules.DROP_MISPLACED,
            "`drop` must be the only target of its port",
            (*path, "to"),
            help=f"next: {{{port or 'default'}: drop}}",
        )
    else:
        target = reader.name(members["to"], (*path, "to"), "a stage")
    if "port" in members:
        if port is not None:
            message = f"this edge is already under port {port!r}"
            reader.report(rules.PORT_TWICE, message, (*path, "port"), key=True, help="take `port` out")
        else:
            port = reader.name(members["port"], (*path, "port"), "a port", PORT, reserved=EDGE_KEYS)
    said: dict[str, Any] = {}
    if "recurse" in members:
        said["recurse"] = reader.fixed(members["recurse"], (*path, "recurse"), 1, DEEPEST)
    said |= read_condition(reader, members, path)
    if target is None:
        return None
    return Edge(to=target, port=port or "default", place=(*path, "to")[2:], **said)


def _missing_to(reader: Reader, path: Path) -> None:
    reader.report(rules.MISSING_KEY, "an edge needs `to`, the stage it leads to", path, help="{to: STAGE}")


def _refuse_copies(reader: Reader, edges: list[Edge], path: Path) -> None:
    seen: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        # What no other edge took is taken once.
        if edge.rest:
            continue
        first = seen.setdefault((edge.port, edge.to), edge)
        if first is not edge:
            reader.report(
                rules.EDGE_TWICE,
                f"port {edge.port!r} leads to stage {edge.to!r} twice",
                (*path[:2], *edge.place),
                help="remove one of the two",
                notes=(("the first is here", reader.spans.value(*path[:2], *first.place)),),
            )
