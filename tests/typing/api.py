"""
What authors write, as a strict type checker sees it. Checked by `tests/typing/test_typing.py`, never run.

Each line that must be refused ends in `# refused`.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import assert_type

from oaflow import DatasetJob, Job, Out, Param, Pipeline, external, recurse, stage


@stage
def crawl(job: DatasetJob, *, source: list[str]) -> Iterator[DatasetJob]:
    """List files."""
    yield job


@stage(queue="ingest", timeout="30m", ports=("default", "children"), emits=["Document"], retry={"max": 2, "base": "1s"})
def extract(job: DatasetJob, *, ocr: bool = False) -> Iterator[DatasetJob | Out]:
    """Read the text of a file and unpack what it contains."""
    yield job
    yield Out("children", job)


@stage(emit="stream")
async def analyze(job: DatasetJob) -> AsyncIterator[DatasetJob]:
    yield job


@stage
async def index(job: DatasetJob) -> None: ...


@stage
def quarantine(job: Job, limit: int = 3) -> Job:
    return job


documents = Pipeline(
    "documents",
    params={
        "source": Param(list[Path], positional=True, remember=True),
        "wait": Param("duration", default="2s"),
        "kind": Param("choice", choices=["a", "b"]),
    },
    defaults={"retry": {"max": 5, "base": "2s", "cap": "10m"}},
    start="crawl",
    stages={
        "crawl": crawl.stage(with_={"source": "${params.source}"}, next="extract"),
        "extract": extract.stage(
            next={"default": "analyze", "children": recurse("extract", 16), "media": "drop"}, on_error="quarantine"
        ),
        "analyze": analyze.stage(
            next=[
                "index",
                {"to": "translate", "where": "others(e.detectedLanguage, params.target_lang)", "load": True},
                {"to": "people", "where": {"schema": ["Person", "Company"], "not": {"country": "de"}}},
                {"to": "scans", "when": "job.context.ocr"},
                {"to": "rest", "else": True},
            ],
            choose="first",
            timeout="${params.wait}",
        ),
        "translate": external(
            "ftm_translate.tasks.translate", queue="translate", next={"index": "index"}, enabled="params.translate"
        ),
        "index": index.stage(priority=80, memory="2GiB", retry=3),
        "quarantine": quarantine.stage(next={"to": "index", "port": "default"}),
    },
    tests=[
        {"at": "crawl", "expect": {"extract": 1}},
        {
            "at": "analyze",
            "params": {"kind": "a"},
            "job": {"entities": [{"schema": "Document", "properties": {"language": "eng"}}], "context": {"ocr": True}},
            "expect": {"index": 1},
        },
    ],
)


# --- a decorated function stays what it was ---


def called(job: DatasetJob) -> None:
    assert_type(crawl(job, source=["a"]), Iterator[DatasetJob])
    assert_type(quarantine(job), Job)
    assert_type(quarantine(job, 4), Job)
    crawl(job)  # refused
    crawl(job, source="a")  # refused
    quarantine(job, limit="a")  # refused


async def awaited(job: DatasetJob) -> None:
    assert_type(await index(job), None)
    assert_type([one async for one in analyze(job)], list[DatasetJob])


# --- misspelled keys ---

stage(que="ingest")  # refused
stage(emit="later")  # refused
stage(retry={"maximum": 3})  # refused
crawl.stage(nxt="extract")  # refused
crawl.stage(task="m.f")  # refused
crawl.stage(next=3)  # refused
crawl.stage(choose="some")  # refused
crawl.stage(next={"to": "index", "where": {"schema": 3}})  # refused
crawl.stage(next={"to": "index", "when": True})  # refused
crawl.stage(next=[{"to": "a", "recursive": 3}])  # refused
crawl.stage(next={"to": "index", "recurse": 3, "where": {"schema": "Document"}, "wen": {"a": "b"}})  # refused
crawl.stage(retry={"max": 2, "backof": "none"})  # refused
crawl.stage(on_error=index)  # refused
external("m.f", next="index")  # refused
external("m.f", queue="q", timeout="1m")  # refused
recurse("extract")  # refused
Param(list[Path], positionl=True)  # refused
Param("strin")  # refused
Pipeline("p", stages={"a": index})  # refused
Pipeline("p", stages={}, default={})  # refused
Pipeline("p", stages={}, tests=[{"at": "a"}])  # refused
Pipeline("p", stages={}, tests=[{"at": "a", "expect": {}, "job": {"entities": [{"schma": "Person"}]}}])  # refused
Pipeline("p", stages={}, defaults={"retrys": 3})  # refused
Out("children")  # refused
