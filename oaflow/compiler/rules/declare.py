"""
How a rule is written down: indented text in the source, flush text in the rule.
"""

from textwrap import dedent

from oaflow.diagnostics import Rule, Severity


def rule(
    code: str,
    slug: str,
    summary: str,
    explanation: str,
    example: str,
    repair: str,
    *,
    severity: Severity = "error",
) -> Rule:
    """
    A rule from texts that are indented as the source around them is.
    """
    return Rule(code, slug, summary, _flush(explanation), _flush(example), _flush(repair), severity)


def beside(functions: str, pipeline: str) -> str:
    """
    An example that is a pipeline and the module of its functions.
    """
    return f"# letters.py\n{_flush(functions)}\n\n# letters.yml\n{_flush(pipeline)}"


def _flush(text: str) -> str:
    return dedent(text).strip("\n")
