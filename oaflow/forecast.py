"""
How long work will take, by a small simulation of its queues. Pure: no database, no clock; chance comes from a seed.

Work is of kinds (a stage, and a media type), each with the times that its attempts have taken and what follows from its
jobs. It waits in the order in which it came and of its priority, for places of a pool. Jobs are moved in batches, so
that a million costs as much as a thousand; of a kind with few jobs each moves alone, as the last ones decide when all
is over.
"""

import heapq
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

# Attempts are counted by length: two buckets for each doubling, from a microsecond to half a day.
BUCKETS = 72
_ZERO = 40

# Batches of one simulation, over all kinds. More of them change the answer by less than one percent.
_BATCHES = 800
_LEAST_BATCHES = 40

# Of one that is held against what was: what runs when it ends must not be much.
_FINE = 3000

# So many times as many jobs as are expected may come in one course: where each is followed by more than one of its own
# kind, as far as was seen, it would have no end.
_ENDLESS = 10

# What a stream hands over comes in so many parts, over its time.
_PARTS = 8


def bucket(seconds: float) -> int:
    """
    Which bucket a time falls into.
    """
    if seconds <= 0:
        return 0
    return min(max(math.floor(math.log2(seconds) * 2) + _ZERO, 0), BUCKETS - 1)


def _middle(number: int) -> float:
    return 2.0 ** ((number + 0.5 - _ZERO) / 2)


@dataclass(frozen=True, slots=True)
class Pool:
    """
    Places that work waits for. `rate`: so many jobs a second begin in it at most; None: as many as there are places.
    """

    places: int
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """
    Jobs that are alike: `mean` and `spread` (standard deviation) of the seconds of one, `times` as counts by bucket.

    Attributes:
        seen: how many have shown how long they take.
        follows: how many jobs of other kinds come of one.
        pools: names of the pools of which each holds a place while it runs; those after the first are limits.
        streams: whether what follows comes while it runs, and not at its end.
        held: for how many seconds more each job holds its place of a limit: until the next one is claimed.
    """

    stage: str
    mean: float
    spread: float
    times: tuple[int, ...]
    seen: int
    follows: Mapping[int, float]
    pools: tuple[str, ...]
    priority: int = 50
    streams: bool = False
    held: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """
    What is to be done: jobs that wait, by kind (their number in `kinds`), and how many of them run already.
    """

    kinds: tuple[Kind, ...]
    waiting: Mapping[int, float]
    pools: Mapping[str, Pool]
    running: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Forecast:
    """
    How long work will take.

    Attributes:
        seconds: seconds until all is done, as a median.
        low, high: a range of seconds that holds in four of five cases.
        busiest: the pool that was full for the longest.
        share: the part of the time for which its places were taken, from 0 to 1.
        endless: whether more work comes than is done, so that nothing can be told.
    """

    seconds: float
    low: float
    high: float
    busiest: str
    share: float
    endless: bool = False

    def not_before(self, seconds: float) -> "Forecast":
        """
        The same where something of it begins after so many seconds only.
        """
        low, middle, high = (max(one, seconds) for one in (self.low, self.seconds, self.high))
        return replace(self, low=low, seconds=middle, high=high)


