"""
The phases in order, and the plan at their end.
"""

import gc
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.checking import chain_of
from oaflow.compiler import PipelineError, check_data, check_file, parse_pipeline
from oaflow.compiler.functions import Inspected, InspectionError, Parameter
from oaflow.compiler.planning import plan_of
from oaflow.diagnostics import errors
from oaflow.loader import load_text
from oaflow.model import Retry, StageOptions
from oaflow.plan import Plan
from oaflow.rendering import FORMS, render

ROOT = Path(__file__).parents[3]
INGEST = ROOT / "pipelines" / "ingest.yml"


def plan(text: str, **options: StageOptions) -> Plan:
    loaded = load_text(text)
    pipeline, found = parse_pipeline(loaded.data, loaded.spans)
    assert pipeline is not None, found
    return plan_of(pipeline, {f"m.{name}": Inspected(told) for name, told in options.items()})


def test_the_flagship_passes_and_is_wired_as_its_page_says():
    checked = check_file(INGEST, imports=False)

    assert checked.diagnostics == ()
    assert checked.plan is not None
    assert not checked.functions
    assert checked.plan.start == ("crawl",)
    assert list(checked.plan.stages) == ["crawl", "extract", "analyze", "index", "quarantine", "report"]
    extract = checked.plan.stages["extract"]
    assert [(edge.port, edge.to, edge.recurse) for edge in extract.edges] == [
        ("default", "analyze", None),
        ("children", "extract", 16),
    ]
    assert (extract.queue, extract.timeout, extract.memory) == ("ingest", 1800.0, 2 * 1024**3)
    assert checked.plan.params["source"].positional


def test_a_phase_with_mistakes_is_the_last_one():
    shape = {"pipeline": "p", "stages": {"read": {"task": "m.read", "next": "nowhere", "retry": -1}}}
    names = {
        "pipeline": "p",
        "start": "read",
        "stages": {"read": {"task": "m.read", "next": "nowhere"}, "b": {"task": "m.b"}},
    }

    assert [one.code for one in check_data(shape).diagnostics] == ["OAF108"]
    assert [one.code for one in check_data(names).diagnostics] == ["OAF201"]


def test_a_mistake_that_an_alias_repeats_is_told_once():
    text = """
    pipeline: p
    start: [a, b]
    stages:
      a: {task: m.a, retry: &r {max: often}}
      b: {task: m.b, retry: *r}
    """
    loaded = load_text(text)

    assert [one.code for one in check_data(loaded.data, loaded.spans).diagnostics] == ["OAF103"]


def test_a_mistake_of_a_whole_stage_that_aliases_repeat_is_told_once_and_of_the_first():
    text = """
    pipeline: p
    start: [a, b, c]
    stages:
      a: &all {task: m.a, colect: 3, external: true, queue: q, timeout: 3s}
      b: *all
      c: *all
    """
    loaded = load_text(text)

    assert [one.message for one in check_data(loaded.data, loaded.spans).diagnostics] == [
        "stage 'a' has no key 'colect'",
        "stage 'a' is external, so its service decides about 'timeout'",
    ]


def test_a_key_that_is_missing_in_what_aliases_repeat_is_told_once_where_it_is_named_first():
    text = """
    pipeline: p
    params:
      one: &param {type: choice}
      two: *param
    defaults: &rest {timeout: 3s}
    start: [a, b, c, d, f, g]
    stages:
      a: *rest
      b: *rest
      c: &away {external: true, task: m.c}
      d: *away
      f: {task: m.f, collect: &some {wait: 2s}}
      g: {task: m.g, collect: *some}
      h: {task: m.h, next: [{when: "job.queue"}, {when: "job.queue"}], on_error: i}
      i: {}
      j: {}
    """
    loaded = load_text(text)

    assert [(one.span.path, one.message) for one in check_data(loaded.data, loaded.spans).diagnostics] == [
        (("params", "one"), "a param of type choice needs `choices`"),
        (("stages", "a"), "stage 'a' has no task"),
        (("stages", "c"), "stage 'c' is external, so it needs the queue of its service"),
        (("stages", "f", "collect"), "`collect` needs a size: how many entities"),
        # What is written twice is told twice.
        (("stages", "h", "next", 0), "an edge needs `to`, the stage it leads to"),
        (("stages", "h", "next", 1), "an edge needs `to`, the stage it leads to"),
        (("stages", "i"), "stage 'i' has no task"),
        (("stages", "j"), "stage 'j' has no task"),
    ]


