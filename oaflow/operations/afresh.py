"""
The command that starts a run once more, with the input and params of an earlier one.
"""

import re
import shlex
from contextlib import suppress
from itertools import chain
from pathlib import Path

from oaflow.errors import UsageError
from oaflow.ledger.runs import Run
from oaflow.operations.programs import locate, pipeline_files

# Of a file, where the name of its pipeline stands: above all that is long.
_HEAD = 20_000

# A line of it, or a member of one that is written in brackets, as JSON is.
_DECLARED = r"""(?:^|[{{,])\s*["']?pipeline["']?\s*:\s*["']?{}["']?\s*(?:$|[,}}#])"""

# Files that are looked at for it in a folder: nobody keeps more pipelines in one.
_MOST_FILES = 200


def once_more(run: Run) -> str:
    """
    The command that starts another run of its pipeline over its dataset, from the current folder.
    """
    return f"oaflow run {as_typed(run)} -d {run.dataset}"


def with_its_input(run: Run) -> str:
    """
    The command that starts one in place of a run that was cut off while it read its input.
    """
    return f"{once_more(run)} -i FILE --new"


def as_typed(run: Run) -> str:
    """
    The pipeline of a run as it is typed here: its name, where that is found; else its file, which lies in the folders
    of the run or in `pipelines` there; PIPELINE where it is in none, as one in Python.
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
