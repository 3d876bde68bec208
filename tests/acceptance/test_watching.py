"""
`status --watch` in a terminal and in a pipe, how long a run will still take, and how long it would take otherwise.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.acceptance.conftest import PATIENCE, Command

# More than a busy machine needs to show what is to be seen; then it is cancelled.
JOBS, SECONDS, EXECUTORS = 1000, 0.2, 2


class Terminal:
    """
    A command in a terminal of its own, with all that it has shown.
    """

    def __init__(
        self, cli: Command, arguments: list[str], size: tuple[int, int], environment: dict[str, str] | None = None
    ) -> None:
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self.resize(size)
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), self.theirs)
        shown = cli.at(**{"TERM": "xterm-256color"} | (environment or {}))
        self.process = shown.with_streams(tuple(arguments), **streams, start_new_session=True)
        self.shown = ""

    def resize(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def until(self, text: str) -> str:
        """
        What is shown from now on, until that is among it.
        """
        limit, found = time.monotonic() + PATIENCE, ""
        while time.monotonic() < limit:
            if select.select([self.ours], [], [], 0.2)[0]:
                raw = os.read(self.ours, 1 << 16).decode("utf-8", "replace")
                self.shown += raw
                found += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)
            if re.search(text, found):
                return found
            assert self.process.poll() is None, found
        raise AssertionError(f"{text!r} never came: {found[-2000:]}")

    def left(self) -> int:
        """
        The exit code.
        """
        limit = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < limit:
            if select.select([self.ours], [], [], 0.1)[0]:
                os.read(self.ours, 1 << 16)
        return self.process.wait(1)


@contextmanager
def away(database: str) -> Iterator[None]:
    """
    For as long, nobody who watches reaches the database: not for a moment only, which a busy machine does not draw.
    """
    name = conninfo_to_dict(database)["dbname"]
    with psycopg.connect(make_conninfo(database, dbname="postgres"), autocommit=True) as connection:
        opened = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        connection.execute(opened.format(sql.Identifier(str(name)), sql.Literal(False)))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'oaflow watch' AND datname = %s",
            [name],
        )
        try:
            yield
        finally:
            connection.execute(opened.format(sql.Identifier(str(name)), sql.Literal(True)))


@contextmanager
def terminal(cli: Command, *arguments: str, size: tuple[int, int], **environment: str) -> Iterator[Terminal]:
    made = Terminal(cli, list(arguments), size, environment)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        os.close(made.ours)
        os.close(made.theirs)


@pytest.fixture
def going(cli: Command, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any]) -> Any:
    """
    A run that goes on for long enough.
    """
    stages = {"source": {"with": {"count": JOBS}, "next": "work"}, "work": {"with": {"seconds": SECONDS}}}
    process = started(cli.start("run", cli.pipeline("slowly", stages), "-d", "demo", "--workers", "1"))
    until(lambda: cli("status", "--json").code == 0)
    return process


def test_a_run_is_watched_in_a_terminal_and_in_a_pipe_and_asked_how_long_it_would_take_otherwise(
    cli: Command, going: subprocess.Popen[str], started: Callable[[Any], Any]
) -> None:
    lines = started(cli.start("status", cli("status", "--json").json["run"], "--watch", "--json"))
    # What is exported of the size is of another terminal; and colours go, where bold and dim stay (no-color.org).
    with terminal(cli, "status", "--watch", size=(24, 80), LINES="50", COLUMNS="200", NO_COLOR="1") as watched:
        seen = watched.until(r"about .* left \(")
        assert "work" in seen
        assert "q leaves" in seen
        assert re.search(r"in hand", seen)

        watched.resize((12, 44))
        os.kill(watched.process.pid, signal.SIGWINCH)
        small = watched.until(r"of \d+ lines")
        assert max(len(line) for line in small.splitlines()[-11:]) <= 44
        watched.type("\x1b[B")
        watched.until(r"2-12 of \d+ lines")

        with away(cli.environment["OAFLOW_DB_URI"]):
            watched.until("the database does not answer")
        watched.until(r"q leaves")

        assert not re.search(r"\x1b\[[0-9;]*?(?<![0-9])(3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m", watched.shown)
        assert "\x1b[2m" in watched.shown

        watched.type("q")
        assert watched.left() == 0
        assert termios.tcgetattr(watched.theirs) == watched.before

    views: list[Any] = []
    while not views or views[-1]["runs"][0]["estimate"] is None:
        views.append(orjson.loads(lines.stdout.readline()))
    estimated = views[-1]["runs"][0]
    assert cli("cancel").code == 0
    views += map(orjson.loads, lines.stdout)
    last = views[-1]["runs"][0]
    going.wait(PATIENCE)
    assert lines.wait(PATIENCE) == 0, lines.stderr.read()
    assert set(estimated["estimate"]) == {"seconds", "low", "high", "why", "assumes"}
    assert last["state"] == "cancelled"
    assert last["estimate"] is None
    (worker,) = views[len(views) // 2]["workers"]
    assert worker["executors"] == EXECUTORS
    assert worker["memory"] > 10_000_000

    answer = cli("simulate", "--workers", "1,2", "--concurrency", "work=1", "--json").json
    as_it_was, one, two = answer["variants"]
    # All of it, as far as what was done tells; the machine may be busy.
    assert JOBS * SECONDS / EXECUTORS * 0.95 < as_it_was["seconds"] < JOBS * SECONDS * 2
    assert one["seconds"] == pytest.approx(two["seconds"], rel=0.1)
    assert one["seconds"] > 1.5 * as_it_was["seconds"]
    assert one["busiest"] == "the limit of work"
    # Two workers of its own, each with as many executors as the one that there was: twice as fast.
    before, apart = cli("simulate", "--workers", "work=2", "--json").json["variants"]
    assert (apart["own"], apart["busiest"]) == ({"work": 2}, "the executors of work")
    assert apart["seconds"] == pytest.approx(before["seconds"] / 2, rel=0.2)
    shown = cli("simulate", "--workers", "2").out
    assert "as it was" in shown
    assert "--workers 2" in shown
    assert "this assumes that each executor is as fast" in shown
    wrong = cli("simulate", "--workers", "wrok=2")
    assert (wrong.code, wrong.error) == (2, f"run {answer['run']!r} has no stage 'wrok'")
    assert wrong.help == "did you mean 'work'?"
    refused = cli("status", "--all", "--watch")
    assert (refused.code, refused.error) == (2, "--all and --watch exclude each other")


def test_of_a_run_that_did_too_little_nothing_is_simulated_and_where_there_is_none_nothing_is_watched(
    cli: Command,
) -> None:
    nothing = cli("status", "--watch")
    assert (nothing.code, nothing.error) == (2, "there is no run yet")

    # A terminal that cannot draw gets lines, as a pipe does.
    short = cli.pipeline("short", {"source": {"with": {"count": 1}}})
    with terminal(cli, "run", short, "-d", "demo", "--workers", "1", size=(24, 80), TERM="dumb") as dumb:
        dumb.until(r"\d+ of \d+ jobs?")
        dumb.until("finished after")
        assert dumb.left() == 0
        assert "\x1b" not in dumb.shown

    little = cli("simulate", "--workers", "2")
    assert little.code == 2
    assert little.error.endswith("has done too little to estimate how long it would take otherwise")
    plain = cli("status", cli("status", "--json").json["run"], "--watch")
    assert plain.code == 0
    assert re.search(r"finished, .*1 of 1 job\b", plain.out)
    with terminal(cli, "status", "--watch", size=(24, 80), TERM="dumb") as dumb:
        dumb.until(r"finished, .*1 of 1 job\b")
