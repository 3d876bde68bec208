"""
Every kind of mistake that the compiler knows, with its explanation: `oaflow explain` and the reference page come from
here.

Codes go by phase: OAF0xx the file, 1xx its shape, 2xx names, 3xx the graph, 4xx functions and their types, 5xx where it
is to run, 9xx oaflow itself. A code that was once published is never given to another mistake.
"""

from oaflow.compiler.rules import bugs, deployment, expressions, file, functions, graph, names, shape
from oaflow.diagnostics import Rule

RULES: dict[str, Rule] = {
    value.code: value
    for module in (file, shape, names, expressions, graph, functions, deployment, bugs)
    for value in vars(module).values()
    if isinstance(value, Rule)
}

__all__ = ["RULES"]
