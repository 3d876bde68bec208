"""
A state machine over the SQL of stages in services: workers of a service claim, hand over, fail, repeat, die and come
too late, with capture, while it is taken away and comes back, or by the shim; others delete rows and send failed ones
again; and oaflow takes the answers.

The model: what goes on of a job is what its last attempt had handed over, once; of a stream what any attempt had, once.
"""

from typing import Any

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oaflow.postgres import migrate
from tests.integration.handovers import emptied, recount
from tests.integration.services import Service

EMITS = st.sampled_from(["success", "always", "stream"])
WHICH = st.integers(0, 99)
LIVE = ("todo", "doing")
NAMES = st.sampled_from(["one", "two", "three"])


class Asked:
    """
    A job as the model knows it.
    """

    def __init__(self, emit: str) -> None:
        self.emit = emit
        self.status = "todo"
        self.now: list[str] = []
        self.before: set[str] = set()
        self.streamed: list[str] = []
        self.returned: list[str] | None = None

    def says(self, name: str) -> None:
        self.now.append(name)
        if self.emit == "stream" and name not in self.before and self.returned is None:
            self.streamed.append(name)

    def goes_back(self) -> None:
        self.before |= set(self.now)
        self.now, self.status = [], "todo"

    def ends(self, status: str) -> None:
        if self.returned is None:
            goes_out = self.emit == "always" or status == "succeeded"
            self.returned = [*self.streamed] if self.emit == "stream" else self.now if goes_out else []
        self.now, self.status = [], status


class ExternalMachine(RuleBasedStateMachine):
    """
    One run; all of its jobs are of a stage in a service, and what comes back goes to stage `b`.
    """

    address: str

    @initialize()
    def begin(self) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            emptied(connection)
        self.service = Service(self.address)
        self.asked: dict[int, Asked] = {}
        self.taken: dict[int, list[str]] = {}
        self.vanished: set[int] = set()
        # Whether the triggers are there, and whether something may have come that they did not see.
        self.captured, self.unseen = True, False
        self.worker = self.service.worker()

    def some(self, which: int, *statuses: str) -> int | None:
        found = [job for job, asked in self.asked.items() if asked.status in statuses]
        return found[which % len(found)] if found else None

    @rule()
    def capture_goes_or_comes_back(self) -> None:
        self.captured = not self.captured
        self.unseen = True
        migrate(self.address, own=True, capture=self.captured)

    def see_all(self) -> None:
        """
        The sweeper comes before something that would be too late for it.
        """
        if self.unseen:
            self.sweep()

    @precondition(lambda self: self.captured)
    @rule(emit=EMITS)
    def ask(self, emit: str) -> None:
        # Not sealed: a run whose jobs have all come to their end would be over, and nobody would look for more.
        self.asked[self.service.ask(emit=emit, seal=False)] = Asked(emit)

    @precondition(lambda self: any(asked.status == "todo" for asked in self.asked.values()))
    @rule()
    def fetch(self) -> None:
        self.asked[self.service.fetch()].status = "doing"

    @rule(which=WHICH, name=NAMES)
    def hands_over(self, which: int, name: str) -> None:
        if (job := self.some(which, "doing")) is not None:
            self.service.hands_over(job, name)
            self.asked[job].says(name)

    @rule(which=WHICH, name=NAMES)
    def comes_too_late(self, which: int, name: str) -> None:
        if (job := self.some(which, "succeeded", "failed", "todo")) is not None:
            self.service.hands_over(job, name)

    @rule(which=WHICH, status=st.sampled_from(["succeeded", "failed", "aborted"]))
    def ends(self, which: int, status: str) -> None:
        if (job := self.some(which, "doing")) is not None:
            self.service.end(job, status)
            self.asked[job].ends(status)

    @rule(which=WHICH, names=st.lists(NAMES, max_size=3), failed=st.booleans(), attempt=st.integers(-1, 0))
    def the_shim_ends_it(self, which: int, names: list[str], failed: bool, attempt: int) -> None:
        job = self.some(which, "doing")
        if job is None:
            return
        self.see_all()
        now = self.service.job(job)[1]
        args = self.service.args(job)
        emitted = [{**args, "payload": {**args["payload"], "entities": [{"id": name}]}} for name in names]
        heard = self.service.tell(job, now + attempt, emitted, failed=failed)
        if attempt < 0:
            assert heard is False
            return
        assert heard is (self.asked[job].returned is None)
        for name in names:
            self.asked[job].says(name)
        self.asked[job].ends("failed" if failed else "succeeded")
        self.service.end(job, "failed" if failed else "succeeded")

    @rule(which=WHICH)
    def is_repeated(self, which: int) -> None:
        if (job := self.some(which, "doing")) is not None:
            self.service.again(job)
            self.asked[job].goes_back()

    @rule(which=WHICH)
    def its_worker_dies(self, which: int) -> None:
        if (job := self.some(which, "doing")) is not None:
            worker = self.service.job(job)[2]
            self.service.sql("DELETE FROM procrastinate_workers WHERE id = %s", worker)
            assert self.service.recover() == {job}
            self.asked[job].goes_back()

    @rule(which=WHICH)
    def somebody_sends_it_again(self, which: int) -> None:
        if (job := self.some(which, "failed")) is not None:
            self.see_all()
            self.service.again(job)
            self.asked[job].goes_back()

    @rule(which=WHICH)
    def somebody_deletes_it(self, which: int) -> None:
        if (job := self.some(which, "todo", "doing", "succeeded", "failed")) is not None:
            self.see_all()
            self.service.sql("DELETE FROM procrastinate_jobs WHERE id = %s", job)
            self.asked[job].status = "gone"
            if self.asked[job].returned is None:
                self.vanished.add(job)

    @rule()
    def sweep(self) -> None:
        self.service.sweep()
        self.unseen = not self.captured

    @rule()
    def oaflow_takes_an_answer(self) -> None:
        for answer, job, names in self.service.claimed_answers(self.worker):
            self.service.complete(self.worker, self.service.done(answer, follow=len(names)))
            self.taken.setdefault(job, []).extend(names)

    @invariant()
    def counters_are_a_recount(self) -> None:
        # A row that is sent again after its end waits, and is no open job any more; one that was deleted is open until
        # the sweeper has been there.
        if not hasattr(self, "service") or self.vanished or self.unseen:
            return
        again = [asked for asked in self.asked.values() if asked.returned is not None]
        if not any(asked.status in LIVE for asked in again):
            assert self.service.counters() == recount(self.service.connection, self.service.run)

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
        try:
            self.come_to_an_end()
        finally:
            self.service.connection.close()
            if not self.captured:
                migrate(self.address, own=True, capture=True)

    def come_to_an_end(self) -> None:
        while (job := self.some(0, "todo", "doing")) is not None:
            if self.asked[job].status == "todo":
                self.fetch()
            else:
                self.service.end(job)
                self.asked[job].ends("succeeded")
        self.service.sweep()
        self.oaflow_takes_an_answer()
        expected: dict[int, list[str]] = {
            job: asked.returned if asked.returned is not None else asked.streamed for job, asked in self.asked.items()
        }
        found: dict[int, list[str]] = {job: self.taken.get(job, []) for job in self.asked}
        assert {job: sorted(names) for job, names in found.items()} == {
            job: sorted(names) for job, names in expected.items()
        }
        counters: Any = self.service.counters()
        assert counters.get("a", {}).get("open", 0) == 0
        assert counters.get("a", {}).get("vanished", 0) == len(self.vanished)
        assert counters == recount(self.service.connection, self.service.run)
        assert self.service.sql("SELECT * FROM oaflow.emitted") == []
