"""
Names, and what stands behind a dot or in brackets. No attribute is ever read: a field is the key of a mapping.
"""

import ast
from dataclasses import replace

from oaflow.expressions import nodes, shapes
from oaflow.expressions.grammar import FIELDS, FUNCTIONS, MEANT, NAMES
from oaflow.expressions.shapes import Sort, can_be_equal, described
from oaflow.expressions.translation import Read, Translation, Typed
from oaflow.schemata import SCHEMATA, property_names
from oaflow.spelling import closest, did_you_mean

Access = ast.Attribute | ast.Subscript


def name(translation: Translation, node: ast.Name) -> Typed:
    """
    A name that is known, or what it was meant to be.
    """
    called, names = node.id, translation.names
    offset, length = translation.text.of(node)
    if translation.is_twisted(translation.text.segment(node), called, offset + length):
        return translation.wrong(node)
    if called in names:
        if called not in translation.scope:
            translation.uses.add(called)
        return Typed(nodes.name(called, node), names[called])
    if called.startswith("_"):
        return translation.mistake("not-allowed", "names cannot start with '_'", node)
    if called in FUNCTIONS:
        return translation.mistake("unknown-name", f"{called!r} is a function", node, f"{called}(...)")
    if called in NAMES["where"]:
        message, help = _elsewhere(translation, called)
        return translation.mistake("unknown-name", message, node, help)
    message = f"there is no name {called!r} here"
    return translation.mistake("unknown-name", message, node, _meant(translation, called))


def _elsewhere(translation: Translation, called: str) -> tuple[str, str]:
    known = f"the names are: {', '.join(translation.names)}"
    if translation.kind == "enabled":
        return f"{called!r} cannot be used in `enabled`, which is evaluated when a run starts", known
    help = "write it as `where`" if translation.kind == "when" else known
    return f"{called!r} is known only in `where`, which is evaluated for each entity", help


def _meant(translation: Translation, called: str) -> str:
    if called.lower() in MEANT:
        return f"write {MEANT[called.lower()]}"
    if translation.params is not None and called in translation.params:
        return f"write params.{called}"
    if called in SCHEMATA:
        return f'put a text in quotes: "{called}"'
    if translation.kind == "where" and (called in FIELDS[Sort.ENTITY] or called in property_names()):
        return f"write e.{called}"
    names = tuple(translation.names)
    return did_you_mean(called, (*names, *FUNCTIONS)) or f"the names are: {', '.join(names)}"


def attribute(translation: Translation, node: ast.Attribute) -> Typed:
    """
    What stands behind a dot.
    """
    base = translation.any(node.value)
    offset, length = translation.text.of(node)
    written = translation.text.segment(node).rpartition(".")[2].strip()
    if translation.is_twisted(written, node.attr, offset + length) or base.shape.sort is Sort.WRONG:
        return translation.wrong(node)
    if node.attr.startswith("_"):
        help = f'as the key of a mapping: {translation.text.segment(node.value)}["{node.attr}"]'
        open = base.shape.sort in (Sort.ANY, Sort.PAYLOAD, Sort.MAPPING) and not node.attr.startswith("__")
        message = "names after a dot cannot start with '_'"
        translation.at("not-allowed", message, behind(translation, node), help if open else None)
        return translation.wrong(node)
    return _field(translation, node, base, node.attr)


def subscript(translation: Translation, node: ast.Subscript) -> Typed:
    """
    What a mapping has under a key, or a list at a position.
    """
    base = translation.any(node.value)
    if base.shape.sort is not Sort.WRONG and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return _field(translation, node, base, node.slice.value)
    if base.shape.is_namespace and not isinstance(node.slice, ast.Slice):
        message = f"write the name of a field of {described(base.shape)} as a literal"
        return translation.mistake("not-allowed", message, node.slice, f"{translation.text.segment(node.value)}.NAME")
    key = translation.value(node.slice)
    if Sort.WRONG in (base.shape.sort, key.shape.sort):
        return translation.wrong(node)
    if base.shape.sort is Sort.VALUES:
        message = "the values of a property have no order, so none of them is the first"
        help = f'has({translation.text.segment(node.value)}, "...")'
        return translation.mistake("list-compared", message, node.slice, help)
    if base.shape.sort is Sort.MAPPING:
        return _under(translation, node, base, key)
    if base.shape.sort not in (Sort.LIST, Sort.ANY):
        return translation.mistake("wrong-argument", f"{described(base.shape)} cannot be indexed", node.slice)
    translation.note(node)
    # What is not there is missing. An entity is looked into as such.
    shape = base.shape.member if base.shape.member.is_namespace else replace(base.shape.member, optional=True)
    return Typed(nodes.call("item", [base.node, key.node], node), shape)


