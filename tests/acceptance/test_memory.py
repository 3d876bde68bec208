"""
A run in memory comes to what a run with a database and workers comes to.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oaflow import testing
from tests.acceptance.conftest import Command

KINDS = """
pipeline: kinds
params:
  count: {type: int, default: 0}
  folder: {type: path, required: true}
  target: {default: eng}
  scan: {type: bool, default: false}
defaults: {priority: 40}
stages:
  source: {task: memory_stages.source, with: {count: "${params.count}"}, next: unpack}
  unpack:
    task: memory_stages.unpack
    next: {default: [shaky, mixed], inner: {to: unpack, recurse: 2}}
  shaky:
    task: memory_stages.shaky
    with: {folder: "${params.folder}"}
    priority: 70
    next: [half, {to: scan, when: job.context.way}]
    on_error: quarantine
  scan: {task: memory_stages.keep, enabled: params.scan, next: half}
  half: {task: memory_stages.half, next: {default: gathered}, lock: job.context.way}
  gathered: {task: memory_stages.gathered, collect: {size: 100, wait: 10m}, next: keep, on_error: quarantine}
  mixed:
    task: memory_stages.mixed
    choose: first
    next:
      - {to: people, where: {schema: Person}, when: "job.context.way == 1"}
      - {to: long, where: "contains(e.bodyText, 'of doc-1')", load: true}
      - {to: other, where: "others(e.detectedLanguage, params.target)"}
      - {to: drop_it, else: true}
  people: {task: memory_stages.keep}
  long: {task: memory_stages.keep, collect: {size: 3, wait: 10m}}
  other: {task: memory_stages.keep, split: 1, next: {default: drop}}
  drop_it: {task: memory_stages.half, retry: 2, next: [{to: people, where: {schema: Company}}]}
  quarantine: {task: memory_stages.quarantine, next: keep}
  keep: {task: memory_stages.keep}
  told: {task: memory_stages.told, join: run, next: after}
  after: {task: memory_stages.keep}
  again: {task: memory_stages.keep, join: [shaky]}
"""


def real(cli: Command, pipeline: str, folder: Path) -> dict[str, Any]:
    """
    What is known of a run with a database and workers.
    """
    ran = cli("run", pipeline, "-d", "demo", "--workers", "1", "-p", "count=13", "-p", f"folder={folder}")
    assert "finished" in ran.out, ran.err
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"]) as connection:
        hops = connection.execute("SELECT stage, outcome, documents, detail FROM oaflow.hops").fetchall()
    failures = [json.loads(line) for line in cli("failures", "--json").out.splitlines()]
    entities = [json.loads(line) for line in cli("entities", "-d", "demo").out.splitlines()]
    passed = [(stage, outcome, documents, detail or {}) for stage, outcome, documents, detail in hops]
    ways = ("done", "chunk", "failed", "diverted")
    return {
        "stages": {
            name: {key: number for key, number in counts.items() if key in testing.results.COUNTERS}
            for name, counts in cli("status", "--json").json["stages"].items()
        },
        "attempts": Counter(
            (stage, outcome, together(stage, documents or ()))
            for stage, outcome, documents, _ in passed
            if outcome in ("done", "retried", "failed", "diverted", "parted")
        ),
        "sent": Counter(
            (stage, to, together(stage, documents))
            for stage, outcome, _, detail in passed
            if outcome in ways
            for to, documents in detail.get("handed", ())
        ),
        "lost": Counter(
            (stage, kind, port, reason, together(stage, documents), size)
            for stage, outcome, _, detail in passed
            if outcome in ways
            for kind, port, reason, documents, size in detail.get("lost", ())
        ),
        "failures": Counter(
            (one["stage"], one["type"], one["message"], one["attempts"], tuple(one["documents"] or ()))
            for one in failures
        ),
        "entities": {entity["id"]: plain(entity) for entity in entities},
    }


def in_memory(ran: testing.Ran) -> dict[str, Any]:
    """
    The same of a run in memory.
    """
    return {
        "stages": ran.stages,
        "attempts": Counter((one.stage, one.outcome, together(one.stage, one.job.documents)) for one in ran.attempts),
        "sent": Counter((one.stage, one.to, together(one.stage, one.job.documents)) for one in ran.sent),
        "lost": Counter(
            (one.stage, one.kind, one.port, one.reason, together(one.stage, one.documents), one.size)
            for one in ran.losses
        ),
        "failures": Counter((one.stage, one.type, one.message, one.attempts, one.documents) for one in ran.failures),
        "entities": {id: plain(entity.to_dict()) for id, entity in ran.entities.items()},
    }


def together(stage: str, documents: Iterable[str]) -> Any:
    """
    The documents of a job. Of one that is put together of those that come first, only how many: which these are is
    chance.
    """
    return tuple(sorted(documents)) if stage != "long" else len(tuple(documents))


def plain(entity: dict[str, Any]) -> Any:
    return entity["schema"], {name: sorted(values) for name, values in entity["properties"].items()}


@pytest.mark.unbalanced  # what was emitted under `emit: always` is counted as failed, and goes on
def test_all_kinds_of_stages_and_edges_come_to_the_same_in_memory(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "kinds.yml").write_text(KINDS)
    for name in ("there", "here"):
        (tmp_path / name).mkdir()

    there = real(cli, "kinds.yml", tmp_path / "there")
    ran = testing.run(tmp_path / "kinds.yml", params={"count": 13, "folder": tmp_path / "here"}, dataset="demo")

    here = in_memory(ran)
    for part in there:
        assert here[part] == there[part], part
    kinds = {outcome for _, outcome, _ in here["attempts"]}
    assert kinds == {"done", "retried", "failed", "diverted", "parted"}
    assert {one.kind for one in ran.losses} == {"too_deep", "unmatched", "dropped", "ended"}
    assert set(ran.disabled) == {"scan"}
