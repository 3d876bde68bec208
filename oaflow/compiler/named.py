"""
A pipeline named as `module:name`: a child process imports the module, and hands over the pipeline as plain data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from oaflow.compiler.functions import IMPORT_LIMIT, ask, import_folders
from oaflow.diagnostics import Path, Spans
from oaflow.dsl.calls import Place
from oaflow.dsl.sources import spans_of
from oaflow.errors import UsageError
from oaflow.loader import load
from oaflow.spelling import did_you_mean


@dataclass(frozen=True)
class NamedPipeline:
    """
    What a pipeline in Python declares, with the keys of a pipeline file, and where it stands: in a file that its module
    reads, or in Python (as in `Pipeline.placed`).
    """

    data: Mapping[str, Any]
    file: str | None
    placed: Mapping[Path, Place]

    def spans(self) -> Spans:
        """
        The places of all that stands in it, which are read anew.
        """
        return spans_of(self.placed) if self.file is None else load(FilePath(self.file)).spans


def load_pipeline(name: str) -> NamedPipeline:
    """
    The pipeline that stands under a name in a module. Nothing is imported in this process.

    Raises:
        UsageError: the module cannot be imported, or holds no such pipeline.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute.isidentifier():
        raise UsageError(
            f"{name!r} names no pipeline in Python", help="write module:name, as in examples.words:pipeline"
        )
    answer = ask([name], import_folders(), IMPORT_LIMIT)[name]
    if "problem" not in answer:
        placed = {tuple(path): Place(*place) for path, place in answer["placed"]}
        return NamedPipeline(answer["data"], answer["file"], placed)
    known: Sequence[str] = answer["known"]
    match answer["problem"]:
        case "no-module":
            help = answer["help"] or did_you_mean(module, known) or "run oaflow in the folder of the module"
            raise UsageError(f"pipeline {name!r} cannot be found: {answer['detail']}", help=help)
        case "no-function":
            pipelines = f"its pipelines are: {', '.join(known)}" if known else f"module {module!r} has no pipeline"
            raise UsageError(
                f"module {module!r} has no {attribute!r}", help=did_you_mean(attribute, known) or pipelines
            )
        case "not-callable":
            help = f"its pipelines are: {', '.join(known)}" if known else f"write {attribute} = Pipeline(...)"
            raise UsageError(f"{name!r} is not a pipeline: {answer['detail']}", help=help)
        case _:
            raise UsageError(f"module {module!r} cannot be imported: {answer['detail']}", help=answer["help"])