def _under(translation: Translation, node: ast.Subscript, base: Typed, key: Typed) -> Typed:
    """
    What a mapping has under a key that only a run knows.
    """
    if not can_be_equal(key.shape, shapes.TEXT):
        message = f"the keys of a mapping are texts, but this is {described(key.shape)}"
        return translation.mistake("wrong-argument", message, node.slice)
    translation.note(node)
    return Typed(nodes.call("item", [base.node, key.node], node), shapes.ANY)


def _field(translation: Translation, node: Access, base: Typed, called: str) -> Typed:
    match base.shape.sort:
        case Sort.ENTITY:
            return _of_entity(translation, node, base, called)
        case Sort.PARAMS:
            return _of_params(translation, node, base, called)
        case Sort.JOB | Sort.RUN:
            return _of_job(translation, node, base, called)
        case Sort.PAYLOAD if called == "entities":
            translation.note(node)
            return Typed(nodes.call("entities_of", [base.node], node), shapes.ENTITIES)
        case Sort.ANY | Sort.PAYLOAD | Sort.MAPPING:
            translation.note(node)
            return Typed(nodes.call("item", [base.node, nodes.constant(called, node)], node), shapes.ANY)
        case _:
            what = described(base.shape)
            whole = translation.text.segment(node.value)
            deeper = base.shape.is_list and (base.shape.member.is_namespace or base.shape.member.sort is Sort.ANY)
            help = f"any(x.{called} ... for x in {whole})" if deeper else None
            translation.at("unknown-field", f"{what} has no {called!r}", behind(translation, node), help)
            return translation.wrong(node)


def _of_entity(translation: Translation, node: Access, base: Typed, called: str) -> Typed:
    translation.note(node)
    known = FIELDS[Sort.ENTITY]
    if called in known:
        return Typed(field_of(base.node, called, node), known[called])
    if called not in property_names():
        help = did_you_mean(called, (*property_names(), *known))
        if called == "properties":
            help = f"{translation.text.segment(node.value)}.NAME reads a property"
        message = f"FollowTheMoney has no property {called!r}"
        translation.at("unknown-property", message, behind(translation, node), help)
        return translation.wrong(node)
    own = isinstance(base.node, ast.Name) and base.node.id not in translation.scope
    translation.reads.append(Read(called, *behind(translation, node), own))
    if own:
        # Read once for each entity, before anything is decided.
        local = translation.properties.setdefault(called, f"_property{len(translation.properties)}")
        return Typed(nodes.name(local, node), shapes.VALUES)
    return Typed(nodes.call("values", [base.node, nodes.constant(called, node)], node), shapes.VALUES)


def field_of(entity: ast.expr, called: str, node: ast.expr) -> ast.expr:
    """
    A field of an entity; one that is looked up in a list may be missing.
    """
    if isinstance(entity, ast.Name):
        return nodes.get(entity, called, node)
    return nodes.call("item", [entity, nodes.constant(called, node)], node)


def _of_params(translation: Translation, node: Access, base: Typed, called: str) -> Typed:
    params = translation.params
    if params is not None and called not in params:
        declared = f"the params are: {', '.join(params)}" if params else None
        help = did_you_mean(called, params) or declared or f"declare it: params: {{{called}: ...}}"
        translation.at("unknown-param", f"no param is named {called!r}", behind(translation, node), help)
        return translation.wrong(node)
    translation.used_params.add(called)
    translation.note(node)
    shape = params[called] if isinstance(params, dict) else shapes.ANY
    return Typed(nodes.get(base.node, called, node), shape)


def _of_job(translation: Translation, node: Access, base: Typed, called: str) -> Typed:
    known = FIELDS[base.shape.sort]
    if called not in known:
        help = did_you_mean(called, known) or f"it has: {', '.join(known)}"
        if base.shape.sort is Sort.JOB and closest(called, known) is None:
            help = f"what stages put into the context is job.context.{called}"
        message = f"{described(base.shape)} has no {called!r}"
        translation.at("unknown-field", message, behind(translation, node), help)
        return translation.wrong(node)
    if called != "payload":
        translation.note(node)
    within = nodes.get(base.node, "payload", node)
    match base.shape.sort, called:
        case Sort.JOB, "entities":
            result = nodes.call("entities_of", [within], node)
        case Sort.JOB, "context":
            result = nodes.get(within, "context", node)
        case _:
            result = nodes.get(base.node, called, node)
    return Typed(result, known[called])


def behind(translation: Translation, node: ast.expr) -> tuple[int, int]:
    """
    Where the name behind the dot stands, or the key in brackets.
    """
    match node:
        case ast.Attribute():
            offset, length = translation.text.of(node)
            return offset + length - len(node.attr), len(node.attr)
        case ast.Subscript():
            return translation.text.of(node.slice)
        case _:
            return translation.text.of(node)
