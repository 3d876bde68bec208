"""
One long run, and all kinds of harm to it: `python -m tests.chaos.long [--faults N] [--seconds N] [--seed N]
[--only KIND] [--write]`.

Counted are faults by kind; what was lost, handed over twice, stuck, and ends that came too early; and how long it took
from a fault until the last of the jobs that were being worked on had been handed over.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from oaflow.postgres import migrate
from oaflow.postgres.server import Server
from tests.acceptance.conftest import ROOT
from tests.chaos.crew import Post, clean
from tests.chaos.harm import ALL, KINDS, Hit, Pace, Stand
from tests.chaos.history import ENDS, Finding, History, Job, findings, read
from tests.chaos.passages import begin, ended, state
from tests.chaos.proxy import Fault, Proxy
from tests.warm import Warm

PAGE = ROOT / "docs" / "reliability.md"

HANDED_OVER = ("done", "chunk", "retried", "parted", "failed")

# Roots that are entered when fewer jobs than that are open, so that nothing waits for long and all have work.
ROOTS, FEW = 20, 80

# Seconds until work goes on after a fault: of 95 in 100.
SLOW = 30.0

# From the last fault until the run is called stuck.
PATIENCE = 180.0


class Done(NamedTuple):
    """
    A fault, and the processes that it hit.
    """

    kind: str
    at: float
    hit: Hit


@dataclass(frozen=True)
class Outcome:
    """
    What became of a run.

    Attributes:
        recovered: for each kind, the seconds of each of its faults that hit a job at work.
    """

    seed: int
    seconds: float
    jobs: int
    faults: Mapping[str, int]
    recovered: Mapping[str, tuple[float, ...]]
    found: tuple[Finding, ...]
    stuck: int
    early: int
    deleted: int
    failed: int
    gave_up: int

    def number(self, check: str) -> int:
        """
        How many findings a check has.
        """
        return sum(finding.check == check for finding in self.found)

    @property
    def all_recovered(self) -> tuple[float, ...]:
        """
        The seconds of all faults.
        """
        return tuple(seconds for each in self.recovered.values() for seconds in each)

    @property
    def slow(self) -> bool:
        """
        Whether one in twenty took too long to recover from.
        """
        return _p95(self.all_recovered) > SLOW

    @property
    def good(self) -> bool:
        """
        Whether every promise was kept.
        """
        return not self.found and not self.stuck and not self.early and not self.gave_up


@contextmanager
def stand(pace: Pace, seed: int, warm: Warm | None = None) -> Iterator[Stand]:
    """
    A server, a run, and two supervisors with two workers each, behind a proxy.
    """
    folder = Path(tempfile.mkdtemp(prefix="oaflow-chaos-", dir="/tmp"))
    folder.chmod(0o711)
    made: Stand | None = None
    try:
        with Server(folder / "server") as server:
            uri = server.address.uri
            migrate(uri, own=True)
            _limit(uri)
            with Proxy(uri) as proxy:
                environment = clean() | dict(pace.settings) | {"OAFLOW_BLOCK": str(pace.block)}
                post = Post(proxy.address, uri, folder, environment, warm)
                passage = begin(uri, folder, seconds=0.05, fails_every=7, memory="400MB")
                made = Stand(folder / "server", uri, proxy, post, passage, pace, random.Random(seed))
                made.hire(2)
                try:
                    yield made
                finally:
                    for crew in made.crews:
                        crew.terminate()
                    for crew in made.crews:
                        with suppress(Exception):
                            crew.wait(30)
                        crew.kill()
    finally:
        if made is None or not made.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _limit(uri: str) -> None:
    name = conninfo_to_dict(uri)["dbname"]
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET lock_timeout = 500')  # pyright: ignore[reportArgumentType]


def harm(stand: Stand, faults: int, seconds: float, kinds: Sequence[str]) -> tuple[list[Done], int]:
    """
    Harm a run in these ways, once all work at it, until it has met so many faults, or for so long; then let it end.

    Returns:
        what was done, and how often the run had ended before it was to.
    """
    done: list[Done] = []
    early, told = _feed(stand), 0
    _wait_for_all(stand)
    names, weights = list(kinds), [KINDS[kind].weight for kind in kinds]
    each_once = stand.draw.sample(names, len(names))
    limit = time.monotonic() + seconds
    while len(done) + len(stand.proxy.struck) < faults and time.monotonic() < limit:
        stand.staff()
        early += _feed(stand)
        name = each_once.pop() if each_once else stand.draw.choices(names, weights)[0]
        at = time.time()
        try:
            hit = KINDS[name].do(stand)
        except psycopg.OperationalError:  # of our own session: there was none to be had
            hit = None
        if hit is not None:
            done.append(Done(name, at, hit))
        time.sleep(stand.draw.expovariate(1 / stand.pace.gap))
        if told != (told := (len(done) + len(stand.proxy.struck)) // 100):
            print(f"{told * 100} faults", flush=True)
    stand.settle()
    stand.staff()
    if "statement cut" in kinds:
        stand.proxy.arm(Fault("join", "answer lost", "cut"))
    stand.passage.seal()
    return done, early


def _wait_for_all(stand: Stand) -> None:
    """
    On a busy machine workers take as long to start as a short run takes.
    """
    limit = time.monotonic() + PATIENCE
    at_work = f"SELECT count(DISTINCT worker) FROM oaflow.hops WHERE run = '{stand.passage.id}' AND outcome = 'done'"
    while stand.sql(at_work)[0][0] < stand.workers and time.monotonic() < limit:
        _feed(stand)
        time.sleep(0.1)


def _feed(stand: Stand) -> int:
    """
    Enter what there is too little of. Answers 1 where the run has ended, which it must not before it is sealed.
    """
    with suppress(psycopg.OperationalError):
        ((open,),) = stand.sql(
            f"SELECT coalesce(sum(open), 0)::int FROM oaflow.counters WHERE run = '{stand.passage.id}'"
        )
        if open < FEW:
            stand.passage.enter(ROOTS)
    return int(state(stand.uri, stand.passage.id) in ("finished", "incomplete", "cancelled"))


def recoveries(history: History, done: Sequence[Done]) -> dict[str, tuple[float, ...]]:
    """
    For each kind of fault the seconds until the last job was handed over that a process which was hit was at.
    """
    began: dict[Job, list[tuple[float, int]]] = {}
    for note in history.notes:
        if note.moment == "began":
            began.setdefault(note.job, []).append((note.at, note.pid))
    handed: dict[Job, list[float]] = {}
    for hop in history.hops:
        if hop.outcome in HANDED_OVER:
            handed.setdefault(hop.job, []).append(hop.at)
    found: dict[str, list[float]] = {}
    for fault in done:
        seconds = [
            min(at for at in handed[job] if at > fault.at) - fault.at
            for job, begun in began.items()
            if job in handed
            and max(handed[job]) > fault.at
            and any(at <= fault.at and (fault.hit == ALL or pid in fault.hit) for at, pid in begun)
        ]
        if seconds:
            found.setdefault(fault.kind, []).append(max(seconds))
    return {kind: tuple(seconds) for kind, seconds in found.items()}


def _ordered(stand: Stand, history: History) -> list[Done]:
    """
    What was ordered, and has happened.
    """
    names = {"hoard": "out of memory, an executor", "block": "a stage that blocks its worker's loop"}
    by_stages = [
        Done(names[note.moment], note.at, frozenset({note.pid})) for note in history.notes if note.moment in names
    ]
    ways = {"cut": "statement cut", "stall": "statement stalled"}
    return by_stages + [Done(ways[fault.how], at, ALL) for fault, at in stand.proxy.struck]


def play(
    faults: int, seconds: float, seed: int, pace: Pace, warm: Warm | None = None, kinds: Sequence[str] = tuple(KINDS)
) -> Outcome:
    """
    One run with so many faults, of these kinds only.
    """
    started = time.monotonic()
    with stand(pace, seed, warm) as made:
        done, early = harm(made, faults, seconds, kinds)
        last = ended(made.uri, made.passage.id, PATIENCE)
        history = read(made.passage, frozenset(made.deleted))
        found = findings(history)
        failed = sum(hop.outcome == "failed" for hop in history.hops)
        made.keep = bool(found or failed or made.ended_by_themselves)
    if made.keep:
        print(f"server and logs are kept in {made.post.folder}")
    done += _ordered(made, history)
    return Outcome(
        seed=seed,
        seconds=time.monotonic() - started,
        jobs=len({hop.number for hop in history.hops if hop.outcome in ENDS}),
        faults={name: sum(fault.kind == name for fault in done) for name in KINDS if name in kinds},
        recovered=recoveries(history, done),
        found=tuple(found),
        stuck=history.left["live rows"] + (last not in ("finished", "incomplete")),
        early=early,
        deleted=len(made.deleted),
        failed=failed,
        gave_up=made.ended_by_themselves,
    )


def table(outcome: Outcome) -> str:
    """
    What is to be known of it, for people.
    """
    rows = ["| fault | times | recovery p50 | p95 |", "|---|---|---|---|"]
    for kind, number in outcome.faults.items():
        rows.append(f"| {kind} | {number} | {' | '.join(_seconds(outcome.recovered.get(kind, ())))} |")
    rows.append(f"| **all** | **{sum(outcome.faults.values()):,}** | {' | '.join(_seconds(outcome.all_recovered))} |")
    counts = {
        "lost": outcome.number("lost"),
        "handed over twice": outcome.number("twice"),
        "stuck": outcome.stuck,
        "early ends": outcome.early + outcome.number("after_the_end"),
        "joins too early or missing": outcome.number("joins"),
        "put together with too many, too few or twice": outcome.number("collected"),
        "more at once, or more often, than was allowed": outcome.number("limits"),
        "locks that two held": outcome.number("locks"),
        "counters and receipts that are wrong": outcome.number("accounts"),
        f"of {outcome.deleted} deleted rows, wrongly named": outcome.number("vanished"),
        "jobs that failed": outcome.failed,
        "supervisors that ended by themselves": outcome.gave_up,
    }
    rows += ["", "| | |", "|---|---|", *(f"| {what} | {number} |" for what, number in counts.items())]
    return "\n".join([*rows, "", f"{outcome.jobs:,} jobs in {outcome.seconds:,.0f} s, seed {outcome.seed}."])


def _seconds(values: Sequence[float]) -> tuple[str, str]:
    if not values:
        return "", ""
    return f"{statistics.median(values):.1f} s", f"{_p95(values):.1f} s"


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else max(values, default=0.0)


def main(argv: Sequence[str]) -> int:
    """
    Run, print, write; 1 where a promise was broken.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.long", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", choices=KINDS, metavar="KIND", help="harm it in this way only, as the table names it")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    given = parser.parse_args(argv)
    if given.only and given.write:
        parser.error("the page has the table of all kinds: --write does not go with --only")
    print(f"seed {given.seed}", flush=True)
    kinds = (given.only,) if given.only else tuple(KINDS)
    outcome = play(given.faults, given.seconds, given.seed, Pace(), kinds=kinds)
    print(table(outcome))
    for finding in outcome.found[:50]:
        print(f"{finding.check}: {finding.what}")
    if given.write:
        begin_mark, end_mark = "<!-- figures -->", "<!-- end of figures -->"
        before, _, rest = PAGE.read_text().partition(begin_mark)
        _, _, after = rest.partition(end_mark)
        PAGE.write_text(f"{before}{begin_mark}\n{table(outcome)}\n{end_mark}{after}")
    return int(not outcome.good or outcome.slow)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
