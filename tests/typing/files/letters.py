"""
Pipelines as authors write them.
"""

from pathlib import Path

from functions import analyze, crawl, extract, index, quarantine

from oaflow import Param, Pipeline, external, recurse

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
            next={"default": "analyze", "children": recurse("extract", 16)}, on_error="quarantine"
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
