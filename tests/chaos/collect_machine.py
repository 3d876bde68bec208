"""
A state machine over the SQL of what is collected: workers that hand over to a stage that collects, or divert to it,
die, send again, take apart what failed; first jobs of it come until the run is sealed; the clock goes on and the run is
looked at, in any order.

The model: each root brings some entities of one of two colours, and each of these is done once, in a job of one colour.
"""

import orjson
import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oaflow.ledger.rows import Claimed, Completion
from tests.integration.handovers import emptied, recount
from tests.integration.shelf import Shelf

SIZE = 4
FIRST = 1_000_001  # numbers that no job has
WORKERS = st.integers(0, 1)


class CollectMachine(RuleBasedStateMachine):
    """
    Roots are jobs of `a`; what they bring waits for `b`, as do first jobs of that itself.
    """

    address: str
    shelf: Shelf

    @initialize(
        brought=st.lists(st.integers(1, 6), min_size=1, max_size=8),
        spoiled=st.sets(st.integers(0, 20)),
        diverted=st.sets(st.integers(0, 7)),
    )
    def begin(self, brought: list[int], spoiled: set[int], diverted: set[int]) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            emptied(connection)
        self.shelf = Shelf(self.address)
        self.shelf.collects(size=SIZE)
        self.entities = {
            job: [f"{job}-{number}" for number in range(count)]
            for job, count in zip(self.shelf.enter(len(brought), seal=False), brought, strict=True)
        }
        self.diverted = {job for number, job in enumerate(self.entities) if number in diverted}
        self.begun: list[str] = []
        self.sealed = False
        everything = [entity for entities in self.entities.values() for entity in entities]
        self.spoiled = {everything[number] for number in spoiled if number < len(everything)}
        self.workers = [self.shelf.worker(), self.shelf.worker()]
        self.held: dict[int, list[Claimed]] = {worker: [] for worker in self.workers}
        self.sent: list[tuple[int, list[Completion]]] = []

    @precondition(lambda self: not self.sealed)
    @rule(count=st.integers(1, SIZE), spoiled=st.booleans())
    def come(self, count: int, spoiled: bool) -> None:
        root = FIRST + len(self.begun)
        new = [f"{root}-{number}" for number in range(count)]
        self.shelf.begins(*new, key="red" if root % 2 else "blue")
        self.begun += new
        self.spoiled |= set(new[:1]) if spoiled else set()

    @precondition(lambda self: not self.sealed)
    @rule()
    def seal(self) -> None:
        self.shelf.seal()
        self.sealed = True

    @rule(index=WORKERS, most=st.integers(1, 4))
    def fetch(self, index: int, most: int) -> None:
        worker = self.workers[index]
        try:
            self.held[worker] += self.shelf.claim(worker, most)
        except psycopg.errors.ForeignKeyViolation:
            self.replace(index)

    @rule(index=WORKERS, most=st.integers(1, 3))
    def complete(self, index: int, most: int) -> None:
        worker = self.workers[index]
        group, self.held[worker] = self.held[worker][:most], self.held[worker][most:]
        self.send(worker, [self.completion(row) for row in group])

    def completion(self, row: Claimed) -> Completion:
        if row.task == "t.a":
            colour = "red" if row.id % 2 else "blue"
            documents = self.entities[row.id]
            # A larger one is cut by the router.
            brings = self.shelf.brings(row.id, *documents[:SIZE], key=colour)
            return brings._replace(attempt=row.attempts, outcome="diverted" if row.id in self.diverted else "done")
        mark, entities = orjson.loads(row.mark), orjson.loads(row.args)["payload"]["entities"]
        spoiled = not self.spoiled.isdisjoint(entity["id"] for entity in entities)
        outcome = "parted" if spoiled and "collected" in mark else "failed" if spoiled else "done"
        detail = {"collected": mark["collected"]} if "collected" in mark else {}
        return self.shelf.done(row.id, outcome, attempt=row.attempts, stage="b", detail=detail)

    def send(self, worker: int, items: list[Completion]) -> None:
        if items:
            self.shelf.complete(worker, *items)
            self.sent = [*self.sent, (worker, items)][-4:]

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 3))
    def resend(self, which: int) -> None:
        """The answer was lost; the same is sent again, at any time later."""
        worker, items = self.sent[which % len(self.sent)]
        self.shelf.complete(worker, *items)

    @rule(index=WORKERS)
    def die(self, index: int) -> None:
        """Its jobs are taken back; it may still believe that it holds them."""
        self.shelf.recover(self.workers[index])

    @rule(index=WORKERS)
    def replace(self, index: int) -> None:
        self.workers[index] = self.shelf.worker()
        self.held[self.workers[index]] = []

    @rule()
    def close(self) -> None:
        self.shelf.close()

    @rule()
    def sweep(self) -> None:
        self.shelf.sql("SELECT * FROM oaflow.sweep_v2(true)")

    @rule()
    def time_passes(self) -> None:
        self.shelf.sql("UPDATE oaflow.collected SET arrived = arrived - interval '1 hour'")

    @invariant()
    def each_entity_is_in_one_place(self) -> None:
        if not hasattr(self, "entities"):
            return
        places = [
            *self.shelf.sql("SELECT args FROM oaflow.collected WHERE job IS NULL"),
            *self.shelf.sql(
                "SELECT j.args FROM procrastinate_jobs j WHERE task_name = 't.b' AND (status <> 'failed'"
                " OR EXISTS (SELECT FROM oaflow.failures f WHERE f.job = j.id))"
            ),
        ]
        found: list[str] = []
        for (args,) in places:
            here = [entity["id"] for entity in args["payload"]["entities"]]
            assert len(here) <= SIZE
            assert {int(name.partition("-")[0]) % 2 for name in here} == {args["payload"]["context"]["key"] == "red"}
            found += here
        brought = [
            entity
            for (job,) in self.shelf.sql(
                "SELECT id FROM procrastinate_jobs WHERE task_name = 't.a' AND status IN ('succeeded', 'failed')"
            )
            for entity in self.entities[job][:SIZE]
        ]
        assert sorted(found) == sorted([*brought, *self.begun])

    @invariant()
    def counters_equal_a_recount(self) -> None:
        if hasattr(self, "entities"):
            assert self.shelf.counters() == recount(self.shelf.connection, self.shelf.run)

    def teardown(self) -> None:
        if not hasattr(self, "entities"):
            return
        self.shelf.sql("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
        self.shelf.recover()
        self.shelf.seal()
        self.replace(0)
        for _ in range(100):  # liveness: one healthy worker drains everything, and the clock stands still
            self.fetch(0, 10)
            self.complete(0, 10)
            closed = self.shelf.close()
            self.each_entity_is_in_one_place()
            if closed == "finished":
                break
        assert self.shelf.state() == "finished"
        failed = self.shelf.sql("SELECT args #>> '{payload,entities,0,id}' FROM oaflow.failures")
        brought = {entity for entities in self.entities.values() for entity in entities[:SIZE]} | set(self.begun)
        alone = {entity for (entity,) in failed}
        assert self.shelf.counters().get("b", {}).get("vanished", 0) == 0
        assert {self.root_of(entity) for entity in alone} == {self.root_of(e) for e in self.spoiled & brought}
        self.shelf.connection.close()

    @staticmethod
    def root_of(entity: str) -> str:
        return entity.partition("-")[0]