def test_a_default_that_two_stages_cannot_do_with_is_told_of_both():
    text = """
    pipeline: p
    defaults: {timeout: 3s, retry: {base: 2h}}
    stages:
      a: {task: m.a, next: b}
      b: {task: m.b}
    """
    loaded = load_text(text)
    told = [one.message for one in check_data(loaded.data, loaded.spans).diagnostics]

    assert len(told) == len(set(told)) == 2, told


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_no_change_to_a_pipeline_is_more_than_a_list_of_mistakes(random: Random, changes: int):
    words = INGEST.read_text().split(" ")
    for _ in range(changes):
        at = random.randrange(len(words))
        words[at] = random.choice(
            [*words, "", "}", "drop", "params.source", "${params.source}", "{to: index}", "\n", "1"]
        )
    text = " ".join(words)
    loaded = load_text(text, "ingest.yml")
    found = loaded.diagnostics
    if loaded.data is not None:
        checked = check_data(loaded.data, loaded.spans)
        found = checked.diagnostics
        assert (checked.plan is None) == bool(errors(found))
    for one in found:
        lines = text.split("\n")
        assert one.span.line <= len(lines)
        assert one.span.source == (lines[one.span.line - 1] if one.span.line else "")
    for form in FORMS:
        render(found, form)


def test_thousands_of_stages_are_checked_in_no_time():
    stages = {f"s{n}": {"task": "m.f", "next": f"s{n + 1}"} for n in range(5000)} | {"s5000": {"task": "m.f"}}

    assert check_data({"pipeline": "p", "stages": stages}).diagnostics == ()


def test_functions_are_asked_once_each_and_external_ones_never():
    asked: list[tuple[str, ...]] = []

    def inspect(tasks: tuple[str, ...], /) -> dict[str, Inspected | InspectionError]:
        asked.append(tasks)
        return {task: Inspected(StageOptions(), parameters=(Parameter("job", required=True),)) for task in tasks}

    stages: dict[str, Any] = {
        "a": {"task": "m.f", "next": "b"},
        "b": {"task": "m.f", "next": "c"},
        "c": {"task": "other.tasks.g", "external": True, "queue": "c"},
    }
    checked = check_data({"pipeline": "p", "stages": stages}, inspect=inspect)

    assert asked == [("m.f",)]
    assert checked.plan is not None
    assert checked.functions


def test_a_pipeline_that_cannot_be_compiled_says_why():
    checked = check_data({"pipeline": "p", "stages": {"a": {"task": "m.f", "next": ["b", "c"]}}})
    error = PipelineError("p", checked.diagnostics)

    assert "no stage is named 'b' (OAF201, and 1 more)" in str(error)
    assert error.exit_code == 2
    assert len(error.diagnostics) == 2


def test_the_file_counts_before_the_code_and_a_stage_before_defaults():
    text = """
    pipeline: p
    defaults: {priority: 20, retry: {base: 7s}}
    stages:
      a: {task: m.a, next: b, timeout: 10s}
      b: {task: m.b, next: c, priority: 30, retry: 1}
      c: {task: m.c}
    """
    told = StageOptions(
        queue="heavy", timeout=99.0, memory=1000, priority=40, emit="stream", retry=Retry(max=9, base=3.0)
    )
    found = plan(text, a=told, b=told)
    a, b, c = found.stages.values()

    assert (a.queue, a.timeout, a.memory, a.priority, a.emit) == ("heavy", 10.0, 1000, 20, "stream")
    assert (a.retry.max, a.retry.base, a.retry.cap) == (9, 7.0, 600.0)
    assert (b.timeout, b.priority, b.retry.max, b.retry.base) == (99.0, 30, 1, 7.0)
    assert (c.queue, c.timeout, c.memory, c.priority, c.emit) == ("c", None, 2 * 1024**3, 20, "success")


