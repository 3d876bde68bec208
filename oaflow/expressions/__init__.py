"""
Conditions in a pipeline: Python expressions of an allow-listed kind, and the mapping form of `where`.

An expression is read with `ast`, checked against the names that it may use, and compiled once. It reads what it is
given and does nothing else: no attribute, no import, no call but of some functions, and no loop that could take long.
"""

from oaflow.expressions.compiling import Expression, Params, compile_expression
from oaflow.expressions.constants import compared
from oaflow.expressions.grammar import FUNCTIONS, NAMES, Kind
from oaflow.expressions.mapping import admitted, as_expression, check_mapping, compile_mapping, reads
from oaflow.expressions.mistakes import EvaluationError, ExpressionError, Mistake, MistakeKind
from oaflow.expressions.possible import LONGEST, Formula, formula, possible
from oaflow.expressions.reading import can_be_read
from oaflow.expressions.shapes import Shape, of_param

__all__ = [
    "FUNCTIONS",
    "LONGEST",
    "NAMES",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "Formula",
    "Kind",
    "Mistake",
    "MistakeKind",
    "Params",
    "Shape",
    "admitted",
    "as_expression",
    "can_be_read",
    "check_mapping",
    "compared",
    "compile_expression",
    "compile_mapping",
    "formula",
    "of_param",
    "possible",
    "reads",
]
