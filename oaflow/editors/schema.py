"""
The JSON Schema of a pipeline file, for editors. Pure; what the keys are for is said by `oaflow.compiler.keys`.

It refuses nothing that the compiler takes, and catches what can be seen without knowing the rest of the file. Written
for yaml-language-server: `oneOf` and `anyOf` would tell one mistake once for each alternative, so alternatives are
kinds of values side by side (each constraint of a schema counts for its own kind only), or `if` with `then`.
"""

import sys
from collections.abc import Collection, Mapping
from typing import Any, get_args

from oaflow.compiler import keys
from oaflow.compiler.edges import DEEPEST, DROP
from oaflow.compiler.keys import Key
from oaflow.compiler.reading import GREATEST, LEAST, NAME, NAME_LENGTH, PARAM, PORT, QUEUE_LENGTH, RULES_OF, TASK
from oaflow.compiler.shape import CHOICES, EMITS, NOT_EXTERNAL, RESERVED_STAGES
from oaflow.model import LANGUAGE, ParamType
from oaflow.quantities import DURATION_PATTERN, RATE_PATTERN, SIZE_PATTERN
from oaflow.schemata import SCHEMATA, property_names

Json = dict[str, Any]

_REFERENCE = r"\$\{params\.[A-Za-z_][A-Za-z0-9_]*\}"

# A text in which all that looks like a reference is one, or is escaped.
_FILLED_IN = rf"^(?:[^$]|\$\$\{{|\$(?!\{{)|{_REFERENCE})*$"

# The compiler's patterns of names, with a limit of length.
_NAME = NAME.pattern.removesuffix("*")
_STAGE = rf"{_NAME}{{0,{NAME_LENGTH - 1}}}"
_LONG = rf"{_NAME}{{{QUEUE_LENGTH},{NAME_LENGTH - 1}}}"
_PARAM_NAME = rf"{PARAM.pattern.removesuffix('*')}{{0,{NAME_LENGTH - 1}}}"
_PORT = rf"{PORT.pattern.removesuffix('*')}{{0,{NAME_LENGTH - 1}}}"
_OWN_PORT = rf"(?!(?:{'|'.join(keys.EDGE)})$){_PORT}"
_PORT_RULE = f"a port: {RULES_OF[PORT]}; none is named like a key of an edge, and an edge has a `to`"

# What is no expression: a boolean that would be a text.
_WORDS = ("true", "false", "yes", "no", "on", "off")


