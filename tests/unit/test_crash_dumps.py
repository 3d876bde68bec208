"""
What a stage printed is told apart from what faulthandler writes when its process crashes.
"""

import json
from pathlib import Path

import pytest

from oaflow.runtime import dumps
from oaflow.runtime.dumps import KEPT, LINES, place_in, taken_apart
from oaflow.runtime.held import crash_error
from oaflow.runtime.messages import Death

OWN = Path(dumps.__file__).parent
DUMP = [
    "Fatal Python error: Segmentation fault",
    "",
    "Thread 0x00007f5a (most recent call first):",
    f'  File "{OWN}/executor.py", line 150 in watch',
    '  File "/usr/lib/python3.11/threading.py", line 982 in run',
    "",
    "Current thread 0x00007f5b (most recent call first):",
    '  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at',
    '  File "/home/ada/letters.py", line 4 in read',
    f'  File "{OWN}/attempt.py", line 90 in run',
    '  File "<frozen runpy>", line 198 in _run_module_as_main',
    "",
    "Extension modules: orjson (total: 1)",
]


def on(stream: str, *lines: str) -> list[tuple[str, str]]:
    return [(stream, line) for line in lines]


def test_a_dump_is_read_as_a_traceback_of_the_stage():
    said, where = taken_apart([*on("stdout", "one"), *on("stderr", "two", *DUMP)])

    assert said == ("one", "two")
    assert where is not None
    assert where.splitlines() == [
        "Segmentation fault (most recent call last):",
        '  File "/home/ada/letters.py", line 4, in read',
        '  File "/usr/lib/python3.11/ctypes/__init__.py", line 519, in string_at',
    ]


ASKED = [
    "Stack (most recent call first):",
    f'  File "{json.__file__}", line 9 in loads',
    '  File "/home/ada/letters.py", line 4 in read',
    f'  File "{OWN}/attempt.py", line 90 in run',
]


def test_a_stage_whose_time_is_up_says_where_it_is_and_what_it_printed_before():
    said, where = taken_apart([*on("stdout", "one"), *on("stderr", "two", *ASKED)], asked=True)

    assert said == ("one", "two")
    assert where is not None
    assert where.splitlines() == [
        "it was here (most recent call last):",
        '  File "/home/ada/letters.py", line 4, in read',
        f'  File "{json.__file__}", line 9, in loads',
    ]
    assert place_in(where, "post.letters.work") == "post.letters:read"
    assert place_in(where, "post.work") == "letters:read"
    # Nothing of the author's, or nothing at all: stopped, or in a call of the kernel that does not end.
    assert taken_apart(on("stderr", "two", ASKED[0], ASKED[-1]), asked=True) == (("two",), None)
    assert taken_apart(on("stderr", "two"), asked=True) == (("two",), None)
    # Who crashes may have printed as much.
    assert taken_apart(on("stderr", *ASKED))[1] is None


def test_what_was_printed_elsewhere_and_read_later_is_no_dump():
    printed = on("stderr", *DUMP)
    printed[5:5] = on("stdout", "in the middle", "Current thread of thought")

    said, where = taken_apart([*printed, *on("stdout", "at the end")])

    assert said == ("in the middle", "Current thread of thought", "at the end")
    assert where == taken_apart(on("stderr", *DUMP))[1]


def test_without_a_dump_it_is_what_was_printed_last():
    lines = [f"line {number}" for number in range(2 * LINES)]

    assert taken_apart(on("stdout", *lines)) == (tuple(lines[-LINES:]), None)
    assert taken_apart(on("stdout", DUMP[0])) == ((DUMP[0],), None)
    assert taken_apart([]) == ((), None)


def test_a_crash_in_a_thread_without_python_has_its_name_only():
    assert taken_apart(on("stderr", "Fatal Python error: Aborted", "", *DUMP[2:5])) == ((), "Aborted")


def test_a_deep_dump_leaves_what_the_stage_printed():
    deep = [*DUMP[:8], *DUMP[8:9] * 100, "  ...", *DUMP[11:]]

    said, where = taken_apart(on("stdout", *["said"] * KEPT)[: KEPT - len(deep)] + on("stderr", *deep))

    assert said == ("said",) * LINES
    assert where is not None
    assert len(where.splitlines()) == 102


@pytest.mark.parametrize(
    ("death", "how", "cause"),
    [
        (Death("exit", code=0), "ended with exit code 0", "Crash:exit:0"),
        (Death("signal", "SIGSEGV"), "was killed by SIGSEGV", "Crash:signal:SIGSEGV"),
        (
            Death("signal", because="how it ended is not known"),
            "ended; how it ended is not known",
            "Crash:signal:unknown",
        ),
    ],
)
def test_a_crash_is_told_with_how_the_process_ended_where_that_is_known(death: Death, how: str, cause: str) -> None:
    error = crash_error(death)

    assert (error["message"], error["fingerprint"]) == (f"the process that ran the job {how}", cause)
