"""
Laws of the simulation of queues.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oaflow.forecast import BUCKETS, Kind, Pool, Work, bucket, forecast, load, spent


def kind(stage: str, mean: float, follows: dict[int, float] | None = None, *, pools=("all",), **more) -> Kind:
    times = [0] * BUCKETS
    times[bucket(mean)] = 100
    return Kind(stage, mean, 0.0, tuple(times), 10_000, follows or {}, pools, **more)


def chain(means: list[float], jobs: float, places: int) -> Work:
    last = len(means) - 1
    kinds = tuple(kind(str(n), mean, {n + 1: 1.0} if n < last else {}) for n, mean in enumerate(means))
    return Work(kinds, {0: jobs}, {"all": Pool(places)}, {})


def exactly(work: Work) -> float:
    return forecast(work, doubt=0.0, known=True, tries=3).seconds


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=2).map(sorted))
def test_longer_times_are_in_later_buckets(pair):
    assert 0 <= bucket(pair[0]) <= bucket(pair[1]) < BUCKETS


@settings(max_examples=12)
@given(
    means=st.lists(st.floats(0.01, 10), min_size=1, max_size=4),
    jobs=st.integers(1, 400),
    places=st.integers(1, 8),
)
def test_work_takes_at_least_its_share_of_the_places_and_at_most_as_long_as_one_after_the_other(means, jobs, places):
    found = exactly(chain(means, jobs, places))

    assert jobs * sum(means) / places * 0.999 <= found <= jobs * sum(means) * 1.001


@settings(max_examples=12)
@given(means=st.lists(st.floats(0.01, 10), min_size=1, max_size=3), jobs=st.integers(2, 300))
def test_twice_the_jobs_take_longer_and_twice_the_places_no_longer(means, jobs):
    base = exactly(chain(means, jobs, 2))

    assert exactly(chain(means, 2 * jobs, 2)) > base
    # A last batch may come at a bad moment.
    assert exactly(chain(means, jobs, 4)) <= base * 1.02


@settings(max_examples=6)
@given(jobs=st.integers(20, 5000), places=st.integers(1, 6), seed=st.integers(0, 100))
def test_the_range_holds_the_median_and_a_seed_says_all(jobs, places, seed):
    work = chain([0.5, 0.1], jobs, places)

    found = forecast(work, seed=seed, tries=5)

    assert found.low <= found.seconds <= found.high
    assert forecast(work, seed=seed, tries=5) == found


@pytest.mark.parametrize("jobs", [200, 20_000, 2_000_000])
def test_a_million_jobs_take_as_long_as_they_should_and_are_told_as_quickly(jobs):
    assert exactly(chain([0.1, 0.3], jobs, 4)) == pytest.approx(jobs * 0.1, rel=0.05)


def test_a_rate_and_a_limit_hold_up_what_has_room():
    rated = Work((kind("a", 0.001, pools=("all", "rate")),), {0: 1000}, {"all": Pool(8), "rate": Pool(100, 50.0)}, {})
    single = Work((kind("a", 0.1, pools=("all", "one")),), {0: 100}, {"all": Pool(8), "one": Pool(1)}, {})

    assert exactly(rated) == pytest.approx(20, rel=0.02)
    assert exactly(single) == pytest.approx(10, rel=0.02)
    assert forecast(single).busiest == "one"


def test_what_has_a_limit_is_claimed_beside_the_rest_and_waits_behind_it_for_a_place():
    # As in a real run: 600 jobs of 0.3 s on three executors, each with one of 0.2 s behind it, one of them at a time.
    work = Work(
        (kind("think", 0.3, {1: 1.0}), kind("write", 0.2, pools=("all", "one"))),
        {0: 600},
        {"all": Pool(3), "one": Pool(1)},
        {},
    )

    assert exactly(work) == pytest.approx(168, rel=0.1)


def test_what_follows_is_counted_with_all_that_follows_it_and_a_circle_has_an_end():
    work = Work((kind("a", 0.1, {0: 0.5, 1: 3.0}), kind("b", 0.1)), {0: 100}, {"all": Pool(1)}, {})
    endless = Work((kind("a", 0.1, {0: 1.5}),), {0: 1}, {"all": Pool(1)}, {})

    assert load(work) == {0: pytest.approx(200, rel=0.01), 1: pytest.approx(600, rel=0.01)}
    assert exactly(work) == pytest.approx(80, rel=0.1)
    assert load(endless)[0] < 1000


@pytest.mark.parametrize(("ratio", "seen"), [(1.5, 10_000), (1.0, 10_000), (1.2, 100)])
def test_a_course_has_an_end_where_each_job_is_followed_by_more_than_one_of_its_kind(ratio, seen):
    work = Work((replace(kind("a", 0.1, {0: ratio}), seen=seen),), {0: 40}, {"all": Pool(1)}, {})

    # One after the other, of at most ten times what is expected; the machine may be taken for a half slower.
    told = forecast(work)
    assert 40 * 0.1 < told.seconds < 10 * load(work)[0] * 0.1 * 3
    assert told.endless


def test_where_each_job_is_followed_by_less_than_one_of_its_kind_an_end_is_known():
    work = Work((replace(kind("a", 0.1, {0: 0.5}), seen=100),), {0: 40}, {"all": Pool(1)}, {})

    assert not forecast(work).endless


def test_a_stream_hands_over_while_it_runs():
    def seconds(streams: bool) -> float:
        kinds = (kind("pours", 10, {1: 100.0}, streams=streams), kind("b", 0.1))
        return exactly(Work(kinds, {0: 1}, {"all": Pool(2)}, {}))

    assert 10.3 < seconds(streams=True) < 12
    assert seconds(streams=False) == pytest.approx(15, rel=0.05)


def test_urgent_work_is_done_first_and_what_runs_already_is_half_done():
    urgent = Work(
        (kind("a", 1.0, priority=1), kind("b", 1.0, {2: 1.0}, priority=90), kind("c", 30.0, pools=("c",))),
        {0: 30, 1: 1},
        {"all": Pool(1), "c": Pool(1)},
        {},
    )
    running = Work((kind("a", 100.0),), {0: 4}, {"all": Pool(4)}, {0: 4})

    assert exactly(urgent) == pytest.approx(31, abs=0.1)
    assert exactly(running) < 100


def test_what_is_over_took_as_long_as_the_same_simulation_says_of_it():
    work = chain([0.2, 0.3], 500, 3)

    assert spent(work, 500 * 0.5)[0] == pytest.approx(exactly(work), rel=0.02)
    seconds, ended = spent(work, 125)
    assert seconds == pytest.approx(exactly(work) / 2, rel=0.05)
    assert sum(ended.values()) == pytest.approx(125, rel=0.01)
    assert ended["0"] > ended["1"]


def test_a_place_of_a_limit_is_held_until_the_next_job_is_claimed():
    slow = kind("a", 0.1, pools=("all", "one"), held=0.05)

    assert exactly(Work((slow,), {0: 100}, {"all": Pool(8), "one": Pool(1)}, {})) == pytest.approx(15, rel=0.02)


def test_what_hardly_ever_follows_may_come_and_what_follows_that():
    rare = {1: 0.0009}
    work = Work((kind("0", 1.0, rare), kind("1", 1.0, {2: 1.0}), kind("2", 1.0)), {0: 1.0}, {"all": Pool(1)}, {})

    assert 2 not in load(work)
    assert forecast(work, doubt=0.0, known=True, tries=6000).seconds == pytest.approx(1.0, rel=0.1)
