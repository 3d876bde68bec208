"""
From what a run has taken to a model of it, and what is asked of `simulate`.
"""

from datetime import UTC, datetime

import pytest

from oaflow.errors import UsageError
from oaflow.forecast import BUCKETS, bucket, forecast
from oaflow.ledger.timings import Shift, Timing
from oaflow.operations.modelling import EXECUTORS, LOOP, Capacity, Model, active, crew
from oaflow.operations.simulating import Variant, variants_of
from oaflow.plan import Plan, PlannedCollect, PlannedEdge, PlannedStage, bind

BOUND = bind(
    Plan(
        pipeline="p",
        start=("finds",),
        stages={
            "finds": PlannedStage(task="t.finds", queue="q", edges=(PlannedEdge(to="reads"),), emit="stream"),
            "reads": PlannedStage(task="t.reads", queue="q", edges=(PlannedEdge(to="keeps"), PlannedEdge(to="asks"))),
            "keeps": PlannedStage(task="t.keeps", queue="q", collect=PlannedCollect(size=10)),
            "asks": PlannedStage(task="t.asks", queue="service", external=True),
            "sums": PlannedStage(task="t.sums", queue="q", join=("keeps",)),
        },
    ),
    {},
)


def shift(began: float, ended: float, *, seconds: float | None = None, executors: int = 2) -> Shift:
    times = [datetime.fromtimestamp(time, UTC) for time in (began, ended)]
    return Shift(1, executors, times[0], times[1], ended - began if seconds is None else seconds)


def timing(stage: str, jobs: int, each: float, media: str = "", *, members: int | None = None, **successors: int):
    times = [0] * BUCKETS
    times[bucket(each)] = jobs
    return Timing(
        stage, media, stage == "asks", jobs, jobs, members or jobs, jobs * each, jobs * each**2, times, successors
    )


TIMINGS = [
    timing("finds", 1, 5.0, reads=100),
    timing("reads", 60, 1.0, "text/plain", keeps=60, asks=60),
    timing("reads", 40, 4.0, "application/pdf", keeps=40),
    timing("keeps", 10, 2.0, members=100),
    timing("asks", 60, 0.001),
]


def test_spans_that_overlap_count_once_and_what_was_idle_in_them_does_not():
    assert active([]) == 0
    assert active([shift(0, 10), shift(5, 15), shift(100, 110)]) == 25
    assert active([shift(0, 100, seconds=10)]) == 10
    assert crew([shift(0, 10, executors=2), shift(0, 10, executors=4)]) == (2, 6)
    assert crew([shift(0, 10), shift(20, 30)]) == (1, 2)
    assert crew([]) == (1, 1)


def test_what_a_run_began_with_is_what_nobody_handed_over():
    arrived = {"finds": 1.0, "reads": 130.0, "keeps": 10.0, "asks": 60.0}

    assert Model(BOUND, TIMINGS, 50).roots(arrived) == {"finds": 1.0, "reads": 30.0}


def test_waiting_jobs_take_as_long_as_those_of_their_media_type():
    model = Model(BOUND, TIMINGS, 50)
    crew = Capacity(1, 1)

    def seconds(media: dict[str, dict[str, int]] | None) -> float:
        return forecast(model.work({"reads": 100.0}, crew, media=media), known=True, doubt=0).seconds

    texts, both, scans = ({"reads": {"text/plain": 9}}, None, {"reads": {"application/pdf": 9}})
    # Each ten of them are put together for `keeps`, which takes two seconds.
    assert seconds(texts) == pytest.approx(120, rel=0.1)
    assert seconds(both) == pytest.approx(240, rel=0.1)
    assert seconds(scans) == pytest.approx(420, rel=0.1)


def test_of_a_media_type_that_is_much_of_what_waits_something_must_have_been_done():
    model = Model(BOUND, TIMINGS, 50)

    assert model.unseen("reads", {"text/plain": 90, "image/png": 10}) is None
    assert model.unseen("reads", {"text/plain": 50, "image/png": 30, "image/tiff": 20}) == "image/png"


