"""
Pipelines in Python, each with mistakes of one phase.
"""

from pathlib import Path

from oaflow import DatasetJob, Param, Pipeline, external, recurse, stage


@stage(ports=("default", "children"))
def read(job: DatasetJob, *, folders: list[str]) -> DatasetJob:
    """Read what is in the folders."""
    return job


@stage
def index(job: DatasetJob) -> None:
    """Keep what was read."""


def kept(name):
    return index.stage(description=name, priority="high")


shape = Pipeline(
    "Letters",
    params={"source": Param(list[Path], of="duratoin"), "kind": Param("choice")},
    defaults={"retry": -1},
    stages={
        "read": read.stage(
            timeout="soon",
            next={"default": ["index", {"to": "indexed", "whre": "e.id"}], "children": recurse("read", 0)},
        ),
        "index": index.stage(collect={"size": 0}, memory="big"),
        "translate": external("translate now", queue="q" * 41),
        **{name: kept(name) for name in ("mails", "scans")},
    },
)

names = Pipeline(
    "letters",
    stages={
        "read": read.stage(
            with_={"folders": "${params.folders}"},
            next={
                "default": ["indx", {"to": "index", "where": 'e.nme and "é" and ' r"matches(e.fileName, '(')"}],
                "children": recurse("red", depth=3),
            },
        ),
        "index": index.stage(
            lock="""
                job.dataset if job.contxt
                else None
            """,
        ),
    },
    tests=[{"at": "read", "job": {"entities": [{"schema": "Document", "properties": {"nme": "x"}}]}, "expect": {}}],
)

graph = Pipeline(
    "letters",
    stages={
        "read": read.stage(with_={"folders": []}, next={"default": "index", "children": "read"}),
        "index": index.stage(),
        "alone": kept("alone") if False else index.stage(next="alone"),
    },
)

functions = Pipeline(
    "letters",
    stages={
        "read": read.stage(with_={"folder": "x"}, next=[{"to": "index", "port": "defualt"}]),
        "index": index.stage(),
    },
)
