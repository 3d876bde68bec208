"""
`--detach`: a run that has begun, or goes on, is left to a process in the background.
"""

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oaflow.printed.runs import Detached
    from oaflow.settings import Settings


def leave(known: "Settings", events: Generator[Any], workers: int | None, json: bool) -> int:
    """
    Takes the events of a run until it has begun, and leaves it to a process in the background; to the workers alone
    where they are elsewhere.

    Args:
        events: closed when the run is left. Until then the database is in use: the private server does not stop before
            the other process uses it.
        workers: how many the process has; None: one with the private server, none with another.

    Returns:
        the exit code: 1 where nothing has begun.
    """
    from oaflow.cli.output import clean, remark, say, say_json, typable
    from oaflow.operations.crew import count_of
    from oaflow.operations.detaching import detach
    from oaflow.operations.running import Said
    from oaflow.operations.starting import Begun

    number = count_of(known, workers)
    with closing(events):
        for event in events:
            match event:
                case Said(text=text):
                    remark(clean(text))
                case Begun(run=run, remarks=remarks):
                    for line in remarks:
                        remark(clean(line))
                    left = detach(known, run, number) if number else None
                    break
                case _:
                    pass
        else:
            return 1
    if json:
        detached: Detached = {
            "run": run,
            "process": left.pid if left else None,
            "log": str(left.log) if left else None,
        }
        say_json(detached)
        return 0
    say(f"{run}\n")
    if left is None:
        remark(f"its workers are elsewhere: {typable('oaflow worker')}")
    else:
        remark(f"process {left.pid} follows it, and writes to {clean(left.log)}")
    for what, command in (("see", "status"), ("hold", "pause"), ("end", "cancel")):
        remark(f"{what}:  {typable(f'oaflow {command} {run}')}")
    return 0
