"""
`status --watch`: the whole screen where there is a terminal, lines where there is none.
"""

import contextlib
import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.text import Text

from oaflow.cli.output import (
    can_be_drawn_on,
    clean,
    count,
    fit,
    hanging,
    remark,
    say_json,
    screen,
    shortened,
    table,
    typable,
)
from oaflow.cli.progress import Pace, figure, with_room
from oaflow.cli.summary import estimate_line, headline, old_code
from oaflow.operations.following import Progress
from oaflow.operations.watching import Away, View, Watched, watch
from oaflow.quantities import data_size, duration
from oaflow.settings import Settings

# Without a terminal a line of each run is printed this often.
_PLAIN_SECONDS = 5.0

# A screen is drawn again this often where nothing comes: times go on.
_DRAW_SECONDS = 1.0

# For the thread that asks the database to see that nobody looks any more.
_LEAVE_SECONDS = 3.0

_LONGEST = 200

# Columns between two of a table, and letters of a line of a name at least.
_BETWEEN, _READABLE = 3, 12

# Lines beside the stages of a run: its head, why it waits, and workers. So many stages are shown in any case.
_AROUND, _FEWEST = 14, 5

_LEAVE = {"q", "Q", "\x1b", "\x03", "\x04"}
_MOVES: dict[str, Callable[[int], int]] = {
    "\x1b[A": lambda _page: -1,
    "k": lambda _page: -1,
    "\x1b[B": lambda _page: 1,
    "j": lambda _page: 1,
    "\x1b[5~": lambda page: -page,
    "\x1b[6~": lambda page: page,
    " ": lambda page: page,
    "\x1b[H": lambda _page: -(10**6),
    "g": lambda _page: -(10**6),
    "\x1b[F": lambda _page: 10**6,
    "G": lambda _page: 10**6,
}


def follow(settings: Settings, run: str | None, *, json: bool) -> int:
    """
    Shows what goes on until somebody leaves, or the run has ended.

    Returns:
        the exit code.
    """
    if json or not (sys.stdin.isatty() and can_be_drawn_on(screen())):
        print_lines(watch(settings, run), json=json)
    else:
        _Screen(settings, run).show()
    return 0


def print_lines(views: Iterator[View | Away], *, json: bool) -> None:
    """
    A line of each run and of what it waits for, now and then; or all of it as JSON. What is away is said once.
    """
    printed: float | None = None
    paces: dict[str, Pace] = {}
    away = False
    for view in views:
        if isinstance(view, Away):
            if not away:
                remark(f"the database does not answer ({shortened(view.reason)}); waiting for it", "yellow")
            away = True
            continue
        if away:
            away = False
            remark("the database answers again", "yellow")
        due = printed is None or view.last or time.monotonic() - printed >= _PLAIN_SECONDS
        for one in view.runs if not json else ():
            pace = paces.setdefault(one.status.run.id, Pace())
            line = pace.look(Progress(one.status, one.exhausted, one.estimate))
            if due:
                run = one.status.run
                screen().print(Text(f"{clean(run.id)} {run.state}, {duration(run.seconds)}: {line}"), soft_wrap=True)
                for wait in one.waits:
                    screen().print(Text(f"  {clean(wait.head)} {shortened(wait.text, _LONGEST)}"), soft_wrap=True)
        if due:
            printed = time.monotonic()
            if json:
                say_json(view.as_json())