def test_what_is_found_in_an_archive_is_no_further_archive_of_its_type():
    unpacks = PlannedStage(
        task="t.unpacks", queue="q", edges=(PlannedEdge(to="keeps"), PlannedEdge(to="unpacks", port="more", recurse=16))
    )
    stages = {"unpacks": unpacks, "keeps": PlannedStage(task="t.keeps", queue="q")}
    bound = bind(Plan(pipeline="p", start=("unpacks",), stages=stages), {})
    zipped, text = "application/gzip", "text/plain"
    seen = [
        timing("unpacks", 50, 0.1, zipped, unpacks=50, keeps=50),
        timing("unpacks", 150, 0.1, text, keeps=150),
        timing("keeps", 50, 0.1, zipped),
        timing("keeps", 150, 0.1, text),
    ]
    work = Model(bound, seen, 50).work({"unpacks": 100.0}, Capacity(1, 1), media={"unpacks": {zipped: 1}})

    # Each archive is followed by one more job, which for every fourth is another archive; all are kept.
    total = sum(100 / 4**round for round in range(5))
    told = forecast(work, known=True, doubt=0)
    assert (told.seconds, told.endless) == (pytest.approx(2 * 1.75 * total * 0.1, rel=0.1), False)
    # It is kept as what it is.
    numbers = {
        (one.stage, media): number
        for number, (one, media) in enumerate(zip(work.kinds, (zipped, text) * 2, strict=True))
    }
    assert work.kinds[numbers["unpacks", zipped]].follows[numbers["keeps", zipped]] == 1.0


def test_work_waits_for_the_places_of_its_kind_its_limit_or_its_service():
    capacity = Capacity(4, 2, own={"keeps": (3, 6)}, limits={"reads": (1, None)})
    work = Model(BOUND, TIMINGS, 30).work({"reads": 1.0}, capacity)

    assert {one.stage: one.pools for one in work.kinds} == {
        "finds": (EXECUTORS,),
        "reads": (EXECUTORS, "the limit of reads"),
        "keeps": ("the executors of keeps",),
        "asks": ("the service of asks",),
    }
    assert (work.pools[EXECUTORS].places, work.pools[LOOP].places) == (4, 100)
    assert work.pools["the executors of keeps"].places == 6
    assert work.pools["the limit of reads"].places == 1
    assert work.pools["the service of asks"].rate == 2.0


def test_as_many_run_already_as_there_is_room_for_those_of_the_last_stages_first():
    work = Model(BOUND, TIMINGS, 30).work({"reads": 100.0, "keeps": 3.0}, Capacity(5, 1), begun=True)
    running: dict[str, int] = {}
    for kind, jobs in work.running.items():
        running[work.kinds[kind].stage] = running.get(work.kinds[kind].stage, 0) + jobs

    assert running == {"keeps": 3, "reads": 2}


def test_each_number_that_is_asked_for_is_a_variant():
    assert variants_of(["1,2", "read=4"], "2", ["ask=3"]) == [
        Variant(workers, 2, (("read", 4),), (("ask", 3),)) for workers in (1, 2)
    ]
    assert variants_of([], None, []) == []
    assert Variant(2, 3, (("read", 4),), (("ask", 3),)).name == (
        "--workers 2 --workers read=4 --executors 3 --concurrency ask=3"
    )


@pytest.mark.parametrize(
    ("workers", "executors", "concurrency", "said"),
    [
        (["x"], None, [], "--workers takes numbers from 1, not 'x'"),
        (["0"], None, [], "not '0'"),
        (["=2"], None, [], "--workers is given as STAGE=N, not '=2'"),
        ([], "read=2", [], "--executors is given as N, not 'read=2'"),
        ([], None, ["3"], "--concurrency is given as STAGE=N, not '3'"),
        (["1,"], None, [], "not ''"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_form(workers, executors, concurrency, said):
    with pytest.raises(UsageError, match=said):
        variants_of(workers, executors, concurrency)
