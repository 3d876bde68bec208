import psycopg
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.collect_machine import CollectMachine
from tests.chaos.handover_machine import machine_settings
from tests.chaos.test_handover_machine import broken

# Breaks the SQL on purpose: (function, what stands there, what is put in its place).
MUTATIONS = {
    "when keys are mixed": ("gather_v1", "IF m.key IS DISTINCT FROM at_key THEN", "IF at_key IS NULL THEN"),
    "when members are not marked": ("put_together_v1", "SET job = made WHERE", "SET job = NULL WHERE"),
    "when nothing is put back": ("complete_v1", "WHERE lk.outcome = 'parted'\n", "WHERE false\n"),
    "when a first job that waits is begun, too": ("enter_v1", "FROM first WHERE collect IS NULL", "FROM first"),
    "when all that came is not awaited": ("gather_v1", "o.open - o.own = 0", "false"),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)  # half a minute, where nothing else runs
def test_no_interleaving_loses_or_doubles_what_is_collected(database: str):
    CollectMachine.address = database
    run_state_machine_as_test(CollectMachine, settings=machine_settings(60, 40))


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_machine_notices_what_is_broken(database: str, name: str):
    with psycopg.connect(database, autocommit=True) as connection:
        broken(connection, *MUTATIONS[name])
    CollectMachine.address = database
    with pytest.raises(BaseException):  # noqa: B017, PT011 - any broken law will do
        run_state_machine_as_test(CollectMachine, settings=machine_settings(400, 50, shrink=False))
