"""
Finds out whether the code of stages has changed since this worker loaded it. The worker continues with the loaded code,
so an author who edits a stage meanwhile must be told.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from oaflow.ledger import handover as ledger
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.logged import ALREADY_TOLD
from oaflow.runtime.versions import Files, Seen, look_at

log = logging.getLogger(__name__)

# How many names a sentence has.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Code:
    """
    What a worker has loaded for a task. `mixed`: each executor loads it when it first needs it, so executors that start
    later load newer code. The same is true of files that are loaded `late`.
    """

    files: Files
    mixed: bool = False


class Look:
    """
    Compares files with what was loaded from them. A file is read only if its time or size has changed, and only once
    per change.
    """

    def __init__(self) -> None:
        self._read: dict[str, Seen] = {}

    def changed(self, loaded: Mapping[str, Code]) -> dict[str, str]:
        """
        The tasks whose code has changed, each with the first file that has.
        """
        found = {task: next(filter(self._differs(code.files), code.files), None) for task, code in loaded.items()}
        return {task: file for task, file in found.items() if file is not None}

    def _differs(self, files: Files) -> Callable[[str], bool]:
        return lambda path: self._is_other(path, files[path])

    def _is_other(self, path: str, then: Seen) -> bool:
        try:
            now = os.stat(path)
            if (now.st_mtime_ns, now.st_size) == (then.changed, then.size):
                return False
            read = self._read.get(path)
            if read is None or (now.st_mtime_ns, now.st_size) != (read.changed, read.size):
                read, _ = look_at(Path(path))
                self._read[path] = read
        except FileNotFoundError:
            return True
        except OSError:  # a network file system that is away says nothing about the file
            return False
        return read.digest != then.digest


def sentence(changed: Mapping[str, str], loaded: Mapping[str, Code]) -> str:
    """
    A sentence that names the tasks with old code, and the files that have changed.
    """
    files, tasks = sorted(set(changed.values())), sorted(changed)
    what = f"{_listed(files)} {'has' if len(files) == 1 else 'have'} changed since this worker loaded "
    what += "it" if len(files) == 1 else "them"
    who = f"{'task' if len(tasks) == 1 else 'tasks'} {_listed(tasks)}"
    if any(loaded[task].mixed or loaded[task].files[changed[task]].late for task in tasks):
        return f"{what}: of {who}, processes that have loaded the old code run it, and those that start later the new"
    return f"{what}: {who} {'goes' if len(tasks) == 1 else 'go'} on with the old code"


def _listed(names: Iterable[str]) -> str:
    first = list(names)
    more = len(first) - _NAMED
    if more > 1:
        return f"{', '.join(first[:_NAMED])} and {more} more"
    return " and ".join(filter(None, [", ".join(first[:-1]), first[-1]]))


class Staleness:
    """
    Checks regularly, and reports each task once: to the log, to whatever started the worker, and to the database.

    Args:
        wire: to the database.
        loaded: returns what is loaded now, by task.
        restart: what to type to load the new code.
        tell: takes the sentence, and what to type.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        loaded: Callable[[], dict[str, Code]],
        restart: str,
        tell: Callable[[str, str], None] | None,
    ) -> None:
        self._wire, self._loaded = wire, loaded
        self._restart, self._tell = restart, tell
        self._look = Look()
        self._told: set[str] = set()
        self._kept: tuple[int, dict[str, str]] = (0, {})

    async def keep_looking(self, every: float) -> None:
        """
        Check at regular intervals.
        """
        while True:
            await asyncio.sleep(every)
            await self.look()

    async def look(self) -> None:
        """
        Check once.
        """
        loaded = self._loaded()
        if not loaded:
            return
        changed = await asyncio.to_thread(self._look.changed, loaded)
        new = {task: file for task, file in changed.items() if task not in self._told}
        self._told = set(changed)  # code that was changed back and then changed again is reported again
        if new:
            said = sentence(new, loaded)
            log.warning("%s; restart it: %s", said, self._restart, extra={ALREADY_TOLD: self._tell is not None})
            if self._tell is not None:
                self._tell(said, self._restart)
        now = (self._wire.worker, changed)
        if now != self._kept and (changed or self._kept[1]):
            try:
                await self._wire.send("stale", ledger.say_stale, *now, self._restart)
                self._kept = now
            except Refused:  # declared dead: it is reported again under the next id
                log.debug("not said that code is stale")
