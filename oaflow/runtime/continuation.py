"""
Continuation: a successor that this worker runs itself is inserted as claimed by it, and skips the queue.

Its id is taken from the sequence beforehand, so that after a lost answer the repeated statement finds the same job.
Only for continued jobs: ids out of a block would break the order of those that wait.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence

from oaflow.ledger.handover import Completion, Successor, take_ids
from oaflow.ledger.wire import Refused, Wire

log = logging.getLogger(__name__)

# Ids taken at a time, and how few are left when the next are asked for.
BLOCK = 2000
FEW = 500


class Continuation:
    """
    Decides which successors are continued, and knows those that are on the wire.

    Args:
        wire: to the database.
        may: whether a successor of a run may be continued here now; asked for each, with how many are on the wire.
    """

    def __init__(self, wire: Wire, may: Callable[[str, Successor, int], bool]) -> None:
        self._wire, self._may = wire, may
        self._ids: deque[int] = deque()
        self._on_wire: set[int] = set()

    @property
    def on_wire(self) -> list[int]:
        """
        The ids of successors whose insertion is not answered yet. They belong to the jobs in hand: a heartbeat that
        does not name them would give them back.
        """
        return list(self._on_wire)

    async def begin(self, group: Sequence[Completion]) -> list[Completion]:
        """
        The completions of a group, with ids for those of their successors that are continued.
        """
        if len(self._ids) < FEW:
            await self._refill()
        return [self._marked(item) if item.successors else item for item in group]

    def ended(self, item: Completion) -> tuple[Successor, ...]:
        """
        Forget what of a completion was on the wire, and return it.
        """
        continued = tuple([successor for successor in item.successors if successor.id is not None])
        self._on_wire.difference_update([successor.id for successor in continued])
        return continued

    def _marked(self, item: Completion) -> Completion:
        successors = [
            self._with_id(successor) if self._ids and self._may(item.run, successor, len(self._on_wire)) else successor
            for successor in item.successors
        ]
        return item._replace(successors=tuple(successors))

    def _with_id(self, successor: Successor) -> Successor:
        id = self._ids.popleft()
        self._on_wire.add(id)
        return successor._replace(id=id)

    async def _refill(self) -> None:
        try:
            self._ids.extend(await self._wire.send("ids", take_ids, BLOCK))
        except Refused as refused:  # then everything goes through the queue
            log.warning("no ids were taken: %s", refused)
