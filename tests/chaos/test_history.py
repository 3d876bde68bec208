"""
The checks of a history: a quiet run passes all, and each is red on one that was spoilt in its way.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.chaos.crew import WORKER, Post, crew
from tests.chaos.history import CHECKS, History, Hop, Note, findings, read
from tests.chaos.passages import begin, ended
from tests.warm import Warm

JOB = ("rests", "1.2")
Spoil = Callable[[History], History]


def without(kind: str, moment: str, job: tuple[str, str] = JOB) -> Spoil:
    """
    Takes out the hops of an outcome, or the notes of a moment.
    """
    if kind == "hop":
        return lambda run: replace(run, hops=tuple(h for h in run.hops if (h.job, h.outcome) != (job, moment)))
    return lambda run: replace(run, notes=tuple(n for n in run.notes if (n.job, n.moment) != (job, moment)))


def with_hop(outcome: str, at: float = 0.0) -> Spoil:
    return lambda run: replace(run, hops=(*run.hops, Hop(at, 1, JOB, outcome)))


def with_note(note: Note) -> Spoil:
    return lambda run: replace(run, notes=(*run.notes, note))


def later(moment: str, job: tuple[str, str], seconds: float) -> Spoil:
    """
    Moves the notes of a job.
    """
    return lambda run: replace(
        run,
        notes=tuple(n._replace(at=n.at + seconds) if (n.job, n.moment) == (job, moment) else n for n in run.notes),
    )


def among(*beside: str) -> Spoil:
    """
    Says that a job of the stage that collects was met, which held these.
    """
    return with_note(Note(0.0, "began", ("gathers", "1.2"), None, None, "one more", beside))


def at_once(run: History) -> History:
    """
    Has all jobs that have a limit begin in one moment.
    """
    first = run.notes[0].at
    asks = [n._replace(at=first) if (n.job[0], n.moment) == ("asks", "began") else n for n in run.notes]
    return replace(run, notes=tuple(asks))


SPOILT: dict[str, list[Spoil]] = {
    "lost": [without("hop", "done"), without("note", "ended")],
    "twice": [
        lambda run: replace(run, rows={**run.rows, JOB: 2}),
        with_hop("done"),
        with_note(Note(0.0, "began", JOB, None, "somebody else")),
        with_note(Note(0.0, "began", ("rests", "99.0"), None, None)),
    ],
    "vanished": [lambda run: replace(run, deleted=frozenset({JOB})), with_hop("vanished")],
    "joins": [
        later("ended", ("works", "1.2"), 3600.0),
        later("began", ("report", ""), -3600.0),
        without("note", "began", ("early", "")),
    ],
    "collected": [
        among("1.2", "1.2"),
        among(*(f"{root}.{number}" for root in range(3) for number in range(4))),
        among("1.2", "0.0"),
        lambda run: replace(run, hops=tuple(h for h in run.hops if h.outcome != "collected")),
    ],
    "limits": [at_once, lambda run: replace(run, limits={"asks": (3, 0.001)})],
    "locks": [lambda run: later("began", JOB, -3600.0)(later("ended", JOB, 3600.0)(run))],
    "after_the_end": [
        lambda run: replace(run, state="running"),
        lambda run: replace(run, left={"live rows": 1}),
        with_hop("chunk", 1e12),
        later("ended", JOB, 3600.0),
    ],
    "accounts": [
        lambda run: replace(run, counters={**run.counters, "rests": {"open": 1}}),
        lambda run: replace(run, balanced=False),
    ],
}


def test_a_quiet_run_passes_and_each_check_is_red_on_a_spoilt_one(
    database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    with crew(Post(database, database, tmp_path, clean_environment, warm), *WORKER):
        passage = begin(database, tmp_path)
        passage.enter(4)  # more jobs at the stage with a limit than run at once
        passage.seal()
        assert ended(database, passage.id, 60.0) == "finished"
    history = read(passage)

    assert findings(history) == []
    assert {note.job[0] for note in history.notes if len(note.beside) > 1} >= {"gathers", "asks", "closes", "heaps"}
    assert SPOILT.keys() == {check.__name__ for check in CHECKS}
    for check, spoils in SPOILT.items():
        for number, spoil in enumerate(spoils):
            found = {finding.check for finding in findings(spoil(history))}
            assert check in found, f"{check}, way {number} of spoiling it: {found}"
