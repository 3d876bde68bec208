"""
What becomes of an attempt that went wrong, as laws.
"""

from hypothesis import given
from hypothesis import strategies as st

from oaflow.model import Retry
from oaflow.plan import BoundStage
from oaflow.runtime.policy import Again, Divert, Fail, Part, Trouble, judge

STAGE = BoundStage(
    name="read", task="m.read", queue="q", edges=(), dropped=(), options={}, retry=Retry(max=3), timeout=None,
    memory=None, priority=50, on_error=None, emit="success", external=False, origin="p/read",
)  # fmt: skip

stages = st.builds(
    lambda retry, on_error: STAGE.model_copy(update={"retry": retry, "on_error": on_error}),
    st.builds(
        Retry,
        max=st.integers(0, 9),
        backoff=st.sampled_from(["none", "exponential"]),
        base=st.floats(0.001, 100),
        cap=st.floats(0, 1000),
    ),
    st.none() | st.just("aside"),
)
numbers = st.integers(0, 12)


@given(stages, numbers, numbers)
def test_what_was_rejected_is_never_repeated(stage: BoundStage, retries: int, crashes: int) -> None:
    verdict = judge(Trouble("error", final=True), stage, retries=retries, crashes=crashes, most_crashes=3)

    assert verdict == (Divert() if stage.on_error else Fail())


@given(stages, numbers, numbers)
def test_an_error_is_repeated_until_the_retries_are_used_up_whatever_crashed(
    stage: BoundStage, retries: int, crashes: int
) -> None:
    verdict = judge(Trouble("error"), stage, retries=retries, crashes=crashes, most_crashes=3)

    if retries < stage.retry.max:
        assert verdict == Again("retried", stage.retry.delay(retries + 1))
    else:
        assert verdict == (Divert() if stage.on_error else Fail())


@given(stages, numbers, numbers, st.integers(1, 9))
def test_a_crash_is_repeated_at_once_until_there_were_too_many_whatever_was_retried(
    stage: BoundStage, retries: int, crashes: int, most: int
) -> None:
    verdict = judge(Trouble("crash"), stage, retries=retries, crashes=crashes, most_crashes=most)

    if crashes + 1 < most:
        assert verdict == Again("crashed", 0.0)
    else:
        assert verdict == (Divert() if stage.on_error else Fail())


@given(stages, numbers, st.integers(1, 9))
def test_what_was_put_together_is_taken_apart_by_its_first_crash_which_counts_for_each(
    stage: BoundStage, crashes: int, most: int
) -> None:
    whole = judge(Trouble("crash"), stage, retries=0, crashes=0, most_crashes=most, collected=True)
    verdict = judge(Trouble("crash"), stage, retries=0, crashes=crashes, most_crashes=most, parted=True)

    assert whole == Part()
    if 1 + crashes + 1 < most:
        assert verdict == Again("crashed", 0.0)
    else:
        assert verdict == (Divert() if stage.on_error else Fail())


@given(stages, numbers, numbers, st.booleans())
def test_a_full_disk_is_charged_to_nobody_however_often(
    stage: BoundStage, retries: int, crashes: int, final: bool
) -> None:
    verdict = judge(Trouble("room", final=final), stage, retries=retries, crashes=crashes, most_crashes=1)

    assert isinstance(verdict, Again)
    assert (verdict.charge, verdict.delay > 0) == ("paused", True)


# -- how long a repetition waits ---------------------------------------------------------------------------------------

bases = st.floats(0.001, 100)


@given(bases, st.integers(1, 40))
def test_each_repetition_waits_twice_as_long_as_the_one_before(base: float, repetition: int) -> None:
    retry = Retry(base=base, cap=float("inf"))

    assert retry.delay(1) == base
    assert retry.delay(repetition + 1) == 2 * retry.delay(repetition)


@given(bases, st.floats(0, 1000), st.integers(1, 10_000))
def test_no_repetition_waits_longer_than_the_cap(base: float, cap: float, repetition: int) -> None:
    free, capped = Retry(base=base, cap=float("inf")), Retry(base=base, cap=cap)

    assert capped.delay(repetition) == min(cap, free.delay(repetition))


@given(bases, st.integers(1, 10_000))
def test_without_backoff_no_repetition_waits(base: float, repetition: int) -> None:
    assert Retry(backoff="none", base=base).delay(repetition) == 0.0
