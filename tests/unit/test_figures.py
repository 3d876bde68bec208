"""
What workers count, and what their supervisor makes of it.
"""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from oaflow.runtime.figures import ATTEMPTS, MOST_STAGES, OTHERS, Durations, Figures, Tally

PIDS = (7, 8)

ends = st.tuples(
    st.sampled_from(PIDS),
    st.sampled_from(["crawl", "extract"]),
    st.sampled_from(["done", "retried", "chunk"]),
    st.floats(-1, 4000),
)
steps = st.lists(ends | st.sampled_from([("say", 7), ("say", 8), ("die", 7), ("die", 8)]), max_size=30)


@given(steps)
def test_the_sum_is_of_all_that_was_said_and_never_falls(steps: list[tuple[object, ...]]) -> None:
    """
    Whatever order workers count, speak, die and are replaced in.
    """
    tally, workers = Tally(), {pid: Figures() for pid in PIDS}
    said, unsaid = Counter[object](), {pid: Counter[object]() for pid in PIDS}
    for step in steps:
        match step:
            case ("say", int(pid)):
                for message in workers[pid].news({"claims": 1}, {"executors": 2}):
                    tally.hear(pid, json.loads(json.dumps(message)))
                said += unsaid.pop(pid)
                unsaid[pid] = Counter()
            case ("die", int(pid)):
                tally.bury(pid, died=True)
                workers[pid], unsaid[pid] = Figures(), Counter()
            case (int(pid), str(stage), str(outcome), float(seconds)):
                workers[pid].ended("p", stage, outcome, seconds, 0.001)
                unsaid[pid][stage, outcome] += 1
        totals = tally.totals()

        counted = Counter(
            {
                (stage, outcome): count
                for (_, stage), figures in totals.stages.items()
                for outcome, count in figures.outcomes.items()
            }
        )
        assert counted == said
        assert sum(totals.handed.counts) == said.total()
        for (_, stage), figures in totals.stages.items():
            timed = sum(count for (of, outcome), count in said.items() if of == stage and outcome != "chunk")
            assert sum(figures.took.counts) == timed == figures.took.cumulative[-1][1]
            assert figures.took.seconds >= 0


def test_what_was_not_heard_is_said_again() -> None:
    figures, tally = Figures(), Tally()
    for stage in ("a", "b", "c"):
        figures.ended("p", stage, "done", 0.1, 0.1)

    all(False for _ in figures.news({}, {}))  # the pipe is full at the first
    for message in figures.news({}, {}):
        tally.hear(7, message)

    assert set(tally.totals().stages) == {("p", "a"), ("p", "b"), ("p", "c")}


def test_those_beyond_the_first_thousand_stages_are_counted_as_one() -> None:
    figures = Figures()
    for number in range(MOST_STAGES + 50):
        figures.ended("p", f"stage{number}", "done", 0.1, 0.1)
    messages = list(figures.news({}, {}))

    assert len(messages) == MOST_STAGES + 2
    (others,) = [message for message in messages if (message.get("pipeline"), message.get("stage")) == OTHERS]
    assert others["outcomes"] == {"done": 50}


def test_a_bucket_holds_its_upper_end() -> None:
    took = Durations(ATTEMPTS)
    for seconds in (*ATTEMPTS, 10_000.0):
        took.took(seconds)

    assert took.cumulative == [*((repr(end), number) for number, end in enumerate(ATTEMPTS, 1)), ("+Inf", 13)]
