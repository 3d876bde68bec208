"""
Where a condition reads what is not in the job, and the way out that there is.
"""

import pytest

from oaflow.compiler.checking import check_data
from oaflow.compiler.expressions import check_expressions
from oaflow.compiler.shape import parse_pipeline
from oaflow.expressions import compile_expression
from oaflow.loader import load_text

LOAD = "add `load: true`, so that the edge reads it from the store"
ASK = "only entities are read from the store: use `where` with e.bodyText, and `load: true`"


def told(edge: str) -> list[tuple[int, str | None]]:
    """
    Of an edge, where in it what stands that does not travel, and the help.
    """
    text = f"pipeline: p\nstages:\n  a:\n    task: m.a\n    next:\n      - {{to: b, {edge}}}\n  b: {{task: m.b}}\n"
    loaded = load_text(text)
    pipeline, found = parse_pipeline(loaded.data, loaded.spans)
    assert pipeline is not None, found
    mistakes = list(check_expressions(pipeline, loaded.spans))
    assert {one.code for one in mistakes} <= {"OAF207"}
    lines = text.splitlines()
    assert all(lines[one.span.line - 1][one.span.column - 1 :].startswith("bodyText") for one in mistakes)
    return [(one.span.column - len("      - {to: b, ") - 1, one.help) for one in mistakes]


@pytest.mark.parametrize(
    ("edge", "help"),
    [
        ("""where: "e.caption == 'bodyText' or has(e.bodyText, 'x')" """, {LOAD: [1]}),
        ("""where: "has(e.bodyText, 'a') or has(e.bodyText, 'b')" """, {LOAD: [0, 1]}),
        ("""where: "has(e.bodyText, 'a')", load: true""", {}),
        ("""where: {bodyText: "*a*"}""", {LOAD: [0]}),
        # What `load` reads is what `where` asks of each entity, and no more.
        ("""when: "any(x.bodyText for x in job.entities)" """, {ASK: [0]}),
        ("""when: "any(x.bodyText for x in job.entities)", where: "e.bodyText", load: true""", {ASK: [0]}),
        ("""where: "any(x.bodyText for x in job.entities)", load: true""", {ASK: [0]}),
    ],
)
def test_each_place_that_reads_what_does_not_travel_is_told_with_a_way_out(edge: str, help: dict[str, list[int]]):
    places = [at for at in range(len(edge)) if edge.startswith("bodyText", at)]

    assert told(edge) == [(places[number], said) for said, numbers in help.items() for number in numbers]


def test_a_check_makes_no_code_of_an_expression_that_it_only_reads():
    where = "has(e.name, 'a name that no other test has')"
    data = load_text(
        f'pipeline: p\nstages:\n  a: {{task: m.a, next: {{to: b, where: "{where}"}}}}\n  b: {{task: m.b}}\n'
    )

    assert check_data(data.data, data.spans).plan
    assert "test" not in vars(compile_expression(where, "where", {}))
