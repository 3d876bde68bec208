"""
Inspects tasks in separate processes. Reads their answers, and what such a process was doing if it ended early.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from oaflow.packages import is_own, module_of
from oaflow.runtime.messages import Probe
from oaflow.runtime.preloads import Preloads
from oaflow.runtime.processes import kill_group

# How long an import may be silent before it is given up.
SILENCE = 60.0

# Fruitless attempts to get an answer about a task, a tenth of a second apart.
MOST_TRIES = 50


@dataclass(slots=True)
class Answers:
    """
    The answers of one such process.

    Attributes:
        probes: by task.
        harmless: tasks whose modules may be imported in the forkserver: they left no thread behind.
        trying: the task that was being imported when the process ended, and how it ended.
    """

    probes: dict[str, Probe] = field(default_factory=dict[str, Probe])
    harmless: list[str] = field(default_factory=list[str])
    trying: str | None = None
    ending: str = "ended the process"

    def take(self, line: bytes) -> None:
        """
        Take one line of JSON, as written by the child of the forkserver.
        """
        answer = json.loads(line)
        if "trying" in answer:
            self.trying = answer["trying"]
            return
        task, threads = answer.pop("task"), answer.pop("threads")
        probe = self.probes[task] = Probe(**answer)
        self.trying = None
        if probe.ok and not probe.is_async and threads == 0:
            self.harmless.append(task)


class Prober:
    """
    That of one pool.

    Args:
        preloads: given what may be loaded for all executors.
        ask: has a process of its own look at tasks, see `Spawner.probe`.
    """

    def __init__(self, preloads: Preloads, ask: Callable[[list[str]], Awaitable[Answers]]) -> None:
        self._preloads, self._ask = preloads, ask

    async def probe(self, tasks: Iterable[str]) -> dict[str, Probe]:
        """
        Import the modules of tasks in a process of its own, and say what is there. What is there is preloaded, so that
        executors started from now on have it already, and executors that lack it are replaced when they are idle. What
        oaflow's own modules load late is loaded beside the first work: a crawl needs none of it.
        """
        wanted = list(dict.fromkeys(tasks))
        # oaflow's own modules do no harm when imported, so there is no need to import them twice.
        self._preloads.add((module for module in map(module_of, wanted) if is_own(module)), late=False)
        found: dict[str, Probe] = {}
        harmless: list[str] = []
        tries = 0
        while missing := [task for task in wanted if task not in found]:
            said = await self._ask(missing)
            if said.trying is not None:
                problem = f"importing {module_of(said.trying)!r} {said.ending}"
                said.probes.setdefault(said.trying, Probe(False, error=problem))
            tries = 0 if said.probes else tries + 1
            if tries == MOST_TRIES:
                problem = "no process could be started to look at it"
                said.probes |= {task: Probe(False, error=problem) for task in missing}
            found |= said.probes
            harmless += said.harmless
        self._preloads.spare(task for task, probe in found.items() if probe.early)
        self._preloads.add(map(module_of, harmless))
        self._preloads.leave_out(module_of(task) for task, probe in found.items() if probe.ok and not probe.is_async)
        return {task: found[task] for task in wanted}


async def listen(answers: int, pid: Callable[[], int]) -> Answers:
    """
    Read all that a probing process writes.

    Args:
        answers: the descriptor to read from, which is closed at the end.
        pid: of the process; 0 if it is not known yet.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb"))
    said = Answers()
    try:
        while True:
            async with asyncio.timeout(SILENCE):
                line = await reader.readline()
            if not line.endswith(b"\n"):
                return said
            said.take(line)
    except TimeoutError:
        said.ending = f"took longer than {SILENCE:g} s"
        if pid():
            kill_group(pid())
        return said
    finally:
        transport.close()
