"""
What the database keeps of a run, in memory: jobs that are due, what waits to be put together, and what was counted.

It does what `complete_v1`, `gather_v1`, `put_together_v1` and `fire_v1` of the ledger do, for one run and one worker.
A test runs the same pipelines both ways and compares. Nothing waits: the clock stands still as long as a job can run,
and then jumps to what is due next.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

import orjson

from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.runtime.held import Held, Passage, held_of, successor_of
from oaflow.runtime.router import Route

# What ends a job.
_ENDS = frozenset(("done", "failed", "diverted", "parted"))


class _Member(NamedTuple):
    """
    A job that waits to be put together with others; `arrived` is by the clock of the run.
    """

    row: Claimed
    entities: int
    arrived: float


class Memory:
    """
    The open jobs of one run, and its counters.

    Args:
        passage: the run.
        joins: for each join its first job, as JSON text.
    """

    def __init__(self, passage: Passage, joins: Mapping[str, bytes]) -> None:
        self.passage, self.plan = passage, passage.plan
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in passage.plan.stages}
        self._joins = dict(joins)
        self._ids, self._turns = count(1), count()
        self._now = 0.0
        # When it is due, by priority and in the order of coming; and the number of the job.
        self._due: list[tuple[float, int, int, int]] = []
        self._rows: dict[int, Claimed] = {}
        self._waiting: dict[str, dict[str, list[_Member]]] = {}
        self._members: dict[int, list[Claimed]] = {}
        self._chunks: dict[int, list[tuple[int, str, int]]] = {}

    def enter(self, routes: Iterable[Route]) -> None:
        """
        Take the first jobs of the run.
        """
        for route in routes:
            self._insert(successor_of(route))

    def jobs(self) -> Iterator[Held]:
        """
        The jobs of the run, as they are due, until there are none. What becomes of each is to be told to `take` before
        the next is asked for.
        """
        while True:
            while self._due and self._due[0][0] <= self._now:
                *_, id = heapq.heappop(self._due)
                row = self._rows[id]
                held = held_of(row, self.passage, orjson.loads(row.mark))
                held.streamed = bool(self.chunks(held))
                yield held
            if self._gather() or self._fire():
                continue
            if (then := self._next_moment()) is None:
                return
            self._now = then

    def chunks(self, held: Held) -> list[tuple[int, str, int]]:
        """
        The parts of a stream that earlier attempts at a job handed over.
        """
        return self._chunks.get(held.row.id, [])

    def parents(self, held: Held) -> set[int]:
        """
        The jobs that a job comes from: several, where it was put together.
        """
        marks = [orjson.loads(member.mark) for member in self._members.get(held.row.id, ())]
        found = [held.parent, *(mark.get("parent") for mark in marks)]
        return {parent for parent in found if parent is not None}

    def take(self, held: Held, completion: Completion) -> None:
        """
        Take what became of an attempt, or a part of its stream.
        """
        stage, outcome, id = held.stage.name, completion.outcome, held.row.id
        for successor in completion.successors:
            self._insert(successor)
        self._count(stage, orjson.loads(completion.detail))
        if outcome == "chunk":
            parts = self._chunks.setdefault(id, [])
            parts.append((completion.position or 0, completion.digest or "", len(completion.successors)))
        elif outcome in _ENDS:
            if outcome == "parted":
                for member in self._members.get(id, ()):
                    self._insert_row(_parted(member), stage)
            self.counts[stage].update({"open": -1} | ({outcome: 1} if outcome != "parted" else {}))
            del self._rows[id]
        else:
            row = self._rows[id] = held.row._replace(attempts=held.row.attempts + 1, retries=held.row.retries + 1)
            self._put(row, self._now + completion.delay)
        self._gather()

    def _count(self, stage: str, detail: Mapping[str, Any]) -> None:
        kinds = ("unmatched", "dropped", "ended")
        self.counts[stage].update({kind: detail[kind] for kind in kinds if kind in detail})
        self.counts[stage]["failed"] += detail.get("too_deep", 0)

    def _insert(self, new: Successor) -> None:
        args = orjson.loads(new.args)
        mark = orjson.dumps(args["payload"]["context"]["oaflow"]).decode()
        row = Claimed(0, new.queue, new.task, new.priority, new.args.decode(), mark, 0, 0, 0, False, new.lock)
        if new.collect is None:
            self._insert_row(row, new.stage)
        else:
            key, _ = orjson.loads(new.collect)
            member = _Member(row, len(args["payload"]["entities"]), self._now)
            self._waiting.setdefault(new.stage, {}).setdefault(key, []).append(member)
            self.counts[new.stage]["open"] += 1

    def _insert_row(self, row: Claimed, stage: str) -> int:
        numbered = row._replace(id=next(self._ids))
        self._rows[numbered.id] = numbered
        self.counts[stage]["open"] += 1
        self._put(numbered, self._now)
        return numbered.id

    def _put(self, row: Claimed, due: float) -> None:
        heapq.heappush(self._due, (due, -row.priority, next(self._turns), row.id))

    # --- what is put together ---

    def _gather(self) -> int:
        """
        Put together what fills a job; less of it where it has waited long enough, or nothing more can come. Answers how
        many jobs it made.
        """
        made = 0
        for stage in sorted(self._waiting):
            limits = self.plan.stages[stage].collect
            assert limits is not None
            last = self._nothing_can_come(stage)
            for key in sorted(self._waiting[stage]):
                *full, rest = _cut(self._waiting[stage][key], limits.size)
                due = rest and (last or min(one.arrived for one in rest) + limits.wait <= self._now)
                groups = [*full, rest] if due else full
                for group in groups:
                    self._put_together(stage, group)
                made += len(groups)
                self._waiting[stage][key] = [] if due else rest
            self._waiting[stage] = {key: left for key, left in self._waiting[stage].items() if left}
        self._waiting = {stage: keys for stage, keys in self._waiting.items() if keys}
        return made

    def _nothing_can_come(self, stage: str) -> bool:
        feeders = self.plan.collects[stage]
        # What waits for itself, in a cycle, counts as not open.
        own = sum(map(len, self._waiting[stage].values())) if stage in feeders else 0
        return self._open_in(feeders) == own and not any(join in feeders for join in self._joins)

    def _open_in(self, stages: Iterable[str]) -> int:
        return sum(self.counts[name]["open"] for name in stages)

    def _put_together(self, stage: str, members: list[_Member]) -> None:
        planned = self.plan.stages[stage]
        args = [orjson.loads(member.row.args) for member in members]
        whole: Any = args[0]
        whole["payload"]["entities"] = [entity for one in args for entity in one["payload"]["entities"]]
        mark = whole["payload"]["context"]["oaflow"]
        mark.pop("parent", None)
        mark["collected"] = len(members)
        body = orjson.dumps(whole).decode()
        row = Claimed(
            0, planned.queue, planned.task, planned.priority, body, orjson.dumps(mark).decode(), 0, 0, 0, False
        )
        self.counts[stage]["open"] -= len(members)
        self._members[self._insert_row(row, stage)] = [member.row for member in members]

    # --- joins, and the clock ---

    def _fire(self) -> bool:
        """
        Fire the joins whose stages are quiet, in the order of their names.
        """
        waits = self.plan.joins
        quiet = [
            name
            for name in sorted(self._joins)
            if not waits[name] & self._joins.keys() and not self._open_in(waits[name])
        ]
        failed = sum(counts["failed"] for counts in self.counts.values())
        for name in quiet:
            planned = self.plan.stages[name]
            args = orjson.loads(self._joins.pop(name))
            args["payload"]["context"]["run"] = {"id": self.passage.id, "round": 1, "failed": failed}
            self._insert(Successor(planned.queue, planned.task, name, planned.priority, orjson.dumps(args)))
        return bool(quiet)

    def _next_moment(self) -> float | None:
        """
        When something is to be done again; None where nothing is open.
        """
        moments = [due for due, *_ in self._due[:1]]
        for stage, keys in self._waiting.items():
            limits = self.plan.stages[stage].collect
            assert limits is not None
            moments += [min(one.arrived for one in members) + limits.wait for members in keys.values()]
        return min(moments, default=None)


def _cut(members: list[_Member], size: int) -> list[list[_Member]]:
    """
    Waiting jobs as groups that each fill one, in order; what does not fill one comes last, or nothing.
    """
    groups: list[list[_Member]] = [[]]
    entities = 0
    for member in members:
        if entities and entities + member.entities > size:
            groups.append([])
            entities = 0
        groups[-1].append(member)
        entities += member.entities
        if entities >= size:
            groups.append([])
            entities = 0
    return groups


def _parted(row: Claimed) -> Claimed:
    """
    A job that was put together with others, alone again. Of attempt 0 it is known that nobody has begun it before.
    """
    args, mark = orjson.loads(row.args), {**orjson.loads(row.mark), "parted": True}
    args["payload"]["context"]["oaflow"] = mark
    return row._replace(args=orjson.dumps(args).decode(), mark=orjson.dumps(mark).decode(), attempts=1)
