"""
Which runs a worker knows, also where it has not heard what became of them.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from oaflow.ledger.handover import OpenRun
from oaflow.plan import Plan, PlannedStage
from oaflow.runtime.messages import Probe
from oaflow.runtime.passages import Passages

PLAN = Plan(pipeline="p", start=("a",), stages={"a": PlannedStage(task="t.a", queue="q")})


class Wire:
    """
    A database that knows of open runs and of nothing else.
    """

    def __init__(self) -> None:
        self.runs: list[OpenRun] = []

    async def send(self, name: str, *_: Any) -> list[Any]:
        return list(self.runs) if name == "runs" else []

    def opens(
        self,
        *names: str,
        options: dict[str, Any] | None = None,
        stage: dict[str, Any] | None = None,
        others: dict[str, Any] | None = None,
    ) -> None:
        definition = orjson.loads(PLAN.canonical())
        definition["stages"]["a"] |= {"options": options or {}} | (stage or {})
        definition["stages"] |= others or {}
        self.runs = [OpenRun(name, PLAN.digest, PLAN.format, definition, {}, "d", "running") for name in names]


def passages(
    wire: Wire,
    *,
    only: str | None = None,
    asked: list[str] | None = None,
    probes: dict[str, Probe] | None = None,
) -> Passages:
    async def probe(tasks: Iterable[str]) -> dict[str, Probe]:
        found = {task: Probe(task != "t.far", takes="Job", error="no such module") for task in tasks} | (probes or {})
        if asked is not None:
            asked.extend(found)
        return found

    return Passages(
        wire,  # type: ignore[arg-type]
        probe=probe,
        know=lambda run, plan: None,
        forget=lambda run: None,
        only=only,
    )


def test_a_run_that_has_ended_unheard_is_cancelled_for_what_is_in_hand_of_it_and_forgotten_else():
    wire = Wire()
    known = passages(wire)
    wire.opens("p-aaaaaa", "p-bbbbbb")
    asyncio.run(known.refresh())
    held = known.get("p-aaaaaa")
    assert held is not None
    held.held = 1

    wire.opens()
    other, _ = asyncio.run(known.refresh())

    assert other
    assert (known.get("p-aaaaaa"), held.cancelled, known.any_cancelled) == (held, True, True)
    assert known.get("p-bbbbbb") is None
    assert not known.works_on("q", "t.a", "p-aaaaaa")
    held.held = 0
    asyncio.run(known.refresh())
    assert known.get("p-aaaaaa") is None


def test_a_worker_that_is_asked_says_what_it_can_run_also_of_no_run_and_one_with_its_own_run_does_not():
    asked: list[str] = []
    wire = Wire()
    known = passages(wire, asked=asked)
    for task in ("t.near", "t.far", "t.near"):
        known.ask(task)

    _, fresh = asyncio.run(known.refresh())

    assert fresh
    assert (known.takes, known.lacks) == ({"t.near": "Job"}, {"t.far": "no such module"})
    known.ask("t.near")
    assert asyncio.run(known.refresh())[1] is False
    assert asked == ["t.far", "t.near"]  # each once
    alone = passages(wire, only="p-aaaaaa")
    alone.ask("t.near")
    assert asyncio.run(alone.refresh())[1] is False


def test_a_task_that_could_not_be_loaded_is_tried_again_later_and_later_while_a_run_wants_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire, mended, tried, now = Wire(), list[str](), list[int](), [0]

    async def probe(tasks: Iterable[str]) -> dict[str, Probe]:
        wanted = list(tasks)
        if wanted == ["t.a"]:
            tried.append(now[0])
        return {task: Probe(task in mended, error=None if task in mended else "no such module") for task in wanted}

    known = Passages(wire, probe=probe, know=lambda run, plan: None, forget=lambda run: None)  # type: ignore[arg-type]
    known.ask("t.other")
    wire.opens("p-aaaaaa")

    def mends(until: int) -> bool:
        news: list[bool] = []
        while now[0] < until:
            now[0] += 1
            news.append(asyncio.run(known.try_again(now[0])))
        return any(news)

    asyncio.run(known.refresh())
    assert not mends(200)
    mended.append("t.a")
    assert mends(300)
    assert asyncio.run(known.refresh()) == (True, False)
    assert not mends(500)

    assert tried == [6, 16, 36, 76, 136, 196, 256]
    assert known.works_on("q", "t.a", "p-aaaaaa")
    assert len(caplog.records) == 2  # each that cannot run is told once


@pytest.mark.parametrize(
    ("probe", "says"),
    [
        (Probe(True, needs=["lang"], options=["lang"]), "needs the option 'lang'"),
        (Probe(True, options=["lang"]), "has no option 'size'"),
        (Probe(True, options=["lang", "size"]), None),
        (Probe(True, needs=["size"]), None),  # it takes any
    ],
)
def test_jobs_are_left_where_the_function_has_other_options_than_the_plan(probe: Probe, says: str | None):
    wire = Wire()
    wire.opens("p-aaaaaa", options={"size": 3})
    known = passages(wire, probes={"t.a": probe})

    other, news = asyncio.run(known.refresh())

    assert (other, news) == (says is None, True)
    assert known.works_on("q", "t.a", "p-aaaaaa") == (says is None)
    if says is None:
        assert known.unfit == {}
    else:
        assert says in known.unfit["p-aaaaaa"]["t.a"]
    assert asyncio.run(known.refresh()) == (False, False)  # said once
    wire.opens()
    asyncio.run(known.refresh())
    assert known.unfit == {}


LEADS = {"edges": [{"to": "b"}], "dropped": ["pages"]}
OFF = {"edges": [{"to": "b"}, {"to": "off", "port": "pages"}]}


@pytest.mark.parametrize(
    ("stage", "ports", "says"),
    [
        (LEADS, ["default", "pages"], None),
        (LEADS, ["default"], None),  # of a port that is gone, nothing comes
        (LEADS, ["default", "pages", "sounds"], "its function emits on port 'sounds', which the plan of the run"),
        (LEADS, None, None),  # nobody knows
        (OFF, ["default", "pages"], None),  # wired to what is off in this run
        (OFF, ["default", "sounds"], "its function emits on port 'sounds'"),
        ({}, ["default", "sounds"], None),  # an end: whatever it returns has arrived
    ],
)
def test_jobs_are_left_where_the_function_has_a_port_that_the_plan_has_not(
    stage: dict[str, Any], ports: list[str] | None, says: str | None
):
    wire = Wire()
    others = {"b": {"task": "t.b", "queue": "q"}, "off": {"task": "t.c", "queue": "q", "enabled": False}}
    wire.opens("p-aaaaaa", stage=stage, others=others)
    known = passages(wire, probes={"t.a": Probe(True, ports=ports)})

    asyncio.run(known.refresh())

    assert known.works_on("q", "t.a", "p-aaaaaa") == (says is None)
    assert known.works_on("q", "t.b", "p-aaaaaa") == bool(stage)
    if says is None:
        assert known.unfit == {}
    else:
        assert says in known.unfit["p-aaaaaa"]["t.a"]
