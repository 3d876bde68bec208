"""
Which executor gets which job: laws over any jobs, and what a message of an executor may cost.
"""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from oaflow.runtime.feeding import share

MOST = 4
ROOMS = st.lists(st.integers(0, MOST), max_size=30)  # where there is none, the job waits
LOADS = st.dictionaries(st.sampled_from("abc"), st.integers(0, MOST), min_size=1)


def shared(rooms, loads, busy=()):
    """
    Jobs are (number, room); the shares, what stays, and the loads afterwards.
    """
    jobs, after = deque(enumerate(rooms)), dict(loads)
    return share(jobs, after, ahead=lambda job: job[1], most=MOST, busy=busy), list(jobs), after


@given(ROOMS, LOADS)
def test_each_job_is_given_or_stays_and_all_keep_their_order(rooms, loads):
    shares, rest, _ = shared(rooms, loads)

    given_away = [job for group in shares.values() for job in group]
    assert sorted(given_away + rest) == list(enumerate(rooms))
    assert all(group == sorted(group) for group in [*shares.values(), rest])


@given(ROOMS, LOADS)
def test_no_job_is_given_to_a_place_that_has_as_much_as_its_kind_may_have(rooms, loads):
    shares, _, after = shared(rooms, loads)

    for place, group in shares.items():
        assert after[place] == loads[place] + len(group)
        assert all(loads[place] + before < room for before, (_, room) in enumerate(group))


@given(ROOMS, LOADS)
def test_nothing_is_put_behind_a_slow_one_and_nothing_where_one_runs(rooms, loads):
    shares, _, _ = shared(rooms, loads, busy=["a"])

    assert "a" not in shares
    assert all(room > 1 for group in shares.values() for _, room in group[:-1])


@given(ROOMS, LOADS)
def test_what_stays_has_no_place(rooms, loads):
    shares, rest, after = shared(rooms, loads)

    slow = {place for place, group in shares.items() if group[-1][1] == 1}
    assert all(after[place] >= room for _, room in rest for place in after.keys() - slow)


def test_where_all_have_as_much_as_any_may_have_nothing_is_looked_at():
    jobs, looked = deque(range(1000)), []

    shares = share(jobs, {"a": MOST, "b": MOST}, ahead=lambda job: looked.append(job) or MOST, most=MOST, busy=[])

    assert (shares, len(jobs), looked) == ({}, 1000, [])
