"""
Makes attempts at jobs of async stages, in the event loop of the worker.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from oaflow.jobs import Bindings
from oaflow.ledger import handover as ledger
from oaflow.ledger.wire import Wire
from oaflow.packages import module_of
from oaflow.runtime.divert import Divert
from oaflow.runtime.execution import binder_of, execute_async
from oaflow.runtime.functions import Loaded, TaskError, load
from oaflow.runtime.held import Held
from oaflow.runtime.logged import attempted, let_inform
from oaflow.runtime.messages import Handover
from oaflow.runtime.options import Options
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.policy import Trouble
from oaflow.runtime.staleness import Code
from oaflow.runtime.versions import files_of

log = logging.getLogger(__name__)


class Attempting:
    """
    Makes these attempts.

    Args:
        wire: to the database.
        options: of the worker.
        outcomes: takes what an attempt hands over.
        cancelled: whether the worker has cancelled its attempt at a job.
        printed: takes what they print.
        temp: the folder of temporary files.
    """

    def __init__(
        self,
        wire: Wire,
        options: Options,
        outcomes: Outcomes,
        *,
        cancelled: Callable[[int], bool],
        printed: Divert,
        temp: Callable[[], Path],
    ) -> None:
        self._wire, self._options, self._outcomes = wire, options, outcomes
        self._cancelled, self._printed, self._temp = cancelled, printed, temp
        self._settings_json = options.settings.model_dump_json()
        self._loaded: dict[str, Loaded] = {}

    def code_of(self, task: str) -> Code | None:
        """
        The code that the worker itself has loaded for a task; None before its first attempt.
        """
        loaded = self._loaded.get(task)
        return None if loaded is None else Code(files_of(loaded.function))

    def problem_with(self, task: str) -> str | None:
        """
        Why a task that a new process found is missing in the modules that the worker has imported; None if it is there,
        or if its module is not imported yet.
        """
        if module_of(task) not in sys.modules:
            return None
        try:
            load(task)
        except TaskError as error:
            return str(error)
        return None

    async def earlier(self, held: Held) -> Sequence[tuple[int, str, int]]:
        """
        The chunks that earlier attempts handed over, if the job is a stream: (position, digest, size).
        """
        return await self._wire.send("chunks", ledger.chunks, held.row.id) if held.repeats_stream else ()

    async def attempt(self, held: Held) -> None:
        """
        One attempt at a job.
        """
        began = time.time()
        try:
            if held.row.suspect:
                await self._wire.send("alone", ledger.alone, self._wire.worker, held.row.id, held.row.attempts)
            self._outcomes.take(held, await self._executed(held))
        except Exception as problem:
            log.exception("job %s", held.row.id)
            trouble = Trouble("error", {"type": type(problem).__name__, "message": str(problem)})
            self._outcomes.trouble(held, trouble, began)
        finally:
            attempted.set(None)
            self._printed.finish(held.row.id)

    async def _executed(self, held: Held) -> Handover:
        passage, stage = held.passage, held.stage
        # Not before the first attempt, because it loads what only async stages need here.
        binder, settings_json, temp = binder_of(self._options.binder), self._settings_json, self._temp()

        def bindings(dataset: str | None) -> Bindings:
            # One for all: see decisions/executors.md.
            return binder(settings_json, passage.plan, stage.name, dataset, temp)

        if stage.task not in self._loaded:
            self._loaded[stage.task] = load(stage.task)
            let_inform(stage.task)
        attempted.set(held.row.id)
        return await execute_async(
            held.assignment(await self.earlier(held) if held.repeats_stream else ()),
            passage.plan,
            self._loaded[stage.task],
            bindings,
            hand=partial(self._hand_over_part, held),
            job_bytes=self._options.settings.job_bytes,
            cancelled=partial(self._cancelled, held.row.id),
        )

    async def _hand_over_part(self, held: Held, part: Handover) -> None:
        """
        Hand over a chunk of a stream, and wait for the answer.
        """
        assert part.position is not None
        taken = held.acknowledged[part.position] = asyncio.Event()
        self._outcomes.take(held, part)
        await taken.wait()
