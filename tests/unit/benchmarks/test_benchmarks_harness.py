"""
The benchmarks' own arithmetic, and one of them run to its end.
"""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, main, with_table
from benchmarks.harness import Figure, Report, Target, interleaved, number, ratios, table
from benchmarks.watch import quarters


def test_every_variant_is_called_once_a_round_and_none_is_always_first():
    calls: list[str] = []
    variants = {name: (lambda name=name: calls.append(name)) for name in "abc"}

    interleaved(variants, 3)

    assert sorted(calls) == sorted("abc" * 3)
    assert {calls[0], calls[3], calls[6]} == set("abc")


def test_ratios_are_taken_within_a_round():
    assert ratios([4, 9], [2, 3]) == (2, 3)


@pytest.mark.parametrize(
    ("better", "figure", "met"),
    [("at most", 2, True), ("at most", 3, False), ("at least", 1, False), ("exactly", 0, False), ("exactly", 2, True)],
)
def test_a_target_is_met_or_missed_by_the_median(better, figure, met):
    assert Figure("x", "s", (figure, figure, 100 * figure), Target(better, 2)).met is met


def test_a_missed_target_is_said_aloud():
    report = Report("x", "a title", (Figure("slow", "s", (1.0, 3.0, 2.0), Target("at most", 0.5)),))

    assert " ".join(table(report).splitlines()[2].split()) == "slow 2 1-3 s at most 0.500 MISSED"


def test_figures_keep_three_digits():
    assert [number(value) for value in (0.1234, 1.234, 123.4, 12345.6)] == ["0.123", "1.23", "123", "12,346"]


def test_flatness_leaves_out_the_first_quarter():
    assert quarters([(float(second), size) for second, size in enumerate([1, 10, 10, 20])]) == (10, 20)


def test_one_benchmark_runs_and_leaves_its_figures(tmp_path: Path):
    main(["startup", "--size", "tiny", "--rounds", "1", "--results", str(tmp_path)])

    kept = json.loads((tmp_path / "startup-tiny.json").read_text())
    assert [figure["unit"] for figure in kept["figures"]] == ["s", "s"]
    assert kept["about"]["cores"] >= 1


def test_a_table_takes_the_place_of_its_last_one_on_the_page_and_leaves_the_others():
    def report(name: str, figure: float) -> Report:
        return Report(name, "a title", (Figure("it", "s", (figure,), Target("at most", 5.0)),))

    page = with_table("# Page\n", report("x", 6.0), "small", "2026-01-01")
    both = with_table(page, report("y", 2.0), "small", "2026-01-01")
    again = with_table(both, report("x", 3.0), "full", "2026-02-02")

    assert page.startswith("# Page\n\n<!-- x -->\n### `x`: a title\n\nOf 2026-01-01, `SIZE=small`, on ")
    assert "| it | 6 s |  | at most 5 MISSED |" in both
    assert "| it | 2 s |" in both
    assert "6 s" not in again
    assert "| it | 3 s |  | at most 5 met |" in again
    assert (again.index("3 s") < again.index("2 s"), again.count("### `x`")) == (True, 1)


def test_an_unknown_benchmark_is_refused_by_name(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["chains"])

    assert "there is no benchmark 'chains'" in capsys.readouterr().err
    assert "chain" in NAMES
