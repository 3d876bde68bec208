"""
What an author may write: the names that each key knows, the fields of these, the functions. And what is refused.
"""

import ast
from collections.abc import Mapping
from typing import Literal

from oaflow.expressions import shapes
from oaflow.expressions.shapes import Shape, Sort

Kind = Literal["when", "where", "lock", "enabled"]

NAMES: Mapping[Kind, Mapping[str, Shape]] = {
    "when": {"job": shapes.JOB, "params": shapes.PARAMS, "run": shapes.RUN},
    "where": {"e": shapes.ENTITY, "job": shapes.JOB, "params": shapes.PARAMS, "run": shapes.RUN},
    "lock": {"job": shapes.JOB, "params": shapes.PARAMS, "run": shapes.RUN},
    "enabled": {"params": shapes.PARAMS},
}

FIELDS: Mapping[Sort, Mapping[str, Shape]] = {
    Sort.ENTITY: {"id": shapes.TEXT, "schema": shapes.TEXT, "caption": shapes.MAYBE_TEXT},
    Sort.JOB: {
        "queue": shapes.TEXT,
        "task": shapes.TEXT,
        "dataset": shapes.MAYBE_TEXT,
        "batch": shapes.MAYBE_TEXT,
        "payload": shapes.PAYLOAD,
        "context": shapes.MAYBE_MAPPING,
        "entities": shapes.ENTITIES,
    },
    Sort.PAYLOAD: {"entities": shapes.ENTITIES, "context": shapes.MAYBE_MAPPING},
    Sort.RUN: {"id": shapes.TEXT, "pipeline": shapes.TEXT, "dataset": shapes.MAYBE_TEXT},
}

# Those that take one list, or one generator; and all others, with how few and how many arguments they take.
AGGREGATES = ("any", "all", "len", "min", "max")
_MANY = float("inf")
ARITY: Mapping[str, tuple[int, float]] = {
    "is_a": (2, _MANY),
    "has": (2, _MANY),
    "lacks": (2, _MANY),
    "others": (2, _MANY),
    "startswith": (2, _MANY),
    "endswith": (2, _MANY),
    "contains": (2, _MANY),
    "matches": (2, 2),
    "lower": (1, 1),
    "number": (1, 1),
}
FUNCTIONS = (*ARITY, *AGGREGATES)

USAGE: Mapping[str, str] = {
    "is_a": 'is_a(e, "Document")',
    "has": 'has(e.language, "eng")',
    "lacks": 'lacks(e.language, "eng")',
    "others": 'others(e.language, "eng")',
    "startswith": 'startswith(e.mimeType, "image/")',
    "endswith": 'endswith(e.fileName, ".pdf")',
    "contains": 'contains(e.fileName, "draft")',
    "matches": 'matches(e.fileName, r"[0-9]{4}")',
    "lower": "lower(e.fileName)",
    "number": "number(e.fileSize)",
    "any": "any(TEST for x in LIST)",
    "all": "all(TEST for x in LIST)",
    "len": "len(LIST)",
    "min": "min(LIST)",
    "max": "max(LIST)",
}

SIGNS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip

_CALCULATE = ("there is no arithmetic", "calculate it in a stage, and put the result into the context")
_FILL_IN = ("there are no f-strings", "compare the values themselves")
_COMPREHEND = ("there is no comprehension", USAGE["any"])

# What Python has and expressions have not, in a few words, and the way out.
REFUSED: Mapping[type[ast.expr], tuple[str, str | None]] = {
    ast.BinOp: _CALCULATE,
    ast.UnaryOp: _CALCULATE,
    ast.JoinedStr: _FILL_IN,
    ast.Lambda: ("functions cannot be defined", None),
    ast.NamedExpr: ("assignment is not supported", "`==` compares"),
    ast.ListComp: _COMPREHEND,
    ast.SetComp: _COMPREHEND,
    ast.DictComp: _COMPREHEND,
    ast.GeneratorExp: ("a generator is allowed only in `any`, `all`, `len`, `min` and `max`", USAGE["any"]),
    ast.Dict: ("mappings are not supported", "name a field: job.context.NAME"),
    ast.Slice: ("slices are not supported", None),
    ast.Starred: ("unpacking is not supported", "a list matches any of its members"),
    ast.Await: ("`await` is not supported", None),
    ast.Yield: ("`yield` is not supported", None),
    ast.YieldFrom: ("`yield` is not supported", None),
}

# Names that are something else here.
MEANT: Mapping[str, str] = {
    "true": "True", "false": "False", "none": "None", "null": "None", "nil": "None", "entity": "e",
    "param": "params", "context": "job.context", "entities": "job.entities", "payload": "job.payload",
}  # fmt: skip

# Functions and methods that are written otherwise elsewhere.
FUNCTIONS_MEANT: Mapping[str, str] = {
    "int": "number", "float": "number", "count": "len", "size": "len", "length": "len", "search": "matches",
    "match": "matches", "regex": "matches", "casefold": "lower", "lowercase": "lower", "beginswith": "startswith",
    "includes": "contains", "exists": "any", "isinstance": "is_a",
}  # fmt: skip
