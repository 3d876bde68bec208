"""
What a code means, with an example and its repair: for `oaflow explain`, and as the reference page. Pure.
"""

from itertools import groupby

from oaflow.compiler.rules import RULES
from oaflow.diagnostics import Rule
from oaflow.errors import UsageError

PHASES = {"0": "The file", "1": "The shape", "2": "Names", "3": "The graph", "4": "The functions"}


def explain(code: str) -> str:
    """
    All there is to say about a code (`OAF201`), or about a rule named by its slug (`unknown-stage`).

    Raises:
        UsageError: there is no such code.
    """
    wanted = code.strip()
    for rule in RULES.values():
        if wanted.upper() == rule.code or wanted.lower() == rule.slug:
            return _explanation(rule)
    help = "the codes begin with OAF; `oaflow check` shows them in brackets: error[OAF201]"
    raise UsageError(f"no mistake has the code {code!r}", help=help)


def _explanation(rule: Rule) -> str:
    parts = [f"{rule.code} {rule.slug} ({rule.severity})", _sentence(rule.summary), rule.explanation]
    if rule.example:
        parts += [f"For example:\n\n{_indented(rule.example)}", f"Instead:\n\n{_indented(rule.repair)}"]
    return "\n\n".join(parts)


def reference_page() -> str:
    """
    All rules as one page of Markdown.
    """
    lines = [
        "# What `oaflow check` finds",
        "",
        "Every mistake has a code. `oaflow explain CODE` shows the same text in the terminal. Codes are never given to",
        "another mistake. An error keeps the pipeline from running, a warning does not.",
        "",
        "This page is made by `tools/make_rules.py` from the rules in `oaflow/compiler/rules`.",
        "",
    ]
    for phase, rules in groupby(sorted(RULES.values(), key=lambda rule: rule.code), key=lambda rule: rule.code[3]):
        lines += [f"## {PHASES[phase]}", ""]
        for rule in rules:
            lines += [f"### {rule.code} {rule.slug}", "", f"{_sentence(rule.summary)} ({rule.severity})", ""]
            lines += [rule.explanation, ""]
            if rule.example:
                lines += ["```yaml", rule.example, "```", "", "Instead:", "", "```yaml", rule.repair, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else line for line in text.splitlines())
