"""
The rules explain themselves truly: each example has its mistake, and each repair has none.
"""

import re
import sys
from pathlib import Path

import pytest

from oaflow.compiler import check_file, explain
from oaflow.compiler.child import inspect_here
from oaflow.compiler.explaining import files_of, reference_page
from oaflow.compiler.functions import Inspector
from oaflow.compiler.rules import RULES
from oaflow.errors import UsageError

ROOT = Path(__file__).parents[3]
# What one types is not a pipeline: the folders of these rules in tests/diagnostics show the mistake itself.
TYPED = {"OAF001", "OAF002", "OAF003", "OAF004", *(code for code in RULES if code.startswith(("OAF5", "OAF9")))}
IN_A_FILE = [code for code in RULES if code not in TYPED]


def codes(sample: str, folder: Path, patch: pytest.MonkeyPatch) -> set[str]:
    """
    What a check of an example finds. The module beside it is imported here, as far as it lets the process live.
    """
    for name, text in files_of(sample).items():
        (folder / name).write_text(text)
    pipeline = next(folder.glob("*.yml"))
    if not (folder / "letters.py").exists():
        return {one.code for one in check_file(pipeline, imports=False).diagnostics}
    patch.syspath_prepend(folder)
    patch.delitem(sys.modules, "letters", raising=False)
    patch.chdir(folder)
    inspect = Inspector((folder,), limit=1) if "\ntime.sleep" in sample else inspect_here
    return {one.code for one in check_file(pipeline, inspect=inspect).diagnostics}


@pytest.mark.parametrize("code", IN_A_FILE)
def test_an_example_has_its_mistake_and_no_other(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    example = RULES[code].example
    if code == "OAF006":
        example = example.replace("[Abel", f"[{'Abel, ' * 200_000}Abel")

    assert codes(example, tmp_path, monkeypatch) == {code}


@pytest.mark.parametrize("code", [code for code in IN_A_FILE if not RULES[code].repair.startswith("$ ")])
def test_a_repair_has_no_mistake(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert codes(RULES[code].repair, tmp_path, monkeypatch) == set()


def test_what_is_typed_stands_where_no_file_can_show_it():
    assert {code for code, rule in RULES.items() if not files_of(rule.example)} == TYPED
    assert {code for code, rule in RULES.items() if not files_of(rule.repair)} == TYPED | {"OAF416"}


@pytest.mark.parametrize("code", RULES)
def test_codes_and_names_are_of_one_kind(code: str):
    rule = RULES[code]

    assert re.fullmatch(r"OAF[0-59][0-9]{2}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.slug)
    assert not rule.summary.endswith(".")
    assert rule.explanation.endswith((".", "`."))


def test_no_two_rules_share_a_code_or_a_name():
    modules = {re.match(r"OAF(\d)", code)[1] for code in RULES}  # pyright: ignore[reportOptionalSubscript]

    assert modules == {"0", "1", "2", "3", "4", "5", "9"}
    assert len({rule.slug for rule in RULES.values()}) == len(RULES)


@pytest.mark.parametrize("typed", ["OAF201", "oaf201", " OAF201 ", "unknown-stage"])
def test_explain_takes_a_code_or_a_name(typed: str):
    text = explain(typed)

    assert text.startswith("OAF201 unknown-stage (error)")
    assert "analyse" in text
    assert "Instead:" in text


def test_what_explain_tells_is_not_broken_by_a_terminal_of_80_columns():
    parts = explain("OAF101").split("\n\n")

    assert max(len(line) for line in parts[2].splitlines()) <= 78
    assert all(len(line) > 50 for line in parts[2].splitlines()[:-1])
    for rule in RULES.values():
        whole = " ".join(explain(rule.code).split())
        assert " ".join(rule.explanation.split()) in whole


def test_a_code_that_does_not_exist_says_where_codes_are():
    with pytest.raises(UsageError, match="no mistake has the code 'OAF999'"):
        explain("OAF999")


def test_the_reference_page_is_made_of_the_rules():
    assert (ROOT / "docs" / "reference" / "rules.md").read_text() == reference_page(), "python tools/make_rules.py"
