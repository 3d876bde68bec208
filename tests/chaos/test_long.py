"""
The long run with all kinds of harm, in short: `make chaos` is the long form.
"""

import pytest

from tests.chaos.harm import Pace
from tests.chaos.long import play, table
from tests.warm import Warm

# Workers that are hasty, and harm that is short.
HASTY = Pace(
    gap=0.15,
    stalls=(1.0, 3.0),
    stop=3.0,
    block=1.0,
    hold=1.0,
    away=4.0,
    settings={"OAFLOW_HEARTBEAT": "0.5", "OAFLOW_DEAD_AFTER": "2", "OAFLOW_CRASHES": "1000"},
)


@pytest.mark.slow
def test_all_kinds_of_harm_lose_and_double_nothing(warm: Warm) -> None:
    outcome = play(faults=60, seconds=120.0, seed=7, pace=HASTY, warm=warm)

    print(table(outcome))
    assert outcome.good, outcome.found
    assert sum(outcome.faults.values()) >= 30
    assert [kind for kind, times in outcome.faults.items() if not times] == [], "a kind of harm that never happened"
