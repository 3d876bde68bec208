"""
When a worker is live and ready, and what systemd hears of it.
"""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.operations.health import HealthAddressError, health_address
from oaflow.operations.systemd import ServiceManager
from oaflow.runtime.vitals import LENIENCE, Health, Observation, Pulse, Vital, judge

DEAD = 15.0

ages = st.floats(0, 1000)
pulses = st.none() | st.builds(Pulse, ages, st.none() | ages, st.none() | ages, st.booleans())
vitals = st.builds(Vital, st.integers(1), ages, st.booleans(), pulses)
observations = st.builds(
    Observation,
    ages,
    st.integers(1, 3),
    st.sampled_from(["waits", "works", "drains"]),
    st.lists(vitals, max_size=3).map(tuple),
)


def working(**pulse: float) -> Observation:
    return Observation(
        100.0, 1, "works", (Vital(7, 0.0, True, Pulse(100.0, **({"heart": 0.0, "plans": True} | pulse))),)
    )


@given(observations, ages)
def test_what_is_not_live_is_not_ready_and_both_have_reasons(seen: Observation, later: float) -> None:
    health = judge(seen, 1000 + later, DEAD)

    assert health.live or not health.ready
    assert health.ready == (not health.not_ready)
    assert set(health.not_live) <= set(health.not_ready)


@given(observations, ages)
def test_who_was_not_live_is_not_by_saying_nothing_more(seen: Observation, later: float) -> None:
    if not judge(seen, 1000, DEAD).live:
        assert not judge(seen, 1000 + later, DEAD).live


@given(st.floats(0, 1000))
def test_a_database_that_is_away_makes_nobody_dead(silent: float) -> None:
    health = judge(working(database=silent), 100.0, DEAD)

    assert (health.live, health.ready) == (True, silent <= DEAD)


@pytest.mark.parametrize(
    ("seen", "now", "live", "reason"),
    [
        (working(), 100.0 + DEAD, True, None),
        (working(), 101.0 + DEAD, True, "worker process 7 says nothing for 16 s"),
        (working(), 101.0 + DEAD * LENIENCE, False, "the supervisor stands still for 61 s"),
        (working(heart=61.0), 100.0, False, "the heart of worker process 7 stands still for 61 s"),
        (working(plans=False), 100.0, True, "worker process 7 has not read the plans yet"),
        (Observation(100.0, 2, "works"), 100.0, True, "of 2 worker processes there are 0"),
        (
            Observation(100.0, 1, "works", (Vital(7, 99.0, False, None),)),
            100.0,
            True,
            "process 7 is not registered yet",
        ),
        (Observation(0.0, 1, "waits"), 900.0, True, "the database does not answer yet"),
        (Observation(100.0, 1, "drains"), 100.0, True, "it drains: nothing more is claimed"),
    ],
)
def test_what_keeps_a_worker_from_being_ready(seen: Observation, now: float, live: bool, reason: str | None) -> None:
    health = judge(seen, now, DEAD)

    assert health.live is live
    assert health.ready if reason is None else reason in " ".join(health.not_ready)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:80", ("::1", 80)),
        (":80", ("127.0.0.1", 80)),
    ],
)
def test_a_port_alone_is_one_of_this_machine(given: str, address: tuple[str, int]) -> None:
    assert health_address(given) == address


@pytest.mark.parametrize("given", ["", "x", "80x", "localhost", "65536", "-1", "::1:80:x", "a:b:80", "٨٠"])
def test_what_is_no_address_is_named(given: str) -> None:
    with pytest.raises(HealthAddressError, match="is neither a port"):
        health_address(given)


def test_systemd_hears_what_is_new_and_nothing_where_it_is_not_live(tmp_path: Path) -> None:
    fine, away, stuck = Health(), Health((), ("the database does not answer yet",)), Health(("a",), ("a",))
    clock = [0.0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        variables = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000000", "HOME": "/"}
        told = ServiceManager(variables, now=lambda: clock[0])

        def heard(at: float, health: Health) -> set[str]:
            clock[0] = at
            told.tell(health)
            try:
                return set(manager.recv(4096).decode().splitlines())
            except BlockingIOError:
                return set()

        assert variables == {"HOME": "/"}
        assert heard(0, away) == {"STATUS=the database does not answer yet", "EXTEND_TIMEOUT_USEC=60000000"}
        assert heard(5, away) == set()
        assert heard(10, away) == {"EXTEND_TIMEOUT_USEC=60000000"}
        assert heard(11, fine) == {"STATUS=ready", "READY=1", "WATCHDOG=1"}
        assert heard(20, fine) == set()
        assert heard(21, fine) == {"WATCHDOG=1"}
        assert heard(40, stuck) == {"STATUS=a"}
        assert heard(60, stuck) == set()
        assert heard(61, away) == {"STATUS=the database does not answer yet", "WATCHDOG=1"}
        told.stopping()
        assert manager.recv(4096).decode().splitlines() == ["STOPPING=1", "STATUS=drains"]


def test_where_systemd_did_not_start_it_nobody_is_told() -> None:
    ServiceManager({}).tell(Health())
    gone = ServiceManager({"NOTIFY_SOCKET": "/nowhere/notify"})
    gone.tell(Health())
    gone.stopping()
