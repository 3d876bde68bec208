"""
What `oaflow plan --diff` says, through the installed program; it asks no database.
"""

from tests.acceptance.conftest import Command

STAGES = {"source": {"next": "work", "timeout": "10m"}, "work": {"next": "end"}, "end": {}}
CHANGED = {
    "source": {"next": [{"to": "work", "where": {"schema": "Document"}}, {"to": "end", "else": True}], "timeout": "5m"},
    "work": {"next": "end", "retry": 0},
    "end": {},
}


def test_what_changed_is_said_below_the_stage_that_it_is_about(offline: Command) -> None:
    old, new = offline.pipeline("chain", STAGES), "new.yml"
    (offline.folder / old).rename(offline.folder / "old.yml")
    (offline.folder / offline.pipeline("chain", CHANGED)).rename(offline.folder / new)

    told = offline("plan", "--diff", "old.yml", new)
    facts = offline("plan", new, "--diff", "old.yml", "--json").json

    assert (told.code, told.err) == (0, "")
    head, *rest = told.out.splitlines()
    assert head == f"sha256:{facts['old'][:12]} became sha256:{facts['new'][:12]}"
    assert rest == [
        "",
        "stage 'source'",
        "  timeout is 5m, was 10m",
        "  the edge to 'work' takes where {schema: Document}, took all",
        "  leads to 'end' (else)",
        "",
        "stage 'work'",
        "  retry: max is 0, was 5",
        "",
        "runs in flight may move to it",
    ]
    assert (facts["same"], facts["movable"], facts["obstacles"]) == (False, True, [])
    assert [(one["stage"], one["kind"]) for one in facts["changes"]] == [
        ("source", "limit"),
        ("source", "condition"),
        ("source", "route"),
        ("work", "retry"),
    ]


def test_what_holds_for_every_stage_is_said_once_and_what_keeps_runs_is_named(offline: Command) -> None:
    old = offline.pipeline("chain", STAGES)
    kept = offline("plan", old).out
    (offline.folder / "plan.json").write_text(kept)
    renamed = {"source": {"next": "labour", "timeout": "10m"}, "labour": {"task": "work", "next": "end"}, "end": {}}
    offline.pipeline("chain", renamed, defaults={"priority": 7})

    told = offline("plan", "--diff", "plan.json", old)

    assert told.code == 0, told.err
    assert told.out.split("\n\n")[1:] == [
        "every stage\n  priority is 7, was 50",
        "stage 'source'\n  leads to 'labour'\n  no longer leads to 'work'",
        "stage 'work'\n  is gone: stages_for_tests.work on queue 'work'",
        "stage 'labour'\n  is new: stages_for_tests.work on queue 'labour', leads to 'end'",
        "runs in flight may not move to it:\n  stage 'work' is gone, but jobs may wait at it\n",
    ]


def test_the_same_plan_is_said_to_be_the_same(offline: Command) -> None:
    old = offline.pipeline("chain", STAGES)
    turned = offline.pipeline("turned", dict(reversed(STAGES.items())))
    text = (offline.folder / turned).read_text().replace('"turned"', '"chain"')
    (offline.folder / turned).write_text(text)

    told = offline("plan", "--diff", old, turned)

    digest = offline("plan", old).err.strip()
    assert (told.code, told.out) == (0, f"the plans do not differ for jobs: both are {digest}\n")
    assert offline("plan", "--diff", old, turned, "--json").json["same"] is True


def test_a_pipeline_with_a_mistake_is_not_compared(offline: Command) -> None:
    right, wrong = offline.pipeline("right", STAGES), offline.pipeline("wrong", {"source": {"next": "ned"}, "end": {}})

    for old, new in ((right, wrong), (wrong, right)):
        result = offline("plan", "--diff", old, new)
        assert (result.code, result.out) == (2, "")
        assert result.error == "pipeline 'wrong.yml' has 1 mistake"
        assert "OAF201" in result.err
    nothing = offline("plan", "--diff", "nothing.json", right)
    assert (nothing.code, nothing.error) == (2, "there is no pipeline or run 'nothing.json'")
