"""
Calls: of some functions, with what these take. `any all len min max` take one list, or one generator.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from oaflow.expressions import nodes, shapes
from oaflow.expressions.comparing import beside_choices, beside_schema, in_quotes, is_schema
from oaflow.expressions.grammar import AGGREGATES, ARITY, FUNCTIONS, FUNCTIONS_MEANT, NAMES, USAGE
from oaflow.expressions.naming import behind, field_of
from oaflow.expressions.patterns import PatternError, search
from oaflow.expressions.shapes import Shape, Sort, can_be_equal, can_be_ordered, described, joined
from oaflow.expressions.translation import Translation, Typed
from oaflow.schemata import descendants
from oaflow.spelling import did_you_mean

# What the operations are called, where not as the functions.
_GENERATED = {"len": "counted", "min": "least", "max": "greatest"}
_LISTED = {"len": "length", "min": "least", "max": "greatest"}


def call(translation: Translation, node: ast.Call) -> Typed:
    """
    A call of a function that there is, with arguments that it takes.
    """
    if not isinstance(node.func, ast.Name):
        return _method(translation, node)
    function = node.func.id
    offset, length = translation.text.of(node.func)
    if translation.is_twisted(translation.text.segment(node.func), function, offset + length):
        return translation.wrong(node)
    if function not in FUNCTIONS or function in translation.scope:
        return _unknown(translation, node, function)
    refused = [("arguments are passed by position here", keyword.value) for keyword in node.keywords]
    refused += [("unpacking is not supported", argument) for argument in node.args if isinstance(argument, ast.Starred)]
    if refused:
        for message, argument in refused:
            translation.mistake("not-allowed", message, argument, USAGE[function])
        return translation.wrong(node)
    if function in AGGREGATES:
        return _aggregate(translation, node, function)
    least, most = ARITY[function]
    if not least <= len(node.args) <= most:
        count = len(node.args)
        message = f"{function!r} does not take {count} argument{'' if count == 1 else 's'}"
        return translation.mistake("wrong-argument", message, node, USAGE[function])
    return _CALLS[function](translation, node, function)


def _unknown(translation: Translation, node: ast.Call, function: str) -> Typed:
    for argument in node.args:
        if not isinstance(argument, ast.GeneratorExp | ast.Starred):
            translation.any(argument)
    known = f"the functions are: {', '.join(FUNCTIONS)}"
    help = USAGE.get(FUNCTIONS_MEANT.get(function, "")) or did_you_mean(function, FUNCTIONS) or known
    return translation.mistake("unknown-function", f"there is no function {function!r}", node.func, help)


def _method(translation: Translation, node: ast.Call) -> Typed:
    if not isinstance(node.func, ast.Attribute):
        return translation.mistake("not-allowed", "only named functions can be called", node.func)
    base = translation.text.segment(node.func.value)
    arguments = [translation.text.segment(argument) for argument in node.args]
    function = FUNCTIONS_MEANT.get(node.func.attr, node.func.attr)
    help = f"{function}({', '.join([base, *arguments])})" if function in FUNCTIONS else None
    if node.func.attr == "get" and arguments:
        help = f"{base}[{arguments[0]}]"
    translation.at("not-allowed", "values have no methods here", behind(translation, node.func), help)
    return translation.wrong(node)


# --- one list, or one generator ---


def _aggregate(translation: Translation, node: ast.Call, function: str) -> Typed:
    if len(node.args) != 1:
        pieces = ", ".join(translation.text.segment(argument) for argument in node.args)
        help = f"{function}([{pieces}])" if pieces else USAGE[function]
        return translation.mistake("wrong-argument", f"{function!r} takes one list, or one generator", node, help)
    argument = node.args[0]
    if isinstance(argument, ast.GeneratorExp):
        generated = _generator(translation, argument)
        if generated.shape.sort is Sort.WRONG:
            return translation.wrong(node)
        if function in ("min", "max") and not can_be_ordered(generated.shape, generated.shape):
            return _unordered(translation, generated.shape, argument.elt)
        result = nodes.call(_GENERATED.get(function, function), [generated.node], node)
        return Typed(result, _aggregated(function, generated.shape))
    typed = translation.value(argument)
    shape = typed.shape
    if shape.sort is Sort.WRONG:
        return translation.wrong(node)
    if function == "len" and shape.sort is Sort.TEXT:
        return Typed(nodes.call("length", [typed.node], node), shapes.NUMBER)
    if not shape.has_members and not (function == "len" and _may_be_long(shape)):
        message = f"{function!r} takes a list, but this is {described(shape)}"
        return translation.mistake("wrong-argument", message, argument)
    member = joined(one.member for one in shape.alternatives)
    if function in ("min", "max") and not can_be_ordered(member, member):
        return _unordered(translation, member, argument)
    known = shape.is_list and not shape.optional
    if function == "len":
        return Typed(nodes.call("len" if known else "length", [typed.node], node), shapes.NUMBER)
    each = typed.node if known else nodes.call("each", [typed.node], argument)
    return Typed(nodes.call(_LISTED.get(function, function), [each], node), _aggregated(function, member))


def _unordered(translation: Translation, shape: Shape, node: ast.expr) -> Typed:
    help = "name one of its fields" if shape.is_namespace else None
    return translation.mistake("wrong-argument", f"{described(shape)} has no order", node, help)


def _may_be_long(shape: Shape) -> bool:
    """
    Whether each kind of it has a length: a text, too.
    """
    return all(one.sort is Sort.TEXT or one.has_members for one in shape.alternatives)


def _aggregated(function: str, member: Shape) -> Shape:
    if function in ("min", "max"):
        return replace(member, optional=True)
    return shapes.NUMBER if function == "len" else shapes.BOOL


def _generator(translation: Translation, node: ast.GeneratorExp) -> Typed:
    """
    A generator, with the shape of what comes out of it.
    """
    if refused := _refused(translation, node):
        message, where = refused
        return translation.mistake("not-allowed", message, where, "any(TEST for x in LIST)")
    first = node.generators[0]
    assert isinstance(first.target, ast.Name)
    called, iterated = first.target.id, translation.value(first.iter)
    shape = iterated.shape
    if not shape.has_members and shape.sort is not Sort.WRONG:
        message = f"{described(shape)} cannot be iterated"
        iterated = translation.mistake("wrong-argument", message, first.iter)
    translation.scope[called] = (
        shapes.WRONG if iterated.shape.sort is Sort.WRONG else joined(one.member for one in shape.alternatives)
    )
    tests = [translation.value(test).node for test in first.ifs]
    # An entity that comes out is true, and can be counted.
    itself = isinstance(node.elt, ast.Name) and node.elt.id == called
    element = translation.any(node.elt) if itself else translation.value(node.elt)
    del translation.scope[called]
    known = shape.is_list and not shape.optional
    over = iterated.node if known else nodes.call("each", [iterated.node], first.iter)
    target = nodes.placed(ast.Name(called, ast.Store()), first.target)
    result = ast.GeneratorExp(element.node, [ast.comprehension(target, over, tests, 0)])
    if iterated.shape.sort is Sort.WRONG:
        return translation.wrong(node)
    return Typed(nodes.placed(result, node), element.shape)


def _refused(translation: Translation, node: ast.GeneratorExp) -> tuple[str, ast.expr] | None:
    first = node.generators[0]
    if translation.scope:
        return "generators cannot be nested", node
    if len(node.generators) > 1:
        return "a generator has one `for`", node.generators[1].target
    if first.is_async or not isinstance(first.target, ast.Name):
        return "a generator has one loop variable", first.target
    called = first.target.id
    if called in NAMES["where"] or called in FUNCTIONS or called.startswith("_"):
        return f"{called!r} cannot be the loop variable of a generator", first.target
    if not translation.text.segment(first.target).isascii():
        return "the loop variable of a generator has letters that names here cannot have", first.target
    return None


# --- functions of a value, and of what is looked for ---


def _is_a(translation: Translation, node: ast.Call, function: str) -> Typed:
    entity = translation.any(node.args[0])
    if entity.shape.sort not in (Sort.ENTITY, Sort.ANY, Sort.WRONG):
        message = f"{function!r} takes an entity, but this is {described(entity.shape)}"
        translation.mistake("wrong-argument", message, node.args[0], USAGE[function])
    if isinstance(node.args[0], ast.Name) and node.args[0].id == "e":
        translation.pieces["e.schema"] = None  # what it is asked about is shown by its schema
    schemata = [translation.value(argument) for argument in node.args[1:]]
    for schema, written in zip(schemata, node.args[1:], strict=True):
        if isinstance(schema.node, ast.Constant) and isinstance(schema.node.value, str):
            is_schema(translation, written, schema.node.value)
        else:
            _must_be_text(translation, written, schema, function)
    known = nodes.texts(schema.node for schema in schemata)
    if known is None or entity.shape.sort is not Sort.ENTITY:
        arguments = [entity.node, *(schema.node for schema in schemata)]
        return Typed(nodes.call(function, arguments, node), shapes.BOOL)
    admitted = frozenset(name for schema in known for name in descendants(schema))
    schema = field_of(entity.node, "schema", node)
    return Typed(nodes.compared(schema, ast.In(), nodes.constant(admitted, node), node), shapes.BOOL)


def _among_values(translation: Translation, node: ast.Call, function: str) -> Typed:
    """
    has, lacks, others: whether values are among others. A value alone counts as a list of one.
    """
    found, *wanted = [translation.value(argument) for argument in node.args]
    for argument, written in zip(wanted, node.args[1:], strict=True):
        if Sort.WRONG not in (found.shape.sort, argument.shape.sort) and not can_be_equal(
            replace(_alone(found.shape), optional=True), replace(_alone(argument.shape), optional=True)
        ):
            message = f"{described(argument.shape)} is never in {described(found.shape)}"
            translation.mistake("never", message, written, in_quotes(written))
        beside_schema(translation, argument.node, node.args[0])
        beside_choices(translation, written, _alone(found.shape), node.args[0])
    known = nodes.texts(argument.node for argument in wanted)
    if known is not None and found.shape.sort is Sort.VALUES:
        return Typed(nodes.membership(function, found.node, known, node), shapes.BOOL)
    arguments = [found.node, *(argument.node for argument in wanted)]
    return Typed(nodes.call(function, arguments, node), shapes.BOOL)


def _among_texts(translation: Translation, node: ast.Call, function: str) -> Typed:
    """
    startswith, endswith, contains: whether one of the texts has one of some pieces at its place.
    """
    arguments = _texts(translation, node.args, function)
    return Typed(nodes.call(function, [argument.node for argument in arguments], node), shapes.BOOL)


def _lower(translation: Translation, node: ast.Call, function: str) -> Typed:
    [value] = _texts(translation, node.args, function)
    shape = Shape(Sort.LIST, value.shape.optional, shapes.TEXT) if value.shape.sort is Sort.SET else value.shape
    # In lower case it may be none of the choices.
    of = shape.of and replace(shape.of, choices=())
    return Typed(nodes.call(function, [value.node], node), replace(shape, of=of, choices=()))


def _number(translation: Translation, node: ast.Call, function: str) -> Typed:
    value = translation.value(node.args[0])
    return Typed(nodes.call(function, [value.node], node), shapes.MAYBE_NUMBER)


def _matches(translation: Translation, node: ast.Call, function: str) -> Typed:
    [value] = _texts(translation, node.args[:1], function)
    pattern = node.args[1]
    if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str):
        message = "a pattern must be a literal, so that it is checked before anything runs"
        return translation.mistake("bad-pattern", message, pattern, 'matches(e.fileName, r"...")')
    if any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in pattern.value):
        message = "the pattern contains a control character: in a text, write backslashes twice"
        help = f"put an r before the quotes: r{translation.text.segment(pattern)}"
        return translation.mistake("bad-pattern", message, pattern, help)
    try:
        found = search(pattern.value)
    except PatternError as error:
        message = f"{pattern.value!r} is not a pattern: {error}"
        return translation.mistake("bad-pattern", message, pattern, error.help)
    called = f"_pattern{len(translation.patterns)}"
    translation.patterns[called] = found
    return Typed(nodes.call(function, [nodes.name(called, node), value.node], node), shapes.BOOL)


def _texts(translation: Translation, written: Sequence[ast.expr], function: str) -> list[Typed]:
    arguments = [translation.value(argument) for argument in written]
    for argument, node in zip(arguments, written, strict=True):
        _must_be_text(translation, node, argument, function)
    return arguments


def _must_be_text(translation: Translation, written: ast.expr, typed: Typed, function: str) -> None:
    members = joined(_alone(one) for one in typed.shape.alternatives)
    if any(one.sort not in (Sort.TEXT, Sort.ANY, Sort.WRONG) for one in members.alternatives):
        message = f"{function!r} takes texts, but this is {described(typed.shape)}"
        translation.mistake("wrong-argument", message, written, in_quotes(written))


def _alone(shape: Shape) -> Shape:
    return shape.member if shape.is_list else shape


_CALLS: Mapping[str, Callable[[Translation, ast.Call, str], Typed]] = {
    "is_a": _is_a,
    "has": _among_values,
    "lacks": _among_values,
    "others": _among_values,
    "startswith": _among_texts,
    "endswith": _among_texts,
    "contains": _among_texts,
    "matches": _matches,
    "lower": _lower,
    "number": _number,
}