class _Screen:
    """
    The screen of a terminal. A thread asks the database, which may be away for a while; this one draws and hears keys.
    """

    def __init__(self, settings: Settings, run: str | None) -> None:
        self._settings, self._run = settings, run
        self._stop = threading.Event()
        self._came: queue.SimpleQueue[View | Away | BaseException] = queue.SimpleQueue()
        self._wakes, self._wake = os.pipe()
        self._view: View | None = None
        self._away: Away | None = None
        self._error: BaseException | None = None
        self._top = 0

    def show(self) -> None:
        """
        Draws until somebody leaves.
        """
        console = screen()
        asking = threading.Thread(target=self._ask, daemon=True)
        asking.start()
        before = signal.signal(signal.SIGWINCH, lambda _number, _frame: self._ring())
        try:
            with _keys() as read, Live(console=console, screen=True, auto_refresh=False) as live:
                while True:
                    fit(console)
                    live.update(self._picture(console), refresh=True)
                    ready, _, _ = select.select([sys.stdin, self._wakes], [], [], _DRAW_SECONDS)
                    if self._wakes in ready:
                        os.read(self._wakes, 1 << 12)
                    while not self._came.empty():
                        self._take(self._came.get())
                    if self._error is not None or (sys.stdin in ready and self._pressed(read(), console)):
                        break
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGWINCH, before)
            self._stop.set()
            asking.join(_LEAVE_SECONDS)
        if self._error is not None:
            raise self._error

    def _ask(self) -> None:
        try:
            for view in watch(self._settings, self._run, stopped=self._stop.is_set):
                self._came.put(view)
                self._ring()
        except BaseException as error:  # it is raised again where it can be shown
            self._came.put(error)
            self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b".")

    def _take(self, what: View | Away | BaseException) -> None:
        match what:
            case View():
                self._view, self._away = what, None
            case Away():
                self._away = what
            case _:
                self._error = what

    def _pressed(self, keys: str, console: Console) -> bool:
        """
        Whether somebody leaves.
        """
        page = max(console.height - 2, 1)
        if keys in _MOVES:
            self._top = max(self._top + _MOVES[keys](page), 0)
            return False
        return bool(keys) and (keys in _LEAVE or keys[0] in _LEAVE - {"\x1b"})

    def _picture(self, console: Console) -> RenderableType:
        """
        As many lines as there is room for; the last says what can be typed.
        """
        width, height = console.size
        if self._view is None:
            body = [[Segment("reading the database …" if self._away is None else "")]]
        else:
            whole = picture(self._view, width, height)
            body = console.render_lines(whole, console.options.update_width(width), pad=False)
        room = max(height - 1, 1)
        self._top = min(self._top, max(len(body) - room, 0))
        shown = body[self._top : self._top + room]
        lines: list[Segment] = []
        for line in shown + [[] for _ in range(room - len(shown))]:
            lines += [*line, Segment.line()]
        return Segments([*lines, *self._foot(console, width, len(body), room)])

    def _foot(self, console: Console, width: int, total: int, room: int) -> list[Segment]:
        if self._away is not None:
            said = Text(shortened(f"the database does not answer: {self._away.reason}", width - 1), "bold yellow")
        else:
            rest = f" · {self._top + 1}-{min(self._top + room, total)} of {total} lines, ↑ ↓" if total > room else ""
            said = Text(shortened(f"q leaves{rest}", width - 1), "dim")
        return list(console.render(said, console.options.update(width=width, no_wrap=True)))[:-1]


@contextlib.contextmanager
def _keys() -> Generator[Callable[[], str]]:
    """
    What is typed, as it is typed, and not shown.
    """
    import termios
    import tty

    stream = sys.stdin.fileno()
    before = termios.tcgetattr(stream)
    tty.setcbreak(stream)
    try:
        yield lambda: os.read(stream, 64).decode("utf-8", "replace") or "q"  # the terminal is gone
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)


def picture(view: View, width: int, height: int) -> RenderableType:
    """
    Runs, what they wait for, and workers, for a terminal of that size: of a run with more stages than there is room for
    those that have something open, so that what keeps it waiting is seen.
    """
    parts: list[RenderableType] = []
    for one in view.runs:
        parts += [*_run(one, width, max(height - _AROUND, _FEWEST)), Text()]
    parts.append(_workers(view, width))
    return Group(*parts)


