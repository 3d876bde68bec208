"""
The rules explain themselves truly: each example has its mistake, and each repair has none.
"""

import re
from pathlib import Path

import pytest

from oaflow.compiler import check_data, explain
from oaflow.compiler.explaining import reference_page
from oaflow.compiler.rules import RULES
from oaflow.compiler.rules import file as file_rules
from oaflow.compiler.rules import functions as function_rules
from oaflow.diagnostics import Rule
from oaflow.errors import UsageError
from oaflow.loader import load_text

ROOT = Path(__file__).parents[3]
SHOWN = [code for code, rule in RULES.items() if rule.example]


def codes(text: str) -> set[str]:
    loaded = load_text(text)
    found = loaded.diagnostics or check_data(loaded.data, loaded.spans).diagnostics
    return {one.code for one in found}


@pytest.mark.parametrize("code", SHOWN)
def test_an_example_has_its_mistake_and_no_other(code: str):
    assert codes(RULES[code].example) == {code}


@pytest.mark.parametrize("code", SHOWN)
def test_a_repair_has_no_mistake(code: str):
    assert codes(RULES[code].repair) == set()


def test_only_what_yaml_cannot_show_has_no_example():
    without = {code for code, rule in RULES.items() if not rule.example}
    of = {rule.code for rule in vars(file_rules).values() if isinstance(rule, Rule)}
    of |= {rule.code for rule in vars(function_rules).values() if isinstance(rule, Rule)}

    assert without <= of


@pytest.mark.parametrize("code", RULES)
def test_codes_and_names_are_of_one_kind(code: str):
    rule = RULES[code]

    assert re.fullmatch(r"OAF[0-4][0-9]{2}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.slug)
    assert not rule.summary.endswith(".")
    assert rule.explanation.endswith((".", "`."))


def test_no_two_rules_share_a_code_or_a_name():
    modules = {re.match(r"OAF(\d)", code)[1] for code in RULES}  # pyright: ignore[reportOptionalSubscript]

    assert modules == {"0", "1", "2", "3", "4"}
    assert len({rule.slug for rule in RULES.values()}) == len(RULES)


@pytest.mark.parametrize("typed", ["OAF201", "oaf201", " OAF201 ", "unknown-stage"])
def test_explain_takes_a_code_or_a_name(typed: str):
    text = explain(typed)

    assert text.startswith("OAF201 unknown-stage (error)")
    assert "analyse" in text
    assert "Instead:" in text


def test_a_code_that_does_not_exist_says_where_codes_are():
    with pytest.raises(UsageError, match="no mistake has the code 'OAF999'"):
        explain("OAF999")


def test_the_reference_page_is_made_of_the_rules():
    assert (ROOT / "docs" / "reference" / "rules.md").read_text() == reference_page(), "python tools/make_rules.py"
