"""
A run while it goes on: a live table where there is a terminal, plain lines where there is none.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from oaflow.cli.output import (
    can_be_drawn_on,
    clean,
    count,
    fit,
    hanging,
    is_text,
    remark,
    remarks,
    say_json,
    shortened,
    table,
    typable,
)
from oaflow.cli.verdicts import Limits, exit_code
from oaflow.operations.estimating import Estimate
from oaflow.operations.following import (
    Draining,
    Finished,
    Paused,
    Progress,
    Reachable,
    Settles,
    Unreachable,
    Unsettled,
    Waits,
    WorkerDied,
)
from oaflow.operations.running import Said
from oaflow.operations.starting import Begun
from oaflow.operations.states import RunStatus
from oaflow.quantities import duration
from oaflow.runtime.supervisor import Stale

# Without a terminal a line is printed this often.
_PLAIN_SECONDS = 5.0

# Lines of the live table that are no stages: its head, how many more there are, and how the run stands, in two lines.
_AROUND = 7

# The rate is that of the last so many seconds.
_WINDOW = 5.0


class Pace:
    """
    How fast a run goes and how far it is. A percentage once shown never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._seen: deque[tuple[float, int]] = deque()
        self._percent = self._most = 0
        self._estimate: Estimate | None = None
        self._since = 0.0

    def look(self, event: Progress) -> str:
        """
        One line: jobs and rate; once the source is exhausted a percentage too, and the time that is left.
        """
        status = event.status
        ended, left = sum(map(status.total, ("done", "failed", "diverted", "vanished"))), status.total("open")
        # Jobs that are put together are fewer afterwards: those that are gone have come to their end, too.
        self._most = max(self._most, ended + left)
        done, rate = self._most - left, self._rate(ended)
        parts = [f"{done:,} of {count(self._most, 'job')}", f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"]
        if event.exhausted and self._most:
            now = done * 100 // self._most
            # 100 % is said when the run has ended, not when its last job happens to have.
            self._percent = max(self._percent, 100 if not status.run.open else min(now, 99))
            parts.insert(0, f"{self._percent} %")
        if event.estimate is not None and (remaining := self._left(event.estimate)):
            parts.append(remaining)
        return " · ".join(parts)

    def _left(self, estimate: Estimate) -> str | None:
        """
        The time that is left, less what has passed since it was estimated.
        """
        from oaflow.cli.summary import time_left

        now = self._now()
        if self._estimate is not estimate:
            self._estimate, self._since = estimate, now
        return time_left(estimate, now - self._since)

    def _rate(self, done: int) -> float:
        now = self._now()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        (then, before), (last, after) = self._seen[0], self._seen[-1]
        return max(0.0, (after - before) / (last - then)) if last > then else 0.0


class _Table:
    """
    Progress as a table that is drawn anew in its place.

    Args:
        drawing: is left when the run is over, and takes the table away.
    """

    def __init__(self, console: Console, drawing: ExitStack) -> None:
        self._console, self._drawing = console, drawing
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def update(self, event: Progress, line: str) -> None:
        if not self._live.is_started:  # not before: what asks a question first would be drawn over
            self._drawing.enter_context(self._live)
        fit(self._console)
        below = [piece for one in _retries(event) for piece in hanging(Text(one), self._console.width)]
        self._live.update(picture(event.status, line, self._console.size.height, below))


class _Lines:
    """
    Progress as plain lines, one every few seconds.
    """

    def __init__(self) -> None:
        self._printed, self._told = 0.0, False

    def update(self, event: Progress, line: str) -> None:
        if time.monotonic() - self._printed < _PLAIN_SECONDS:
            return
        self._printed = time.monotonic()
        remark(f"{duration(event.status.run.seconds)}: {line}{_where(event.status)}")
        if event.retries and not self._told:
            self._told = True
            for one in _retries(event):
                remark(one)


def show(events: Iterator[Any], limits: Limits, json: bool) -> int:
    """
    Shows a run from its first event to its last, and its summary.

    Returns:
        the exit code.
    """
    finished = _shown(events)
    if finished is None:
        return 1
    from oaflow.cli.summary import print_summary

    status, account = finished.status, finished.account
    if json:
        say_json(status.as_json())
    else:
        print_summary(status, account)
    if finished.interrupted:
        remark(f"continue: {typable(f'oaflow resume {status.run.id}')}", "bold")
    with suppress(KeyboardInterrupt):  # who does not wait until others are told has seen how it ended
        for _ in events:
            pass
    return exit_code(status, account.receipt.found if account is not None else 0, limits, finished.interrupted)


def _shown(events: Iterator[Any]) -> Finished | None:
    """
    Shows the events up to the last one, and returns that; None where there is none.
    """
    console, pace = remarks(), Pace()
    with ExitStack() as drawing:
        progress = _Table(console, drawing) if can_be_drawn_on(console) and is_text() else _Lines()
        for event in events:
            match event:
                case Begun():
                    for line in event.remarks:
                        remark(clean(line))
                    begins = f": {count(event.jobs, 'job')} to start with" if event.jobs else ""
                    remark(f"run {event.run}{begins}", "bold")
                case Said():
                    remark(clean(event.text))
                case Progress():
                    progress.update(event, pace.look(event))
                case Finished():
                    return event
                case _:
                    for line in sentences(event):
                        remark(line, "yellow")
    return None


def sentences(event: object) -> Iterator[str]:
    """
    What is said about an event that is not a number.
    """
    match event:
        case Waits(waiting=waiting):
            for job in waiting:
                yield f"{job.trouble} task {clean(job.task)} of queue {clean(job.queue)}: its jobs wait"
                if job.reason:
                    yield f"       {clean(job.reason)}"
                yield f"help:  {clean(typable(job.help))}"
        case WorkerDied(pid=pid, code=code, log=log, pause=pause):
            yield from of_a_death(pid, code, pause, log)
        case Stale(pid=pid, text=text, help=help):
            yield from of_old_code(pid, text, help)
        case Unreachable(reason=reason):
            yield f"the database does not answer ({shortened(reason)}); the run waits for it"
        case Reachable():
            yield "the database answers again"
        case Paused(reason=None):
            yield "the run continues"
        case Paused(reason=reason):
            yield f"the run is paused: {clean(reason or 'by a user')}"
        case Draining(signal=signal):
            yield f"{signal}: no new jobs are started, and running ones get 10 s to finish; Ctrl-C again stops at once"
        case Settles():
            yield "the run has ended; recording what became of its files, for the next run"
        case Unsettled(reason=reason, help=help):
            yield f"what this run found gone or changed is not removed yet; the next run does that: {shortened(reason)}"
            if help:
                yield f"help:  {clean(typable(help))}"
        case _:
            return


def of_old_code(pid: int, text: str, help: str) -> Iterator[str]:
    """
    What is said where code has changed since a worker process loaded it.
    """
    yield f"worker process {pid}: {clean(text)}"
    yield f"help:  {clean(help)}"


def of_a_death(pid: int, code: int, pause: float, log: Path) -> Iterator[str]:
    """
    What is said about a worker process that ended unasked, whose successor is started after so many seconds, and that
    printed into `log`.
    """
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    if not pause:
        yield f"worker process {pid} ended {how}; its jobs go back to the queue, and another process replaces it"
        return
    yield f"worker process {pid} ended {how}, like the one before it; another starts in {duration(pause)}"
    if -code == signal.SIGKILL:
        yield "help:  if memory is short, use fewer processes: OAFLOW_EXECUTORS=1"
    else:
        yield f"help:  less {clean(str(log))}"


def _where(status: RunStatus) -> str:
    """
    The stages that have something open.
    """
    busy = [f"{clean(name)} {stage.open:,}" for name, stage in status.stages.items() if stage.open]
    return f" · open: {', '.join(busy)}" if busy else ""


def _retries(event: Progress) -> list[str]:
    """
    What waits for another attempt, and how to see what went wrong.
    """
    waits = [f"{clean(wait.head)} {wait.text}" for wait in event.retries]
    return [*waits, f"what went wrong: {typable(f'oaflow logs {clean(event.status.run.id)}')}"] if waits else []


def picture(status: RunStatus, line: str, height: int, below: Sequence[Text] = ()) -> RenderableType:
    """
    The live table: a line for each stage; of those for which a terminal of that height has no room, how many they are.

    Args:
        below: what else is said of the run.
    """
    failures = any(stage.failed for stage in status.stages.values())
    columns = [("stage", False), ("open", True), ("done", True)] + ([("failed", True)] if failures else [])
    rows: list[list[object]] = []
    shown = with_room(status, max(height - _AROUND - len(below), 1))
    for name in shown:
        stage = status.stages[name]
        idle = not any((stage.open, stage.done, stage.failed, stage.diverted))
        style = "dim" if idle else ("bold" if stage.open else "")
        row: list[object] = [Text(clean(name), style), figure(stage.open, "cyan"), figure(stage.done)]
        rows.append(row + ([figure(stage.failed, "red")] if failures else []))
    more = len(status.stages) - len(shown)
    rest = [Text(f"and {count(more, 'stage')} more", "dim")] if more else []
    head = Text(f"{clean(status.run.id)}  {duration(status.run.seconds)}  {line}", "bold")
    return Group(table(columns, rows), *rest, Text(), head, *below)


def with_room(status: RunStatus, room: int) -> list[str]:
    """
    As many stages as there is room for, in their order: before others those that have something open.
    """
    wanted = sorted(status.stages, key=lambda name: not status.stages[name].open)[:room]
    return [name for name in status.stages if name in wanted]


def figure(value: int, style: str = "") -> Text:
    """
    A count in a cell of a table, where none is no more than a dot.
    """
    return Text(f"{value:,}", style) if value else Text("·", "dim")
