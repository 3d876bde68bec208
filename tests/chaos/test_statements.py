"""
Each statement of a worker, cut or stalled before the server has it or when only its answer is lost: real workers
behind a proxy, one run for each way of it, and the workers live on from one to the next.
"""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import get_args

import psycopg
import pytest

from tests.chaos.crew import HASTY, Post, crew
from tests.chaos.history import findings, read
from tests.chaos.passages import Passage, begin, ended
from tests.chaos.proxy import KINDS, Fault, How, Proxy, When
from tests.waiting import waited
from tests.warm import Warm

PATIENCE = 240.0

ROOTS = 6

# Runs for one way, until a worker fires the join itself.
TIMES = 5

# Longer than psycopg waits for a statement that it has cancelled (5 s), and shorter: both ways are gone.
STALL = {"before": 8.0, "answer lost": 3.0}


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with Proxy(database) as proxy:
        yield proxy


@pytest.fixture
def post(proxy: Proxy, database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm) -> Post:
    return Post(proxy.address, database, tmp_path, clean_environment | {"OAFLOW_DEAD_AFTER": "6"}, warm)


def wait(holds: Callable[[], object], what: Callable[[], object], patience: float = PATIENCE) -> None:
    assert waited(holds, patience, 0.05), what()


def still_open(passage: Passage) -> int:
    with psycopg.connect(passage.uri, autocommit=True) as connection:
        row = connection.execute("SELECT sum(open)::int FROM oaflow.counters WHERE run = %s", (passage.id,)).fetchone()
    return row[0] if row else 0


@pytest.mark.slow
def test_no_statement_that_is_cut_or_stalled_loses_or_doubles_anything(proxy: Proxy, post: Post, database: str) -> None:
    hold, go = post.orders / "hold-1", post.orders / "go"
    with crew(post, *HASTY, "--executors", "2", count=2) as workers:
        for when, how in product(get_args(When), get_args(How)):
            faults = {name: Fault(name, when, how, STALL[when]) for name in KINDS}
            join = faults.pop("join")
            proxy.arm(*faults.values())
            proxy.drop("listen")
            for _ in range(TIMES):
                passage = begin(database, post.folder, fails_every=3)
                go.unlink(missing_ok=True)
                hold.touch()
                passage.enter(ROOTS)
                passage.seal()
                wait(lambda passage=passage: still_open(passage) <= 1, lambda passage=passage: findings(read(passage)))
                proxy.arm(join)  # the next one fires: what is open is the last that it waits for
                go.touch()

                assert ended(database, passage.id, PATIENCE) == "finished"
                wait(lambda join=join: set(proxy.armed) <= {join}, lambda: proxy.armed)
                assert findings(read(passage)) == []
                assert [worker.poll() for worker in workers] == [None, None]
                if not proxy.armed:
                    break
                proxy.disarm()  # the sweeper was there first
            else:
                pytest.fail(f"{join} was never met")
