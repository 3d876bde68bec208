"""
The pipeline of `pipeline.yml` in Python: both have one plan. In this folder: `oaflow run pipeline:words -d words`.
"""

from pathlib import Path

from words import count, files, report

from oaflow import Param, Pipeline

words = Pipeline(
    "words",
    description="The most frequent words of each text file in a folder.",
    params={
        "folder": Param(Path, default="texts", help="The folder with the files"),
        "result": Param(Path, default="results", help="The folder for what was found"),
        "at_least": Param(int, default=4, help="How long a word must be"),
    },
    stages={
        "files": files.stage(with_={"folder": "${params.folder}"}, next={"default": "count", "other": "drop"}),
        "count": count.stage(with_={"at_least": "${params.at_least}"}, timeout="1m", next="report"),
        "report": report.stage(with_={"result": "${params.result}"}),
    },
)
