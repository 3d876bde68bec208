"""
What a worker keeps of how long attempts take.
"""

from hypothesis import given
from hypothesis import strategies as st

from oaflow.forecast import bucket
from oaflow.ledger.rows import Completion, Successor
from oaflow.runtime.timings import MOST_MEDIA, Timings, media_of

PDF = '{"payload":{"entities":[{"id":"a","properties":{"mimeType":["application/pdf"]}}]}}'


def ended(outcome: str = "done", *, run: str = "r", stage: str = "s", began: float = 0.0, seconds: float = 1.0, to=()):
    successors = tuple(Successor("q", "t", name, 50, b"{}") for name in to)
    return Completion(1, 0, outcome, run, stage, None, began, began + seconds, successors=successors)


def nothing_in_hand(run: str) -> bool:
    return False


@given(st.lists(st.tuples(st.sampled_from(["done", "failed", "diverted", "retried"]), st.floats(0, 1e4)), min_size=1))
def test_sums_are_those_of_all_attempts_and_a_repeated_one_ends_no_job(attempts):
    timings = Timings()
    for outcome, seconds in attempts:
        timings.saw(ended(outcome, seconds=seconds), "{}", in_loop=False)

    ((kept,), _) = timings.take(1e5, nothing_in_hand)

    assert kept["attempts"] == len(attempts) == sum(kept["times"])
    assert kept["jobs"] == kept["members"] == sum(outcome != "retried" for outcome, _ in attempts)
    assert abs(kept["seconds"] - sum(seconds for _, seconds in attempts)) < 1e-6 * max(kept["seconds"], 1)
    assert timings.take(1e5, nothing_in_hand)[0] == []


def test_a_part_of_a_stream_counts_what_it_hands_over_and_no_time():
    timings = Timings()
    timings.saw(ended("chunk", to=["b"] * 500), "{}", in_loop=True)
    timings.saw(ended("done", seconds=3, to=["b", "c"]), "{}", in_loop=True, collected=4)

    ((kept,), _) = timings.take(9, nothing_in_hand)

    assert kept["successors"] == {"b": 501, "c": 1}
    assert (kept["attempts"], kept["jobs"], kept["members"], kept["seconds"]) == (1, 1, 4, 3)
    assert kept["times"][bucket(3)] == 1
    assert kept["in_loop"] is True


def test_what_was_killed_paused_or_cancelled_says_nothing_of_how_long_it_takes():
    timings = Timings()
    for outcome in ("crashed", "paused", "cancelled"):
        timings.saw(ended(outcome), "{}", in_loop=False)

    assert timings.take(9, nothing_in_hand) == ([], [])


def test_media_types_are_told_apart_and_too_many_of_them_are_not():
    timings = Timings()
    timings.saw(ended(), PDF, in_loop=False)
    for number in range(MOST_MEDIA + 50):
        timings.saw(ended(), PDF.replace("pdf", str(number)), in_loop=False)

    kept, _ = timings.take(9, nothing_in_hand)

    assert {row["media"] for row in kept} >= {"", "application/pdf"}
    assert len(kept) == MOST_MEDIA + 1
    assert sum(row["attempts"] for row in kept) == MOST_MEDIA + 51
    assert media_of('{"mimeType": ["text/plain", "x"]}') == "text/plain"
    assert media_of('{"mimeType": []}') == media_of("{}") == ""


def test_a_worker_is_busy_with_a_run_from_the_first_start_to_the_last_look_at_which_it_had_some_of_it():
    timings = Timings()
    timings.saw(ended(began=10, seconds=2), "{}", in_loop=False)

    assert timings.take(13, nothing_in_hand)[1] == [{"run": "r", "began": 10, "ended": 13, "seconds": 3}]
    assert timings.take(14, lambda run: run == "r")[1] == [{"run": "r", "began": 13, "ended": 14, "seconds": 1}]
    assert timings.take(15, nothing_in_hand)[1] == []
    timings.saw(ended(began=40, seconds=2), "{}", in_loop=False)
    assert timings.take(43, nothing_in_hand)[1] == [{"run": "r", "began": 40, "ended": 43, "seconds": 3}]
