"""
Conditions on edges: over a real database, by real workers.
"""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import Command

RUN = ("-d", "demo", "--workers", "1")


def arrived(cli: Command, stage: str) -> list[str]:
    path = cli.folder / stage
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def seen_by(cli: Command, *stages: str) -> dict[str, dict[str, Any]]:
    """
    Stages that note what arrives, by name.
    """
    return {name: {"task": "sees", "with": {"out": str(cli.folder / name)}} for name in stages}


def test_each_entity_goes_along_the_edges_that_take_it_and_the_rest_is_counted_with_the_reason(cli: Command) -> None:
    pipeline = cli.pipeline(
        "languages",
        {
            "mixes": {
                "next": [
                    {"to": "translate", "where": "others(e.detectedLanguage, params.target)"},
                    {"to": "people", "where": {"schema": "Person"}},
                ]
            },
            **seen_by(cli, "translate", "people"),
        },
        params={"target": {"default": "eng"}},
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    assert (arrived(cli, "translate"), arrived(cli, "people")) == (["doc-0"], ["somebody"])
    reason = "port 'default' of stage 'mixes' has no edge for such entities (translate: where others("
    assert f"2 unmatched at mixes: {reason}" in result.out
    status = cli("status", "--json").json
    assert status["stages"]["mixes"]["unmatched"] == 2
    (cause,) = status["unmatched"]
    assert (cause["stage"], cause["port"], cause["count"]) == ("mixes", "default", 2)
    assert cause["reason"].startswith(reason)
    assert f"2 unmatched at mixes: {reason}" in cli("status").out
    receipt = cli("receipt")
    assert receipt.code == 0
    assert f"2 unmatched at mixes: {reason}" in receipt.out
    listed = [json.loads(line) for line in cli("receipt", "--list", "unmatched", "--json").out.splitlines()]
    assert [one["document"] for one in listed] == ["doc-1", "doc-2"]
    assert all(one["reason"] == cause["reason"] for one in listed)
    assert cli("run", pipeline, *RUN, "--new", "--strict").code == 1


def test_a_receipt_without_documents_names_what_matched_no_edge_too(cli: Command) -> None:
    stages = seen_by(cli, "first", "mails")
    stages["first"]["next"] = {"to": "mails", "where": {"schema": "Email"}}
    (cli.folder / "one.json").write_text(json.dumps({"id": "a", "schema": "Person", "properties": {"name": ["A"]}}))

    run = cli("run", cli.pipeline("bare", stages), *RUN, "-i", "one.json")
    receipt = cli("receipt")

    assert (run.code, receipt.code) == (0, 0), run.err
    assert "has no documents to account for" in receipt.err
    assert "1 unmatched at first: port 'default' of stage 'first' has no edge for such entities" in receipt.out


def test_with_else_nothing_is_unmatched_and_strict_is_content(cli: Command) -> None:
    pipeline = cli.pipeline(
        "languages",
        {
            "mixes": {
                "choose": "first",
                "next": [
                    {"to": "documents", "where": {"schema": "Document", "not": {"schema": "Email"}}},
                    {"to": "texts", "where": "lacks(e.detectedLanguage, 'rus')"},
                    {"to": "rest", "else": True},
                ],
            },
            **seen_by(cli, "documents", "texts", "rest"),
        },
    )

    result = cli("run", pipeline, *RUN, "--strict")

    assert result.code == 0, result.err
    assert arrived(cli, "documents") == ["doc-0", "doc-1"]
    assert arrived(cli, "texts") == ["doc-2", "somebody"]
    assert arrived(cli, "rest") == []


def test_an_edge_is_decided_before_what_does_not_travel_is_left_behind(cli: Command) -> None:
    pipeline = cli.pipeline(
        "stubs",
        {
            "mixes": {
                "with": {"long": True},
                "next": [{"to": "russian", "where": "has(e.detectedLanguage, 'rus')"}, {"to": "rest", "else": True}],
            },
            **seen_by(cli, "russian", "rest"),
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    # A stub: no property is left of it, and it went where its language says.
    assert (cli.folder / "russian").read_text() == "doc-0 \n"
    assert arrived(cli, "rest") == ["doc-1", "doc-2", "somebody"]


def test_an_edge_that_loads_reads_what_stays_in_the_store(cli: Command) -> None:
    pipeline = cli.pipeline(
        "stored",
        {
            "mixes": {"next": "hands_on"},
            "hands_on": {
                "task": "work",
                "next": [
                    {"to": "dear", "where": "contains(e.bodyText, 'EUR')", "load": True},
                    {"to": "rest", "else": True},
                ],
            },
            **seen_by(cli, "dear", "rest"),
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 0, result.err
    assert (arrived(cli, "dear"), arrived(cli, "rest")) == (["doc-1"], ["doc-0", "doc-2", "somebody"])
    assert "bodyText" not in (cli.folder / "dear").read_text()


def test_a_condition_that_cannot_be_evaluated_fails_its_job_at_once_with_its_place(cli: Command) -> None:
    pipeline = cli.pipeline(
        "orders",
        {
            "together": {"with": {"count": 1}, "next": "marked"},
            "marked": {"next": {"to": "end", "when": "job.context.way > 'one'"}},
            "end": {},
        },
    )

    result = cli("run", pipeline, *RUN)

    assert result.code == 1
    (failure,) = [json.loads(line) for line in cli("failures", "--json").out.splitlines()]
    assert (failure["stage"], failure["attempts"], failure["type"]) == ("marked", 1, "ConditionError")
    place = cli.place(pipeline, "job.context.way > 'one'")
    edge = "`when` of the edge from stage 'marked', port 'default', to 'end'"
    assert failure["message"].startswith(f"{edge} ({place}): ")
    assert "job.context.way > 'one'" in failure["message"]


def test_the_place_of_a_condition_that_fails_is_told_in_a_run_of_a_schedule_and_with_retry_here(
    cli: Command,
    started: Callable[[subprocess.Popen[str]], subprocess.Popen[str]],
    until: Callable[[Callable[[], Any]], Any],
) -> None:
    pipeline = cli.pipeline(
        "orders",
        {
            "together": {"with": {"count": 1}, "next": "marked"},
            "marked": {"next": {"to": "end", "when": "job.context.way > 'one'"}},
            "end": {},
        },
    )
    place = cli.place(pipeline, "job.context.way > 'one'")
    assert cli("schedule", "add", pipeline, "-d", "demo", "--cron", "0 3 * * *").code == 0
    (cli.folder / pipeline).unlink()  # a schedule has what was written when it was added
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        connection.execute("UPDATE oaflow.schedules SET due_at = now() - interval '1 day'")

    started(cli.start("worker"))
    (failure,) = until(lambda: [json.loads(line) for line in cli("failures", "--json").out.splitlines()])
    here = cli("retry", str(failure["job"]), "--here")

    said = f"`when` of the edge from stage 'marked', port 'default', to 'end' ({place}): "
    assert failure["message"].startswith(said)
    assert here.code == 1
    assert f"ConditionError: {said}" in here.out


@pytest.mark.parametrize(("mode", "stages"), [("fast", {"quick": 4, "rest": 0}), ("slow", {"quick": 0, "rest": 4})])
def test_what_a_stage_that_is_off_would_have_taken_goes_along_else(
    cli: Command, mode: str, stages: dict[str, int]
) -> None:
    pipeline = cli.pipeline(
        "modes",
        {
            "mixes": {"next": ["quick", {"to": "rest", "else": True}]},
            "quick": {"task": "sees", "with": {"out": str(cli.folder / "quick")}, "enabled": "params.mode == 'fast'"},
            **seen_by(cli, "rest"),
        },
        params={"mode": {"type": "choice", "choices": ["fast", "slow"], "default": "fast"}},
    )

    result = cli("run", pipeline, *RUN, "-p", f"mode={mode}", "--strict")

    assert result.code == 0, result.err
    assert {name: len(arrived(cli, name)) for name in stages} == stages