def forecast(
    work: Work, *, stretch: float = 1.0, doubt: float = 0.1, known: bool = False, tries: int = 11, seed: int = 0
) -> Forecast:
    """
    How long work will take.

    Args:
        stretch: how much longer it takes than its attempts say: what is lost between them.
        doubt: how far the machine may be slower or faster from now on, as a part of one.
        known: whether the work has been done once, so that its jobs and their times are not in doubt.
        tries: simulations, each with other times and another course of what follows.
    """
    chance = random.Random(seed)
    ends: list[tuple[float, str, float]] = []
    endless = 0
    for _ in range(tries):
        course = _Course(work if known else _doubted(work, chance), chance)
        seconds = course.run() * stretch * max(1 + chance.gauss(0, doubt), 0.2)
        ends.append((seconds, *course.busiest()))
        endless += course.endless
    ends.sort()
    middle = ends[len(ends) // 2]
    # The tenth and the ninetieth of a hundred.
    edge = max(0, round(len(ends) * 0.1) - 1) if len(ends) > 1 else 0
    return Forecast(middle[0], ends[edge][0], ends[-1 - edge][0], middle[1], middle[2], endless > edge)


def spent(work: Work, busy: float, *, seed: int = 0) -> tuple[float, dict[str, float]]:
    """
    After how many seconds so many seconds of attempts have ended, and how many of them are of each stage: what the same
    simulation says of work that is over.
    """
    course = _Course(work, random.Random(seed), batches=_FINE)
    return course.run(busy), course.ended


def load(work: Work) -> dict[int, float]:
    """
    How many jobs of each kind there will be, with all that follows.

    What follows without an end, from what was seen, is cut where it is a hundred times as much.
    """
    total = {kind: float(jobs) for kind, jobs in work.waiting.items() if jobs}
    wave = dict(total)
    most = _most(work)
    while sum(wave.values()) > 1e-3 and sum(total.values()) < most:
        after: dict[int, float] = {}
        for kind, jobs in wave.items():
            for to, ratio in work.kinds[kind].follows.items():
                after[to] = after.get(to, 0.0) + jobs * ratio
        for kind, jobs in after.items():
            total[kind] = total.get(kind, 0.0) + jobs
        wave = after
    return total


def _most(work: Work) -> float:
    widest = max((sum(kind.follows.values()) for kind in work.kinds), default=0)
    return 100 * max(sum(work.waiting.values()), 1.0) * (1 + widest)


def _doubted(work: Work, chance: random.Random) -> Work:
    """
    The same with other means, as far as so few attempts leave them open.
    """

    def doubted(kind: Kind) -> Kind:
        error = kind.spread / max(kind.mean, 1e-9) / math.sqrt(max(kind.seen, 1))
        factor = math.exp(chance.gauss(0, min(error, 1.0)))
        follows = {
            to: ratio * math.exp(chance.gauss(0, min(1 / math.sqrt(max(kind.seen * min(ratio, 1.0), 1)), 1.0) / 2))
            for to, ratio in kind.follows.items()
        }
        return replace(kind, mean=kind.mean * factor, spread=kind.spread * factor, follows=follows)

    return replace(work, kinds=tuple(map(doubted, work.kinds)))


class _Course:
    """
    One course that the work may take.
    """

    def __init__(self, work: Work, chance: random.Random, batches: int = _BATCHES) -> None:
        self._work, self._chance = work, chance
        total = load(work)
        self.endless = sum(total.values()) >= _most(work)
        each = max(_LEAST_BATCHES, batches // max(len(total), 1))
        # Batches share places as their jobs would: none is so large that it alone holds up the end.
        self._size = {kind: max(1, int(jobs // each)) for kind, jobs in total.items()}
        self._room = _ENDLESS * sum(total.values())  # jobs that may still come
        self._free = {name: pool.places for name, pool in work.pools.items()}
        self._next_turn = dict.fromkeys(work.pools, 0.0)
        self._held = dict.fromkeys(work.pools, 0.0)
        self._queues: dict[int, list[tuple[int, int]]] = {}
        self._buffers: dict[int, float] = {}
        self._events: list[tuple[float, int, str, int, float, float]] = []
        self._number = 0
        self._now = 0.0
        self.ended: dict[str, float] = {}
        self._busy = 0.0
        # Of all kinds: what is so little that `total` leaves it out comes all the same, where chance says so.
        self._draws = [_draws(kind, chance) for kind in work.kinds]

    def run(self, busy: float | None = None) -> float:
        """
        Seconds until all is done, or until so many seconds of attempts are.
        """
        for kind, jobs in self._work.waiting.items():
            running = min(self._work.running.get(kind, 0), int(jobs))
            for _ in range(running):
                self._begin(kind, 1, begun=True)
            self._arrive(kind, jobs - running)
        while True:
            self._start()
            if not self._events:
                if not self._flush():
                    return self._now
                continue
            self._now, _, what, kind, jobs, seconds = heapq.heappop(self._events)
            made = self._work.kinds[kind]
            if what == "part":
                self._follow(kind, jobs)
                continue
            if what == "place":
                for name in made.pools[1:]:
                    self._free[name] += 1
                continue
            self._free[made.pools[0]] += 1
            if not made.streams:
                self._follow(kind, jobs)
            self._busy += seconds
            self.ended[made.stage] = self.ended.get(made.stage, 0.0) + seconds
            if busy is not None and self._busy >= busy:
                return self._now

    def busiest(self) -> tuple[str, float]:
        """
        The pool that was fullest, and how full.
        """
        shares = {
            name: self._held[name] / max(self._now * pool.places, 1e-9)
            for name, pool in self._work.pools.items()
            if pool.places
        }
        name = max(shares, key=lambda one: (shares[one], one), default="")
        return name, min(shares.get(name, 0.0), 1.0)

    def _arrive(self, kind: int, jobs: float) -> None:
        self._room -= jobs
        if self._room < 0:
            self.endless = True
            return
        waiting = self._buffers.get(kind, 0.0) + jobs
        size = self._size.get(kind, 1)
        while waiting >= size:
            waiting -= size
            self._put(kind, size)
        self._buffers[kind] = waiting

    def _put(self, kind: int, size: int) -> None:
        self._number += 1
        heapq.heappush(self._queues.setdefault(kind, []), (self._number, size))

    def _flush(self) -> bool:
        """
        Nothing runs: what was not enough for a batch goes as a smaller one; of less than a job chance decides.
        """
        found = False
        for kind, jobs in list(self._buffers.items()):
            whole = int(jobs) + (self._chance.random() < jobs - int(jobs))
            self._buffers[kind] = 0.0
            if whole:
                found = True
                self._put(kind, whole)
        return found

    def _start(self) -> None:
        """
        Begin what there are places for: by priority, then in the order of coming. What has a limit comes before all
        that has none, as workers claim it apart.
        """
        kinds = self._work.kinds
        waiting = [
            (-kinds[kind].priority, -len(kinds[kind].pools), queue[0][0], kind)
            for kind, queue in self._queues.items()
            if queue and all(self._free[name] for name in kinds[kind].pools)
        ]
        heapq.heapify(waiting)
        while waiting:
            *_, kind = heapq.heappop(waiting)
            if any(self._free[name] < 1 for name in kinds[kind].pools):
                continue
            _, size = heapq.heappop(self._queues[kind])
            self._begin(kind, size)
            if queue := self._queues[kind]:
                heapq.heappush(waiting, (-kinds[kind].priority, -len(kinds[kind].pools), queue[0][0], kind))

    def _begin(self, kind: int, size: int, *, begun: bool = False) -> None:
        made = self._work.kinds[kind]
        seconds = self._seconds(kind, size)
        if begun:
            seconds *= self._chance.random()
        began = self._now
        for name in made.pools:
            rate = self._work.pools[name].rate
            if rate is not None:
                began = max(began, self._next_turn[name])
                self._next_turn[name] = began + size / rate
                seconds = max(seconds, size / rate)
        for name in made.pools:
            self._free[name] -= 1
            pool = self._work.pools[name]
            self._held[name] += seconds if pool.rate is None else pool.places * size / pool.rate
        if len(made.pools) > 1:
            self._at(began + seconds + size * (self._wait_for(made) + made.held), "place", kind, 0, 0.0)
        if made.streams:
            for part in range(1, _PARTS + 1):
                self._at(began + seconds * part / _PARTS, "part", kind, size / _PARTS, 0.0)
        self._at(began + seconds, "end", kind, size, seconds)

    def _wait_for(self, made: Kind) -> float:
        """
        For how long each job that has a place of its limit waits for one of the first pool: until one of the others
        that wait for that has ended, as it is claimed behind them.
        """
        others = [
            (queue[0][0], kind.mean)
            for number, queue in self._queues.items()
            if queue and len((kind := self._work.kinds[number]).pools) == 1 and kind.pools[0] == made.pools[0]
        ]
        return min(others)[1] if others else 0.0

    def _at(self, when: float, what: str, kind: int, jobs: float, seconds: float) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, what, kind, jobs, seconds))

    def _follow(self, kind: int, jobs: float) -> None:
        for to, ratio in self._work.kinds[kind].follows.items():
            self._arrive(to, jobs * ratio)

    def _seconds(self, kind: int, size: int) -> float:
        made = self._work.kinds[kind]
        if size <= 4:
            return sum(self._draws[kind]() for _ in range(size))
        return max(self._chance.gauss(size * made.mean, math.sqrt(size) * made.spread), size * made.mean / 4)


def _draws(kind: Kind, chance: random.Random) -> Callable[[], float]:
    """
    What draws the time of one job: as long as one of those that were seen, with their mean exactly.
    """
    counted = [(_middle(number), count) for number, count in enumerate(kind.times) if count]
    if not counted:
        return lambda: kind.mean
    total = sum(count for _, count in counted)
    mean = sum(middle * count for middle, count in counted) / total
    scale = kind.mean / mean if mean else 0.0
    lengths: Sequence[float] = [middle * scale for middle, _ in counted]
    weights = [count for _, count in counted]
    drawn: list[float] = []

    def draw() -> float:
        if not drawn:
            drawn.extend(chance.choices(lengths, weights, k=64))
        return drawn.pop()

    return draw
