"""
Where in its way a file is begun again.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.plan.later import Later, Step, arrivals, later, part

# crawl > extract > lines > index, and extract > index.
AFTER = {
    "crawl": frozenset({"extract", "lines", "index"}),
    "extract": frozenset({"extract", "lines", "index"}),
    "lines": frozenset({"index"}),
    "index": frozenset[str](),
}


def step(job: int, stage: str, *parents: int, of: str | None = "a", kept: bool = True) -> Step:
    return Step(job, "r", parents, stage, None if of is None else tuple(of.split()), kept)


# An archive with two members, of which one has lines; what goes to the index is put together with others'.
WAY = (
    step(1, "crawl", of=None, kept=False),
    step(2, "extract", 1, of="z"),
    step(3, "index", 2, of="z"),
    step(4, "extract", 2, of="a"),
    step(5, "extract", 2, of="b"),
    step(6, "lines", 4, of="a"),
    step(7, "index", 6, of="a"),
    step(8, "index", 5, of="b"),
    step(9, "index", 3, 7, 8, of=None, kept=False),
)


def jobs(found: Later | None) -> list[int] | None:
    return None if found is None else [one.job for one in found.first]


def test_it_begins_with_the_first_jobs_at_what_changed_or_follows_it():
    found = later(WAY, {"lines"}, AFTER)

    assert jobs(found) == [3, 6, 8]
    assert found is not None
    assert (found.replaced, found.found, found.left_out) == ((3, 6, 7, 8, 9), ("z", "a", "b"), ())


def test_what_lies_on_no_way_of_a_file_changes_nothing_of_it():
    found = later(WAY[:3], {"lines"}, {**AFTER, "lines": frozenset[str]()})

    assert found is not None
    assert (found.first, found.replaced) == ((), ())


def test_a_job_that_is_not_kept_or_holds_others_documents_is_made_again_by_what_it_came_of():
    lines_lost = [*WAY[:5], step(6, "lines", 4, kept=False), *WAY[6:]]
    index_lost = [*WAY[:6], step(7, "index", 6, kept=False), *WAY[7:]]
    index_shared = [*WAY[:6], step(7, "index", 6, of=None), *WAY[7:]]

    assert jobs(later(lines_lost, {"lines"}, AFTER)) == [2]
    assert jobs(later(index_lost, {"index"}, AFTER)) == [3, 6, 8]
    assert jobs(later(index_shared, {"index"}, AFTER)) == [3, 6, 8]


def test_what_arrived_at_a_stage_is_told_by_document_and_what_was_put_together_is_what_it_was_made_of():
    def told(steps: list[Step]) -> dict[str | None, list[int]]:
        return {document: [one.job for one in there] for document, there in arrivals(steps, {"index"}).items()}

    assert told([*WAY]) == {"z": [3], "a": [7], "b": [8]}
    # Other entities alone are about what the job had that they came of; where that is nothing, nobody knows.
    assert told([*WAY[:6], step(7, "index", 6, of=""), step(8, "index", 5, of="a b")]) == {
        "z": [3],
        "a": [7, 8],
        "b": [8],
    }
    assert told([step(6, "lines", of=""), step(7, "index", 6, of="")]) == {None: [7]}
    assert told([step(7, "index", 6, of=None)]) == {None: [7]}
    assert told([*WAY[:2]]) == {}


def test_what_changed_at_the_beginning_begins_at_the_beginning():
    assert later(WAY, {"crawl"}, AFTER) is None
    assert later([step(2, "extract", 1, kept=False), *WAY[2:], WAY[0]], {"extract"}, AFTER) is None
    assert jobs(later(WAY, {"extract"}, AFTER)) == [2]


def test_what_is_made_anew_by_a_stage_that_unpacks_is_left_out():
    found = later(WAY, {"extract"}, AFTER)

    assert found is not None
    assert (found.found, found.left_out) == (("z",), ("a", "b"))


@given(st.sets(st.sampled_from(["extract", "lines", "index"]), min_size=1), st.sets(st.integers(2, 8)))
def test_all_at_the_stages_that_take_place_again_is_replaced_and_nothing_else(changed: set[str], lost: set[int]):
    way = [
        step(
            one.job,
            one.stage,
            *one.parents,
            of=" ".join(one.documents or ()) or None,
            kept=one.kept and one.job not in lost,
        )
        for one in WAY
    ]

    found = later(way, changed, AFTER)

    if found is None:
        assert lost
        return
    assert changed <= found.redo
    assert set(found.replaced) == {one.job for one in way if one.stage in found.redo}
    assert all(one.kept and one.documents is not None for one in found.first)
    # Each job that is replaced is one that it begins with, or came of such as are replaced.
    begun = set(jobs(found) or ())
    for one in way:
        if one.job in found.replaced and one.job not in begun:
            assert any(parent in found.replaced for parent in one.parents)


def test_a_part_of_a_run_is_all_that_its_documents_went_through_at_these_stages():
    run = [*WAY[1:8], step(9, "index", 3, 7, 8, of="z a b", kept=False)]

    lines = part(run, [6], AFTER, ())
    assert ([one.job for one in lines.first], [one.job for one in lines.again]) == ([6], [6, 7, 9])
    assert (lines.found, lines.left_out) == (("a",), ())

    # What was put together is made again of what it was made of, and takes the documents of others with it.
    index = part(run, [9], AFTER, ())
    assert [one.job for one in index.first] == [3, 7, 8]
    assert part(run, [2], AFTER, ()).left_out == ("a", "b")


def test_what_is_to_stay_or_is_not_kept_is_no_part_of_a_rerun():
    run = [*WAY[1:8], step(9, "index", 3, 7, 8, of="z a b", kept=False)]
    nothing_kept = [step(one.job, one.stage, *one.parents, of=" ".join(one.documents or ()), kept=False) for one in run]

    stays = part(run, [6, 8], AFTER, {"a"})
    assert ([one.job for one in stays.first], stays.lost) == ([8], frozenset())
    assert part(nothing_kept, [6], AFTER, ()).first == ()
    assert part(nothing_kept, [6], AFTER, ()).lost >= {"a"}


class Compared(Step):
    """
    A job that counts how often it is compared with another one.
    """

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return self is other

    def __hash__(self) -> int:
        return self.job


def test_the_jobs_of_a_long_run_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Compared, "times", 0)
    # Documents that are put together by two: these jobs are not kept, and what they came of is.
    steps = [Compared(n, "r", (), "extract", (f"d{n}",), True) for n in range(200)]
    steps += [
        Compared(1000 + n, "r", (n, n + 1), "index", (f"d{n}", f"d{n + 1}"), n % 4 == 0) for n in range(0, 200, 2)
    ]

    found = part(steps, [one.job for one in steps if one.stage == "index"], AFTER, ())

    assert len(found.again) == 300
    assert Compared.times == 0
