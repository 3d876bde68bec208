"""
Reads the answers of a separate process that has looked at tasks, and what it was doing if it ended early.
"""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from oaflow.runtime.messages import Probe
from oaflow.runtime.processes import kill_group

# An import that says nothing for so long is given up.
SILENCE = 60.0


@dataclass(slots=True)
class Answers:
    """
    What one such process said.

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
        One line of JSON, as the forkserver's child writes it.
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


async def listen(answers: int, pid: Callable[[], int]) -> Answers:
    """
    Read all that a probing process writes.

    Args:
        answers: descriptor to read from; it is closed.
        pid: of the process, 0 where it is not known yet.
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
