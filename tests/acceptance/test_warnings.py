"""
What a run and a plan say of a pipeline that is not quite right, and what a run offers when it has failed.
"""

from tests.acceptance.conftest import Command

RUN = ("-d", "demo", "--workers", "1")


def test_warnings_are_said_by_run_and_plan_as_check_says_them(cli: Command) -> None:
    stages = {"source": {"with": {"count": 1}, "next": "work"}, "work": {"emit": "stream"}}
    name = cli.pipeline("warned", stages, params={"api_token": {"default": "x"}})
    warnings = cli("check", name).out.strip()
    assert "warning[OAF119]" in warnings
    assert "warning[OAF414]" in warnings

    ran, planned = cli("run", name, *RUN, "--json"), cli("plan", name)

    assert (ran.code, planned.code) == (0, 0), ran.err
    assert warnings in ran.err
    assert warnings in planned.err
    assert ran.json["state"] == "finished"
    assert planned.json["pipeline"] == "warned"


def test_what_lies_too_deep_is_not_offered_to_be_sent_again(cli: Command) -> None:
    deeper = {"task": "ports", "next": {"default": "drop", "other": {"to": "deeper", "recurse": 1}}}
    deep = {"source": {"with": {"count": 2}, "next": "deeper"}, "deeper": deeper}
    both = {**deep, "source": {"with": {"count": 1}, "next": ["deeper", "fails"]}, "fails": {"next": "end"}, "end": {}}

    ran, failed, again = cli("run", cli.pipeline("deep", deep), *RUN), cli("failures"), cli("retry")

    assert ran.code == 1, ran.err
    assert "2 failed at deeper: TooDeep: deeper than 1 along the edge from 'deeper' to 'deeper'" in ran.out
    assert "oaflow failures deep-" in ran.out
    assert "TooDeep" in failed.out
    assert again.code == 2
    assert "nothing failed in run 'deep-" in again.error
    assert "oaflow retry" not in ran.out + ran.err + failed.err

    # Beside something that can be sent again it is offered.
    ran, failed = cli("run", cli.pipeline("both", both), *RUN), cli("failures")
    again = cli("retry", "--workers", "1", "--json")
    assert "oaflow retry both-" in ran.out
    assert "send all of them again: oaflow retry both-" in failed.err
    assert (again.code, again.json["stages"]["fails"]["failed"]) == (1, 1)
    assert "sent 1 failed job again" in again.err
