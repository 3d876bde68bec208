"""
Continuation: a successor that this worker will run itself is inserted as already claimed by it, so it skips the queue.

Its id is taken from the sequence beforehand, so that after a lost answer the repeated statement finds the same job.
Other jobs get their ids when they are inserted, because ids taken earlier would change the order of the queue.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence

from oaflow.ledger.handover import take_ids
from oaflow.ledger.rows import Completion, Successor
from oaflow.ledger.wire import Refused, Wire

log = logging.getLogger(__name__)

# How many ids are taken at a time, and how few are left when more are requested.
BLOCK = 2000
FEW = 500

Where = Callable[[Completion, Successor, bool], bool | None]


class Continuation:
    """
    Decides which successors are continued, and knows those that are on the wire.

    Args:
        wire: to the database.
        places: makes, for one group, a function that tells where a successor may be continued here now: true for the
            loop, false for executors, None if it may not. It takes the completion that the successor comes from, and
            whether it would be the first continuation of it.
    """

    def __init__(self, wire: Wire, places: Callable[[], Where]) -> None:
        self._wire, self._places = wire, places
        self._ids: deque[int] = deque()
        self._on_wire: dict[int, bool] = {}
        self._coming = {True: 0, False: 0}

    @property
    def on_wire(self) -> list[int]:
        """
        The ids of successors whose insertion is not answered yet. They count as jobs in hand: a heartbeat that does not
        name them would give them back.
        """
        return list(self._on_wire)

    def coming(self, in_loop: bool) -> int:
        """
        How many of them will wait for a place in the loop, or in an executor.
        """
        return self._coming[in_loop]

    async def begin(self, group: Sequence[Completion]) -> list[Completion]:
        """
        The completions of a group, with ids for those of their successors that are continued.
        """
        if len(self._ids) < FEW:
            await self._refill()
        where = self._places()
        return [self._marked(item, where) if item.successors else item for item in group]

    def ended(self, item: Completion) -> tuple[Successor, ...]:
        """
        Forget the successors of a completion that were on the wire, and return them.
        """
        if not item.successors:
            return ()
        continued = tuple([successor for successor in item.successors if successor.id is not None])
        for successor in continued:
            assert successor.id is not None
            if (in_loop := self._on_wire.pop(successor.id, None)) is not None:
                self._coming[in_loop] -= 1
        return continued

    def _marked(self, item: Completion, where: Where) -> Completion:
        successors: list[Successor] = []
        first = True
        for successor in item.successors:
            if self._ids and (in_loop := where(item, successor, first)) is not None:
                successor = self._with_id(successor, in_loop)
                first = False
            successors.append(successor)
        return Completion(*item[:-1], tuple(successors))  # _replace() takes twice as long, also below

    def _with_id(self, successor: Successor, in_loop: bool) -> Successor:
        id = self._ids.popleft()
        self._on_wire[id] = in_loop
        self._coming[in_loop] += 1
        return Successor(*successor[:-1], id)

    async def _refill(self) -> None:
        try:
            self._ids.extend(await self._wire.send("ids", take_ids, BLOCK))
        except Refused as refused:  # then everything goes through the queue
            log.warning("no ids were taken: %s", refused)
