"""
The key `tests`: jobs that stages return, and where these are expected to go.
"""

from collections.abc import Mapping
from typing import Any, cast

from oaflow.compiler import keys, synonyms
from oaflow.compiler.reading import NAME, PARAM, PORT, Reader
from oaflow.compiler.rules import shape as rules
from oaflow.diagnostics import Path
from oaflow.model import Case

CASE_KEYS = tuple(keys.CASE)
JOB_KEYS = tuple(keys.JOB)
ENTITY_KEYS = tuple(keys.ENTITY)


def read_cases(reader: Reader, value: object, path: Path) -> tuple[Case, ...]:
    """
    The tests of a pipeline, in their order.
    """
    if not isinstance(value, list | tuple):
        reader.wrong_type(value, path, "a list of tests", "tests: [{at: STAGE, job: {...}, expect: {STAGE: 1}}]")
        return ()
    items = cast("list[object]", value)
    found = [_case(reader, item, (*path, index)) for index, item in enumerate(items)]
    return tuple(case for case in found if case is not None)


def _case(reader: Reader, value: object, path: Path) -> Case | None:
    before = len(reader.found)
    members = reader.mapping(value, path, "a test", CASE_KEYS, synonyms=synonyms.CASE)
    if not isinstance(value, Mapping):
        return None
    said: dict[str, Any] = {}
    for key, what in (("at", "the stage that returned the job"), ("expect", "where the job is to go")):
        if key not in members and (*path, key) not in reader.meant:
            help = "at: STAGE" if key == "at" else "expect: {STAGE: 1}; {} if no edge takes it"
            reader.report(rules.MISSING_KEY, f"a test needs `{key}`, {what}", path, help=help)
    if "at" in members:
        said["at"] = reader.name(members["at"], (*path, "at"), "a stage")
    if "port" in members:
        said["port"] = reader.name(members["port"], (*path, "port"), "a port", PORT)
    if "params" in members:
        said["params"] = _params(reader, members["params"], (*path, "params"))
    if "job" in members:
        said["job"] = _job(reader, members["job"], (*path, "job"))
    if "expect" in members:
        said["expect"] = _expect(reader, members["expect"], (*path, "expect"))
    if "description" in members:
        said["description"] = reader.text(members["description"], (*path, "description"))
    return Case(**said) if len(reader.found) == before else None


def _params(reader: Reader, value: object, path: Path) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        reader.wrong_type(value, path, "a mapping from params to values")
        return {}
    members = cast("Mapping[Any, object]", value)
    for key in members:
        reader.name(key, (*path, str(key)), "a param", PARAM, key=True)
    return {str(key): reader.plain(item, (*path, str(key))) for key, item in members.items()}


def _job(reader: Reader, value: object, path: Path) -> dict[str, Any]:
    """
    A job in its short form: entities, which need an id only where it matters, a context, and what else its
    payload holds.
    """
    if isinstance(value, list):
        reader.wrong_type(value, path, "a mapping with the keys of a job", "job: {entities: [...]}")
        return {}
    members = reader.mapping(value, path, "a job", JOB_KEYS)
    job = {key: reader.plain(member, (*path, key)) for key, member in members.items()}
    for key in ("context", "payload"):
        if key in job and not isinstance(job[key], dict):
            reader.wrong_type(job[key], (*path, key), "a mapping")
    entities = job.get("entities")
    if entities is not None and not isinstance(entities, list):
        reader.wrong_type(entities, (*path, "entities"), "a list of entities")
    for index, entity in enumerate(cast("list[Any]", entities) if isinstance(entities, list) else ()):
        place = (*path, "entities", index)
        known = reader.mapping(entity, place, "an entity", ENTITY_KEYS, synonyms=synonyms.ENTITY)
        if isinstance(entity, dict) and "schema" not in known and (*place, "schema") not in reader.meant:
            reader.report(rules.MISSING_KEY, "an entity needs a schema", place, help="{schema: Document}")
        if "schema" in known:
            reader.text(known["schema"], (*place, "schema"))
        if "properties" in known and not isinstance(known["properties"], dict):
            reader.wrong_type(known["properties"], (*place, "properties"), "a mapping from properties to values")
    return job


def _expect(reader: Reader, value: object, path: Path) -> dict[str, int]:
    if not isinstance(value, Mapping):
        reader.wrong_type(value, path, "a mapping from stages to numbers", "expect: {STAGE: 1}")
        return {}
    expected: dict[str, int] = {}
    for key, number in cast("Mapping[Any, object]", value).items():
        place = (*path, str(key))
        name = reader.name(key, place, "a stage", NAME, key=True)
        count = reader.fixed(number, place, 0)
        if name is not None and count is not None:
            expected[name] = count
    return expected
