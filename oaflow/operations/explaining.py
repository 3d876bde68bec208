"""
`oaflow explain`: the mistakes that the compiler knows, by code.
"""

from oaflow.compiler.rules import RULES
from oaflow.diagnostics import Rule
from oaflow.errors import UsageError
from oaflow.printed import pipelines as printed
from oaflow.spelling import did_you_mean


def rule_of(code: str) -> Rule:
    """
    The rule with a code, in any case, or with a name.

    Raises:
        UsageError: there is no such rule.
    """
    wanted = code.strip().upper()
    found = RULES.get(wanted) or next((rule for rule in RULES.values() if rule.slug == code.strip().lower()), None)
    if found is None:
        close = did_you_mean(wanted, RULES) or did_you_mean(code, [rule.slug for rule in RULES.values()])
        raise UsageError(f"no mistake has the code {code!r}", help=close or "oaflow explain lists all")
    return found


def every_rule() -> list[Rule]:
    """
    All rules, by code.
    """
    return sorted(RULES.values(), key=lambda rule: rule.code)


def line_json(rule: Rule) -> printed.RuleLine:
    """
    The public form of a rule among many.
    """
    return {"code": rule.code, "slug": rule.slug, "summary": rule.summary}


def as_json(rule: Rule) -> printed.Rule:
    """
    The public form of a rule.
    """
    return {
        **line_json(rule),
        "severity": rule.severity,
        "explanation": rule.explanation,
        "example": rule.example,
        "repair": rule.repair,
    }