def test_defaults_do_not_reach_external_stages():
    text = """
    pipeline: p
    defaults: {retry: 9, timeout: 5s, memory: 1GiB}
    stages:
      a: {task: other.tasks.a, external: true, queue: a}
    """
    a = plan(text).stages["a"]

    assert (a.retry.max, a.timeout, a.memory) == (5, None, 2 * 1024**3)


def test_what_is_only_another_spelling_has_the_same_digest():
    short = """
    pipeline: p
    stages:
      a: {task: m.a, next: b, timeout: 90s, retry: 5, queue: a, origin: p/a}
      b: {task: m.b, priority: 50}
    """
    long = """
    # the same
    oaflow: 1
    pipeline: p
    description: Two stages
    start: a
    stages:
      b: {task: m.b, description: the second}
      a:
        retry: {max: 5, backoff: exponential, base: 2s, cap: 10m}
        timeout: 1m30s
        task: m.a
        next: {default: [{to: b}]}
    """
    assert plan(short).digest == plan(long).digest


@pytest.mark.parametrize(
    "change",
    [
        ("next: b", "next: {to: b, port: media}"),
        ("m.b", "m.c"),
        ("retry: 5", "retry: 4"),
        ("a: {", "a: {priority: 51, "),
        ("pipeline: p", "pipeline: q"),
        ("b: {task", "b: {enabled: false, task"),
    ],
)
def test_what_changes_where_or_how_a_job_goes_changes_the_digest(change: tuple[str, str]):
    text = "pipeline: p\nstages:\n  a: {task: m.a, next: b, retry: 5}\n  b: {task: m.b}\n"

    assert plan(text).digest != plan(text.replace(*change)).digest


def test_the_path_of_a_file_is_shown_as_short_as_it_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    path = tmp_path / "pipelines" / "p.yml"
    path.write_text("pipeline: p\n")

    assert check_file(path).diagnostics[0].span.file == "pipelines/p.yml"


def test_checking_a_file_imports_nothing_heavy():
    program = f"""
import sys
from pathlib import Path
from oaflow.compiler import check_file
assert check_file(Path({str(INGEST)!r}), imports=False).plan
print([name for name in ("networkx", "followthemoney", "procrastinate", "psycopg", "typer") if name in sys.modules])
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )

    assert found.stdout.strip() == "[]"


def test_four_times_as_many_stages_take_about_four_times_as_long():
    def seconds_for(length: int) -> float:
        loaded = load_text(chain_of(length))
        gc.collect()
        gc.disable()  # it looks through all that the tests before this one have left
        try:
            began = time.process_time()
            checked = check_data(loaded.data, loaded.spans)
            seconds = time.process_time() - began
        finally:
            gc.enable()
        assert checked.errors == []
        return seconds

    seconds_for(10)  # what is loaded on first use
    few, many = (min(seconds_for(length) for _ in range(3)) for length in (500, 2000))

    # 16 times as long, where a check looks through all stages for each of them.
    assert many < 8 * few


def _asking(edges: int, choose: str) -> dict[str, Any]:
    asking = [{"to": f"t{number}", "where": f"len(e.id) > {number}"} for number in range(edges)]
    targets = {f"t{number}": {"task": "m.f"} for number in range(edges)}
    return {"pipeline": "p", "stages": {"first": {"task": "m.f", "next": asking, "choose": choose}, **targets}}


def _misspelled(stages: int) -> dict[str, Any]:
    wrong = {f"stage{number:05}": {"task": "m.f", "next": f"stagge{number:05}"} for number in range(stages)}
    return {"pipeline": "p", "stages": wrong}


@pytest.mark.parametrize(
    ("data", "most"),
    [(_asking(1000, "first"), 8), (_misspelled(1000), 15)],
    ids=["conditions", "mistakes"],
)
def test_many_conditions_or_mistakes_do_not_take_minutes(data: dict[str, Any], most: float):
    began = time.process_time()
    checked = check_data(data)

    assert time.process_time() - began < most
    assert all((one.help or "").startswith("did you mean") for one in checked.errors[:10])


def test_a_param_without_any_choice_is_told_that_its_list_is_empty():
    [one] = check_data(
        {"pipeline": "p", "params": {"n": {"choices": []}}, "stages": {"a": {"task": "m.a"}}}
    ).diagnostics

    assert one.message == "'choices' must be a list of at least one value, but is an empty list"
