"""
Tells whether a repeated stream is the same as before, by the digests of the chunks that were handed over. Pure.
"""

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, cast

import orjson

from oaflow.jobs import AnyJob


class Earlier:
    """
    The chunks of a stream that earlier attempts handed over, by position.
    """

    def __init__(self, chunks: Iterable[tuple[int, str, int]]) -> None:
        self._parts = {position: (int(digest.partition(":")[0]), digest) for position, digest, _ in chunks}
        self._positions = sorted(self._parts)  # a stream of a day has hundreds of thousands, each looked up

    def at(self, position: int) -> tuple[int, str] | None:
        """
        The chunk that starts here: how many jobs it has, and its digest.
        """
        return self._parts.get(position)

    def room(self, position: int) -> int:
        """
        How many jobs there are between a position and the next chunk that was handed over.
        """
        index = bisect_right(self._positions, position)
        return self._positions[index] - position if index < len(self._positions) else sys.maxsize

    def beyond(self, position: int) -> tuple[int, int] | None:
        """
        Position and size of the first chunk at or after a position.
        """
        index = bisect_left(self._positions, position)
        if index == len(self._positions):
            return None
        return self._positions[index], self._parts[self._positions[index]][0]


def fingerprint(port: str, job: AnyJob) -> bytes:
    """
    An emitted job as bytes, which are the same whenever the same job is emitted.

    Lists of texts in entities are sorted, because followthemoney keeps them as sets, whose order differs by process.
    oaflow's own mark is left out, because a job that runs again in a later round has another id.
    """
    wire = job.to_wire()
    wire.pop("batch", None)
    payload: Any = dict(wire.get("payload") or {})
    if "entities" in payload:
        payload["entities"] = [_sorted(entity) for entity in payload["entities"]]
    if isinstance(context := payload.get("context"), dict):
        payload["context"] = {key: value for key, value in cast("dict[str, Any]", context).items() if key != "oaflow"}
    return orjson.dumps([port, wire | {"payload": payload}], option=orjson.OPT_SORT_KEYS)


def _sorted(entity: Any) -> Any:
    match entity:
        case dict():
            return {key: _sorted(value) for key, value in cast("dict[str, Any]", entity).items()}
        case list() if all(isinstance(value, str) for value in cast("list[Any]", entity)):
            return sorted(cast("list[str]", entity))
        case _:
            return entity
