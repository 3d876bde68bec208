"""
Runs in memory, in tests of authors.
"""

from pathlib import Path
from typing import assert_type

from letters import documents

from oaflow import AnyJob, DatasetJob, Out, testing

job = DatasetJob.from_entities("books", "q", "t", [{"id": "a", "schema": "Document"}])


def translate(job: DatasetJob, *, target: str = "eng") -> Out:
    return Out("index", job)


ran = testing.run(documents, [job], {"source": [Path("letters")]}, at="extract", instead={"translate": translate})
assert_type(ran, testing.Ran)
assert_type(ran.received("index"), list[AnyJob])
assert_type(ran.found("extract", "children"), dict[str, int])
for failed in ran.failures:
    assert_type(failed, testing.Failed)
    assert_type(failed.message, str)
for name, entity in ran.entities.items():
    assert_type(name, str)
    assert_type(entity.get("summary"), list[str])
testing.run(Path("pipelines") / "letters.yml")

testing.run()  # refused
testing.run(documents, parms={"source": []})  # refused
testing.run(documents, instead={"translate": "translate"})  # refused
ran.recieved("index")  # refused
