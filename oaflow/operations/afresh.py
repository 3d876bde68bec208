"""
The command that starts a run again, with the input and params of an earlier one.
"""

import re
import shlex
from contextlib import suppress
from itertools import chain
from pathlib import Path

from oaflow.errors import UsageError
from oaflow.ledger.runs import Run
from oaflow.operations.programs import locate, pipeline_files

# How much of a file is read for the name of its pipeline, which comes before anything long.
_HEAD = 20_000

# A line of a block mapping, or a member of one in brackets, as in JSON.
_DECLARED = r"""(?:^|[{{,])\s*["']?pipeline["']?\s*:\s*["']?{}["']?\s*(?:$|[,}}#])"""

# How many files of a folder are searched for it: no folder has more pipelines.
_MOST_FILES = 200


def once_more(run: Run) -> str:
    """
    The command that starts another run of its pipeline over its dataset, from the current folder.
    """
    return f"oaflow run {as_typed(run)} -d {run.dataset}"


def with_its_input(run: Run) -> str:
    """
    The command that replaces a run that was cut off while it read its input.
    """
    return f"{once_more(run)} -i FILE --new"


def as_typed(run: Run) -> str:
    """
    The pipeline of a run, as you type it here: its name, if that is found; otherwise its file, in the folders of the
    run or in `pipelines` there; PIPELINE if neither exists, as for a pipeline in Python.
    """
    with suppress(UsageError):
        locate(run.pipeline)
        return run.pipeline
    here = Path.cwd()
    for folder in dict.fromkeys(chain.from_iterable((Path(one), Path(one, "pipelines")) for one in run.folders)):
        with suppress(OSError):
            for file in list(pipeline_files(folder))[:_MOST_FILES]:
                if _declares(file, run.pipeline):
                    return shlex.quote(str(file.relative_to(here) if file.is_relative_to(here) else file))
    return "PIPELINE"


def _declares(file: Path, pipeline: str) -> bool:
    with file.open(encoding="utf-8", errors="replace") as opened:
        head = opened.read(_HEAD)
    return re.search(_DECLARED.format(re.escape(pipeline)), head, re.MULTILINE) is not None
