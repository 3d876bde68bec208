"""
What a code means, with an example and its repair: for `oaflow explain`, and as the reference page. Pure.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from textwrap import fill

from oaflow.compiler.rules import RULES
from oaflow.diagnostics import Rule
from oaflow.errors import UsageError

# The line above each file of an example that has several.
_FILE = re.compile(r"^# (\w+\.(?:py|yml))\n", re.MULTILINE)

# Letters of a line: what is wider would be broken a second time in many terminals.
_WIDTH = 78

_LANGUAGES = {"py": "python", "yml": "yaml"}

PHASES = {
    "0": "The file",
    "1": "The shape",
    "2": "Names",
    "3": "The graph",
    "4": "The functions",
    "5": "Where it will run",
    "9": "oaflow itself",
}


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
    return "\n\n".join(
        [
            f"{rule.code} {rule.slug} ({rule.severity})",
            _sentence(rule.summary),
            *(fill(part, _WIDTH, break_on_hyphens=False) for part in rule.explanation.split("\n\n")),
            f"For example:\n\n{_indented(rule.example)}",
            f"Instead:\n\n{_indented(rule.repair)}",
        ]
    )


def files_of(sample: str) -> dict[str, str]:
    """
    The files of which an example or a repair consists, by name: a pipeline alone, a pipeline and the module beside it,
    or none where it is what one types.
    """
    if sample.startswith("$ "):
        return {}
    first, *rest = _FILE.split(sample)
    return dict(zip(rest[::2], (text.strip("\n") for text in rest[1::2]), strict=True)) or {"pipeline.yml": first}


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
            lines += [*_fenced(rule.example), "Instead:", "", *_fenced(rule.repair)]
    return "\n".join(lines).rstrip() + "\n"


def _fenced(sample: str) -> Iterator[str]:
    files = files_of(sample)
    if not files:
        yield from ("```console", sample, "```", "")
    for name, text in files.items():
        named = [f"# {name}"] if len(files) > 1 else []
        yield from (f"```{_LANGUAGES[name.rpartition('.')[2]]}", *named, text, "```", "")


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else line for line in text.splitlines())
