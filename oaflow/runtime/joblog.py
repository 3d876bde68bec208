"""
What stages print, as JSON lines in `logs/RUN.jsonl`, each with run, stage, job and document.
"""

import time
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from oaflow.runtime.jsonlog import LEVELS, JsonLines
from oaflow.runtime.logged import Logged

OPEN_FILES = 16


class JobLog:
    """
    Appends lines; keeps a few files open.

    Args:
        folder: the folder of the files.
        lines: where each line also goes; None: nowhere.
    """

    def __init__(self, folder: Path, lines: JsonLines | None = None) -> None:
        self._folder, self._lines = folder, lines
        self._files: dict[str, BinaryIO] = {}

    def write(
        self,
        run: str | None,
        *,
        stage: str | None,
        job: int | None,
        stream: str,
        text: str,
        documents: list[str] | None = None,
        logged: Logged | None = None,
    ) -> None:
        """
        Append one line. Lines that belong to no run go to `worker.jsonl`.

        Args:
            logged: the message, if the line comes from Python's logging instead of being printed.
        """
        name = run or "worker"
        line: dict[str, Any] = {
            "at": time.time(),
            "run": run,
            "stage": stage,
            "job": job,
            "stream": stream,
            "text": text,
        }
        if logged is not None:
            line |= {"level": logged.level, "logger": logged.logger}
        if documents:
            line["document"] = documents[0]
            if len(documents) > 1:
                line["documents"] = documents
        if self._lines is not None:
            level, logger = (logged.level, logged.logger) if logged else (LEVELS.get(stream, "info"), "stage")
            document = line.get("document")
            self._lines.write(level, logger, text, run=run, stage=stage, job=job, document=document, stream=stream)
        try:
            # One write per line in append mode: several workers share a file without mixing up lines.
            self._file(name).write(orjson.dumps(line) + b"\n")
        except OSError:
            # A full disk must not end the worker because of a log line; `upkeep` pauses the run.
            self._files.pop(name, None)

    def close(self) -> None:
        """
        Close all files.
        """
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            if len(self._files) >= OPEN_FILES:
                self._files.pop(next(iter(self._files))).close()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files[name] = (self._folder / f"{name}.jsonl").open("ab", buffering=0)
        return self._files[name]
