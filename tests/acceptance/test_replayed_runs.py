"""
A run that is past, and an edited pipeline: what would go elsewhere, and whether the run may go over to it.
"""

from typing import Any

from tests.acceptance.conftest import Command

STAGES: dict[str, dict[str, Any]] = {
    "mixes": {
        "next": [
            {"to": "translate", "where": "has(e.detectedLanguage, 'rus')"},
            {"to": "people", "where": {"schema": "Person"}},
        ]
    },
    "translate": {"task": "work", "next": "end"},
    "people": {"task": "fails", "next": "end"},
    "end": {"collect": 10},
}


def test_a_past_run_is_routed_anew_and_may_go_over_or_not(cli: Command) -> None:
    first = cli.pipeline("languages", STAGES)
    ran = cli("run", first, "-d", "demo", "--workers", "1", "--max-failed", "1", "--json")
    assert ran.code == 0, ran.err
    run = ran.json["run"]
    (cli.folder / first).rename(cli.folder / "old.yml")
    edges = [
        {"to": "translate", "where": "lacks(e.detectedLanguage, 'eng')"},
        {"to": "people", "where": {"schema": "Person"}},
        {"to": "end", "else": True},
    ]
    ways = {"mixes": {"next": edges}, "people": {"task": "fails", "next": "end", "on_error": "end"}, "end": {}}
    new = cli.pipeline("languages", {**STAGES, **ways, "translate": {"task": "work"}})

    facts = cli("route", new, "--against", run, "--json").json
    shown = cli("route", new, "--against", "latest")
    same = cli("route", "old.yml", "--against", run)
    changed = cli("plan", "--diff", run, new)

    flows = {(one["stage"], one["to"]): (one["before"], one["after"]) for one in facts["edges"]}
    assert flows == {
        ("mixes", "translate"): (1, 3),
        ("mixes", "people"): (1, 1),
        ("mixes", "end"): (0, 1),
        ("mixes", None): (2, 0),
        ("translate", "end"): (1, 0),
        ("translate", None): (0, 1),
    }
    assert (facts["run"], facts["whole"], facts["moved"], facts["absent"]) == (run, True, 4, {})
    assert facts["stages"]["mixes"] == {"hops": 1, "kept": 1, "jobs": 1, "routed": 1}
    assert [(one["entity"], one["was"], one["would"]) for one in facts["samples"]] == [
        ("doc-1", [], ["end"]),
        ("doc-2", [], ["translate"]),
        ("somebody", ["people"], ["translate", "people"]),
        ("doc-0", ["end"], []),
    ]
    assert facts["troubled"] == [{"stage": "people", "jobs": 1, "was": None, "would": "end"}]
    assert shown.code == 0, shown.err
    assert "all 2 jobs that its stages returned" in shown.out
    assert "4 entities would go elsewhere" in shown.out
    assert "mixes, port default: people became translate, people\n  somebody (Person)" in shown.out
    assert "1 job of people failed, went to the failures, and would go to end" in shown.out
    assert "nothing would go elsewhere" in same.out
    assert f"run {run} has ended" in changed.out
    assert f"run {run} may not move to it:\n  stage 'end' no longer collects jobs" in changed.out
    # What is not known is said.
    for arguments, problem in (
        ((new,), "name the stage that the job comes from, or the run whose jobs to replay"),
        ((new, "--against", run, "--at", "end"), f"nothing that stage 'end' of run {run!r} returned is kept"),
        ((new, "--against", "languages-aaaaaa"), "there is no run 'languages-aaaaaa'"),
    ):
        refused = cli("route", *arguments)
        assert (refused.code, refused.error) == (2, problem)
    assert cli("plan", "--diff", "languages-aaaaaa", new).error == "there is no pipeline or run 'languages-aaaaaa'"


def test_what_did_not_travel_is_read_from_the_store(cli: Command) -> None:
    def pipeline(name: str, word: str, language: str) -> str:
        return cli.pipeline(
            name,
            {
                "mixes": {
                    "next": [
                        {"to": "dear", "where": f"contains(e.bodyText, '{word}')", "load": True},
                        {"to": "spoken", "where": f"has(e.detectedLanguage, '{language}')"},
                        {"to": "end", "else": True},
                    ]
                },
                "dear": {"task": "end"},
                "spoken": {"task": "end"},
                "end": {},
            },
        )

    first = pipeline("letters", "EUR", "rus")
    # One byte: every entity travels as a stub.
    ran = cli("run", first, "-d", "demo", "--workers", "1", "--json", env={"OAFLOW_JOB_BYTES": "1"})
    assert ran.code == 0, ran.err
    run = ran.json["run"]

    same = cli("route", first, "--against", run)
    other = cli("route", pipeline("others", "nowhere", "eng"), "--against", run, "--json").json

    assert "nothing would go elsewhere" in same.out, same.out
    assert "the edge to dear reads the entities from the store as it is now" in same.err
    flows = {one["to"]: (one["before"], one["after"]) for one in other["edges"] if one["stage"] == "mixes"}
    assert (flows["dear"], flows["spoken"][0]) == ((1, 0), 1)
    assert flows["spoken"][1] > 0
