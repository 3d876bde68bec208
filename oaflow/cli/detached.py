"""
What follows a run in the background: `python -m oaflow.cli.detached RUN WORKERS DESCRIPTOR`, started by `--detach`.

It says in its log what `oaflow resume` says in a terminal, and ends with the run.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from oaflow.cli.options import settings
from oaflow.cli.output import complain, remark
from oaflow.cli.progress import show
from oaflow.cli.verdicts import Limits
from oaflow.errors import OaflowError
from oaflow.operations import running
from oaflow.operations.crew import crew_of
from oaflow.operations.detaching import said_to
from oaflow.operations.following import Progress
from oaflow.operations.starting import EndedRunError


def main(run: str, workers: int, descriptor: int) -> int:
    """
    Follows a run to its end.

    Args:
        descriptor: where it is told, once, that the run is followed.
    """
    known, tell = settings(aloud=False), said_to(descriptor)
    try:
        with crew_of(known, workers) as crew:
            return show(_told(running.resume(known, run, crew=crew), tell), Limits(), json=False)
    except EndedRunError as ended:
        # Other workers were quicker than this process: nothing is left to follow, and nothing went wrong.
        tell()
        remark(str(ended))
        return 0
    except OaflowError as error:
        complain(error)
        return error.exit_code


def _told(events: Iterator[Any], tell: Callable[[], None]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, Progress):
            tell()
        yield event


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
