"""
The digests of files, as they were released: our own pipelines, and small ones in which every key stands. A default
never changes within a format, so what is noted here is only added to, and is renewed where a file itself changed.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from oaflow.compiler import check_file
from oaflow.compiler.cases import CASE_KEYS, ENTITY_KEYS, JOB_KEYS
from oaflow.compiler.edges import EDGE_KEYS
from oaflow.compiler.params import PARAM_KEYS
from oaflow.compiler.shape import COLLECT_KEYS, DEFAULTS_KEYS, PIPELINE_KEYS, RETRY_KEYS, STAGE_KEYS
from oaflow.loader import load
from oaflow.plan import FORMAT, Plan, PlannedCollect, PlannedEdge, PlannedParam, PlannedRetry, PlannedStage

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "golden"
SMALL = sorted((HERE / "pipelines").glob("*.yml"))
FILES = [*SMALL, *sorted(ROOT.glob("pipelines/*.yml")), *sorted(ROOT.glob("examples/*/pipeline.yml"))]
NOTED: dict[str, Any] = json.loads((HERE / "files.json").read_text())
MODELS: tuple[type[BaseModel], ...] = (Plan, PlannedParam, PlannedStage, PlannedEdge, PlannedRetry, PlannedCollect)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_that_is_as_it_was_has_the_digest_that_it_had(path: Path):
    checked = check_file(path, imports=False)
    assert checked.errors == []
    assert checked.plan is not None
    now = {"text": hashlib.sha256(path.read_bytes()).hexdigest(), "digest": checked.plan.digest}

    noted = NOTED["files"].get(name_of(path), {})

    assert now == noted, (
        "the same file is another plan: a default changed, which needs another format"
        if noted.get("text") == now["text"]
        else f'the file is another one: note in files.json "{name_of(path)}": {json.dumps(now)}'
    )


def test_every_key_of_the_language_stands_in_a_small_pipeline():
    known = {
        *PIPELINE_KEYS, *STAGE_KEYS, *EDGE_KEYS, *PARAM_KEYS, *RETRY_KEYS, *COLLECT_KEYS, *CASE_KEYS, *JOB_KEYS,
        *ENTITY_KEYS, *DEFAULTS_KEYS,
    }  # fmt: skip
    loaded = [load(path).data for path in SMALL]

    assert known - {key for data in loaded for key in keys_of(data)} == set()
    assert set(DEFAULTS_KEYS) - {key for data in loaded for key in data.get("defaults", {})} == set()


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from keys_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys_of(item)


def test_a_default_of_a_plan_is_what_it_was_in_this_format():
    noted = NOTED["defaults"][str(FORMAT)]

    assert defaults() == noted, "what is new is added to files.json; what is there never changes within a format"


def defaults() -> dict[str, dict[str, Any]]:
    return {
        model.__name__: {
            name: json.loads(json.dumps(field.get_default(call_default_factory=True), default=dict))
            for name, field in model.model_fields.items()
            if not field.is_required()
        }
        for model in MODELS
    }
