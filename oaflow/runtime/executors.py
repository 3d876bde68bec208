"""
An executor as its worker sees it, and the protocol of the listener that is told what it does.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from oaflow.runtime.dumps import KEPT, taken_apart
from oaflow.runtime.feeding import LONG
from oaflow.runtime.frames import frame
from oaflow.runtime.held import documents_of
from oaflow.runtime.logged import Logged
from oaflow.runtime.messages import Assignment, Death, Handover
from oaflow.runtime.processes import WHERE_SIGNAL, kill_group, signal_name
from oaflow.runtime.scoreboard import Scoreboard

Stream = Literal["stdout", "stderr"]
Printed = deque[tuple[int | None, Stream, str]]
Kill = Literal["timeout", "memory", "killed"]

# Of jobs that came to their end so many are remembered, for lines that are read after it.
OVER = 50

# Bytes of the arguments of such a job that are kept: a job of many entities has megabytes.
_KEPT = 64_000

# That an executor whose job is out of time has to say where it is.
WHERE_SECONDS = 0.1


@dataclass(eq=False)
class Executor:
    """
    An executor as its worker sees it.

    Attributes:
        pid: of the process; also its process group.
        in_hand: what was sent and has not come to its end, in the order sent.
        over: the last that came to their end: what they printed may come after.
        retiring: it takes no more work.
        known: runs whose plans it has.
        printed: the last lines, with the job that printed each, and where to.
        death: how the pool killed it, and
        doomed: for which job.
        rests: since when the stream that it is at rests, and
        rested: for how many seconds that did before.
        greedy: the job whose programs were above its limit of memory at the last look.
        status: how it ended, as told by its forkserver; None where that is gone.
        peak: the most resident bytes that it had, told with it; 0 before.
        carries: the attempt that printed last, and the documents of its job.
    """

    number: int
    scoreboard: Scoreboard
    temp: Path
    generation: int
    status: "asyncio.Future[int | None]"
    pid: int = 0
    in_hand: dict[int, Assignment] = field(default_factory=dict[int, Assignment])
    over: "deque[Assignment]" = field(default_factory=lambda: deque[Assignment](maxlen=OVER))
    sent: int = 0
    retiring: bool = False
    closed: bool = False
    printed: Printed = field(default_factory=lambda: Printed(maxlen=KEPT))
    known: set[str] = field(default_factory=set[str])
    death: Death | None = None
    doomed: int | None = None
    rests: float | None = None
    rested: float = 0.0
    greedy: int | None = None
    peak: int = 0
    carries: tuple[tuple[int, int], list[str]] | None = None
    born: float = field(default_factory=time.monotonic)
    transport: asyncio.Transport | None = None
    pipes: "list[asyncio.Future[None]]" = field(default_factory=lambda: list["asyncio.Future[None]"]())

    def end(self, job: int) -> None:
        """
        A job came to its end. Where its arguments are large they go, and lines that come after it name no document,
        unless it was the last that printed.
        """
        found = self.in_hand.pop(job, None)
        if found is not None:
            self.over.append(found if len(found.args) <= _KEPT else found._replace(args=b""))

    def had(self, job: int) -> Assignment | None:
        """
        An assignment that it has in hand, or had a moment ago.
        """
        found = self.in_hand.get(job)
        return found or next((one for one in reversed(self.over) if one.job == job), None)

    def documents_of(self, job: Assignment) -> list[str]:
        """
        The ids of the documents of a job that prints. They are read once for all of its lines: its arguments may be
        megabytes.
        """
        attempt = (job.job, job.attempt)
        if self.carries is None or self.carries[0] != attempt:
            self.carries = (attempt, documents_of(job.args))
        return self.carries[1]

    @property
    def load(self) -> int:
        """
        How many assignments it has in hand.
        """
        return len(self.in_hand)

    @property
    def stages(self) -> list[tuple[str, str]]:
        """
        The stage of each that it has in hand, with its run.
        """
        return [(assignment.run, assignment.stage) for assignment in self.in_hand.values()]

    @property
    def running(self) -> tuple[int, float] | None:
        """
        The job that it is at, and since when on the monotonic clock.
        """
        now = None if self.closed else self.scoreboard.read()
        return now if now is not None and now[0] in self.in_hand else None

    @property
    def is_long_at_it(self) -> bool:
        """
        Whether it is at its job for so long that nothing is to wait behind it.
        """
        running = self.running
        return running is not None and time.monotonic() - running[1] > LONG

    def seconds(self, since: float, now: float) -> float:
        """
        How long its job has been at work; the time that it rested is not its own.
        """
        return now - since - self.rested - (0.0 if self.rests is None else now - self.rests)

    def go_on(self, now: float) -> None:
        """
        Its stream rests no more.
        """
        if self.rests is not None:
            self.rested, self.rests = self.rested + now - self.rests, None

    def write(self, message: tuple[Any, ...]) -> None:
        """
        Say something to it, if it still listens.
        """
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(frame(message))

    def abort(self) -> None:
        """
        Listen no more.
        """
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()

    def ended(self, status: int | None, peak: int = 0) -> None:
        """
        Take in how it ended.
        """
        if not self.status.done():
            self.peak = peak
            self.status.set_result(status)

    def ask_where(self) -> None:
        """
        Have it say on stderr where its stage is.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, WHERE_SIGNAL)

    def kill(self) -> None:
        """
        End it now.
        """
        reaped = self.status.done() and self.status.result() is not None  # its number may be another's
        if self.pid and not self.closed and not reaped:
            kill_group(self.pid)

    def kill_for(self, kind: Kill, *, because: str | None = None, rss: int | None = None) -> None:
        """
        End it now, with all that it runs, for a reason that its death will have. The job that it is at is told apart
        from one that begins before it is dead.
        """
        running = self.running
        self.death = Death(kind, rss=rss, because=because)
        self.doomed = running[0] if running is not None else None
        self.retiring = True
        if kind == "timeout":
            self.ask_where()
            asyncio.get_running_loop().call_later(WHERE_SECONDS, self.kill)
        else:
            self.kill()

    def verdict(self, culprit: Assignment | None) -> Death:
        """
        How it ended, from the view of the job that it was at.
        """
        tail, dump = taken_apart(
            [
                (stream, text)
                for job, stream, text in self.printed
                if job is None or culprit is None or job == culprit.job
            ],
            asked=self.death is not None and self.death.kind == "timeout",
        )
        peak = self.peak or None
        if self.death is not None:
            kind, because = self.death.kind, self.death.because
            if kind != "killed" and (culprit is None or culprit.job != self.doomed):
                # The job that it was to die for had ended, and another had begun.
                kind, because = "killed", f"{kind} of job {self.doomed}"
            return Death(kind, "SIGKILL", rss=self.death.rss or peak, because=because, log_tail=tail, dump=dump)
        status = self.status.result() if self.status.done() else None
        if status is None:
            return Death("signal", because="how it ended is not known", log_tail=tail)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return Death("signal", signal_name(-code), rss=peak, log_tail=tail, dump=dump)
        return Death("exit", code=code, rss=peak, log_tail=tail)


class Listener(Protocol):
    """
    Who is told. Called from the event loop, and must not block.
    """

    def handed(self, executor: "Executor", handovers: Sequence[Handover]) -> None:
        """
        An executor handed over: ends of jobs, and parts of streams, which it wants acknowledged.
        """
        ...

    def unbegun(self, jobs: Sequence[Assignment]) -> None:
        """
        Jobs came back that would have waited behind one that takes long.
        """
        ...

    def died(
        self, executor: "Executor", culprit: Assignment | None, reason: Death, returned: Sequence[Assignment]
    ) -> None:
        """
        An executor ended before its work did.

        Args:
            culprit: what it was running, or None where it ran nothing.
            reason: how it ended; it is the culprit's doing unless the kind is `killed`.
            returned: what else it had in hand: not started, or finished and not yet handed over.
        """
        ...

    def line(
        self,
        executor: "Executor | None",
        stream: Stream,
        text: str,
        job: Assignment | None,
        logged: Logged | None = None,
    ) -> None:
        """
        A line was printed, or a message logged; by the forkserver where the executor is None.
        """
        ...

    def ready(self) -> None:
        """
        There is a new executor, or one became free.
        """
        ...