def _run(one: Watched, width: int, room: int) -> Iterator[RenderableType]:
    run = one.status.run
    yield headline(one.status, reason=not run.open)
    if not run.open:
        done, failed = one.status.total("done"), one.status.total("failed")
        yield Text(f"  {count(done, 'job')} done" + (f", {failed:,} failed" if failed else ""), "dim")
        return
    if one.estimate is not None:
        yield from hanging(estimate_line(one.estimate, one.aged), width, 0, 2)
    yield Text()
    shown = with_room(one.status, room)
    yield Padding(_stages(one, shown, width), (0, 0, 0, 2))
    if more := len(one.status.stages) - len(shown):
        yield Text(f"  and {count(more, 'stage')} more", "dim")
    for wait in one.waits:
        yield Text()
        yield from hanging(
            Text.assemble((clean(wait.head), "yellow"), " ", shortened(wait.text, _LONGEST)), width, 0, 2
        )
        if wait.more:
            yield from hanging(Text(f"  {shortened(wait.more, _LONGEST)}", "dim"), width, 0, 4)
        if wait.help:
            yield from hanging(Text.assemble(("help:  ", "bold cyan"), clean(typable(wait.help))), width, 0, 2)


def _stages(one: Watched, shown: Iterable[str], width: int) -> RenderableType:
    failures = one.status.total("failed") > 0
    columns = [("stage", False), ("waiting", True), ("in hand", True), ("done", True)]
    columns += [("failed", True)] if failures else []
    columns += [("rate", True), ("next waits for", True)]
    rows: list[list[Text]] = []
    for name in shown:
        stage = one.status.stages[name]
        running = min(one.running.get(name, 0), stage.open)
        rate = one.rates.get(name, 0.0)
        style = "bold" if stage.open else "" if stage.done else "dim"
        since = one.waits_for.get(name)
        cells = [Text(clean(name), style)]
        cells += [figure(stage.open - running, "cyan"), figure(running, "bold green"), figure(stage.done)]
        cells += [figure(stage.failed, "red")] if failures else []
        cells.append(Text(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s") if rate else Text("·", "dim"))
        cells.append(Text(duration(since)) if since is not None else Text("·", "dim"))
        rows.append(cells)
    return _narrowed(columns, rows, width - 2, ("next waits for", "in hand", "rate", "done"))


def _workers(view: View, width: int) -> RenderableType:
    if not view.workers:
        return Text("no worker is running", "yellow")
    wide = width >= 100
    columns = [("worker", False), ("executors", True), ("memory", True), ("can run", not wide), ("in hand", False)]
    rows: list[list[Text]] = []
    for one in view.workers:
        held: dict[str, int] = {}
        for hand in view.hands:
            if hand.worker == one.id:
                held[hand.stage] = held.get(hand.stage, 0) + hand.jobs
        busy = ", ".join(f"{clean(stage)} {jobs:,}" for stage, jobs in sorted(held.items(), key=lambda it: -it[1]))
        tasks = sorted({task.rpartition(".")[2] for task in one.tasks})
        able = shortened(", ".join(tasks), 40) if wide else count(len(one.tasks), "task")
        rows.append(
            [
                Text(clean(f"{one.id} {one.host} {one.pid}")),
                Text("·" if one.executors is None else f"{one.executors:,}"),
                Text("·" if one.memory is None else data_size(one.memory)),
                Text(clean(able)) if tasks else Text("·", "dim"),
                Text(busy) if busy else Text("idle", "dim"),
            ]
        )
    crew = _narrowed(columns, rows, width, ("can run", "executors", "memory"))
    old = [part for line in old_code([one for one in view.workers if one.stale]) for part in hanging(line, width, 0, 2)]
    return Group(crew, Text(), *old) if old else crew


def _narrowed(
    columns: list[tuple[str, bool]], rows: list[list[Text]], width: int, spare: tuple[str, ...]
) -> RenderableType:
    """
    A table without those of the spare columns, the first of them first, for which there is no room beside whole numbers
    and names that can be read.
    """
    kept = list(range(len(columns)))
    while spare:
        needed = _BETWEEN * (len(kept) - 1)
        for index in kept:
            title, number = columns[index]
            longest = max(len(title), *(row[index].cell_len for row in rows))
            needed += longest if number else min(longest, _READABLE)
        if needed <= width:
            break
        kept = [index for index in kept if columns[index][0] != spare[0]]
        spare = spare[1:]
    return table([columns[index] for index in kept], [[row[index] for index in kept] for row in rows])