def pipeline_schema() -> Json:
    """
    The schema, as JSON holds it.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "oaflow pipeline",
        "description": "A pipeline of oaflow: stages, and where the output of each goes.",
        **_mapping(keys.PIPELINE, _PIPELINE),
        "definitions": {
            "param": _param(),
            "stage": _stage(),
            "targets": _targets(under_port=False),
            "targets_of_port": _targets(under_port=True),
            "next": _next(),
            "where": _where(),
            "wanted": _wanted(),
            "plain": _plain(),
            "case": _mapping(keys.CASE, _CASE),
        },
    }


# --- pieces ---


def _described(key: Key, value: Json) -> Json:
    """
    A value with what its key is for: as plain text, and as editors show it that know Markdown.
    """
    without = "" if key.without in ("", keys.REQUIRED) else f"Without it: {key.without}."
    text = f"{key.meaning[0].upper()}{key.meaning[1:]}."
    shown = "\n\n".join(part for part in (text, without) if part)
    return {"description": shown.replace("`", "").replace("\n\n", " "), "markdownDescription": shown, **value}


def _mapping(known: keys.Keys, values: Mapping[str, Json]) -> Json:
    """
    A mapping with these keys and no other.
    """
    required = [name for name, key in known.items() if key.without == keys.REQUIRED]
    return {
        "type": "object",
        "properties": {name: _described(key, values[name]) for name, key in known.items()},
        "additionalProperties": False,
        **({"allOf": [_needs(name, known) for name in required]} if required else {}),
    }


def _needs(name: str, known: Collection[str], said: str = "") -> Json:
    """
    That a key is there, unless another one may be a misspelling of it: then that is the mistake.
    """
    missing = {"required": [name], "errorMessage": said or f"`{name}` is missing"}
    return {"if": {"propertyNames": {"enum": list(known)}}, "then": missing}


def _refused(names: Collection[str], said: str) -> Json:
    return {"properties": dict.fromkeys(names, False), "errorMessage": said}


def _is(name: str, value: object) -> Json:
    return {"required": [name], "properties": {name: {"const": value}}}


def _text(pattern: str, said: str) -> Json:
    return {"type": "string", "pattern": f"^{pattern}$", "errorMessage": said}


def _beside(value: Json) -> Json:
    """
    A value beside a mapping: what it says is not said of the mapping's keys.
    """
    return {("patternErrorMessage" if key == "errorMessage" else key): one for key, one in value.items()}


def _named(values: Json, pattern: str, said: str) -> Json:
    """
    A mapping from names to values. What stands under a bad name is looked at, too.
    """
    names = {"pattern": f"^{pattern}$", "errorMessage": said}
    return {"type": "object", "propertyNames": names, "additionalProperties": values}


def _open(value: Json, *, kinds: Collection[str], pattern: str = "", said: str = "") -> Json:
    """
    A value that may also be a reference to a param.
    """
    texts = rf"^(?:{pattern}|{_REFERENCE})$" if pattern else f"^{_REFERENCE}$"
    return {"type": [*kinds, "string"], **value, "pattern": texts, "errorMessage": said}


def _whole(least: int = LEAST, greatest: int = GREATEST) -> Json:
    bounds = {"minimum": least, "maximum": greatest}
    return _open(bounds, kinds=["integer"], said="a whole number, or ${params.NAME} alone")


def _fixed(least: int, greatest: int = GREATEST) -> Json:
    return {"type": "integer", "minimum": least, "maximum": greatest}


def _duration(*, above_zero: bool = False) -> Json:
    pattern = rf"(?=.*[1-9]){DURATION_PATTERN}" if above_zero else DURATION_PATTERN
    bound = {"exclusiveMinimum": 0} if above_zero else {"minimum": 0}
    said = "durations are written like 500ms, 2s, 30m, 1h30m"
    return _open(bound, kinds=["number"], pattern=pattern, said=said)


_BOOL: Json = {"type": "boolean", "errorMessage": "true or false, in lower case and without quotes"}
_TEXT: Json = {"type": "string"}
_EXPRESSION: Json = {"type": "string", "pattern": r"\S", "errorMessage": "an expression must be in quotes"}
_SIZE = _open({"minimum": 1}, kinds=["integer"], pattern=SIZE_PATTERN, said="sizes are written like 512MiB, 2GiB, 16kB")
_RATE = _text(rf"(?:{RATE_PATTERN}|{_REFERENCE})", "rates are written like 50/s, 1000/m, 1/10s")
_STAGE_NAME_RULE = f"the name of a stage: {RULES_OF[NAME]}"
_STAGE_NAME = _text(_STAGE, _STAGE_NAME_RULE)
_TARGET = _text(rf"(?!{DROP}$){_STAGE}", f"{_STAGE_NAME_RULE}; `{DROP}` is all that a port leads to")
_QUEUE: Json = {
    "type": "string",
    "maxLength": QUEUE_LENGTH,
    "pattern": r"^(?!.*\$\{)\S(?:.*\S)?$",
    "errorMessage": "the name of a queue: no spaces around it, and no ${}",
}


def _names(one: Json) -> Json:
    """
    A name, or a list of names.
    """
    return {**one, "type": ["string", "array"], "items": one, "minItems": 1}


# --- params ---


def _param() -> Json:
    types = [name for name in get_args(ParamType) if name != "list"]
    scalars: dict[str, Json] = {
        "string": {"type": "string", "pattern": r"^(?!.*\$\{)"},
        "path": {"type": "string", "pattern": r"^(?!.*\$\{)[\s\S]"},
        "int": {"type": ["integer", "string"], "pattern": r"^\s*[+-]?[0-9]{1,19}\s*$"},
        # What Python reads as a number is more than a pattern can say.
        "float": {"type": ["number", "string"]},
        "bool": {"type": ["boolean", "string"], "pattern": rf"^(?:{_any_case((*_WORDS, '1', '0'))})$"},
        "duration": {"type": ["number", "string"], "minimum": 0, "pattern": f"^{DURATION_PATTERN}$"},
        "size": {"type": ["integer", "string"], "minimum": 0},
    }
    of_list = {"if": _is("type", "list"), "else": _refused(["of"], "only a list is of something: `type: list`")}
    choices = _needs("choices", keys.PARAM, "a param of type choice needs `choices`")
    list_of_choices = {"allOf": [_is("type", "list"), _is("of", "choice")]}
    chosen = [{"if": typed, "then": choices} for typed in (_is("type", "choice"), list_of_choices)]
    given = {
        "if": {"required": ["default"], "properties": {"default": {"type": _kinds_but_null()}}},
        "then": {
            "properties": {
                "required": {
                    "enum": [False],
                    "errorMessage": "a param with a default always has a value, so `required` has no effect",
                }
            }
        },
    }
    mapping = _mapping(keys.PARAM, {**_PARAM, "type": {"enum": [*types, "list"]}, "of": {"enum": types}})
    return {**mapping, "allOf": [of_list, *chosen, given, *_defaults(scalars)]}


def _defaults(scalars: Mapping[str, Json]) -> list[Json]:
    """
    What a default must be, by the type that the param says; for a list, what its items must be.
    """
    found: list[Json] = []
    for name, value in scalars.items():
        kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
        said = f"the default of a param of type {name} must be one, too"
        one = {**value, "errorMessage": said}
        single = {**one, "type": [*kinds, "null"]}
        several = {**one, "type": [*kinds, "array", "null"], "items": one}
        # Where no type is said, it is `string`.
        typed = _is("type", name) if name != "string" else {"properties": {"type": {"const": name}}}
        items = _is("of", name) if name != "string" else {"properties": {"of": {"const": name}}}
        found.append({"if": typed, "then": {"properties": {"default": single}}})
        found.append({"if": {"allOf": [_is("type", "list"), items]}, "then": {"properties": {"default": several}}})
    return found


def _kinds_but_null() -> list[str]:
    return ["string", "number", "integer", "boolean", "array", "object"]


def _any_case(words: Collection[str]) -> str:
    """
    A pattern for words in small letters and capitals: the patterns of editors have no flags.
    """
    return "|".join("".join(f"[{one}{one.upper()}]" if one.isalpha() else one for one in word) for word in words)


_PARAM: Mapping[str, Json] = {
    "default": {},
    "required": _BOOL,
    "choices": {"type": "array", "minItems": 1},
    "env": _text(_PARAM_NAME, f"an environment variable: {RULES_OF[PARAM]}"),
    "positional": _BOOL,
    "remember": _BOOL,
    "help": _TEXT,
}


# --- edges ---


def _next() -> Json:
    """
    A stage, an edge, a list of these, or ports. A mapping with `to` is an edge.
    """
    edge, ports = "#/definitions/targets", "#/definitions/targets_of_port"
    dropped = {**_STAGE_NAME, "type": ["string", "array", "object"]}
    port = {"if": {"enum": [DROP]}, "then": dropped, "else": {"$ref": ports}}
    return {
        "type": ["string", "array", "object"],
        "if": {"type": "object", "if": {"required": ["to"]}, "then": {"not": {}}},
        "then": {**_named(port, _OWN_PORT, _PORT_RULE), "minProperties": 1},
        "else": {"$ref": edge},
    }


def _targets(*, under_port: bool) -> Json:
    """
    A stage, an edge, or a list of these.
    """
    one = {**_edge(under_port=under_port), **_beside(_TARGET), "type": ["string", "object"]}
    return {**one, "type": ["string", "array", "object"], "items": one, "minItems": 1, "uniqueItems": True}


def _edge(*, under_port: bool) -> Json:
    found = _mapping(keys.EDGE, _EDGE)
    rest = _refused(["when", "where", "load"], "an edge with `else` takes what no other edge of its port took")
    idle = _refused(["load"], "`load` reads the entities for a `where`, but this edge has none")
    found["allOf"] += [
        {"if": _is("else", True), "then": rest, "else": {"if": {"required": ["where"]}, "else": _when_loaded(idle)}},
    ]
    if under_port:
        found["allOf"].append(_refused(["port"], "this edge already stands under a port"))
    return found


def _when_loaded(then: Json) -> Json:
    return {"if": _is("load", True), "then": then}


def _where() -> Json:
    wanted = {"$ref": "#/definitions/wanted"}
    known = ["schema", *sorted(property_names())]
    said = "FollowTheMoney has no property of this name"
    inner = {"type": "object", "additionalProperties": wanted, "minProperties": 1}
    negated = {**inner, "propertyNames": {"enum": known, "errorMessage": said}}
    names = {"enum": ["not", *known], "errorMessage": said}
    # A mapping apart: names are completed only where nothing but a mapping is asked for.
    mapping = {**inner, "properties": {"not": negated}, "propertyNames": names}
    return {"type": ["string", "object"], "pattern": r"\S", "if": {"type": "object"}, "then": mapping}


def _wanted() -> Json:
    text = _text(_FILLED_IN[1:-1], "only ${params.NAME} is filled in")
    return {**text, "type": ["string", "array"], "items": text, "minItems": 1}


_EDGE: Mapping[str, Json] = {
    "to": _TARGET,
    "port": _text(_OWN_PORT, _PORT_RULE),
    "when": _EXPRESSION,
    "where": {"$ref": "#/definitions/where"},
    "else": _BOOL,
    "load": _BOOL,
    "recurse": _fixed(1, DEEPEST),
}


# --- stages ---


def _plain() -> Json:
    greatest = sys.float_info.max  # beyond it is infinity, for which JSON has no word
    return {
        "minimum": -greatest,
        "maximum": greatest,
        "pattern": _FILLED_IN,
        "errorMessage": "only ${params.NAME} is filled in",
        "items": {"$ref": "#/definitions/plain"},
        "additionalProperties": {"$ref": "#/definitions/plain"},
    }


def _stage() -> Json:
    found = _mapping(keys.STAGE, {**_COMMON, **_STAGE_KEYS})
    own = _text(TASK.pattern.replace(r"\w", "[A-Za-z0-9_]"), RULES_OF[TASK])
    foreign = _text(r"(?!.*\$\{)\S+", "the name of a task: no spaces, and no ${}")
    external = {
        "properties": {"task": foreign},
        "allOf": [
            _needs("queue", keys.STAGE, "an external stage needs the `queue` that its service works"),
            _refused(NOT_EXTERNAL, "the stage is external, so its service decides about this"),
        ],
    }
    found["allOf"] += [
        {"if": _is("external", True), "then": external, "else": {"properties": {"task": own}}},
        {
            "if": {"required": ["collect"], "properties": {"collect": {"not": {"const": False}}}},
            "then": _refused(["split"], "`collect` cuts what is larger than its size, too"),
        },
        {
            "if": {"required": ["join"]},
            "then": _refused(["split", "collect"], "a join gets one job without entities"),
        },
    ]
    return found


def _stages() -> Json:
    stage = {"$ref": "#/definitions/stage"}
    reserved = rf"(?!(?:{'|'.join(RESERVED_STAGES)})$)"
    said = f"the name of a stage: {RULES_OF[NAME]}; none of: {', '.join(RESERVED_STAGES)}"
    # A queue is named like its stage, and its name is shorter.
    long = {"allOf": [stage, _needs("queue", keys.STAGE, "a stage with so long a name needs a `queue`")]}
    named = _named(stage, f"{reserved}{_STAGE}", said)
    return {**named, "patternProperties": {f"^{_LONG}$": long}, "minProperties": 1}


def _short_or(number: Json, known: keys.Keys, values: Mapping[str, Json]) -> Json:
    """
    A number, or the mapping that it is short for.
    """
    return {**_mapping(known, values), **_beside(number), "type": [*number["type"], "object"]}


def _or_false(value: Json) -> Json:
    return {**value, "type": [*value["type"], "boolean"], "not": {"const": True}}


_RETRY: Mapping[str, Json] = {
    "max": _whole(0),
    "backoff": {"enum": ["none", "exponential"]},
    "base": _duration(),
    "cap": _duration(),
}

# The keys that a stage and `defaults` share.
_COMMON: Mapping[str, Json] = {
    "queue": _QUEUE,
    "choose": {"enum": list(CHOICES)},
    "retry": _short_or(_whole(0), keys.RETRY, _RETRY),
    "timeout": _duration(above_zero=True),
    "memory": _SIZE,
    "priority": _whole(),
    "emit": {"enum": list(EMITS)},
    "collect": _or_false(_short_or(_whole(1), keys.COLLECT, {"size": _whole(1), "wait": _duration()})),
    "lock": _EXPRESSION,
    "concurrency": _whole(1),
    "rate": _RATE,
}

_STAGE_KEYS: Mapping[str, Json] = {
    # What it must be more closely depends on `external`.
    "task": _TEXT,
    "next": {"$ref": "#/definitions/next"},
    "with": _named({"$ref": "#/definitions/plain"}, _PARAM_NAME, RULES_OF[PARAM]),
    "on_error": _TARGET,
    "split": _fixed(1),
    "join": _names(_STAGE_NAME),
    "enabled": {
        "type": ["boolean", "string"],
        "pattern": rf"^(?!\s*(?:{_any_case(_WORDS)})\s*$)[\s\S]*\S",
        "errorMessage": "true or false without quotes, or an expression on the params",
    },
    "origin": {"type": "string", "maxLength": 200, "pattern": r"^(?!.*\$\{)[\s\S]*\S"},
    "external": _BOOL,
    "description": _TEXT,
}


# --- tests, and the whole ---

_ENTITY = _mapping(
    keys.ENTITY, {"id": {}, "caption": {}, "schema": {"enum": list(SCHEMATA)}, "properties": {"type": "object"}}
)

_JOB = _mapping(
    keys.JOB,
    {
        "entities": {"type": ["array", "null"], "items": _ENTITY},
        "context": {"type": "object"},
        "payload": {"type": "object"},
    },
)

_CASE: Mapping[str, Json] = {
    "at": _STAGE_NAME,
    "port": _text(_PORT, RULES_OF[PORT]),
    "params": {"type": "object", "additionalProperties": {"$ref": "#/definitions/plain"}},
    "job": _JOB,
    "expect": _named(_fixed(0), _STAGE, _STAGE_NAME_RULE),
    "description": _TEXT,
}

_PIPELINE: Mapping[str, Json] = {
    "oaflow": {"enum": [LANGUAGE, str(LANGUAGE)], "errorMessage": f"this version of oaflow reads language {LANGUAGE}"},
    "pipeline": _text(_STAGE, f"the name of a pipeline: {RULES_OF[NAME]}"),
    "description": _TEXT,
    "params": _named({"$ref": "#/definitions/param"}, _PARAM_NAME, f"the name of a param: {RULES_OF[PARAM]}"),
    "defaults": _mapping({name: keys.STAGE[name] for name in keys.DEFAULTS}, _COMMON),
    "start": _names(_STAGE_NAME),
    "stages": _stages(),
    "tests": {"type": "array", "items": {"$ref": "#/definitions/case"}},
}
